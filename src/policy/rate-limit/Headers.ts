/**
 * Reads from response headers what a provider says about its rate limits.
 *
 * Three families are known: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (OpenAI, Azure, Groq and most servers
 * that copy OpenAI's interface), `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`,
 * and the general `ratelimit-{limit,remaining,reset}`, with and without `x-`. Their names are in `core/call/LimitHeaders.ts`. Zero, negative, missing and unreadable values
 * mean "not said", never "none left": Azure sends `-1` and `0` where it has nothing to say. A limit of less than one request
 * or a hundred tokens, and a window or a reset of more than a day, are unreadable.
 */
import { DateTime, Option, Predicate } from "effect"
import * as LimitHeaders from "../../core/call/LimitHeaders.ts"

export type Dimension = LimitHeaders.Dimension

/** What was said about one limit. Everything is positive; what was not said is undefined. */
export interface Told {
  readonly dimension: Dimension
  readonly limit: number | undefined
  readonly remaining: number | undefined
  /** Milliseconds until the whole limit is there again. */
  readonly resetMillis: number | undefined
  /** In which `limit` is granted once, as far as can be told from this alone; and the windows that would fit as well. */
  readonly windowMillis: number
  readonly windowFits: readonly [least: number, most: number]
  /** Whether it is granted bit by bit, so that some of it is there long before the reset. */
  readonly isContinuous: boolean
}

/**
 * Reads what the headers say, one entry for each limit about which they say something. Names are in lower case.
 *
 * Dates count from the response's own `date`, so that a wrong local clock does no harm, or else from `nowMillis`.
 *
 * **Example**
 *
 * ```ts run
 * import { RateLimit } from "holdfast/policy"
 *
 * const [told] = RateLimit.fromHeaders(
 *   {
 *     "x-ratelimit-limit-requests": "14400",
 *     "x-ratelimit-remaining-requests": "14370",
 *     "x-ratelimit-reset-requests": "2m59.56s"
 *   },
 *   0
 * )
 * told?.resetMillis // => 179_560
 * told?.windowMillis // => 86_400_000
 * ```
 */
export const fromHeaders = (received: Readonly<Record<string, unknown>>, nowMillis: number): ReadonlyArray<Told> =>
  readHeaders(received, nowMillis).told

/** Less than this makes no sense as a limit: no call would fit in. */
export const leastOf: Readonly<Record<Dimension, number>> = {
  requests: 1,
  tokens: 100,
  inputTokens: 100,
  outputTokens: 100
}

/** Reads what the headers say, and which of them say what cannot be meant: `x-ratelimit-limit-requests: 0.0001`. */
export const readHeaders = (
  received: Readonly<Record<string, unknown>>,
  nowMillis: number
): { readonly told: ReadonlyArray<Told>; readonly unreadable: ReadonlyArray<string> } => {
  const unreadable: Array<string> = []
  const read = (name: string) => {
    const value = received[name]
    return Predicate.isString(value) ? value : undefined
  }
  const now = () => dateMillis(read(LimitHeaders.date)) ?? nowMillis
  const told = LimitHeaders.limits.flatMap(({ dimension, family, ...names }) => {
    const limit = positive(read(names.limit))
    const remaining = positive(read(names.remaining))
    if (limit === undefined && remaining === undefined) return []
    const reset = resetOf(read(names.reset), now)
    const policy = read(LimitHeaders.policy) ?? read(names.limit)
    const odd =
      limit !== undefined && (limit < leastOf[dimension] || limit > Number.MAX_SAFE_INTEGER)
        ? names.limit
        : reset !== undefined && reset.millis > day
          ? names.reset
          : family === "general" && statedWindow(policy) > day
            ? read(LimitHeaders.policy) === undefined
              ? names.limit
              : LimitHeaders.policy
            : undefined
    if (odd !== undefined) {
      unreadable.push(`${odd}: ${(read(odd) ?? "").slice(0, 100)}`)
      return []
    }
    const [windowMillis, ...windowFits] =
      family === "anthropic"
        ? minutes
        : family === "general"
          ? generalWindow(policy, reset?.millis)
          : reset?.isDuration === true
            ? impliedWindow(dimension, limit, remaining ?? zero(read(names.remaining)), reset.millis)
            : windowLongerThan(reset?.millis)
    const isContinuous = family === "anthropic" || reset?.isDuration === true
    return [{ dimension, limit, remaining, resetMillis: reset?.millis, windowMillis, windowFits, isContinuous }]
  })
  return { told, unreadable }
}

const second = 1_000
const minute = 60_000
const hour = 3_600_000
const day = 86_400_000

type Window = readonly [guess: number, least: number, most: number]

// Documented by OpenAI, Azure and Anthropic, and Groq for tokens.
const minutes: Window = [minute, minute, minute]

/**
 * Works out in which time the limit is granted once: `reset` is the time until it is FULL, so the window is
 * `reset × limit ÷ used`. OpenAI's 499 of 500 with a reset of `120ms` is a minute; Groq's 14,370 of 14,400 requests with
 * `2m59.56s` is a day. What is used is rounded up, by less than one, and the reset to milliseconds. Where nothing usual
 * fits, it is the minute that all these providers document.
 */
const impliedWindow = (dimension: Dimension, limit: number | undefined, remaining = 0, resetMillis: number): Window => {
  if (limit === undefined || remaining === undefined || limit - remaining < 1) return [minute, 0, Infinity]
  const used = limit - remaining
  const implied = (resetMillis * limit) / used
  const least = (0.95 * Math.max(0, resetMillis - 1) * limit) / used
  const most = (1.05 * (resetMillis + 1) * limit) / Math.max(0, used - 1)
  const usual = [minute, second, ...(dimension === "requests" ? [hour, day] : [])].filter(
    (window) => window >= least && window <= most
  )
  const near = usual.find((window) => window < 1.5 * implied)
  return [near ?? usual[0] ?? minute, least, most]
}

/** The window a general limit states (`100;w=60`), or else the least usual one that its reset fits in. */
const generalWindow = (policy: string | undefined, resetMillis = 0): Window => {
  const stated = statedWindow(policy)
  return stated > 0 ? [stated, stated, stated] : windowLongerThan(resetMillis)
}

const statedWindow = (policy: string | undefined): number => Number(/;\s*w=(\d+)/.exec(policy ?? "")?.[1] ?? 0) * second

const windowLongerThan = (resetMillis = 0): Window => [
  [minute, hour].find((window) => resetMillis <= window) ?? day,
  resetMillis,
  Infinity
]

const positive = (value: string | undefined): number | undefined => {
  const number = value === undefined ? NaN : Number(/^\s*(\d+(?:\.\d+)?)\s*(?:$|[,;])/.exec(value)?.[1])
  return number > 0 && number < Infinity ? number : undefined
}

const zero = (value: string | undefined): 0 | undefined => (value?.trim() === "0" ? 0 : undefined)

interface Reset {
  readonly millis: number
  /** Whether it was written as a duration with units, to a precision that allows to reckon with it. */
  readonly isDuration: boolean
}

/** Reads `6m0s`, `12ms`, seconds, seconds or milliseconds since 1970, and RFC 3339. */
const resetOf = (value: string | undefined, now: () => number): Reset | undefined => {
  if (value === undefined) return undefined
  const text = value.trim()
  if (goDuration.test(text)) {
    const millis = Array.from(text.matchAll(amountAndUnit)).reduce(
      (sum, [, amount, unit = ""]) => sum + Number(amount) * (millisPer[unit] ?? 0),
      0
    )
    return millis > 0 && millis < Infinity ? { millis, isDuration: true } : undefined
  }
  const number = positive(text)
  const millis =
    number === undefined
      ? untilDate(text, now)
      : number > 1e12
        ? number - now()
        : number > 1e9
          ? number * second - now()
          : number * second
  return millis > 0 ? { millis, isDuration: false } : undefined
}

const untilDate = (text: string, now: () => number): number => {
  const at = dateMillis(text)
  return at === undefined ? 0 : at - now()
}

const goDuration = /^(?:\d+(?:\.\d+)?(?:h|ms|us|µs|ns|m|s)){1,8}$/
const amountAndUnit = /(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)/g
const millisPer: Readonly<Record<string, number>> = {
  h: hour,
  m: minute,
  s: second,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6
}

// RFC 3339, and the date format of HTTP; `DateTime.make` alone reads far more.
const date = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}|^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} /

const dateMillis = (value: string | undefined): number | undefined =>
  value !== undefined && date.test(value)
    ? Option.getOrUndefined(Option.map(DateTime.make(value), DateTime.toEpochMillis))
    : undefined
