/**
 * Tries again what failed for a moment, and only that.
 *
 * The wait before attempt n is drawn evenly from zero to `min(cap, base × 2^(n-1))`, "full jitter" in
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ , so that callers who failed together do
 * not come back together. When the provider says when to come back (Retry-After), that time is the least: the draw is
 * added to it.
 */
import { Clock, Duration, Effect, Random } from "effect"
import type { AiError } from "effect/ai"
import { CurrentOrigin } from "../core/call/Attempt.ts"
import * as AttemptAllowance from "../core/call/AttemptAllowance.ts"
import * as CallContext from "../core/call/CallContext.ts"
import * as CallTrail from "../core/call/CallTrail.ts"
import * as Deadline from "../core/call/Deadline.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import { keyOf, type ModelProvider } from "../core/call/ModelProvider.ts"
import * as Monotonic from "../core/Monotonic.ts"
import * as Patience from "../core/call/Patience.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import * as RecordedAttempts from "../core/call/RecordedAttempts.ts"
import * as Refusals from "../core/call/Refusals.ts"
import * as FirstContent from "../core/stream/FirstContent.ts"
import * as Verdict from "../core/call/Verdict.ts"
import { delay, type Settings } from "./retry/Delay.ts"

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
 * up. None is waited for either that would begin after the patience of a line (`Fallback`) is up: its next provider is asked
 * instead, and at once where this one's own limits refused the call. When there are none left, the last error is returned
 * as it is. A stream is retried only until its first content
 * has been passed on, so text is never repeated. Interrupting a back-off ends the call at once.
 */
export const transient = (options: Options = {}): PolicyKind.Of<"Retry"> => {
  check.fields(options, fields)
  const settings = resolve(options)
  return PolicyKind.of("Retry", (next) => {
    const key = keyOf(next)
    const bounds = boundsOf(next)
    const retried = <A, R>(self: Effect.Effect<A, AiError.AiError, R>) =>
      retrying(self, settings, Verdict.of, key, bounds)
    // Each provider that it is put around has retries of its own.
    const contributor = {}
    return Effect.succeed(
      CallContext.contributing(
        {
          ...next,
          generateText: (request) => retried(next.generateText(request)),
          streamText: (request) => FirstContent.streamOf((begin) => retried(begin(next.streamText(request))))
        },
        contributor,
        settings.times
      )
    )
  })
}

/**
 * Retries any effect whose errors `classify` calls retryable: by default, those with the blame `fault` or `busy`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Retry } from "holdfast/policy"
 *
 * let attempts = 0
 * const flaky = Effect.suspend(() => (++attempts < 3 ? Effect.fail("busy") : Effect.succeed(attempts)))
 * const classify = (error: string) => ({ blame: error === "busy" ? "busy" : "none" }) as const
 * const retried = Retry.effect({ classify, base: "1 millis" })
 * await Effect.runPromise(retried(flaky)) // => 3
 * ```
 */
export const effect = <E>(options: Options & { readonly classify: Verdict.Classify<E> }) => {
  check.fields(options, { ...fields, classify: true })
  const settings = resolve(options)
  const verdictOf = Verdict.by(check.callback("classify", options.classify))
  return <A, E1 extends E, R>(self: Effect.Effect<A, E1, R>): Effect.Effect<A, E1, R> =>
    retrying(self, settings, verdictOf, "effect").pipe(CallContext.contributingEffect(settings, settings.times))
}

const resolve = (options: Options): Settings => ({
  times: check.whole("times", options.times ?? defaults.times, 0),
  baseMillis: check.millis("base", options.base ?? defaults.base, { atLeast: 0 }),
  capMillis: check.millis("cap", options.cap ?? defaults.cap, orEndless),
  maxRetryAfterMillis: check.millis("maxRetryAfter", options.maxRetryAfter ?? defaults.maxRetryAfter, orEndless)
})

const check = OptionCheck.of("Retry")

const fields: OptionCheck.Fields<Options> = { times: true, base: true, cap: true, maxRetryAfter: true }

const orEndless = { atLeast: 0, endless: true } as const

const retrying = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  settings: Settings,
  verdictOf: (error: E) => Verdict.Verdict,
  key: string,
  bounds: Bounds<E> = none
): Effect.Effect<A, E, R> => {
  const again = Effect.provideService(self, CurrentOrigin, "retry")
  const attempt = (once: Effect.Effect<A, E, R>, retries: number): Effect.Effect<A, E, R> =>
    Effect.catch(once, (error) =>
      Effect.andThen(backOff(settings, error, verdictOf(error), retries, key, bounds), attempt(again, retries + 1))
    )
  return Effect.andThen(AttemptAllowance.count(key), attempt(self, 0))
}

/** What else decides on another attempt, after an error. */
interface Bounds<E> {
  /** For how many milliseconds it may keep the call waiting. */
  readonly patience: (error: E) => Effect.Effect<number>
  /** What another attempt of the same call was told meanwhile by whom this one would ask. */
  readonly told: (error: E) => Effect.Effect<Told<E> | undefined>
}

/** The error, and for how long it forbids to ask again; `undefined` is for good. */
interface Told<E> {
  readonly error: E
  readonly forMillis: number | undefined
}

const none: Bounds<unknown> & { readonly told: () => Effect.Effect<undefined> } = {
  patience: () => Effect.succeed(Infinity),
  told: () => Effect.undefined
}

const boundsOf = (next: ModelProvider): Bounds<AiError.AiError> => {
  const provider = RecordedAttempts.providerOf(next)
  return {
    // What the provider's own limits refuse they will refuse again in a moment: so the next is asked at once, if there is one.
    patience: (error) =>
      Effect.withFiber((fiber) => {
        const millis = Patience.leftMillis(fiber, error)
        return Effect.succeed(millis < Infinity && Verdict.isNotAsked(error) ? 0 : millis)
      }),
    told: (error) =>
      Effect.withFiber((fiber) => {
        const refusals = fiber.getRef(Refusals.Current)
        if (provider === undefined || refusals === undefined) return Effect.undefined
        return Effect.succeed(refusals.since(provider, error, Monotonic.millisUnsafe(fiber.getRef(Clock.Clock))))
      })
  }
}

/**
 * Waits until the next attempt may begin, or fails with the error when none may. What another attempt is told while this
 * one waits holds for it too: it waits on, or is not made.
 */
const backOff = Effect.fnUntraced(function* <E>(
  settings: Settings,
  error: E,
  verdict: Verdict.Verdict,
  retries: number,
  key: string,
  bounds: Bounds<E>
) {
  const { retryAfter, retryable } = verdict
  const draw = yield* Random.next
  const wanted = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  for (let waits = 0; ; waits++) {
    const heard = retryable ? yield* bounds.told(error) : undefined
    // Its own error said all of it.
    const told = waits === 0 && heard?.error === error ? undefined : heard
    if (told === undefined && waits > 0) return
    const last = told?.error ?? error
    if (told !== undefined && told.forMillis === undefined) return yield* Effect.fail(last)
    const patience = yield* bounds.patience(last)
    const least = Math.max(waits === 0 ? wanted : 0, told?.forMillis ?? 0)
    const asked = { retryable, retryAfter: Duration.millis(least) }
    const wait = delay(settings, asked, retries, draw, yield* Deadline.remainingMillis, patience)
    if (wait === "notRetryable") return yield* Effect.fail(last)
    if (typeof wait === "string") {
      yield* CallTrail.record({ _tag: "RetryRefused", why: wait })
      return yield* Effect.fail(last)
    }
    if (waits === 0 && !(yield* AttemptAllowance.take(key))) {
      yield* CallTrail.record({ _tag: "RetryRefused", why: "budget" })
      return yield* Effect.fail(last)
    }
    yield* CallTrail.record({ _tag: "RetryScheduled", retry: retries + 1, waitMillis: wait })
    yield* Effect.sleep(wait)
  }
})
