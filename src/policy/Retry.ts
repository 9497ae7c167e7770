/**
 * Tries again what failed for a moment, and only that.
 *
 * The wait before attempt n is drawn evenly from zero to `min(cap, base × 2^(n-1))`, "full jitter" in
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ , so that callers who failed together do
 * not come back together. When the provider says when to come back (Retry-After), that time is the least: the draw is
 * added to it.
 */
import { Duration, Effect, Random } from "effect"
import { CurrentOrigin } from "../core/call/Attempt.ts"
import * as CallTrail from "../core/CallTrail.ts"
import * as Deadline from "../core/call/Deadline.ts"
import type * as Decision from "../core/call/Decision.ts"
import * as Failure from "../core/Failure.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import type { Policy } from "../core/call/ModelProvider.ts"
import * as FirstContent from "../core/stream/FirstContent.ts"
import * as RetryBudget from "./RetryBudget.ts"

export interface Options {
  /** Attempts after the first. Default 3. */
  readonly times?: number | undefined
  /** The longest wait before the first retry; it doubles with each. Default 200 milliseconds. */
  readonly base?: Duration.Input | undefined
  /** What the longest wait never exceeds. Default 10 seconds. */
  readonly cap?: Duration.Input | undefined
  /** The longest Retry-After to wait for; a longer one fails the call at once. Default 1 minute. */
  readonly maxRetryAfter?: Duration.Input | undefined
}

export const defaults = {
  times: 3,
  base: "200 millis",
  cap: "10 seconds",
  maxRetryAfter: "1 minute"
} as const

/**
 * Retries transient errors of a model call: those `AiError` calls retryable, such as rate limits, overload, 5xx and
 * lost connections. Quota, authentication, content policy and invalid requests fail at once.
 *
 * Retries draw on the call's {@link RetryBudget}, and none is waited for that would begin after the whole call's time is
 * up. When there are none left, the last error is returned as it is. A stream is retried only until its first content
 * has been passed on, so text is never repeated. Interrupting a back-off ends the call at once.
 */
export const transient = (options: Options = {}): Policy => {
  const settings = resolve(options)
  return (next) => {
    const key = RetryBudget.keyOf(next)
    return Effect.succeed(
      RetryBudget.contributing(
        {
          ...next,
          generateText: (request) => retrying(next.generateText(request), settings, Failure.describe, key),
          streamText: (request) =>
            FirstContent.streamOf((begin) => retrying(begin(next.streamText(request)), settings, Failure.describe, key))
        },
        settings,
        settings.times
      )
    )
  }
}

/**
 * Retries any effect whose errors `describe` calls retryable.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Retry } from "holdfast/policy"
 *
 * let attempts = 0
 * const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail("busy") : Effect.succeed(attempts)))
 * const retried = Retry.effect((error: string) => ({ retryable: error === "busy", retryAfter: undefined }), {
 *   base: "1 millis"
 * })
 * await Effect.runPromise(retried(flaky)) // => 3
 * ```
 */
export const effect = <E>(describe: (error: E) => Failure.Failure, options: Options = {}) => {
  const settings = resolve(options)
  return <A, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    retrying(self, settings, describe, "effect").pipe(RetryBudget.contributingEffect(settings, settings.times))
}

/** Why an error is not followed by another attempt. */
export type Refusal = "notRetryable" | (typeof Decision.RetryRefused.Type)["why"]

/**
 * Says how many milliseconds to wait before trying again after `retries` retries, or why there is no point.
 *
 * `draw` is a random number from 0 to 1. `remainingMillis` is what is left of the whole call's time: a wait that takes
 * all of it is not begun.
 */
export const delay = (
  settings: Settings,
  { retryAfter, retryable }: Failure.Failure,
  retries: number,
  draw: number,
  remainingMillis = Infinity
): number | Refusal => {
  if (!retryable) return "notRetryable"
  if (retries >= settings.times) return "times"
  const atLeast = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  if (atLeast > settings.maxRetryAfterMillis) return "retryAfterTooLong"
  const wait = atLeast + draw * Math.min(settings.capMillis, settings.baseMillis * 2 ** Math.min(retries, 64))
  return wait < remainingMillis ? wait : "deadline"
}

/** The options, decided and in milliseconds. */
export interface Settings {
  readonly times: number
  readonly baseMillis: number
  readonly capMillis: number
  readonly maxRetryAfterMillis: number
}

/** Fills in the defaults. Rejects an option that makes no sense with a `RangeError`. */
export const resolve = (options: Options): Settings => ({
  times: check.whole("times", options.times ?? defaults.times, 0),
  baseMillis: check.millis("base", options.base ?? defaults.base, { atLeast: 0 }),
  capMillis: check.millis("cap", options.cap ?? defaults.cap, orEndless),
  maxRetryAfterMillis: check.millis("maxRetryAfter", options.maxRetryAfter ?? defaults.maxRetryAfter, orEndless)
})

const check = OptionCheck.of("Retry")

const orEndless = { atLeast: 0, endless: true } as const

const retrying = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  settings: Settings,
  describe: (error: E) => Failure.Failure,
  key: string
): Effect.Effect<A, E, R> => {
  const again = Effect.provideService(self, CurrentOrigin, "retry")
  const attempt = (once: Effect.Effect<A, E, R>, retries: number): Effect.Effect<A, E, R> =>
    Effect.catch(once, (error) =>
      Effect.andThen(backOff(settings, error, describe(error), retries, key), attempt(again, retries + 1))
    )
  return Effect.andThen(RetryBudget.count(key), attempt(self, 0))
}

/** Waits until the next attempt may begin, or fails with the error when none may. */
const backOff = Effect.fnUntraced(function* <E>(
  settings: Settings,
  error: E,
  failure: Failure.Failure,
  retries: number,
  key: string
) {
  const wait = delay(settings, failure, retries, yield* Random.next, yield* Deadline.remainingMillis)
  if (wait === "notRetryable") return yield* Effect.fail(error)
  if (typeof wait === "string") {
    yield* CallTrail.record({ _tag: "RetryRefused", why: wait })
    return yield* Effect.fail(error)
  }
  if (!(yield* RetryBudget.take(key))) {
    yield* CallTrail.record({ _tag: "RetryRefused", why: "budget" })
    return yield* Effect.fail(error)
  }
  yield* CallTrail.record({ _tag: "RetryScheduled", retry: retries + 1, waitMillis: wait })
  yield* Effect.sleep(wait)
})
