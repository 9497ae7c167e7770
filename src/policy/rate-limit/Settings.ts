/** The options of rate limits, their defaults, and what is made of them. */
import { type Duration, Predicate } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as Bucket from "./Bucket.ts"
import { dimensions } from "../../core/call/LimitHeaders.ts"
import type * as CallQueue from "./CallQueue.ts"

/** So much in so much time, refilled bit by bit. */
export interface Limit {
  readonly limit: number
  readonly window: Duration.Input
}

export interface LimitOptions {
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

export const fields: OptionCheck.Fields<LimitOptions> = {
  requests: true,
  tokens: true,
  inputTokens: true,
  outputTokens: true,
  burst: true,
  maxWaiting: true,
  maxWait: true,
  aging: true
}

export const defaults = {
  maxWaiting: 10_000,
  aging: "1 minute",
  perTenant: false,
  maxKeys: 10_000,
  storeTimeout: "50 millis"
} as const

export interface Settings extends CallQueue.Settings {
  /** The buckets of the limits given, full at `now`. */
  readonly buckets: (now: number) => ReadonlyArray<Bucket.Bucket>
  readonly burst: number | undefined
  /** Keys that have limits for themselves. */
  readonly maxKeys: number
}

/** Fills in the defaults, and rejects with a `RangeError` what makes no sense. */
export const resolve = (options: LimitOptions, maxKeys: number = defaults.maxKeys): Settings => {
  const { burst } = options
  const limits = dimensions.flatMap((dimension) => {
    const given = options[dimension]
    if (given === undefined) return []
    check.fields(given, ofLimit, dimension)
    const limit = check.number(`${dimension}.limit`, given.limit, { above: 0 })
    const windowMillis = check.millis(`${dimension}.window`, given.window)
    return [{ dimension, limit, windowMillis, burst: dimension === "requests" ? burst : undefined, learned: false }]
  })
  if (burst !== undefined && (!Predicate.isNumber(burst) || !(burst >= 1))) {
    check.reject("burst", "a number of at least 1", burst)
  }
  return {
    maxWaiting: check.whole("maxWaiting", options.maxWaiting ?? defaults.maxWaiting, 0),
    maxWaitMillis: check.millis("maxWait", options.maxWait ?? Infinity, { atLeast: 0, endless: true }),
    agingMillis: check.millis("aging", options.aging ?? defaults.aging),
    buckets: (now) => limits.map((limit) => Bucket.make({ ...limit, now })),
    burst,
    maxKeys: check.whole("maxKeys", maxKeys, 1)
  }
}

/** The time a store has to answer, in milliseconds. */
export const storeTimeoutMillis = (timeout: Duration.Input = defaults.storeTimeout): number =>
  check.millis("storeTimeout", timeout)

const check = OptionCheck.of("RateLimit")

const ofLimit: OptionCheck.Fields<Limit> = { limit: true, window: true }
