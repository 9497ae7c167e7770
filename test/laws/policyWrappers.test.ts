import { Duration, Effect, Result, Semaphore } from "effect"
import type { AiError, LanguageModel } from "effect/ai"
import { AttemptAllowance, CallContext } from "holdfast/core"
import { Model } from "holdfast/model"
import { Bulkhead, Pipeline, Timeout } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { PolicyLaws } from "holdfast/testing"
import { assert, describe, it } from "vitest"
import { withoutStackTraces } from "./stackTraces.ts"

withoutStackTraces()

type Policy = ModelProvider.Policy
type Request = LanguageModel.ProviderOptions

/** A policy that sends something else than what it was asked. */
const sending =
  (change: (request: Request) => Request): Policy =>
  (next) =>
    Effect.succeed({
      ...next,
      generateText: (request) => next.generateText(change(request)),
      streamText: (request) => next.streamText(change(request))
    })

/** A policy that tries again, within what it says it may: after which errors, and after which waits. */
const retrying =
  (isWorthIt: (error: AiError.AiError) => boolean, wait: (error: AiError.AiError) => number): Policy =>
  (next) => {
    const go = (request: Request, left: number): ReturnType<typeof next.generateText> =>
      Effect.catchIf(
        next.generateText(request),
        (error) => left > 0 && isWorthIt(error),
        (error) =>
          Effect.flatMap(AttemptAllowance.take(next.name), (isAllowed) =>
            isAllowed ? Effect.delay(go(request, left - 1), wait(error)) : Effect.fail(error)
          )
      )
    const retried: ModelProvider.ModelProvider = { ...next, generateText: (request) => go(request, 2) }
    return Effect.succeed(CallContext.contributing(retried, {}, 2))
  }

const askedToWait = ({ retryAfter }: AiError.AiError) => (retryAfter === undefined ? 0 : Duration.toMillis(retryAfter))

/** Gives each call what the one before asked. */
const mixing: Policy = (next) => {
  let before: Request["prompt"] | undefined
  return Effect.succeed({
    ...next,
    generateText: (request) => {
      const prompt = before ?? request.prompt
      before = request.prompt
      return next.generateText({ ...request, prompt })
    }
  })
}

const draw = () => 50 + 100 * Math.random()

const faults: Readonly<Record<string, readonly [breaks: string, policy: Policy]>> = {
  "the prompt is emptied": [
    "requestsArriveUnchanged",
    sending((request) => ({ ...request, prompt: { ...request.prompt, content: [] } }))
  ],
  "the first message is left out": [
    "requestsArriveUnchanged",
    sending((request) => ({ ...request, prompt: { ...request.prompt, content: request.prompt.content.slice(1) } }))
  ],
  "the prompt is that of the caller before": ["requestsArriveUnchanged", mixing],
  "the tools are left out": ["requestsArriveUnchanged", sending((request) => ({ ...request, tools: [] }))],
  "the model chooses among the tools": [
    "requestsArriveUnchanged",
    sending((request) => ({ ...request, toolChoice: "auto" }))
  ],
  "a text is asked for where an object was": [
    "requestsArriveUnchanged",
    sending((request) => ({ ...request, responseFormat: { type: "text" } }))
  ],
  "waits have no jitter, and nobody is told of them": [
    "neverTooEarly",
    retrying(
      ({ isRetryable }) => isRetryable,
      (error) => Math.max(200, askedToWait(error))
    )
  ],
  "retries come before the time that was asked for": [
    "neverTooEarly",
    retrying(({ isRetryable }) => isRetryable, draw)
  ],
  "what cannot succeed is tried again": [
    "neverTooEarly",
    retrying(
      () => true,
      (error) => askedToWait(error) + draw()
    )
  ]
}

/** Runs one law until it is broken. Gives its name if it was. */
const brokenLaw = async (stack: PolicyLaws.StackToCheck, law: string, runs: number) => {
  const laws = PolicyLaws.laws.filter(({ name }) => name === law)
  const result = await Effect.runPromise(Effect.result(PolicyLaws.check(stack, { laws, runs, shrink: false })))
  return Result.isFailure(result) ? result.failure.law : undefined
}

/** The same policy in every form that a stack has. */
const forms: Readonly<Record<string, (policy: Policy) => PolicyLaws.StackToCheck>> = {
  "a list": (policy) => [policy],
  "a list in a pipeline": (policy) => [...Pipeline.standard({ timeout: "1 minute" }), policy],
  "a function": (policy) => policy,
  "a function that composes": (policy) => (provider) => Model.compose({ provider, policies: [policy] }),
  "a stack that says nothing of what it allows": (policy) => ({ policies: [policy] }),
  "a stack and what it allows": (policy) => ({ policies: [policy], allows: {} })
}

describe("a policy that is not Holdfast's", () => {
  it.each(Object.entries(faults))(
    "%s: is found in every form of stack",
    { timeout: 60_000 },
    async (_, [breaks, policy]) => {
      for (const [form, stackOf] of Object.entries(forms)) {
        assert.strictEqual(await brokenLaw(stackOf(policy), breaks, 300), breaks, form)
      }
    }
  )

  it("may try again as long as it waits as it was asked to", async () => {
    const stack = [
      retrying(
        ({ isRetryable }) => isRetryable,
        (error) => askedToWait(error) + draw()
      )
    ]
    assert.isUndefined(await brokenLaw(stack, "neverTooEarly", 100))
  })
})

describe("what a stack allows to be under way at once", () => {
  /** Lets so many calls through, of whole answers only. */
  const wholeOnly =
    (permits: number): Policy =>
    (next) =>
      Effect.map(Semaphore.make(permits), (semaphore) => ({
        ...next,
        generateText: (request) => semaphore.withPermits(1)(next.generateText(request))
      }))

  it.each([
    ["nothing limits it", [], "asManyAtOnceAsAllowed"],
    ["more are let through", [Bulkhead.limit({ concurrency: 50 })], "asManyAtOnceAsAllowed"],
    ["fewer are let through", [Bulkhead.limit({ concurrency: 1 })], "asManyAtOnceAsAllowed"],
    ["streams go past", [wholeOnly(2)], "asManyAtOnceAsAllowed"],
    ["as many are let through", [Timeout.overall("1 minute"), Bulkhead.limit({ concurrency: 2 })], undefined]
  ] as const)("%s", { timeout: 60_000 }, async (_, policies, breaks) => {
    const stack = { policies, allows: { concurrency: 2 } }
    assert.strictEqual(await brokenLaw(stack, "asManyAtOnceAsAllowed", 60), breaks)
  })

  it("may have a bound on one side only", async () => {
    const atMost = { policies: [Bulkhead.limit({ concurrency: 1 })], allows: { concurrency: { atMost: 2 } } }
    assert.isUndefined(await brokenLaw(atMost, "asManyAtOnceAsAllowed", 40))
    const atLeast = { policies: [], allows: { concurrency: { atLeast: 2 } } }
    assert.isUndefined(await brokenLaw(atLeast, "asManyAtOnceAsAllowed", 40))
  })
})
