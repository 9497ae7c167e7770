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
 *   calls. This bound is there when {@link of} is in the stack. It is Finagle's rule, with the larger of share and
 *   reserve in place of their sum: https://twitter.github.io/finagle/guide/Clients.html#retries .
 */
import { type Duration, Effect } from "effect"
import * as Monotonic from "../core/Monotonic.ts"
import type { SharedBudget } from "../core/call/AttemptAllowance.ts"
import * as CallContext from "../core/call/CallContext.ts"
import * as Key from "../core/call/Key.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import { KeptKeys } from "../core/window/KeptKeys.ts"
import { RollingCount } from "../core/window/RollingCount.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"

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
export const of = (options: Options = {}): PolicyKind.Of<"RetryBudget"> => {
  check.fields(options, fields)
  const minPerSecond = check.number("minPerSecond", options.minPerSecond ?? defaults.minPerSecond, { atLeast: 0 })
  const ratio = check.number("ratio", options.ratio ?? defaults.ratio, { atLeast: 0 })
  const windowMillis = check.millis("window", options.window ?? defaults.window)
  const { maxAttempts } = options
  const maxExtra = maxAttempts === undefined ? Infinity : check.whole("maxAttempts", maxAttempts, 1) - 1
  return PolicyKind.of("RetryBudget", (next) =>
    Effect.gen(function* () {
      const budget = new Share(ratio, (minPerSecond * windowMillis) / 1000, windowMillis)
      yield* PolicyHealth.register(budget.health)
      return CallContext.withAllowance(next, (allowance) => allowance.bind(maxExtra, budget))
    })
  )
}

/** What happened to one provider within the window. */
interface Counts {
  readonly key: string
  readonly calls: RollingCount
  readonly extra: RollingCount
}

/** Providers of which counts are kept. Those for which there is no room share theirs. */
const maxKeys = 1_000

class Share implements SharedBudget {
  private now = -Infinity
  private readonly keys = new KeptKeys<Counts>(
    maxKeys,
    ({ calls, extra }) => calls.total(this.now) + extra.total(this.now) === 0
  )
  private readonly ratio: number
  private readonly reserve: number
  private readonly windowMillis: number

  constructor(ratio: number, reserve: number, windowMillis: number) {
    this.ratio = ratio
    this.reserve = reserve
    this.windowMillis = windowMillis
  }

  call(key: string, now: number): void {
    this.countsOf(key, now).calls.add(now)
  }

  take(key: string, now: number): boolean {
    const { calls, extra } = this.countsOf(key, now)
    if (extra.total(now) + 1 > Math.max(this.reserve, this.ratio * calls.total(now))) return false
    extra.add(now)
    return true
  }

  get health(): Effect.Effect<PolicyHealth.RetryBudgetHealth> {
    return Effect.map(Monotonic.millis, (now) => {
      const keys = this.keys.values.map(({ calls, extra, key }) => ({
        key,
        calls: calls.total(now),
        extra: extra.total(now)
      }))
      const used = keys.map(({ calls, extra }) => extra / Math.max(1, this.reserve, this.ratio * calls))
      return { _tag: "RetryBudget", keys, score: Math.round(100 - 50 * Math.min(1, Math.max(0, ...used))) }
    })
  }

  private countsOf(key: string, now: number): Counts {
    this.now = now
    const place = this.keys.placeOf(key)
    const known = this.keys.get(place)
    if (known !== undefined) return known
    const [calls, extra] = [new RollingCount(this.windowMillis), new RollingCount(this.windowMillis)]
    const counts = { key: place ?? Key.of(undefined, undefined), calls, extra }
    this.keys.set(place, counts)
    return counts
  }
}

const check = OptionCheck.of("RetryBudget")

const fields: OptionCheck.Fields<Options> = { ratio: true, minPerSecond: true, window: true, maxAttempts: true }
