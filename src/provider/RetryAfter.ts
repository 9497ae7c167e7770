/**
 * Reads how long a provider asks to wait before the next attempt.
 *
 * Zero, negative and unreadable values mean "not said", never "now", so a broken gateway cannot turn a back-off into a
 * hot loop. Waits are rounded up to whole milliseconds.
 */
import { Array, DateTime, Duration, Option } from "effect"
import * as LimitHeaders from "../core/call/LimitHeaders.ts"

/**
 * Reads the wait from response headers: `retry-after-ms` first, then `x-ms-retry-after-ms`, then `retry-after` as
 * seconds or as an HTTP date.
 *
 * Header names are in lower case, as `fetch` gives them. A date counts from the response's own `date` header, so a wrong
 * local clock does no harm; without that header from `nowMillis` (milliseconds since 1970); without both it is not said.
 * A number too large for a wait is such a date too: seconds, or milliseconds, since 1970. Of a header that came more than once the
 * longest wait counts.
 *
 * **Example**
 *
 * ```ts run
 * import { Duration, Option } from "effect"
 * import { RetryAfter } from "holdfast/provider"
 *
 * RetryAfter.fromHeaders({ "retry-after": "20", "retry-after-ms": "1500" }) // => Option.some(Duration.millis(1500))
 * RetryAfter.fromHeaders({ "retry-after": "-1" }) // => Option.none()
 * ```
 */
export const fromHeaders = (
  headers: Readonly<Record<string, string>>,
  nowMillis?: number | undefined
): Option.Option<Duration.Duration> => {
  const now = Option.orElse(Option.firstSomeOf(valuesOf(headers[LimitHeaders.date]).map(dateMillis)), () =>
    Option.fromUndefinedOr(nowMillis)
  )
  return Option.firstSomeOf([
    ...LimitHeaders.waits.map(({ millis, name }) => longest(headers[name], (value) => fromNumber(value, millis, now))),
    ...LimitHeaders.waits.map(({ isDate, name }) =>
      longest(isDate ? headers[name] : undefined, (value) => until(dateMillis(value), now))
    )
  ])
}

/** Values of a header that came more than once are joined by commas. One behind the day of the week is part of a date. */
const valuesOf = (joined: string | undefined): ReadonlyArray<string> => joined?.split(/,(?! ?\d\d [A-Z])/) ?? []

const longest = (
  joined: string | undefined,
  read: (value: string) => Option.Option<Duration.Duration>
): Option.Option<Duration.Duration> =>
  Option.reduceCompact(valuesOf(joined).map(read), Option.none<Duration.Duration>(), (most, wait) =>
    Option.some(Option.match(most, { onNone: () => wait, onSome: (before) => Duration.max(before, wait) }))
  )

/**
 * Reads the wait a text asks for, such as "Please try again in 1m9.696s", "Try again in 2 seconds" or "39s".
 *
 * Use it only where headers say nothing: behind gateways that drop them, and for errors inside a stream.
 */
export const fromText = (text: string): Option.Option<Duration.Duration> => {
  const parts = Array.fromIterable((asked.exec(text)?.[1] ?? "").matchAll(amountAndUnit))
  return positive(parts.reduce((sum, [, amount, unit = ""]) => sum + Number(amount) * millisPer(unit.toLowerCase()), 0))
}

/** A number that would be a wait of decades is meant as a time since 1970. */
const fromNumber = (value: string, unit: number, now: Option.Option<number>): Option.Option<Duration.Duration> => {
  if (!decimal.test(value)) return Option.none()
  const millis = Number(value) * unit
  return millis < leastTime ? positive(millis) : until(Option.some(millis), now)
}

/** The year 2001, in milliseconds since 1970. */
const leastTime = 1e12

const until = (time: Option.Option<number>, now: Option.Option<number>): Option.Option<Duration.Duration> =>
  Option.flatMap(Option.all([time, now]), ([time, now]) => positive(time - now))

const positive = (millis: number): Option.Option<Duration.Duration> =>
  Number.isFinite(millis) && millis > 0 ? Option.some(Duration.millis(Math.ceil(millis))) : Option.none()

const dateMillis = (value: string): Option.Option<number> =>
  httpDate.test(value.trim()) ? Option.map(DateTime.make(value.trim()), DateTime.toEpochMillis) : Option.none()

const decimal = /^\s*\d+(?:\.\d+)?\s*$/

/** The one date format senders may use (RFC 9110, IMF-fixdate). The two older ones carry no usable year or zone. */
const httpDate =
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d{2}:\d{2}:\d{2} GMT$/

const asked =
  /(?:^|\b(?:try again|retry) (?:in|after) )((?:\d+(?:\.\d+)?\s*(?:ms|milliseconds?|seconds?|minutes?|hours?|[smh])(?![a-z])\s*){1,8})/i
const amountAndUnit = /(\d+(?:\.\d+)?)\s*([a-z]+)/gi

const millisPer = (unit: string): number =>
  unit === "ms" || unit.startsWith("milli") ? 1 : ({ s: 1_000, m: 60_000, h: 3_600_000 }[unit.charAt(0)] ?? 0)
