/** The options of rate limits, their defaults, and what is made of them. */
import { Duration } from "effect"
import * as Bucket from "./RateLimitBucket.ts"
import type * as Line from "./RateLimitLine.ts"

/** So much in so much time, refilled bit by bit. */
export interface Limit {
  readonly limit: number
  readonly window: Duration.Input
}

export interface Options {
  /** Requests. Default: not limited, or learned. */
  readonly requests?: Limit | undefined
  /** Tokens, of prompts and answers together. Default: not limited, or learned. */
  readonly tokens?: Limit | undefined
  /** Tokens of prompts. Default: not limited, or learned. */
  readonly inputTokens?: Limit | undefined
  /** Tokens of answers. Default: not limited, or learned. */
  readonly outputTokens?: Limit | undefined
  /**
   * Requests that may go at once after a quiet time. Default: what a tenth of the window allows, or a second where that is
   * more, and at least one; the whole limit, where the window is longer than a minute.
   */
  readonly burst?: number | undefined
  /** Calls that may wait for their turn; one more is refused. Default 10,000. */
  readonly maxWaiting?: number | undefined
  /** The longest wait; a call that is to wait longer is refused at once. Default: none. */
  readonly maxWait?: Duration.Input | undefined
  /** After how long a call that waits has one point of priority more than newcomers. Default 1 minute. */
  readonly aging?: Duration.Input | undefined
}

export const defaults = { maxWaiting: 10_000, aging: "1 minute", perTenant: false, storeTimeout: "50 millis" } as const

export interface Settings extends Line.Settings {
  /** The buckets of the limits given, full at `now`. */
  readonly buckets: (now: number) => ReadonlyArray<Bucket.Bucket>
}

/** Fills in the defaults, and rejects with a `RangeError` what makes no sense. */
export const resolve = (options: Options): Settings => {
  const { burst, maxWaiting = defaults.maxWaiting } = options
  const limits = (["requests", "tokens", "inputTokens", "outputTokens"] as const).flatMap((dimension) => {
    const given = options[dimension]
    if (given === undefined) return []
    const windowMillis = positiveMillis(`${dimension}.window`, given.window)
    if (!(given.limit > 0 && given.limit < Infinity))
      reject(`${dimension}.limit`, "a finite number above 0", given.limit)
    const most = dimension === "requests" ? burst : undefined
    return [{ dimension, limit: given.limit, windowMillis, burst: most, learned: false }]
  })
  if (burst !== undefined && !(burst >= 1)) reject("burst", "at least 1", burst)
  if (!Number.isSafeInteger(maxWaiting) || maxWaiting < 0) {
    reject("maxWaiting", "a whole number of at least 0", maxWaiting)
  }
  const maxWaitMillis = options.maxWait === undefined ? Infinity : Duration.toMillis(options.maxWait)
  if (!(maxWaitMillis >= 0)) reject("maxWait", "a duration of at least 0", `${maxWaitMillis} ms`)
  return {
    maxWaiting,
    maxWaitMillis,
    agingMillis: positiveMillis("aging", options.aging ?? defaults.aging),
    buckets: (now) => limits.map((limit) => Bucket.make({ ...limit, now }))
  }
}

/** The milliseconds of an option that must be a finite duration above zero. */
export const positiveMillis = (name: string, duration: Duration.Input): number => {
  const millis = Duration.toMillis(duration)
  return millis > 0 && millis < Infinity ? millis : reject(name, "a finite duration above 0", `${millis} ms`)
}

const reject = (name: string, wanted: string, value: number | string): never => {
  throw new RangeError(`RateLimit option ${name} must be ${wanted}, got ${value}`)
}
