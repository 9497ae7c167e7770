/**
 * Bounds the attempts a call may make, over the whole stack, and the share of attempts that are not first ones.
 *
 * Two bounds, both carried in fiber context, so that retries, hedges and fallbacks draw on the same ones however they
 * are nested:
 *
 * - *Per call*: what the options of all policies allow together, added up and not multiplied. Two layers of three
 *   retries make at most seven attempts, not sixteen. This bound is always there.
 * - *Per provider*: retries and hedges are at most a share of the calls of the last seconds, or as many as a small
 *   reserve for quiet times allows. When a provider fails every call, it then gets hardly more requests than there are
 *   calls. This bound is there when {@link shared} is in the stack. It is Finagle's rule, with the larger of share and
 *   reserve in place of their sum: https://twitter.github.io/finagle/guide/Clients.html#retries .
 */
import { Clock, Context, Duration, Effect, Stream } from "effect"
import * as PolicyHealth from "../core/PolicyHealth.ts"
import * as Refusals from "../core/Refusals.ts"
import type { ModelProvider, Policy } from "../provider/ModelProvider.ts"

export interface Options {
  /** Retries and hedges for each call, on average. Default 0.1. */
  readonly ratio?: number | undefined
  /** Retries and hedges a second that are allowed in any case. Default 1. */
  readonly minPerSecond?: number | undefined
  /** How far back calls count. Default 10 seconds. */
  readonly window?: Duration.Input | undefined
  /** Attempts of one call, the first and fallbacks included. Default: what the policies' options add up to. */
  readonly maxAttempts?: number | undefined
}

export const defaults = { ratio: 0.1, minPerSecond: 1, window: "10 seconds" } as const

/**
 * Shares one budget among all calls: put it outside of everything that makes further attempts.
 *
 * A retry or hedge the budget does not allow is not made: the call fails with the error it had, or goes on waiting for
 * the attempt it has. A fallback's first attempt is a new provider's first one, and draws on the call's bound only.
 */
export const shared = (options: Options = {}): Policy => {
  const makeShare = share(options)
  const maxExtra = (options.maxAttempts ?? Infinity) - 1
  if (options.maxAttempts !== undefined && (!Number.isSafeInteger(options.maxAttempts) || options.maxAttempts < 1)) {
    throw new RangeError(
      `RetryBudget option maxAttempts must be a whole number of at least 1, got ${options.maxAttempts}`
    )
  }
  return (next) =>
    Effect.gen(function* () {
      const budget = yield* makeShare
      yield* PolicyHealth.register(budget.health)
      return withAllowance(next, (allowance) => allowance.bind(maxExtra, budget))
    })
}

/** What is left for one call. Made by the model, or else by the outermost policy that needs it; shared by all inside. */
export class Allowance {
  private allowed = 0
  private taken = 0
  private readonly contributors = new Set<object>()
  private readonly counted = new Set<string>()
  private maxExtra = Infinity
  private share: Share | undefined

  /** Puts the call under a shared budget. The outermost one counts. */
  bind(maxExtra: number, share: Share): void {
    if (this.share !== undefined) return
    this.share = share
    this.maxExtra = maxExtra
  }

  /** Adds what one policy's options allow. Once for each policy, however often the call comes by. */
  contribute(policy: object, extra: number): void {
    if (this.contributors.has(policy)) return
    this.contributors.add(policy)
    this.allowed += extra
  }

  /** Further attempts the call may make in all: those it has made, and those that are left. */
  get granted(): number {
    return Math.min(this.maxExtra, this.allowed)
  }

  /** Tells the shared budget of this call to a provider. Once for each provider, however often it is tried. */
  count(key: string, now: number): void {
    if (this.share === undefined || this.counted.has(key)) return
    this.counted.add(key)
    this.share.call(key, now)
  }

  /** Takes one further attempt, if there is one left. A fallback passes no key: it is the next provider's first. */
  take(key: string | undefined, now: number): boolean {
    if (this.taken >= this.granted || (key !== undefined && this.share?.take(key, now) === false)) return false
    this.taken++
    return true
  }
}

/** The allowance of the call the present fiber works for. */
export const Current = Context.Reference<Allowance | undefined>("holdfast/policy/RetryBudget", {
  defaultValue: () => undefined
})

/** The key of a provider's share. */
export const keyOf = (provider: Pick<ModelProvider, "name" | "model">): string => `${provider.name}/${provider.model}`

/**
 * Makes sure that calls of `next` have an allowance, with what `policy` may add to it.
 *
 * For policies that make further attempts: wrap what you return with it, and ask {@link take} before each one.
 */
export const contributing = (next: ModelProvider, policy: object, extra: number): ModelProvider =>
  withAllowance(next, (allowance) => allowance.contribute(policy, extra))

/** As {@link contributing}, for any effect. */
export const contributingEffect =
  (policy: object, extra: number) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(self, Current, (outer) => {
      const allowance = outer ?? new Allowance()
      allowance.contribute(policy, extra)
      return allowance
    })

/** Counts the present call as one to this provider. Policies that retry or hedge it do so before its first attempt. */
export const count = (key: string): Effect.Effect<void> =>
  Effect.flatMap(Current, (allowance) =>
    allowance === undefined ? Effect.void : Effect.map(Clock.currentTimeMillis, (now) => allowance.count(key, now))
  )

/** Takes one further attempt at a provider, if the budget allows it. Without a key: the first one at the next provider. */
export const take = (key?: string): Effect.Effect<boolean> =>
  Effect.flatMap(Current, (allowance) =>
    allowance === undefined
      ? Effect.succeed(false)
      : Effect.map(Clock.currentTimeMillis, (now) => allowance.take(key, now))
  )

const withAllowance = (next: ModelProvider, change: (allowance: Allowance) => void): ModelProvider => ({
  ...next,
  generateText: (request) =>
    Effect.flatMap(Current, (outer) => {
      const allowance = outer ?? new Allowance()
      change(allowance)
      const answer = next.generateText(request)
      return outer === undefined ? Effect.provideContext(answer, ofCall(allowance)) : answer
    }),
  streamText: (request) =>
    Stream.unwrap(
      Effect.map(Current, (outer) => {
        const allowance = outer ?? new Allowance()
        change(allowance)
        const parts = next.streamText(request)
        return outer === undefined ? Stream.provideContext(parts, ofCall(allowance)) : parts
      })
    )
})

/** What every call has in its context: an allowance of attempts, and what providers told it. */
const ofCall = (allowance: Allowance): Context.Context<never> =>
  Context.make(Current, allowance).pipe(Context.add(Refusals.Current, new Refusals.Refusals()))

/** The counts of one provider: a ring of slices of the window. */
interface Counts {
  readonly calls: Float64Array
  readonly extra: Float64Array
  slice: number
}

const slices = 10

/** Providers of which counts are kept; the one not called for longest is forgotten. */
const maxKeys = 1_000

class Share {
  private readonly keys = new Map<string, Counts>()
  private readonly ratio: number
  private readonly reserve: number
  private readonly sliceMillis: number

  constructor(ratio: number, reserve: number, sliceMillis: number) {
    this.ratio = ratio
    this.reserve = reserve
    this.sliceMillis = sliceMillis
  }

  call(key: string, now: number): void {
    const counts = this.at(key, now)
    bump(counts.calls, counts.slice)
  }

  take(key: string, now: number): boolean {
    const counts = this.at(key, now)
    if (sum(counts.extra) + 1 > Math.max(this.reserve, this.ratio * sum(counts.calls))) return false
    bump(counts.extra, counts.slice)
    return true
  }

  get health(): Effect.Effect<PolicyHealth.RetryBudgetHealth> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      // A copy, for looking at a key moves it to the end.
      const keys = [...this.keys.keys()].map((key) => {
        const counts = this.at(key, now)
        return { key, calls: sum(counts.calls), extra: sum(counts.extra) }
      })
      const used = keys.map(({ calls, extra }) => extra / Math.max(1, this.reserve, this.ratio * calls))
      return { _tag: "RetryBudget", keys, score: Math.round(100 - 50 * Math.min(1, Math.max(0, ...used))) }
    })
  }

  // The counts as of now: slices that have left the window are zero.
  private at(key: string, now: number): Counts {
    const slice = Math.floor(now / this.sliceMillis)
    let counts = this.keys.get(key)
    if (counts === undefined) {
      counts = { calls: new Float64Array(slices), extra: new Float64Array(slices), slice }
      for (const oldest of this.keys.keys()) {
        if (this.keys.size < maxKeys) break
        this.keys.delete(oldest)
      }
    } else {
      for (let passed = Math.min(slices, slice - counts.slice); passed > 0; passed--) {
        counts.calls[(slice - passed + 1) % slices] = 0
        counts.extra[(slice - passed + 1) % slices] = 0
      }
      counts.slice = Math.max(slice, counts.slice)
      this.keys.delete(key)
    }
    this.keys.set(key, counts)
    return counts
  }
}

const bump = (counts: Float64Array, slice: number): void => {
  counts[slice % slices] = (counts[slice % slices] ?? 0) + 1
}

const sum = (counts: Float64Array): number => counts.reduce((total, count) => total + count, 0)

const share = (options: Options): Effect.Effect<Share> => {
  const { minPerSecond = defaults.minPerSecond, ratio = defaults.ratio } = options
  const windowMillis = Duration.toMillis(options.window ?? defaults.window)
  for (const [name, value] of Object.entries({ ratio, minPerSecond })) {
    if (!(value >= 0 && value < Infinity)) {
      throw new RangeError(`RetryBudget option ${name} must be a number of at least 0, got ${value}`)
    }
  }
  if (!(windowMillis > 0 && windowMillis < Infinity)) {
    throw new RangeError(`RetryBudget option window must be a finite duration above 0, got ${windowMillis} ms`)
  }
  return Effect.sync(() => new Share(ratio, (minPerSecond * windowMillis) / 1000, windowMillis / slices))
}
