/**
 * Sends no more than the provider's rate limits allow, so that calls wait their turn here and are not rejected there.
 *
 * Requests, tokens, input tokens and output tokens are limited together. A call takes an estimate of its tokens when it
 * goes, which is corrected when it has ended. Calls that must wait go one by one at the pace of the limit, the urgent
 * first, and nothing goes while the provider has asked to wait.
 */
import { Cause, Clock, Effect, Exit, Option, Pull } from "effect"
import type { Duration } from "effect"
import type { AiError, LanguageModel, Response } from "effect/ai"
import { RateLimiter } from "effect/persistence"
import * as Caller from "../core/call/Caller.ts"
import * as Failure from "../core/Failure.ts"
import * as Opening from "../core/stream/OpenStream.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as ResponseHeaders from "../core/call/ResponseHeaders.ts"
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"
import * as Estimate from "./rate-limit/Estimate.ts"
import { Limiter, type Outcome } from "./RateLimiter.ts"
import type { Refusal } from "./rate-limit/CallQueue.ts"
import { defaults, type Options as Limits, resolve, type Settings, storeTimeoutMillis } from "./rate-limit/Settings.ts"
import { SharedLimits } from "./RateLimitShared.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as TokenEstimate from "../core/call/TokenEstimate.ts"

export { defaults, type Limit, type Options as Limits } from "./rate-limit/Settings.ts"
export { type Dimension, fromHeaders, type Told } from "./rate-limit/Headers.ts"
export type { Outcome } from "./RateLimiter.ts"
export type { Refusal } from "./rate-limit/CallQueue.ts"

export interface Options extends Limits {
  /**
   * Estimates the tokens of a call. Default: a quarter of the prompt's characters, 1,000 for each file in it, and for the
   * answer what the last ones took on average, at first 500. What is negative or no number ends the call as a defect.
   */
  readonly estimate?: ((request: LanguageModel.ProviderOptions) => Estimate.Estimate) | undefined
  /** Whether each tenant (`Caller.as`) has the limits for itself, at most 1,000 of them. Default false. */
  readonly perTenant?: boolean | undefined
}

/**
 * Keeps the limits given, and no others.
 *
 * A call that may not go waits, and interrupting it takes it out of the line. When the provider rejects a call all the
 * same, nothing goes for the time it asked for, and then calls go one by one at the pace that it did accept. This policy
 * does not send a rejected call again: put `Retry` outside of it.
 *
 * A call ends before it is sent with `PolicyReason`
 *
 * - `RateLimited`, retryable: it would wait, or has waited, longer than `maxWait`;
 * - `QueueFull`, retryable: `maxWaiting` calls wait already;
 * - `DeadlineTooNear`: what is left of the whole call's time (`Timeout.overall`) is less than the wait;
 * - `LargerThanLimit`: it alone needs more than twice of what a limit allows in its whole window.
 */
export const of = (options: Options): Policy => {
  const settings = resolve(options)
  return (next) => Effect.map(limiter(settings, false), around(next, options))
}

/**
 * Keeps the limits the provider tells in its response headers, beside those that are given.
 *
 * Read are the headers of OpenAI, Azure, Groq, Anthropic and the general ones, see {@link fromHeaders}. While no limit of
 * requests is known it begins with ten calls and then lets through a growing multiple of what was accepted lately; when
 * the provider rejects one, it measures the limit by what was accepted, and probes upwards with time. Otherwise as
 * {@link of}.
 */
export const adaptive = (options: Options = {}): Policy => {
  const settings = resolve(options)
  return (next) => Effect.map(limiter(settings, true), around(next, options))
}

/**
 * As {@link adaptive}, with limits that several processes keep together, in one of Effect's stores:
 * `RateLimiter.layerStoreRedis` on `NodeRedis.layer`, or `RateLimiter.layerStoreMemory` within one process.
 *
 * Each process puts its calls in order; who goes next takes its place in the store. When the store does not answer within
 * `storeTimeout`, each process keeps the limits for itself, and asks again a second later. What is shared are limits that
 * are given or told, and pauses where a limit of requests is known; a pace measured by rejections is each process's own.
 */
export const shared = (
  options: Options & {
    /** How long the store may take for an answer. Default 50 milliseconds. */
    readonly storeTimeout?: Duration.Input | undefined
  } = {}
): Policy<RateLimiter.RateLimiterStore> => {
  const settings = resolve(options)
  const timeoutMillis = storeTimeoutMillis(options.storeTimeout)
  return (next) =>
    Effect.flatMap(RateLimiter.RateLimiterStore, (store) =>
      Effect.map(
        Effect.flatMap(Effect.scope, (scope) => limiter(settings, true, new SharedLimits(store, timeoutMillis, scope))),
        around(next, options)
      )
    )
}

/**
 * Limits any effects: the result wraps each effect that is to share the limits, and may be told what tokens it needs.
 *
 * A wrapped effect fails with the plain `PolicyReason` when it is not let through. With `tells`, which reads from how an
 * effect ended what it says of limits, it learns as {@link adaptive} does.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { RateLimit } from "holdfast/policy"
 *
 * const program = Effect.gen(function* () {
 *   const limited = yield* RateLimit.effect({ requests: { limit: 2, window: "1 minute" }, burst: 2, maxWait: 0 })
 *   const answers = [yield* limited(Effect.succeed("first")), yield* limited(Effect.succeed("second"))]
 *   const refusal = yield* Effect.flip(limited(Effect.succeed("third")))
 *   return [...answers, refusal._tag]
 * })
 * await Effect.runPromise(program) // => ["first", "second", "RateLimited"]
 * ```
 */
export const effect = (
  options: Limits & {
    /** What the key is called in refusals and health. Default `"effect"`. */
    readonly name?: string | undefined
    /** Reads from how an effect ended whether it was rejected, and what it used. Default: nothing is learned. */
    readonly tells?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined
  }
): Effect.Effect<
  <A, E, R>(self: Effect.Effect<A, E, R>, tokens?: Partial<Estimate.Estimate>) => Effect.Effect<A, E | Refusal, R>
> => {
  const { name = "effect", tells } = options
  const settings = resolve(options)
  return Effect.map(
    limiter(settings, tells !== undefined),
    (limiter) => (self, tokens) =>
      limiter.pass(
        name,
        () => Estimate.toNeed({ inputTokens: tokens?.inputTokens ?? 0, outputTokens: tokens?.outputTokens ?? 0 }),
        (refusal): Refusal => refusal,
        () => self,
        (exit) => tells?.(exit) ?? nothingTold
      )
  )
}

const limiter = (settings: Settings, learns: boolean, shared?: SharedLimits): Effect.Effect<Limiter> =>
  Effect.flatMap(Clock.clockWith(Effect.succeed), (clock) => {
    const made = new Limiter(settings, learns, clock, shared)
    return Effect.as(PolicyHealth.register(Effect.sync(() => made.health)), made)
  })

const around = (next: ModelProvider, { estimate, perTenant = defaults.perTenant }: Options) => {
  const key = RetryBudget.keyOf(next)
  const answers = new TokenEstimate.AnswerLength()
  const isCachedFree = cachedIsFree.test(next.name)

  const needOf = (request: LanguageModel.ProviderOptions) => () =>
    Estimate.toNeed(
      estimate === undefined
        ? { inputTokens: TokenEstimate.inputTokens(request), outputTokens: answers.tokens }
        : estimate(request)
    )
  const told = (exit: Exit.Exit<unknown, AiError.AiError>, finish: Finish | undefined): Outcome => {
    if (Exit.isFailure(exit)) return toldByFailure(exit.cause)
    if (finish === undefined) return nothingTold
    const { inputTokens: input, outputTokens: output } = finish.usage
    if (output.total !== undefined) answers.observe(output.total)
    const cached = isCachedFree ? (input.cacheRead ?? 0) : 0
    return {
      inputTokens: input.total === undefined ? undefined : Math.max(0, input.total - cached),
      outputTokens: output.total,
      headers: finish.response?.headers
    }
  }

  return (limiter: Limiter): ModelProvider => {
    const keyed = <A, E, R>(use: (key: string) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      perTenant
        ? Effect.flatMap(Caller.Current, ({ tenant }) => use(tenant === undefined ? key : `${key}:${tenant}`))
        : use(key)
    return {
      ...next,
      generateText: (request) =>
        keyed((key) =>
          limiter.pass(
            key,
            needOf(request),
            refused,
            (passage) =>
              Effect.updateService(next.generateText(request), ResponseHeaders.Listener, limiter.ear(passage)),
            (exit) => told(exit, Exit.isSuccess(exit) ? exit.value.findLast(isFinish) : undefined)
          )
        ),
      streamText: (request) =>
        Opening.unwrap(
          keyed((key) =>
            Effect.gen(function* () {
              let finish: Finish | undefined
              let ended: Exit.Exit<unknown, AiError.AiError> = Exit.void
              const passage = yield* Effect.uninterruptibleMask((restore) =>
                Effect.tap(Effect.mapError(limiter.enter(key, needOf(request), restore), refused), (passage) =>
                  Effect.addFinalizer(() => limiter.ended(passage, told(ended, finish)))
                )
              )
              return yield* ResponseHeaders.whileOpening(next.streamText(request), limiter.ear(passage), (exit) => {
                if (Exit.isSuccess(exit)) {
                  const last = exit.value.at(-1)
                  if (last?.type === "finish") finish = last
                } else ended = Pull.doneExitFromCause(exit.cause)
              })
            })
          )
        )
    }
  }
}

type Finish = Response.FinishPartEncoded

const isFinish = (part: Response.PartEncoded): part is Finish => part.type === "finish"

const refused = (refusal: Refusal) => PolicyReason.toAiError("RateLimit", refusal)

const nothingTold: Outcome = {}

// Anthropic and Groq do not count what they read from their cache: https://docs.anthropic.com/en/api/rate-limits ,
// https://console.groq.com/docs/rate-limits
const cachedIsFree = /anthropic|groq/i

// Of a call that failed nothing was generated, of one that was interrupted the estimate stands.
const toldByFailure = (cause: Cause.Cause<AiError.AiError>): Outcome => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error === undefined) return nothingTold
  const blame = Failure.blame(error)
  return {
    rejected: blame === "busy",
    retryAfter: blame === "busy" || blame === "fault" ? Failure.describe(error).retryAfter : undefined,
    headers: Failure.headers(error),
    outputTokens: 0
  }
}
