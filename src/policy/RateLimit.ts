/**
 * Sends no more than the provider's rate limits allow, so that calls wait their turn here and are not rejected there.
 *
 * Requests, tokens, input tokens and output tokens are limited together. A call takes an estimate of its tokens when it
 * goes, which is corrected when it has ended. Calls that must wait go one by one at the pace of the limit, the urgent
 * first, and nothing goes while the provider has asked to wait.
 */
import { Clock, Effect, Exit, Option } from "effect"
import type { Duration } from "effect"
import type { LanguageModel } from "effect/ai"
import { RateLimiter } from "effect/persistence"
import * as Key from "../core/call/Key.ts"
import { keyOf, type ModelProvider } from "../core/call/ModelProvider.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import * as Estimate from "./rate-limit/Estimate.ts"
import * as LimitedModel from "./rate-limit/LimitedModel.ts"
import { Limiter, type Reported } from "./rate-limit/Limiter.ts"
import type * as CallQueue from "./rate-limit/CallQueue.ts"
import {
  defaults,
  fields as limitFields,
  type LimitOptions,
  resolve,
  type Settings,
  storeTimeoutMillis
} from "./rate-limit/Settings.ts"
import { SharedLimits } from "./rate-limit/SharedLimits.ts"
import * as Verdict from "../core/call/Verdict.ts"

export { defaults, type Limit, type LimitOptions } from "./rate-limit/Settings.ts"
export { type Dimension, fromHeaders, type Told } from "./rate-limit/Headers.ts"
export type { Reported } from "./rate-limit/Limiter.ts"
/** What an effect fails with that is not let through. */
export type Refusal = CallQueue.Refusal & Error

export interface Options extends LimitOptions {
  /**
   * Estimates the tokens of a call. Default: a quarter of the prompt's characters, 1,000 for each file in it, and for the
   * answer what the last ones took on average, at first 500. What is negative or no number ends the call as a defect.
   */
  readonly estimate?: ((request: LanguageModel.ProviderOptions) => Estimate.Estimate) | undefined
  /** Whether each tenant (`Caller.as`) has the limits for itself. Default false. */
  readonly perTenant?: boolean | undefined
  /**
   * Tenants that have the limits for themselves at a time. A tenant is forgotten when it may do all that it ever may: its
   * limits have refilled. While none can be, all further ones have the limits together. Default 10,000.
   */
  readonly maxKeys?: number | undefined
}

/** Limits that each tenant has for itself. */
export type TenantOptions = Omit<Options, "perTenant">

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
export const of = (options: Options): PolicyKind.Of<"RateLimit"> => {
  check.fields(options, fields)
  const settings = settingsOf(options)
  return PolicyKind.of("RateLimit", (next) =>
    Effect.map(limiter(settings, othersOf(next), false), LimitedModel.around(next, limitedBy(options)))
  )
}

/**
 * Keeps the limits the provider tells in its response headers, beside those that are given.
 *
 * Read are the headers of OpenAI, Azure, Groq, Anthropic and the general ones, see {@link fromHeaders}. While no limit of
 * requests is known it begins with ten calls and then lets through a growing multiple of what was accepted lately; when
 * the provider rejects one, it measures the limit by what was accepted, and probes upwards with time. Otherwise as
 * {@link of}.
 *
 * What was told is believed for ten minutes from when it was told last. It never refuses a call, and whatever it was, a call
 * goes when none went for five minutes. Only the time for which a provider asks to be left alone with a rejection is kept, a
 * day at most; what asks for more, or tells a limit that no call fits in or of more than a day, is not believed at all.
 */
export const adaptive = (options: Options = {}): PolicyKind.Of<"RateLimit"> => {
  check.fields(options, fields)
  const settings = settingsOf(options)
  return PolicyKind.of("RateLimit", (next) =>
    Effect.map(limiter(settings, othersOf(next), true), LimitedModel.around(next, limitedBy(options)))
  )
}

/**
 * As {@link adaptive}, with limits that several processes keep together, in one of Effect's stores:
 * `RateLimiter.layerStoreRedis` on `NodeRedis.layer`, or `RateLimiter.layerStoreMemory` within one process.
 *
 * Each process puts its calls in order; who goes next takes its place in the store. When the store does not answer within
 * `storeTimeout`, each process keeps the limits for itself, and probes each second whether the store is back. It keeps a single
 * limit for itself of which the store holds what cannot be. What is shared are limits that are given or told, and pauses where
 * a limit of requests is known; a pace measured by rejections is each process's own. The store refills by the processes'
 * clocks, which must agree.
 */
export const shared = (
  options: Options & {
    /** How long the store may take for an answer. Default 50 milliseconds. */
    readonly storeTimeout?: Duration.Input | undefined
  } = {}
): PolicyKind.Of<"RateLimit", RateLimiter.RateLimiterStore> => {
  check.fields(options, { ...fields, storeTimeout: true })
  const settings = settingsOf(options)
  const timeoutMillis = storeTimeoutMillis(options.storeTimeout)
  return PolicyKind.of("RateLimit", (next) =>
    Effect.flatMap(RateLimiter.RateLimiterStore, (store) =>
      Effect.map(
        Effect.flatMap(Effect.scope, (scope) =>
          limiter(settings, othersOf(next), true, new SharedLimits(store, timeoutMillis, scope))
        ),
        LimitedModel.around(next, limitedBy(options))
      )
    )
  )
}

/**
 * Makes limits that each tenant (`Caller.as`) has for itself, over all providers that the policy is put around; calls for
 * nobody in particular have one together. `Pipeline.standard` has a place for it, `tenantLimit`.
 *
 * Every attempt counts, whichever provider it goes to, but for those that a provider's own limits did not let go. What a
 * provider says of its limits says nothing about a tenant's. A refusal has `limitOf: "tenant"` and ends the call: no
 * other provider is asked, and nothing is tried again. The wait for a tenant's turn is not held against a provider: the
 * patience of a line (`Fallback`) begins after it.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Pipeline, RateLimit } from "holdfast/policy"
 *
 * const policies = Effect.gen(function* () {
 *   const tenantLimit = yield* RateLimit.makePerTenant({ requests: { limit: 60, window: "1 minute" } })
 *   return Pipeline.standard({ tenantLimit })
 * })
 * Effect.runSync(policies).length // => 4
 * ```
 */
export const makePerTenant = (options: TenantOptions): Effect.Effect<PolicyKind.Of<"TenantLimit">> => {
  check.fields(options, tenantFields)
  const settings = settingsOf(options)
  const limited = { estimate: options.estimate, each: "tenant" } as const
  return Effect.map(Clock.clockWith(Effect.succeed), (clock) => {
    const limiter = makeLimiter(settings, Key.of(undefined, undefined), false, clock, limited.each)
    const health = Effect.sync(() => limiter.health)
    return PolicyKind.of("TenantLimit", (next) =>
      Effect.as(PolicyHealth.register(health), LimitedModel.around(next, limited)(limiter))
    )
  })
}

/**
 * Limits any effects: the result wraps each effect that is to share the limits, and may be told what tokens it needs.
 *
 * A wrapped effect fails with the `PolicyReason` itself when it is not let through. With `classify` or `reports` it learns
 * from how effects end, as {@link adaptive} does.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { RateLimit } from "holdfast/policy"
 *
 * const program = Effect.gen(function* () {
 *   const limited = yield* RateLimit.make({ requests: { limit: 2, window: "1 minute" }, burst: 2, maxWait: 0 })
 *   const answers = [yield* limited(Effect.succeed("first")), yield* limited(Effect.succeed("second"))]
 *   const refusal = yield* Effect.flip(limited(Effect.succeed("third")))
 *   return [...answers, refusal._tag]
 * })
 * await Effect.runPromise(program) // => ["first", "second", "RateLimited"]
 * ```
 */
export const make = <E = unknown>(
  options: LimitOptions & {
    /** What the key is called in refusals and health. Default `"effect"`. */
    readonly name?: string | undefined
    /** Says what an error means: `busy` is a rejection by a rate limit. Default: nothing is learned from errors. */
    readonly classify?: Verdict.Classify<E> | undefined
    /** Reads from how an effect ended what it says of limits, and what it used. Default: the estimate stands. */
    readonly reports?: ((exit: Exit.Exit<unknown, E>) => Reported) | undefined
  }
) => {
  check.fields(options, { ...limitFields, name: true, classify: true, reports: true })
  const { classify, reports } = options
  const name = check.text("name", options.name ?? "effect")
  if (classify !== undefined) check.callback("classify", classify)
  if (reports !== undefined) check.callback("reports", reports)
  const settings = resolve(options)
  const verdictOf = classify === undefined ? undefined : Verdict.by(classify)
  return Effect.map(
    limiter(settings, name, verdictOf !== undefined || reports !== undefined),
    (limiter) =>
      <A, E1 extends E, R>(
        self: Effect.Effect<A, E1, R>,
        tokens?: Partial<Estimate.Estimate>
      ): Effect.Effect<A, E1 | Refusal, R> =>
        limiter.pass(
          name,
          () => Estimate.toNeed({ inputTokens: tokens?.inputTokens ?? 0, outputTokens: tokens?.outputTokens ?? 0 }),
          PolicyReason.toError,
          () => self,
          (exit) => ({
            ...reports?.(exit),
            verdict: verdictOf && Option.getOrUndefined(Option.map(Exit.findErrorOption(exit), verdictOf))
          })
        )
  )
}

/** The key of what tenants share for whom there is no room: that of no tenant. */
const othersOf = (next: ModelProvider) => Key.within(keyOf(next), undefined)

const limiter = (
  settings: Settings,
  othersKey: string,
  learns: boolean,
  shared?: SharedLimits
): Effect.Effect<Limiter> =>
  Effect.flatMap(Clock.clockWith(Effect.succeed), (clock) => {
    const made = makeLimiter(settings, othersKey, learns, clock, "model", shared)
    return Effect.as(PolicyHealth.register(Effect.sync(() => made.health)), made)
  })

const makeLimiter = (
  settings: Settings,
  othersKey: string,
  learns: boolean,
  clock: Clock.Clock,
  each: LimitedModel.Limited["each"],
  shared?: SharedLimits
): Limiter => {
  const unlessLimited = LimitedModel.refusedBy(each)({ _tag: "RateLimited", key: "", retryAfterMillis: 0 })
  return new Limiter(settings, othersKey, learns, clock, shared, unlessLimited)
}

const limitedBy = ({ estimate, perTenant = defaults.perTenant }: Options): LimitedModel.Limited => ({
  estimate,
  each: perTenant ? "tenantOfModel" : "model"
})

/** Checks what only a policy of calls has, and the limits. */
const settingsOf = (options: Options): Settings => {
  if (options.estimate !== undefined) check.callback("estimate", options.estimate)
  check.flag("perTenant", options.perTenant ?? defaults.perTenant)
  return resolve(options, options.maxKeys)
}

const check = OptionCheck.of("RateLimit")

const tenantFields: OptionCheck.Fields<TenantOptions> = { ...limitFields, estimate: true, maxKeys: true }
const fields: OptionCheck.Fields<Options> = { ...tenantFields, perTenant: true }
