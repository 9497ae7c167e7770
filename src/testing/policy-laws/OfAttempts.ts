/**
 * The promises about attempts: how many there are, when they begin and end, and by which clocks.
 */
import { Duration } from "effect"
import * as Failure from "../../core/Failure.ts"
import { type Law, millis, type Rate } from "./Law.ts"
import type { Call } from "./Program.ts"
import type { AttemptSeen, CallSeen, Trace } from "./Trace.ts"

/** Times are sums of fractions of milliseconds, and so are not exact. */
const grain = 1e-3

/** The attempts made for a call, or behind it, in the order in which they began. */
export const attemptsOf = ({ attempts }: Trace, call: CallSeen, behind = false): ReadonlyArray<AttemptSeen> =>
  attempts.filter((attempt) => attempt.call === call.number && attempt.isBehind === behind)

/** Whether calls may share attempts, or get answers that others had before. */
export const isSharing = ({ settled }: Trace): boolean =>
  settled.health.some(({ _tag }) => _tag === "SingleFlight" || _tag === "ResponseCache")

/**
 * When a call has ended, however it did, none of its attempts goes on unless others wait for it, and no fiber is left of
 * it.
 */
export const interruptionLeavesNothing: Law = {
  name: "interruptionLeavesNothing",
  breaches: (trace, { tellsBehind }) =>
    trace.calls.flatMap(({ ended, fibers, number, orphans }) => {
      const left = orphans.filter((orphan) => trace.attempts[orphan]?.isBehind === false)
      return [
        ...(left.length > 0 ? [`call ${number} ${ended} and left attempt ${left.join(", ")} open`] : []),
        ...(fibers > 0 && !isSharing(trace) && tellsBehind !== true
          ? [`call ${number} ${ended} and left ${fibers} fiber(s)`]
          : [])
      ]
    })
}

/** A call makes no more attempts than the options of all policies allow together, nor do all calls more retries. */
export const attemptsAreBounded: Law = {
  name: "attemptsAreBounded",
  breaches: (trace, allows) => {
    const ofCalls = trace.calls.flatMap((call) =>
      [false, true].flatMap((behind) => {
        const made = attemptsOf(trace, call, behind)
        const granted = 1 + Math.max(0, ...made.map((attempt) => attempt.granted))
        const most = Math.min(granted, allows.attempts ?? Infinity)
        return made.length <= most ? [] : [`call ${call.number} made ${made.length} attempts, ${most} are allowed`]
      })
    )
    if (allows.retries === undefined) return ofCalls
    const { ratio, reserve } = allows.retries
    const { calls } = trace
    const further = calls.reduce((sum, call) => {
      const first = attemptsOf(trace, call).filter(({ model }) => model === 0)
      return sum + Math.max(0, first.length - 1)
    }, 0)
    const most = Math.max(reserve, ratio * calls.length)
    return further <= most
      ? ofCalls
      : [...ofCalls, `${calls.length} calls made ${further} further attempts, ${most} are allowed`]
  }
}

/**
 * A model is not asked again by a call before the time it asked for, nor at all when it said that it cannot succeed; no
 * two callers come back after the same wait; and no more go than rate limits let through.
 */
export const neverTooEarly: Law = {
  name: "neverTooEarly",
  breaches: (trace, { paced, rates = [] }) => [
    // On a busy machine a time limit may pass before anybody heard of the failure.
    ...(trace.isLate ? [] : trace.calls).flatMap((call) => {
      const made = attemptsOf(trace, call)
      return made.flatMap((failed, index) => tooEarly(failed, made.slice(index + 1)))
    }),
    ...sameWaits(trace),
    ...(paced === true && !trace.isLate ? trace.attempts.flatMap((failed) => outOfPace(failed, trace)) : []),
    ...(trace.isLate ? [] : rates.flatMap((rate) => tooMany(rate, trace)))
  ]
}

const tooEarly = (
  { call, endMillis, error, model, number }: AttemptSeen,
  others: ReadonlyArray<AttemptSeen>
): ReadonlyArray<string> => {
  // Not those that were begun beside it, just when it failed.
  const next = others.find(
    (other) =>
      other.model === model &&
      (other.startMillis > endMillis || (other.startMillis === endMillis && other.origin === "retry"))
  )
  if (error === undefined || next === undefined) return []
  const asked = `call ${call} asked again by attempt ${next.number}`
  if (hopeless.has(error.reason._tag)) return [`${asked}, although attempt ${number} failed with ${error.reason._tag}`]
  const { retryAfter } = Failure.describe(error)
  const waited = next.startMillis - endMillis
  const least = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  return waited + grain < least
    ? [`${asked} ${waited} ms after attempt ${number}, which asked to wait ${least} ms`]
    : []
}

/** What no further attempt at the same model can change. */
const hopeless: ReadonlySet<string> = new Set([
  "AuthenticationError",
  "ContentPolicyError",
  "InvalidRequestError",
  "QuotaExhaustedError"
])

const sameWaits = ({ calls }: Trace): ReadonlyArray<string> => {
  const waits = calls.flatMap(({ decisions }) =>
    decisions.flatMap(({ decision }) => (decision._tag === "RetryScheduled" ? [decision.waitMillis] : []))
  )
  const same = waits.find((wait, index) => wait > 0 && waits.indexOf(wait) < index)
  return same === undefined ? [] : [`two retries waited the same ${same} ms`]
}

const outOfPace = ({ endMillis, error, model, number }: AttemptSeen, { attempts }: Trace): ReadonlyArray<string> => {
  if (model !== 0 || error?.reason._tag !== "RateLimitError" || error.retryAfter === undefined) return []
  const until = endMillis + Duration.toMillis(error.retryAfter)
  return attempts.flatMap((later) =>
    later.model === 0 && later.startMillis > endMillis && later.startMillis < until
      ? [`attempt ${later.number} began at ${later.startMillis}, but attempt ${number} asked to wait until ${until}`]
      : []
  )
}

const tooMany = ({ burst, ofAnswers, perMilli }: Rate, { attempts }: Trace): ReadonlyArray<string> => {
  const made = attempts.filter(
    ({ ended, model }) => model === 0 && (ofAnswers !== true || ended === "completed" || ended === "interrupted")
  )
  // A bucket, full at first: what is in it when the first of those in question begins is at most its whole content.
  let level = burst
  let at = 0
  return made.flatMap(({ number, startMillis }) => {
    level = Math.min(burst, level + (startMillis - at) * perMilli) - 1
    at = startMillis
    return level < -grain ? [`attempt ${number} began at ${startMillis}, ${-level} too many for ${burst} at once`] : []
  })
}

/**
 * What is left of a call's time never grows, nothing further is begun when nothing is left, and no clock is put off by
 * what says nothing.
 */
export const deadlineShrinks: Law = {
  name: "deadlineShrinks",
  breaches: (trace, allows) => {
    const shares = isSharing(trace)
    const ofDeadlines = trace.calls.flatMap((call) => {
      const made = attemptsOf(trace, call).filter(({ deadline }) => !shares || deadline !== undefined)
      return [
        ...grown(shares ? { ...call.plan, deadline: undefined } : call.plan, call.startMillis, made),
        // What a reader takes its time over may be over by then.
        ...(trace.isLate || call.plan.pause !== undefined ? [] : made.flatMap(begunTooLate))
      ]
    })
    // A busy machine is late with everything.
    if (trace.isLate) return ofDeadlines
    const { attempt, overall, silence, tokensPerSecond } = allows
    return [
      ...ofDeadlines,
      ...trace.calls.flatMap(({ endMillis, number, plan, startMillis }) =>
        plan.pause === undefined && endMillis - startMillis > millis(overall) + grain
          ? [`call ${number} took ${endMillis - startMillis} ms, ${millis(overall)} are allowed`]
          : []
      ),
      ...(tokensPerSecond === undefined ? [] : trace.attempts.flatMap((each) => tooSlow(each, tokensPerSecond))),
      ...trace.attempts.flatMap(({ endMillis, longestSilence, method, model, number, startMillis }) => {
        if (model !== 0) return []
        if (method === "streamText") {
          return longestSilence > millis(silence) + grain
            ? [`attempt ${number} said nothing for ${longestSilence} ms, ${millis(silence)} are allowed`]
            : []
        }
        return endMillis - startMillis > millis(attempt) + grain
          ? [`attempt ${number} took ${endMillis - startMillis} ms, ${millis(attempt)} are allowed`]
          : []
      })
    ]
  }
}

/** How long a stream may be slow before its speed counts, and what counts as a token of it. */
const slow = { millis: 5_000, characters: 4 } as const

const tooSlow = ({ flow, model, number }: AttemptSeen, tokensPerSecond: number): ReadonlyArray<string> => {
  const found = flow.find(
    ({ characters, millis }) =>
      millis > Math.max(slow.millis, (characters / slow.characters / tokensPerSecond) * 1_000) + grain
  )
  return found === undefined || model !== 0
    ? []
    : [`attempt ${number} brought ${found.characters} characters in ${found.millis} ms, and went on`]
}

const remaining = ({ deadline = Infinity, startMillis }: AttemptSeen): number => deadline - startMillis

const grown = ({ deadline }: Call, startMillis: number, made: ReadonlyArray<AttemptSeen>): ReadonlyArray<string> => {
  let before = Infinity
  return made.flatMap((attempt) => {
    const left = remaining(attempt)
    const most = Math.min(before, startMillis + (deadline ?? Infinity) - attempt.startMillis)
    before = left
    return left > most + grain ? [`attempt ${attempt.number} had ${left} ms left, at most ${most} were`] : []
  })
}

const begunTooLate = (attempt: AttemptSeen): ReadonlyArray<string> =>
  attempt.origin !== "call" && remaining(attempt) <= 0
    ? [`attempt ${attempt.number} (${attempt.origin}) began when no time was left`]
    : []
