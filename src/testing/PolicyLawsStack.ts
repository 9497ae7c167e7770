/**
 * Describes stacks of policies as plain data: what can be made from a seed, printed, made smaller and built again.
 *
 * To try one more policy in random stacks, add it to {@link kinds}.
 */
import { Effect, type Scope } from "effect"
import * as AdaptiveLimit from "../policy/AdaptiveLimit.ts"
import * as Bulkhead from "../policy/Bulkhead.ts"
import * as CircuitBreaker from "../policy/CircuitBreaker.ts"
import * as Degrade from "../policy/Degrade.ts"
import * as Fallback from "../policy/Fallback.ts"
import * as Hedge from "../policy/Hedge.ts"
import * as Race from "../policy/Race.ts"
import * as RateLimit from "../policy/RateLimit.ts"
import * as ResponseCache from "../policy/ResponseCache.ts"
import * as Retry from "../policy/Retry.ts"
import * as RetryBudget from "../policy/RetryBudget.ts"
import * as SingleFlight from "../policy/SingleFlight.ts"
import * as SpendBudget from "../policy/SpendBudget.ts"
import * as Timeout from "../policy/Timeout.ts"
import * as Model from "../model/Model.ts"
import type { ModelProvider, Policy } from "../provider/ModelProvider.ts"
import * as ProviderPool from "../provider/ProviderPool.ts"
import type { Chance } from "./Chance.ts"
import { type Allows, millis } from "./PolicyLaw.ts"

/** What is put around the first model of a program; the others are for policies that ask more than one. */
export interface Stack {
  readonly build: (
    model: ModelProvider,
    others: ReadonlyArray<ModelProvider>
  ) => Effect.Effect<ModelProvider, never, Scope.Scope>
  /** How many others it may ask. */
  readonly others: number
  readonly allows: Allows
}

/** A stack as plain data. */
export interface Plan {
  /** Outermost first. */
  readonly policies: ReadonlyArray<Layer>
  /** Whether the models are one pool. */
  readonly pool?: boolean | undefined
}

/** A policy: its name in {@link kinds}, and its options there. */
export interface Layer {
  readonly is: string
  readonly with: object
}

/** One kind of policy. */
interface Kind<Options extends object> {
  readonly draw: (chance: Chance) => Options
  /** Makes it, with as many models of its own as it asks for. */
  make(options: Options, others: ReadonlyArray<ModelProvider>): Policy<Scope.Scope>
  /** How many models it asks besides. Default 0. */
  others?(options: Options): number
  /** How many attempts it may add to a call. Default 0. */
  extra?(options: Options): number
  /** What it allows, where it is: what is further in may share attempts between calls, or there may be nothing. */
  allows?(options: Options, place: { readonly shares: boolean; readonly isLast: boolean }): Allows
  /** Whether calls may stay in it without one of its own limits: then no limit further in is one of the whole call. */
  readonly takesTime?: true
  /** Whether calls may share attempts. */
  readonly shares?: true
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

/** All kinds of policies, with options that make a difference within seconds. */
const kinds: Readonly<Record<string, Kind<object>>> = {
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
        { firstToken: 11_000, idle: 500, attempt: 15_000 }
      ]),
    make: (limits) => Timeout.perAttempt(limits),
    allows: ({ attempt, firstToken, idle }, { shares }) =>
      shares
        ? {}
        : {
            ...(attempt === undefined ? {} : { attempt }),
            silence: Math.max(Math.min(millis(firstToken), millis(attempt)), Math.min(millis(idle), millis(attempt)))
          }
  }),
  Retry: kind({ ...retry, extra: ({ times }) => times ?? Retry.defaults.times, takesTime: true }),
  RetryBudget: kind({
    draw: (chance) => ({
      ratio: chance.oneOf([0, 0.2, 1]),
      // So that the window is longer than any run, and what it lets through in any case are so many.
      window: 100_000_000,
      minPerSecond: chance.oneOf([0, 1, 5]) / 100_000,
      ...(chance.onceIn(2) ? { maxAttempts: 1 + chance.below(4) } : {})
    }),
    make: (options) => RetryBudget.shared(options),
    allows: ({ maxAttempts, minPerSecond, ratio }) => ({
      retries: { reserve: Math.round(minPerSecond * 100_000), ratio },
      ...(maxAttempts === undefined ? {} : { attempts: maxAttempts })
    }),
    outside: true
  }),
  Bulkhead: kind({
    draw: (chance) => ({ concurrency: 1 + chance.below(3), ...gate(chance) }),
    make: (options) => Bulkhead.limit(options),
    takesTime: true
  }),
  AdaptiveLimit: kind({
    draw: (chance) => ({ initial: 1 + chance.below(3), max: 5, window: 500, ...gate(chance) }),
    make: (options) => AdaptiveLimit.learned(options),
    takesTime: true
  }),
  CircuitBreaker: kind({
    draw: (chance) => ({
      consecutive: 1 + chance.below(3),
      minCalls: 4,
      open: chance.oneOf([100, 5_000]),
      maxOpen: 20_000,
      perTenant: chance.onceIn(2),
      maxKeys: chance.oneOf([2, 20])
    }),
    make: (options) => CircuitBreaker.perModel(options),
    allows: ({ maxKeys }) => ({ keys: { CircuitBreaker: maxKeys } })
  }),
  Fallback: kind({
    draw: (chance) => ({
      targets: 1 + chance.below(2),
      midStream: chance.oneOf(["fail", "restart", "continue"]),
      ...(chance.onceIn(4) ? { retry: retry.draw(chance) } : {})
    }),
    make: (options, others) =>
      Fallback.chain(
        others.map((provider) =>
          options.retry === undefined
            ? provider
            : Model.compose({ provider, policies: [Retry.transient(options.retry)] })
        ),
        options
      ),
    others: ({ targets }) => targets,
    extra: ({ retry, targets }) => targets * (1 + (retry?.times ?? 0)),
    takesTime: true
  }),
  Degrade: kind({ draw: () => ({ answer: "Sorry." }), make: ({ answer }) => Degrade.to(answer) }),
  SpendBudget: kind({
    draw: (chance) => ({ tokens: chance.oneOf([20, 1_000_000]), window: 60_000, perTenant: chance.onceIn(2) }),
    make: (options) => SpendBudget.of(options)
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
  Race: kind({
    draw: (chance) => ({ stagger: chance.oneOf([0, 0, 20, 1_000]), complete: chance.onceIn(4) }),
    make: ({ complete, stagger }, others) =>
      Race.with(others, { stagger, ...(complete ? { acceptable: (parts) => parts.length >= 3 } : {}) }),
    extra: () => 1,
    takesTime: true
  }),
  RateLimit: kind({
    draw: (chance) => ({
      ...(chance.onceIn(2) ? { requests: { limit: 1 + chance.below(5), window: chance.oneOf([500, 10_000]) } } : {}),
      ...(chance.onceIn(3) ? { maxWaiting: chance.below(3) } : {}),
      ...(chance.onceIn(4) ? { maxWait: chance.oneOf([500, 15_000]) } : {}),
      perTenant: chance.onceIn(4)
    }),
    make: (options: RateLimit.Options) =>
      options.requests === undefined ? RateLimit.adaptive(options) : RateLimit.of(options),
    allows: ({ perTenant }, { isLast }) => ({ paced: perTenant !== true && isLast }),
    takesTime: true
  }),
  ResponseCache: kind({
    draw: (chance) => ({
      timeToLive: chance.oneOf([500, 600_000]),
      ...(chance.onceIn(2) ? { staleFor: 600_000 } : {}),
      capacity: chance.oneOf([2, 100])
    }),
    make: (options) => ResponseCache.exact(options),
    allows: ({ capacity }) => ({ keys: { ResponseCache: capacity } }),
    shares: true
  }),
  SingleFlight: kind({
    draw: (chance) => (chance.onceIn(3) ? { maxBuffer: 600 } : {}),
    make: (options: SingleFlight.Options) => SingleFlight.identical(options),
    shares: true
  })
}

const names = Object.keys(kinds)

const kindOf = (layer: Layer): Kind<object> => {
  const found = kinds[layer.is]
  if (found === undefined) throw new RangeError(`a stack's policy must be one of ${names.join(", ")}, not ${layer.is}`)
  return found
}

/** Draws a policy of its own, each kind in turn. */
export const single = (index: number, chance: Chance): Plan => ({
  policies: [draw(names[index % names.length] ?? "", chance)]
})

/** Draws a stack of two to six policies, in any order that is not plainly wrong. */
export const random = (chance: Chance): Plan => {
  const policies = Array.from({ length: 2 + chance.below(5) }, () =>
    draw(names[chance.below(names.length)] ?? "", chance)
  )
  return { policies: sorted(policies), ...(chance.onceIn(6) ? { pool: true } : {}) }
}

const draw = (is: string, chance: Chance): Layer => ({ is, with: kinds[is]?.draw(chance) ?? {} })

/** Moves what has to be outside of further attempts to just before the first policy that makes some. */
const sorted = (policies: ReadonlyArray<Layer>): ReadonlyArray<Layer> => {
  const first = policies.findIndex((layer) => kindOf(layer).extra !== undefined)
  if (first < 0) return policies
  const late = policies.filter((layer, index) => index > first && kindOf(layer).outside === true)
  return [...policies.slice(0, first), ...late, ...policies.slice(first).filter((layer) => !late.includes(layer))]
}

/** Makes the stack that is described. */
export const of = (plan: Plan): Stack => {
  const counts = plan.policies.map((layer) => kindOf(layer).others?.(layer.with) ?? 0)
  const others = counts.reduce((sum, count) => sum + count, plan.pool === true ? 1 : 0)
  return {
    others,
    allows: allowsOf(plan),
    build: (model, models) =>
      Effect.gen(function* () {
        let taken = plan.pool === true ? 1 : 0
        const policies = plan.policies.map((layer, index) =>
          kindOf(layer).make(layer.with, models.slice(taken, (taken += counts[index] ?? 0)))
        )
        const [second = model] = models
        const provider = plan.pool === true ? yield* ProviderPool.make({ providers: { model, second } }) : model
        return yield* Model.compose({ provider, policies })
      })
  }
}

const allowsOf = ({ policies, pool }: Plan): Allows => {
  const allows: { -readonly [Name in keyof Allows]: Allows[Name] } = {}
  let attempts = 1
  let maxAttempts = Infinity
  let budget: Allows["retries"]
  let isTimed = true
  for (const [index, layer] of policies.entries()) {
    const described = kindOf(layer)
    const inner = policies.slice(index + 1).map(kindOf)
    const shares = inner.some((each) => each.shares === true)
    const isLast = inner.length === 0 && pool !== true
    const own = described.allows?.(layer.with, { shares, isLast }) ?? {}
    attempts += described.extra?.(layer.with) ?? 0
    // The outermost budget is the call's.
    if (own.retries !== undefined && budget === undefined) {
      budget = own.retries
      maxAttempts = own.attempts ?? Infinity
    }
    if (own.overall !== undefined && isTimed) allows.overall = Math.min(millis(allows.overall), millis(own.overall))
    if (own.attempt !== undefined) allows.attempt = Math.min(millis(allows.attempt), millis(own.attempt))
    if (own.silence !== undefined) allows.silence = Math.min(millis(allows.silence), millis(own.silence))
    if (own.paced === true) allows.paced = true
    for (const [name, most] of Object.entries(own.keys ?? {})) {
      allows.keys = { ...allows.keys, [name]: Math.max(allows.keys?.[name] ?? 0, most) }
    }
    if (described.takesTime === true) isTimed = false
  }
  return {
    ...allows,
    attempts: Math.min(attempts, maxAttempts),
    ...(pool === true || budget === undefined ? {} : { retries: budget })
  }
}
