/**
 * Puts the policies a model call should have into the order we recommend.
 */
import type { Duration } from "effect"
import type { Policy } from "../core/call/ModelProvider.ts"
import * as Bulkhead from "./Bulkhead.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Degrade from "./Degrade.ts"
import * as Fallback from "./Fallback.ts"
import * as Hedge from "./Hedge.ts"
import * as RateLimit from "./RateLimit.ts"
import * as ResponseCache from "./ResponseCache.ts"
import * as Retry from "./Retry.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as SingleFlight from "./SingleFlight.ts"
import * as SpendBudget from "./SpendBudget.ts"
import * as Timeout from "./Timeout.ts"

/** What may stand in a place of the pipeline: a policy's options, a policy you made, or nothing, with `false`. */
export type Place<Options, R = never> = Options | Policy<R> | false

export interface Options<R = never> {
  /** What to answer when everything failed, as a text or a policy: `Degrade.to`. Default: the error. */
  readonly degrade?: Place<string, R> | undefined
  /** The whole call's time. Default 2 minutes. */
  readonly timeout?: Place<Duration.Input> | undefined
  /** How many further attempts all calls together may make. Default: those of `RetryBudget`. */
  readonly retryBudget?: Place<RetryBudget.Options> | undefined
  /** Answers that are given again, with the options of `ResponseCache.exact` or a cache you made. Default: none. */
  readonly cache?: Place<ResponseCache.Options, R> | undefined
  /** Whether identical calls at the same time share one request. Default false. */
  readonly singleFlight?: Place<SingleFlight.Options> | undefined
  /** Who is asked when the provider fails, in order; or `Race`, or `Fallback` as you want it. Default: nobody. */
  readonly fallback?: ReadonlyArray<Fallback.Target<never, R>> | Policy<R> | false | undefined
  /** When a provider that fails is left alone. Default: those of `CircuitBreaker`. */
  readonly circuitBreaker?: Place<CircuitBreaker.Options, R> | undefined
  /** How an attempt is made again. Default: those of `Retry`. */
  readonly retry?: Place<Retry.Options> | undefined
  /** Second attempts for calls that are late, with the options of `Hedge.adaptive` or a hedge you made. Default: none. */
  readonly hedge?: Place<Hedge.AdaptiveOptions> | undefined
  /** What may be spent. Default: anything. */
  readonly spend?: Place<SpendBudget.Options> | undefined
  /** Calls in flight at the same time. Default: any number. */
  readonly bulkhead?: Place<Bulkhead.Options> | undefined
  /** The provider's rate limits, beside those it tells. Default: those it tells. */
  readonly rateLimit?: Place<RateLimit.Options, R> | undefined
  /** The time limits of each attempt. Default: {@link defaults}. */
  readonly attempt?: Place<Timeout.AttemptLimits> | undefined
}

/** Limits that a good answer of a slow model keeps, and a dead connection does not. */
export const defaults = { timeout: "2 minutes" } as const

/** The time limits of each attempt, where none are given. */
export const attemptDefaults = { headers: "30 seconds", firstToken: "1 minute", idle: "30 seconds" } as const

/**
 * Gives the policies for `Model.layer`, outermost first: the path a call takes.
 *
 * Degrade, the whole call's time, retry budget, cache, single flight, fallback, circuit breaker, retry, hedge, spend,
 * bulkhead, rate limit, the attempt's time. Time limits, retries under a budget, the circuit breaker and the rate limiter
 * are there by default; the others when they are asked for.
 *
 * **Example**
 *
 * ```ts run
 * import { Pipeline } from "holdfast/policy"
 *
 * Pipeline.standard().length // => 6
 * Pipeline.standard({ timeout: "1 minute", cache: { timeToLive: "1 hour" }, hedge: {}, rateLimit: false }).length // => 7
 * ```
 */
export const standard = <R = never>(options: Options<R> = {}): ReadonlyArray<Policy<R>> => [
  ...place(options.degrade, false, Degrade.to),
  ...place(options.timeout, defaults.timeout, Timeout.overall),
  ...place(options.retryBudget, {}, RetryBudget.shared),
  ...place(options.cache, false, ResponseCache.exact),
  ...place(options.singleFlight, false, SingleFlight.identical),
  ...place<ReadonlyArray<Fallback.Target<never, R>>, R>(options.fallback, false, Fallback.chain),
  ...place(options.circuitBreaker, {}, CircuitBreaker.perModel),
  ...place(options.retry, {}, Retry.transient),
  ...place(options.hedge, false, Hedge.adaptive),
  ...place(options.spend, false, SpendBudget.of),
  ...place(options.bulkhead, false, Bulkhead.limit),
  ...place(options.rateLimit, {}, RateLimit.adaptive),
  ...place(options.attempt, attemptDefaults, Timeout.perAttempt)
]

const place = <Options, R = never>(
  given: Place<Options, R> | undefined,
  otherwise: Options | false,
  make: (options: Options) => Policy<R>
): ReadonlyArray<Policy<R>> => {
  const chosen = given ?? otherwise
  if (chosen === false) return []
  return [isPolicy<R>(chosen) ? chosen : make(chosen)]
}

// Options are plain values or objects, never functions.
const isPolicy = <R>(chosen: unknown): chosen is Policy<R> => typeof chosen === "function"
