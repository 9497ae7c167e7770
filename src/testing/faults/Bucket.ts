/** A rate limit as providers have it: a token bucket that answers 429 when it is empty. */
import { Clock, type Duration, Effect } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { Behaviour } from "./Behaviour.ts"
import type { Call } from "./Script.ts"

export interface Options {
  /** How many calls a second it lets through in the long run. */
  readonly perSecond: number
  /** How many it lets through at once when it was idle. Default: 1. */
  readonly burst?: number | undefined
  /** The wait that refusals ask for. Default: 1 second. */
  readonly retryAfter?: Duration.Input | undefined
  /** How the calls are answered that it lets through. Default: at once and without a fault. */
  readonly otherwise?: ((call: Call<unknown>) => Behaviour) | undefined
}

export const defaults = { burst: 1, retryAfter: "1 second" } as const

export interface Bucket {
  /** The script for a server, or for a faulty model. */
  readonly script: (call: Call<unknown>) => Behaviour
  /**
   * Changes the rate, from now on. Its `Clock` has to be that of whoever plays the script: for a server, the live one.
   */
  readonly setRate: (perSecond: number) => Effect.Effect<void>
  /** Calls that were let through and calls that were refused. */
  readonly seen: { readonly admitted: number; readonly refused: number }
}

/**
 * Makes a token bucket, full at first, that fills up continuously.
 *
 * Every answer carries `x-ratelimit-limit-requests`, `-remaining-requests` and `-reset-requests` (until the bucket is
 * full); refusals also `retry-after`. Throws a `RangeError` for a rate or burst that makes no sense.
 */
export const bucket = (options: Options): Bucket => {
  check.fields(options, fields)
  const { burst = defaults.burst, otherwise = always, retryAfter = defaults.retryAfter } = options
  check.number("burst", burst, { atLeast: 1 })
  check.millis("retryAfter", retryAfter, { atLeast: 0 })
  check.callback("otherwise", otherwise)
  let rate = checked(options.perSecond) / 1_000
  let level = { tokens: burst, atMillis: Number.NEGATIVE_INFINITY }
  const seen = { admitted: 0, refused: 0 }
  const fill = (now: number) => {
    if (now <= level.atMillis) return
    const gained = (now - level.atMillis) * rate
    level = { tokens: Math.min(burst, level.tokens + (Number.isNaN(gained) ? 0 : gained)), atMillis: now }
  }
  return {
    seen,
    setRate: (perSecond) => {
      const next = checked(perSecond) / 1_000
      return Effect.map(Clock.currentTimeNanos, (nanos) => {
        fill(Number(nanos) / 1_000_000)
        rate = next
      })
    },
    script: (call) => {
      fill(call.startMillis)
      const isAdmitted = level.tokens >= 1
      if (isAdmitted) level = { ...level, tokens: level.tokens - 1 }
      seen[isAdmitted ? "admitted" : "refused"] += 1
      const headers = {
        "x-ratelimit-limit-requests": String(burst),
        "x-ratelimit-remaining-requests": String(Math.floor(level.tokens)),
        "x-ratelimit-reset-requests": rate === 0 ? "-1" : `${Math.ceil((burst - level.tokens) / rate)}ms`
      }
      if (!isAdmitted) return { headers, fault: { is: "refuse", because: "rate limited", retryAfter } }
      const behaviour = otherwise(call)
      return { ...behaviour, headers: { ...headers, ...behaviour.headers } }
    }
  }
}

const always = (): Behaviour => ({})

const check = OptionCheck.of("Bucket")

const fields: OptionCheck.Fields<Options> = { perSecond: true, burst: true, retryAfter: true, otherwise: true }

const checked = (perSecond: number): number => check.number("perSecond", perSecond, { atLeast: 0 })
