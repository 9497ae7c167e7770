/**
 * Puts the policies a model call should have into the order we recommend.
 *
 * What is set here holds for every provider that a call may be sent to: the first, those it falls back to, those it races,
 * and the one a hedge asks.
 */
import type { Duration } from "effect"
import type { Policy } from "../core/call/ModelProvider.ts"
import type * as OptionCheck from "../core/OptionCheck.ts"
import * as Degrade from "./Degrade.ts"
import * as Repair from "./Repair.ts"
import * as ResponseCache from "./ResponseCache.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as SingleFlight from "./SingleFlight.ts"
import * as Timeout from "./Timeout.ts"
import * as Places from "./pipeline/Places.ts"
import * as Providers from "./pipeline/Providers.ts"

/**
 * What may stand in a place of the pipeline: the options of its policy, such a policy that you made, a policy of your own,
 * or nothing, with `false`. A policy of another kind does not compile, and is refused with a `RangeError`.
 */
export type Place<Options, Kind extends string, R = never> = Places.Place<Options, Kind, R>

export interface Options<R = never> extends Providers.Options<R> {
  /** What to answer when everything failed, as a text or a policy: `Degrade.to`. Default: the error. */
  readonly degrade?: Place<string, "Degrade", R> | undefined
  /** The whole call's time. Default 2 minutes. */
  readonly timeout?: Place<Duration.Input, "Timeout.overall", R> | undefined
  /** How many further attempts all calls together may make. Default: those of `RetryBudget`. */
  readonly retryBudget?: Place<RetryBudget.Options, "RetryBudget", R> | undefined
  /** Answers that are given again, with the options of `ResponseCache.exact`, or a cache you made (`ResponseCache.make`). Default: none. */
  readonly cache?: Place<ResponseCache.Options, "ResponseCache", R> | ResponseCache.ResponseCache | undefined
  /** Whether identical calls at the same time share one request. Default false. */
  readonly singleFlight?: Place<SingleFlight.Options, "SingleFlight", R> | undefined
  /** How often a model is asked again whose structured output cannot be read. Default: that of `Repair`. */
  readonly repair?: Place<Repair.Options, "Repair", R> | undefined
}

/** How the providers are told, and a hedge. */
export type { Contender, FallbackTo, HedgeOptions, RaceWith } from "./pipeline/Providers.ts"

/** Limits that a good answer of a slow model keeps, and a dead connection does not. */
export const defaults = { timeout: "2 minutes" } as const

/** The time limits of each attempt, where none are given. */
export const attemptDefaults = Providers.attemptDefaults

/**
 * Gives the policies for `Model.layer`, outermost first: the path a call takes.
 *
 * Degrade, the whole call's time, retry budget, cache, single flight, repair; and then, as one policy, fallback and race with what
 * each provider has: circuit breaker, retry, hedge, spend, tenant limit, bulkhead, rate limit, the attempt's time. Time
 * limits, repair, retries under a budget, the circuit breaker and the rate limiter are there by default; the others when they are
 * asked for.
 *
 * Circuits, retries, hedges, bulkheads, rate limits and time limits are each provider's own. The spend budget and the
 * tenants' limits are one for all of them; when they are used up the call ends, and no other provider is asked.
 *
 * **Example**
 *
 * ```ts run
 * import { Pipeline } from "holdfast/policy"
 *
 * Pipeline.standard().length // => 4
 * Pipeline.standard({ timeout: "1 minute", cache: { timeToLive: "1 hour" }, hedge: {}, rateLimit: false }).length // => 5
 * ```
 */
export const standard = <R = never>(options: Options<R> = {}): ReadonlyArray<Policy<R>> => {
  Places.check.fields(options, fields)
  const providers = Providers.policy(options)
  return [
    ...Places.policies<string, "Degrade", R>(
      { name: "degrade", kinds: ["Degrade"], expect: Places.check.text },
      options.degrade,
      false,
      Degrade.to
    ),
    ...Places.policies<Duration.Input, "Timeout.overall", R>(
      { name: "timeout", kinds: ["Timeout.overall"], expect: orEndless },
      options.timeout,
      defaults.timeout,
      Timeout.overall
    ),
    ...Places.policies<RetryBudget.Options, "RetryBudget", R>(
      { name: "retryBudget", kinds: ["RetryBudget"] },
      options.retryBudget,
      {},
      RetryBudget.of
    ),
    ...Places.policies<ResponseCache.Options, "ResponseCache", R>(
      { name: "cache", kinds: ["ResponseCache"] },
      Places.unmade<Place<ResponseCache.Options, "ResponseCache", R>, ResponseCache.ResponseCache["policy"]>(
        options.cache
      ),
      false,
      ResponseCache.exact
    ),
    ...Places.policies<SingleFlight.Options, "SingleFlight", R>(
      { name: "singleFlight", kinds: ["SingleFlight"] },
      options.singleFlight,
      false,
      SingleFlight.identical
    ),
    ...Places.policies<Repair.Options, "Repair", R>(
      { name: "repair", kinds: ["Repair"] },
      options.repair,
      {},
      Repair.structured
    ),
    providers
  ]
}

const orEndless = (name: string, limit: Duration.Input) => Places.check.millis(name, limit, { endless: true })

const fields: OptionCheck.Fields<Options> = {
  ...Providers.fields,
  degrade: true,
  timeout: true,
  retryBudget: true,
  cache: true,
  singleFlight: true,
  repair: true
}
