/**
 * Puts around every provider of a call what each of them has, and makes one of them: the first, those that are raced, those
 * that are fallen back to, and the one a hedge asks.
 */
import { type Duration, Effect, Predicate } from "effect"
import type { ModelProvider, Policy } from "../../core/call/ModelProvider.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type * as PolicyKind from "../../core/call/PolicyKind.ts"
import * as RecordedAttempts from "../../core/call/RecordedAttempts.ts"
import * as Bulkhead from "../Bulkhead.ts"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import * as Fallback from "../Fallback.ts"
import * as Hedge from "../Hedge.ts"
import * as Race from "../Race.ts"
import * as RateLimit from "../RateLimit.ts"
import * as Retry from "../Retry.ts"
import * as SpendBudget from "../SpendBudget.ts"
import * as Timeout from "../Timeout.ts"
import * as Places from "./Places.ts"

/** What each provider has, and who is asked. */
export interface Options<R = never> {
  /**
   * Who is asked when the provider fails, in order, with the options of `Fallback`. Each has all that stands further in, and
   * so has one that comes with policies of its own (`Model.compose`): the attempts that a call may make bound both
   * together. A policy cannot stand here, for the providers inside of it would escape the limits. Default: nobody.
   */
  readonly fallback?: ReadonlyArray<Fallback.Target<never, R>> | FallbackTo<R> | false | undefined
  /** Who is asked at the same time, with the options of `Race`. Otherwise as `fallback`, which follows it. Default: nobody. */
  readonly race?: ReadonlyArray<Contender<R>> | RaceWith<R> | false | undefined
  /** When a provider that fails is left alone. Each has circuits of its own. Default: those of `CircuitBreaker`. */
  readonly circuitBreaker?: Places.Place<CircuitBreaker.Options, "CircuitBreaker", R> | undefined
  /** How an attempt is made again, at each provider. Default: those of `Retry`. */
  readonly retry?: Places.Place<Retry.Options, "Retry", R> | undefined
  /** Second attempts for calls that are late, at each provider. Default: none. */
  readonly hedge?: HedgeOptions | PolicyKind.Own<R> | false | undefined
  /** What may be spent at all providers together, or a budget you made (`SpendBudget.make`). Default: anything. */
  readonly spend?: Places.Place<SpendBudget.Options, "SpendBudget", R> | SpendBudget.SpendBudget | undefined
  /**
   * The rate limits of each tenant (`Caller.as`), at all providers together, or such a policy that you made
   * (`RateLimit.makePerTenant`). Default: none.
   */
  readonly tenantLimit?: Places.Place<RateLimit.TenantOptions, "TenantLimit", R> | undefined
  /** Calls in flight at the same time, at each provider; or `AdaptiveLimit`. Default: any number. */
  readonly bulkhead?: Places.Place<Bulkhead.Options, "Bulkhead" | "AdaptiveLimit", R> | undefined
  /** The rate limits of each provider, beside those it tells. Default: those it tells. */
  readonly rateLimit?: Places.Place<RateLimit.Options, "RateLimit", R> | undefined
  /** The time of each attempt, as a whole or by its clocks. Default: headers 30 seconds, first token 1 minute, idle 30 seconds. */
  readonly attempt?: Places.Place<Duration.Input | Timeout.AttemptLimits, "Timeout.perAttempt", R> | undefined
}

/** Their names. */
export const fields: OptionCheck.Fields<Options> = {
  fallback: true,
  race: true,
  circuitBreaker: true,
  retry: true,
  hedge: true,
  spend: true,
  tenantLimit: true,
  bulkhead: true,
  rateLimit: true,
  attempt: true
}

/** Who is asked besides, and how to get it. */
export type Contender<R = never> = ModelProvider | Effect.Effect<ModelProvider, never, R>

/** Who is asked in order, with the options of `Fallback`. */
export interface FallbackTo<R = never> extends Fallback.Options {
  readonly to: ReadonlyArray<Fallback.Target<never, R>>
}

/** Who is asked at the same time, with the options of `Race`. */
export interface RaceWith<R = never> extends Race.Options {
  readonly with: ReadonlyArray<Contender<R>>
}

/**
 * The options of `Hedge.adaptive`; with `delay`, those of `Hedge.afterDelay`. A provider that is asked second has all that
 * stands further in. A hedge that was made does not fit here: who it asks would escape the limits.
 */
export type HedgeOptions =
  | (Hedge.AdaptiveOptions & { readonly delay?: undefined })
  | (Hedge.Options & {
      /** When the second attempt is due. Default: it is learned. */
      readonly delay: Duration.Input
    })

const hedgeFields: OptionCheck.Fields<Hedge.AdaptiveOptions & { readonly delay?: Duration.Input | undefined }> = {
  delay: true,
  maxShare: true,
  to: true,
  quantile: true,
  samples: true,
  warmUp: true
}
const raceFields: OptionCheck.Fields<RaceWith> = { with: true, acceptable: true, stagger: true }
const fallbackFields: OptionCheck.Fields<FallbackTo> = {
  to: true,
  when: true,
  midStream: true,
  continueFrom: true,
  patience: true
}

/** The time limits of each attempt, where none are given. */
export const attemptDefaults = { headers: "30 seconds", firstToken: "1 minute", idle: "30 seconds" } as const

/**
 * Makes the policy. It refuses options that make no sense when it is made; each provider's state, and what they share, is
 * made when it is put around the first one.
 */
export const policy = <R>(options: Options<R>): Policy<R> => {
  const outside = [
    ...Places.policies<CircuitBreaker.Options, "CircuitBreaker", R>(
      { name: "circuitBreaker", kinds: ["CircuitBreaker"] },
      options.circuitBreaker,
      {},
      CircuitBreaker.perModel
    ),
    ...Places.policies<Retry.Options, "Retry", R>(
      { name: "retry", kinds: ["Retry"] },
      options.retry,
      {},
      Retry.transient
    )
  ]
  const hedge = hedgeOf(options.hedge)
  const spend = sharedSpend(options.spend)
  const tenantLimit = shared<RateLimit.TenantOptions, "TenantLimit", R>(
    { name: "tenantLimit", kinds: ["TenantLimit"] },
    options.tenantLimit,
    RateLimit.makePerTenant
  )
  const inside = [
    ...Places.policies<Bulkhead.Options, "Bulkhead" | "AdaptiveLimit", R>(
      { name: "bulkhead", kinds: ["Bulkhead", "AdaptiveLimit"] },
      options.bulkhead,
      false,
      Bulkhead.limit
    ),
    ...Places.policies<RateLimit.Options, "RateLimit", R>(
      { name: "rateLimit", kinds: ["RateLimit"] },
      options.rateLimit,
      {},
      RateLimit.adaptive
    ),
    ...Places.policies<Duration.Input | Timeout.AttemptLimits, "Timeout.perAttempt", R>(
      { name: "attempt", kinds: ["Timeout.perAttempt"], expect: limitsOrTime },
      options.attempt,
      attemptDefaults,
      Timeout.perAttempt
    )
  ]
  const race = raceOf(options.race)
  const fallback = fallbackOf(options.fallback)
  return (first) =>
    Effect.gen(function* () {
      const limits = [...(yield* spend), ...(yield* tenantLimit), ...inside]
      const second = hedge.to === undefined ? undefined : yield* around(limits, hedge.to)
      const each = [...outside, ...hedge.policies(second), ...limits]
      const limited = (provider: ModelProvider) => around(each, provider)
      const alone = yield* limited(first)
      const raced = race === undefined ? alone : yield* race(limited)(alone)
      return fallback === undefined ? raced : yield* fallback(limited)(raced)
    })
}

type Limited<R> = (provider: ModelProvider) => ReturnType<Policy<R>>

// What is sent is recorded where it is sent, inside of all that may wait.
const around = <R>(policies: ReadonlyArray<Policy<R>>, provider: ModelProvider): ReturnType<Policy<R>> =>
  Effect.gen(function* () {
    let made = RecordedAttempts.recorded(provider)
    for (const policy of policies.toReversed()) made = yield* policy(made)
    return made
  })

/** The policies of a place whose state all providers share; made once for all of them. */
const shared = <Options, Kind extends string, R>(
  described: Places.Described<Options, Kind>,
  given: Places.Place<Options, Kind, R> | undefined,
  make: (options: Options) => Effect.Effect<Policy>
): Effect.Effect<ReadonlyArray<Policy<R>>> => {
  const chosen = Places.read(described, given, false)
  if (chosen.is === "nothing") return Effect.succeed([])
  if (chosen.is === "policy") return Effect.succeed([chosen.policy])
  return Effect.map(make(chosen.options), (policy) => [policy])
}

const sharedSpend = <R>(given: Options<R>["spend"]): Effect.Effect<ReadonlyArray<Policy<R>>> =>
  shared<SpendBudget.Options, "SpendBudget", R>(
    { name: "spend", kinds: ["SpendBudget"] },
    Places.unmade<Places.Place<SpendBudget.Options, "SpendBudget", R>, SpendBudget.SpendBudget["policy"]>(given),
    (options) => Effect.map(SpendBudget.make(options), ({ policy }) => policy)
  )

/** Who is asked second, and the policies of the place when that one has its limits. */
const hedgeOf = <R>(given: Options<R>["hedge"]) => {
  const chosen = Places.read<HedgeOptions, never, R>({ name: "hedge", kinds: [] }, given, false)
  if (chosen.is !== "options") {
    const own = chosen.is === "policy" ? [chosen.policy] : []
    return { to: undefined, policies: () => own }
  }
  Places.check.fields(chosen.options, hedgeFields, "hedge")
  const { delay, ...options } = chosen.options
  const make = (to: ModelProvider | undefined): Policy =>
    delay === undefined ? Hedge.adaptive({ ...options, to }) : Hedge.afterDelay(delay, { ...options, to })
  // Refuses what makes no sense now, not when the model is built.
  make(options.to)
  return { to: options.to, policies: (to: ModelProvider | undefined): ReadonlyArray<Policy> => [make(to)] }
}

const raceOf = <R>(place: Options<R>["race"]): ((limited: Limited<R>) => Policy<R>) | undefined => {
  const given = place ?? false
  if (given === false) return undefined
  if (!isList(given)) Places.check.fields(given, raceFields, "race")
  const { with: contenders, ...options } = isList(given) ? { with: given } : given
  Places.check.list("race", contenders)
  Race.with([], options)
  return (limited) => (next) =>
    Effect.flatMap(
      Effect.forEach(contenders, (contender) => Effect.flatMap(asEffect(contender), limited)),
      (others) => Race.with(others, options)(next)
    )
}

const fallbackOf = <R>(place: Options<R>["fallback"]): ((limited: Limited<R>) => Policy<R>) | undefined => {
  const given = place ?? false
  if (given === false) return undefined
  if (!isList(given)) Places.check.fields(given, fallbackFields, "fallback")
  const { to: targets, ...options } = isList(given) ? { to: given } : given
  Places.check.list("fallback", targets)
  Fallback.chain(targets, options)
  return (limited) => (next) => {
    const withLimits = targets.map((target) => {
      const { provider, when } = Effect.isEffect(target) || "generateText" in target ? { provider: target } : target
      return { provider: Effect.flatMap(asEffect(provider), limited), when }
    })
    return Fallback.chain(withLimits, options)(next)
  }
}

const isList = <A>(given: ReadonlyArray<A> | object): given is ReadonlyArray<A> => Array.isArray(given)

const asEffect = <R>(provider: Contender<R>) => (Effect.isEffect(provider) ? provider : Effect.succeed(provider))

const limitsOrTime = (name: string, limits: Duration.Input | Timeout.AttemptLimits): void => {
  if (isTime(limits)) Places.check.millis(name, limits, { endless: true })
  else if (!Predicate.isObject(limits)) Places.check.reject(name, "a duration or an object of durations", limits)
}

const isTime = (limits: Duration.Input | Timeout.AttemptLimits): limits is Duration.Input =>
  OptionCheck.isDuration(limits as Duration.Input) // Which it is asked here.
