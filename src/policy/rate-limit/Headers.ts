/**
 * Reads from response headers what a provider says about its rate limits.
 *
 * Three families are known: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` (OpenAI, Azure, Groq and most servers
 * that copy OpenAI's interface), `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`,
 * and the general `ratelimit-{limit,remaining,reset}`, with and without `x-`. Zero, negative, missing and unreadable values
 * mean "not said", never "none left": Azure sends `-1` and `0` where it has nothing to say.
 */
import { DateTime, Option, Predicate } from "effect"

/** What a limit counts. */
export const dimensions = ["requests", "tokens", "inputTokens", "outputTokens"] as const
export type Dimension = (typeof dimensions)[number]

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
export const fromHeaders = (received: Readonly<Record<string, unknown>>, nowMillis: number): ReadonlyArray<Told> => {
  const read = (name: string) => {
    const value = received[name]
    return Predicate.isString(value) ? value : undefined
  }
  const now = () => dateMillis(read("date")) ?? nowMillis
  return limitsNamed.flatMap(({ dimension, family, names: [limitName, remainingName, resetName] }) => {
    const limit = positive(read(limitName))
    const remaining = positive(read(remainingName))
    if (limit === undefined && remaining === undefined) return []
    const reset = resetOf(read(resetName), now)
    const [windowMillis, ...windowFits] =
      family === "anthropic"
        ? minutes
        : family === "general"
          ? generalWindow(read("ratelimit-policy") ?? read(limitName), reset?.millis)
          : reset?.isDuration === true
            ? impliedWindow(dimension, limit, remaining ?? zero(read(remainingName)), reset.millis)
            : windowLongerThan(reset?.millis)
    const isContinuous = family === "anthropic" || reset?.isDuration === true
    return [{ dimension, limit, remaining, resetMillis: reset?.millis, windowMillis, windowFits, isContinuous }]
  })
}

const second = 1_000
const minute = 60_000
const hour = 3_600_000
const day = 86_400_000

const suffixes = { requests: "requests", tokens: "tokens", inputTokens: "input-tokens", outputTokens: "output-tokens" }

type Names = readonly [limit: string, remaining: string, reset: string]

// Which headers speak about which limit.
const limitsNamed: ReadonlyArray<{
  readonly family: "openai" | "anthropic" | "general"
  readonly dimension: Dimension
  readonly names: Names
}> = [
  ...dimensions.flatMap((dimension) => {
    const suffix = suffixes[dimension]
    const names = (name: (field: string) => string): Names => [name("limit"), name("remaining"), name("reset")]
    return [
      { family: "openai", dimension, names: names((field) => `x-ratelimit-${field}-${suffix}`) } as const,
      { family: "anthropic", dimension, names: names((field) => `anthropic-ratelimit-${suffix}-${field}`) } as const
    ]
  }),
  {
    family: "general",
    dimension: "requests",
    names: ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
  },
  {
    family: "general",
    dimension: "requests",
    names: ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]
  }
]

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
  const stated = Number(/;\s*w=(\d+)/.exec(policy ?? "")?.[1] ?? 0) * second
  return stated > 0 ? [stated, stated, stated] : windowLongerThan(resetMillis)
}

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

const goDuration = /^(?:\d+(?:\.\d+)?(?:h|ms|us|µs|ns|m|s))+$/
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
