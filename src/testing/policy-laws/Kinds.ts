/**
 * All kinds of policies that stacks are drawn from, each with its options as plain data.
 *
 * To try one more policy in random stacks, add it to {@link kinds}.
 */
import { Effect, type Scope } from "effect"
import * as AdaptiveLimit from "../../policy/AdaptiveLimit.ts"
import * as Bulkhead from "../../policy/Bulkhead.ts"
import * as CircuitBreaker from "../../policy/CircuitBreaker.ts"
import * as Degrade from "../../policy/Degrade.ts"
import * as Fallback from "../../policy/Fallback.ts"
import * as Hedge from "../../policy/Hedge.ts"
import * as Race from "../../policy/Race.ts"
import * as RateLimit from "../../policy/RateLimit.ts"
import * as Repair from "../../policy/Repair.ts"
import * as ResponseCache from "../../policy/ResponseCache.ts"
import * as Retry from "../../policy/Retry.ts"
import * as RetryBudget from "../../policy/RetryBudget.ts"
import * as SingleFlight from "../../policy/SingleFlight.ts"
import * as SpendBudget from "../../policy/SpendBudget.ts"
import * as Timeout from "../../policy/Timeout.ts"
import * as Model from "../../model/Model.ts"
import type { ModelProvider, Policy } from "../../core/call/ModelProvider.ts"
import type { Chance } from "../seed/Chance.ts"
import { type Allows, millis } from "./Law.ts"
import * as Limits from "./Limits.ts"
import * as StandardPipeline from "./StandardPipeline.ts"
import * as Stores from "./Stores.ts"

/** Where a policy is in its stack. */
export interface Place {
  /** Whether calls may share attempts further in. */
  readonly shares: boolean
  /** Whether there is nothing further in than the model. */
  readonly isLast: boolean
  /** Whether it is the whole stack. */
  readonly isAlone: boolean
}

/** One kind of policy. */
export interface Kind<Options extends object> {
  readonly draw: (chance: Chance) => Options
  /** Makes it, with as many models of its own as it asks for. */
  make(options: Options, others: ReadonlyArray<ModelProvider>): Policy<Scope.Scope>
  /** How many models it asks besides. Default 0. */
  others?(options: Options): number
  /** How many attempts it may add to a call. Default 0. */
  extra?(options: Options): number
  allows?(options: Options, place: Place): Allows
  /** Whether calls may stay in it without one of its own limits: then no limit further in is one of the whole call. */
  readonly takesTime?: true
  /** Whether calls may share attempts. */
  readonly shares?: true
  /** By how much a call that is ended may end later, in milliseconds. Default: at once. */
  lateBy?(options: Options): number
  /** Whether it is a whole stack by itself, and stands in no other. */
  readonly alone?: true
  /** Whether it has to be outside of what makes further attempts. */
  readonly outside?: true
}

const kind = <Options extends object>(described: Kind<Options>): Kind<Options> => described

const retry = {
  draw: (chance: Chance) => ({
    times: 1 + chance.below(3),
    base: chance.oneOf([10, 1_000]),
    cap: chance.oneOf([500, 10_000]),
    maxRetryAfter: chance.oneOf([2_000, 60_000])
  }),
  make: (options: Retry.Options) => Retry.transient(options)
}

const gate = (chance: Chance) => ({
  ...(chance.onceIn(3) ? { maxWaiting: chance.below(3) } : {}),
  ...(chance.onceIn(4) ? { maxWait: chance.oneOf([500, 15_000]) } : {}),
  ...(chance.onceIn(4) ? { keyConcurrency: 1 } : {})
})

const circuit = (chance: Chance) => ({
  consecutive: 1 + chance.below(3),
  minCalls: 4,
  open: chance.oneOf([100, 5_000]),
  maxOpen: 20_000,
  perTenant: chance.onceIn(2),
  maxKeys: chance.oneOf([2, 20])
})

const midStream = (chance: Chance) => ({ midStream: chance.oneOf(["fail", "restart", "continue"]) })

const cache = (chance: Chance) => ({
  timeToLive: chance.oneOf([500, 600_000]),
  ...(chance.onceIn(2) ? { staleFor: 600_000 } : {}),
  capacity: chance.oneOf([2, 100])
})

/** All kinds of policies by what makes them, with options that make a difference within seconds. */
export const kinds: Readonly<Record<string, Kind<object>>> = {
  "Timeout.overall": kind({
    draw: (chance) => ({ limit: chance.oneOf([150, 3_000, 30_000]) }),
    make: ({ limit }) => Timeout.overall(limit),
    allows: ({ limit }) => ({ overall: limit }),
    outside: true
  }),
  "Timeout.perAttempt": kind({
    draw: (chance) =>
      chance.oneOf<Timeout.AttemptLimits & { readonly [Name in keyof Timeout.AttemptLimits]?: number }>([
        { attempt: 200 },
        { attempt: 5_000 },
        { headers: 2_000, firstToken: 4_000, idle: 3_000 },
        { firstToken: 400, idle: 5_000 },
        { firstToken: 11_000, idle: 500, attempt: 15_000 },
        { firstToken: 20_000, tokensPerSecond: 1 },
        { idle: 9_000, tokensPerSecond: 20 }
      ]),
    make: (limits) => Timeout.perAttempt(limits),
    allows: ({ attempt, firstToken, idle, tokensPerSecond }, { isLast, shares }) =>
      shares
        ? {}
        : {
            ...(attempt === undefined ? {} : { attempt }),
            ...(isLast && tokensPerSecond !== undefined ? { tokensPerSecond } : {}),
            silence: Math.max(Math.min(millis(firstToken), millis(attempt)), Math.min(millis(idle), millis(attempt)))
          }
  }),
  "Retry.transient": kind({ ...retry, extra: ({ times }) => times ?? Retry.defaults.times, takesTime: true }),
  "RetryBudget.of": kind({
    draw: (chance) => ({
      ratio: chance.oneOf([0, 0.2, 1]),
      // So that the window is longer than any run, and what it lets through in any case are so many.
      window: 100_000_000,
      minPerSecond: chance.oneOf([0, 1, 5]) / 100_000,
      ...(chance.onceIn(2) ? { maxAttempts: 1 + chance.below(4) } : {})
    }),
    make: (options) => RetryBudget.of(options),
    allows: ({ maxAttempts, minPerSecond, ratio }) => ({
      retries: { reserve: Math.round(minPerSecond * 100_000), ratio },
      ...(maxAttempts === undefined ? {} : { attempts: maxAttempts })
    }),
    outside: true
  }),
  "Bulkhead.limit": kind({
    draw: (chance): Bulkhead.Options => ({ concurrency: 1 + chance.below(3), ...gate(chance) }),
    make: (options) => Bulkhead.limit(options),
    allows: ({ concurrency, keyConcurrency }, { isAlone }) => ({
      concurrency: { atMost: concurrency, ...(isAlone && keyConcurrency === undefined ? { atLeast: concurrency } : {}) }
    }),
    takesTime: true
  }),
  "AdaptiveLimit.learned": kind({
    draw: (chance) => ({ initial: 1 + chance.below(3), max: 5, window: 500, ...gate(chance) }),
    make: (options) => AdaptiveLimit.learned(options),
    allows: ({ max }) => ({ concurrency: { atMost: max } }),
    takesTime: true
  }),
  "CircuitBreaker.perModel": kind({
    draw: circuit,
    make: (options) => CircuitBreaker.perModel(options),
    // One more is shared by those for whom there is no room.
    allows: ({ maxKeys }) => ({ keys: { CircuitBreaker: maxKeys + 1 } })
  }),
  "CircuitBreaker.shared": kind({
    draw: (chance) => ({ ...circuit(chance), ...Stores.drawSharing(chance, 2), storeTimeout: 50 }),
    make: (options) => Stores.across(Stores.circuits, options, CircuitBreaker.shared),
    allows: ({ maxKeys }) => ({ keys: { CircuitBreaker: maxKeys + 1 }, tellsBehind: true }),
    lateBy: ({ storeTimeout }) => storeTimeout,
    takesTime: true
  }),
  "Fallback.to": kind({
    draw: midStream,
    make: (options, [other]) => (other === undefined ? Effect.succeed : Fallback.to(other, options)),
    others: () => 1,
    extra: () => 1,
    takesTime: true
  }),
  "Fallback.chain": kind({
    draw: (chance) => ({
      targets: 1 + chance.below(2),
      ...midStream(chance),
      ...(chance.onceIn(4) ? { retry: retry.draw(chance) } : {})
    }),
    make: (options, others) =>
      Fallback.chain(
        others.map((provider) =>
          options.retry === undefined
            ? provider
            : Model.compose({ provider, policies: [Retry.transient(options.retry)] })
        ),
        { midStream: options.midStream }
      ),
    others: ({ targets }) => targets,
    extra: ({ retry, targets }) => targets * (1 + (retry?.times ?? 0)),
    takesTime: true
  }),
  "Degrade.to": kind({ draw: () => ({ answer: "Sorry." }), make: ({ answer }) => Degrade.to(answer) }),
  "SpendBudget.of": kind({
    draw: (chance) => ({
      tokens: chance.oneOf([20, 1_000_000]),
      // Longer than any run, or not.
      window: chance.oneOf([60_000, 1_000_000_000]),
      perTenant: chance.onceIn(2)
    }),
    make: (options) => SpendBudget.of(options),
    allows: ({ perTenant, tokens, window }, { isAlone }) =>
      isAlone && perTenant && window > 60_000 ? { everywhere: { tokens } } : {}
  }),
  "Hedge.afterDelay": kind({
    draw: (chance) => ({ delay: chance.oneOf([5, 150, 2_000]), other: chance.onceIn(2) }),
    make: ({ delay }, [other]) => Hedge.afterDelay(delay, { maxShare: 1, to: other }),
    others: ({ other }) => (other ? 1 : 0),
    extra: () => 1,
    takesTime: true
  }),
  "Hedge.adaptive": kind({
    draw: (chance) => ({ warmUp: 1 + chance.below(3), quantile: chance.oneOf([0.1, 0.9]), other: chance.onceIn(2) }),
    make: ({ quantile, warmUp }, [other]) => Hedge.adaptive({ quantile, warmUp, maxShare: 1, to: other }),
    others: ({ other }) => (other ? 1 : 0),
    extra: () => 1,
    takesTime: true
  }),
  "Race.with": kind({
    draw: (chance) => ({ stagger: chance.oneOf([0, 0, 20, 1_000]), complete: chance.onceIn(4) }),
    make: ({ complete, stagger }, others) =>
      Race.with(others, { stagger, ...(complete ? { acceptable: (parts) => parts.length >= 3 } : {}) }),
    others: () => 1,
    extra: () => 1,
    takesTime: true
  }),
  "RateLimit.of": kind({
    draw: Limits.draw,
    make: (options) => RateLimit.of(Limits.optionsOf(options)),
    allows: Limits.allows,
    takesTime: true
  }),
  "RateLimit.adaptive": kind({
    draw: Limits.draw,
    make: (options) => RateLimit.adaptive(Limits.optionsOf(options)),
    allows: Limits.allows,
    takesTime: true
  }),
  "RateLimit.shared": kind({
    draw: (chance) => ({ ...Limits.draw(chance), ...Stores.drawSharing(chance, 20) }),
    make: (options) => Stores.across(Stores.rateLimits, options, (own) => RateLimit.shared(Limits.optionsOf(own))),
    allows: (options, place) => Limits.allowsShared(options, options, place),
    takesTime: true
  }),
  "Repair.structured": kind({
    draw: (chance) => ({ times: 1 + chance.below(2) }),
    make: (options) => Repair.structured(options),
    extra: ({ times }) => times,
    takesTime: true
  }),
  "ResponseCache.exact": kind({
    draw: cache,
    make: (options) => ResponseCache.exact(options),
    allows: ({ capacity }) => ({ keys: { ResponseCache: capacity } }),
    shares: true
  }),
  "ResponseCache.shared": kind({
    draw: (chance) => ({ ...cache(chance), ...Stores.drawSharing(chance, 2), leaseFor: chance.oneOf([200, 10_000]) }),
    make: (options) => Stores.across(Stores.answers, options, ResponseCache.shared),
    allows: ({ capacity }) => ({ keys: { ResponseCache: capacity }, closesBehind: true }),
    shares: true,
    takesTime: true
  }),
  "SingleFlight.identical": kind({
    draw: (chance) => (chance.onceIn(3) ? { maxBuffer: 600 } : {}),
    make: (options: SingleFlight.Options) => SingleFlight.identical(options),
    shares: true
  }),
  "Pipeline.standard": kind({ ...StandardPipeline, others: () => 2, alone: true, shares: true, takesTime: true })
}
