import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { expect, it } from "@effect/vitest"
import { type Cause, Effect, Fiber, Queue, Stream } from "effect"
import { type AiError, IdGenerator, type LanguageModel, Prompt, type Response } from "effect/ai"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import { ProviderContract } from "holdfast/testing"
import { readTools, server } from "./aimock.ts"

type Provider = ModelProvider.ModelProvider
type Part = Response.PartEncoded | Response.StreamPartEncoded

const withIds = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const sound = (origin: string): Provider =>
  AiSdk.provider(
    createOpenAICompatible({
      name: "mine",
      baseURL: `${origin}/v1`,
      apiKey: "not-a-secret",
      includeUsage: true,
      supportsStructuredOutputs: true
    })("m")
  )

/** Changes what is sent. */
const asking =
  (change: (call: LanguageModel.ProviderOptions) => LanguageModel.ProviderOptions) =>
  (next: Provider): Provider => ({
    ...next,
    generateText: (call) => next.generateText(change(call)),
    streamText: (call) => next.streamText(change(call))
  })

const prompting = (change: (messages: ReadonlyArray<Prompt.Message>) => ReadonlyArray<Prompt.Message>) =>
  asking((call) => ({ ...call, prompt: Prompt.fromMessages(change(call.prompt.content)) }))

/** Changes what comes back, the whole answer and the stream alike. */
const answering =
  (change: <P extends Part>(part: P) => ReadonlyArray<P>) =>
  (next: Provider): Provider => ({
    ...next,
    generateText: (call) => Effect.map(next.generateText(call), (parts) => parts.flatMap(change)),
    streamText: (call) => Stream.flatMap(next.streamText(call), (part) => Stream.fromIterable(change(part)))
  })

/** Reads the stream in a fiber that nobody owns, so that no interruption reaches it. */
const detached = (next: Provider): Provider => ({
  ...next,
  streamText: (call) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const queue = yield* Queue.unbounded<Response.StreamPartEncoded, AiError.AiError | Cause.Done>()
        yield* Effect.forkDetach(Stream.runIntoQueue(next.streamText(call), queue))
        return Stream.fromQueue(queue)
      })
    )
})

const faults: ReadonlyArray<readonly [law: string, fault: (next: Provider) => Provider]> = [
  ["gives the answer's text", answering((part) => (part.type === "text" || part.type === "text-delta" ? [] : [part]))],
  [
    "keeps every character",
    answering((part) => ("delta" in part ? [{ ...part, delta: part.delta.replaceAll("海", "?") }] : [part]))
  ],
  ["sends the system message", prompting((messages) => messages.filter((message) => message.role !== "system"))],
  ["sends the turns before", prompting((messages) => messages.slice(-1))],
  ["streams one well-formed stream", answering((part) => (part.type === "text-end" ? [] : [part]))],
  ["returns a tool call and does not resolve it", answering((part) => (part.type === "tool-call" ? [] : [part]))],
  ["sends a tool's result back", prompting((messages) => messages.filter((message) => message.role !== "tool"))],
  ["sends the tool choice", asking((call) => ({ ...call, toolChoice: "auto" }))],
  ["gives a structured value", answering((part) => ("text" in part ? [{ ...part, text: `${part.text}!` }] : [part]))],
  [
    "counts the tokens",
    answering((part) => (part.type === "finish" ? [{ ...part, usage: { inputTokens: {}, outputTokens: {} } }] : [part]))
  ],
  [
    "says that the answer is complete",
    answering((part) => (part.type === "finish" ? [{ ...part, reason: "other" }] : [part]))
  ],
  [
    "says that the answer reached its length",
    answering((part) => (part.type === "finish" ? [{ ...part, reason: "stop" }] : [part]))
  ],
  ["names the response and its model", answering((part) => (part.type === "response-metadata" ? [] : [part]))],
  [
    "passes the response's headers on",
    answering((part) => (part.type === "finish" ? [{ ...part, response: undefined }] : [part]))
  ],
  ["answers in plain data", answering((part) => [{ ...part, metadata: { at: new Date(0) } as never }])],
  [
    "sends one request for one call",
    (next) => ({ ...next, generateText: (call) => Effect.andThen(next.generateText(call), next.generateText(call)) })
  ],
  [
    "reports a rate limit with its retry-after",
    (next) => ({ ...next, generateText: (call) => Effect.orDie(next.generateText(call)) })
  ],
  [
    "reports a server's failure as retryable, after one request",
    (next) => ({ ...next, generateText: (call) => Effect.retry(next.generateText(call), { times: 1 }) })
  ],
  [
    "fails when the connection is cut in the middle of a stream",
    (next) => ({ ...next, streamText: (call) => Stream.catch(next.streamText(call), () => Stream.empty) })
  ],
  [
    "fails when a stream ends before the answer does",
    (next) => ({ ...next, streamText: (call) => Stream.catch(next.streamText(call), () => Stream.empty) })
  ],
  [
    "closes the connection when a call is interrupted",
    (next) => ({
      ...next,
      generateText: (call) => Effect.flatMap(Effect.forkDetach(next.generateText(call)), Fiber.join)
    })
  ],
  ["closes the connection when a stream is interrupted before it begins", detached],
  ["closes the connection when a stream is interrupted in the middle", detached],
  ["closes the connection when a stream is left early", detached],
  [
    "sends nothing for a stream that is never run",
    (next) => ({
      ...next,
      streamText: (call) => {
        Effect.runFork(Effect.scoped(Stream.runDrain(next.streamText(call))).pipe(withIds, Effect.ignore))
        return next.streamText(call)
      }
    })
  ]
]

it("has a fault for every law", () => {
  expect(faults.map(([law]) => law).toSorted()).toEqual(ProviderContract.laws.map(({ name }) => name).toSorted())
})

it.effect.each(faults)("a provider with the opposite fault breaks the law: %s", ([name, fault]) =>
  Effect.gen(function* () {
    const subject = { server, readTools, provider: (origin: string) => Effect.succeed(fault(sound(origin))) }
    const laws = ProviderContract.laws.filter((law) => law.name === name)
    const broken = yield* Effect.flip(ProviderContract.check(subject, { laws }))
    expect(broken.law).toBe(name)
  })
)
