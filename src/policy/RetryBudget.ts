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
import { Clock, Context, type Duration, Effect, Stream } from "effect"
import * as Opening from "../core/stream/OpenStream.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as Refusals from "../core/call/Refusals.ts"
import { RollingCount } from "../core/window/RollingCount.ts"
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"

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
  const { maxAttempts } = options
  const maxExtra = maxAttempts === undefined ? Infinity : check.whole("maxAttempts", maxAttempts, 1) - 1
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
  // Each has a few members, and most calls none of the second.
  private readonly contributors: Array<object> = []
  private readonly counted: Array<string> = []
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
    if (this.contributors.includes(policy)) return
    this.contributors.push(policy)
    this.allowed += extra
  }

  /** Further attempts the call may make in all: those it has made, and those that are left. */
  get granted(): number {
    return Math.min(this.maxExtra, this.allowed)
  }

  /** Tells the shared budget of this call to a provider. Once for each provider, however often it is tried. */
  count(key: string, now: number): void {
    if (this.share === undefined || this.counted.includes(key)) return
    this.counted.push(key)
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
    Opening.unwrap(
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

/** What happened to one provider within the window. */
interface Counts {
  readonly calls: RollingCount
  readonly extra: RollingCount
}

/** Providers of which counts are kept; the one not called for longest is forgotten. */
const maxKeys = 1_000

class Share {
  private readonly keys = new Map<string, Counts>()
  // The one used last, which is the last of the keys.
  private latest: { readonly key: string; readonly counts: Counts } | undefined
  private readonly ratio: number
  private readonly reserve: number
  private readonly windowMillis: number

  constructor(ratio: number, reserve: number, windowMillis: number) {
    this.ratio = ratio
    this.reserve = reserve
    this.windowMillis = windowMillis
  }

  call(key: string, now: number): void {
    this.countsOf(key).calls.add(now)
  }

  take(key: string, now: number): boolean {
    const { calls, extra } = this.countsOf(key)
    if (extra.total(now) + 1 > Math.max(this.reserve, this.ratio * calls.total(now))) return false
    extra.add(now)
    return true
  }

  get health(): Effect.Effect<PolicyHealth.RetryBudgetHealth> {
    return Effect.map(Clock.currentTimeMillis, (now) => {
      const keys = Array.from(this.keys, ([key, { calls, extra }]) => ({
        key,
        calls: calls.total(now),
        extra: extra.total(now)
      }))
      const used = keys.map(({ calls, extra }) => extra / Math.max(1, this.reserve, this.ratio * calls))
      return { _tag: "RetryBudget", keys, score: Math.round(100 - 50 * Math.min(1, Math.max(0, ...used))) }
    })
  }

  private countsOf(key: string): Counts {
    if (this.latest?.key === key) return this.latest.counts
    const { windowMillis } = this
    const counts = this.keys.get(key) ?? {
      calls: new RollingCount(windowMillis),
      extra: new RollingCount(windowMillis)
    }
    this.keys.delete(key)
    for (const oldest of this.keys.keys()) {
      if (this.keys.size < maxKeys) break
      this.keys.delete(oldest)
    }
    this.keys.set(key, counts)
    this.latest = { key, counts }
    return counts
  }
}

const share = (options: Options): Effect.Effect<Share> => {
  const minPerSecond = check.number("minPerSecond", options.minPerSecond ?? defaults.minPerSecond, { atLeast: 0 })
  const ratio = check.number("ratio", options.ratio ?? defaults.ratio, { atLeast: 0 })
  const windowMillis = check.millis("window", options.window ?? defaults.window)
  return Effect.sync(() => new Share(ratio, (minPerSecond * windowMillis) / 1000, windowMillis))
}

const check = OptionCheck.of("RetryBudget")
