/**
 * The promises about attempts: how many there are, when they begin and end, and by which clocks.
 */
import { Duration } from "effect"
import * as Verdict from "../../core/call/Verdict.ts"
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
    trace.calls.flatMap(({ ended, fibers, number, orphans }) => [
      ...(orphans.length > 0 ? [`call ${number} ${ended} and left attempt ${orphans.join(", ")} open`] : []),
      ...(fibers > 0 && !isSharing(trace) && tellsBehind !== true
        ? [`call ${number} ${ended} and left ${fibers} fiber(s)`]
        : [])
    ])
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
    const atFirst = trace.attempts.filter(({ model }) => model === 0)
    const behind = atFirst.filter(({ isBehind }) => isBehind)
    const refreshes = behind.filter(({ origin }) => origin === "refresh").length
    const further = trace.calls.reduce((sum, call) => {
      const made = atFirst.filter((attempt) => attempt.call === call.number && !attempt.isBehind)
      return sum + Math.max(0, made.length - 1)
    }, behind.length - refreshes)
    const calls = trace.calls.length + refreshes
    const most = Math.max(reserve, ratio * calls)
    return further <= most
      ? ofCalls
      : [...ofCalls, `${calls} calls made ${further} further attempts, ${most} are allowed`]
  }
}

/**
 * A model is not asked again by a call before the time it asked for, nor at all when it said that it cannot succeed; callers
 * who failed together do not come back together; and no more go than rate limits let through.
 *
 * All of that goes by when attempts begin and end at the models, and by nothing that policies say of themselves.
 */
export const neverTooEarly: Law = {
  name: "neverTooEarly",
  breaches: (trace, { paced, rates = [] }) => [
    // On a busy machine a time limit may pass before anybody heard of the failure.
    ...(trace.isLate
      ? []
      : [...trace.calls.flatMap((call) => askedTooEarly(attemptsOf(trace, call), trace)), ...backTogether(trace)]),
    ...(paced === true && !trace.isLate ? trace.attempts.flatMap((failed) => outOfPace(failed, trace)) : []),
    ...(trace.isLate ? [] : rates.flatMap((rate) => tooMany(rate, trace)))
  ]
}

/** What a call asked of a model too early, whether it was sent or, as the model had told the call so, was not. */
const askedTooEarly = (made: ReadonlyArray<AttemptSeen>, { attempts, unsent }: Trace): ReadonlyArray<string> => [
  ...made.flatMap((failed, index) => {
    const next = made.slice(index + 1).find((other) => other.model === failed.model && isAfter(failed, other))
    return next === undefined || failed.error === undefined
      ? []
      : tooEarly(failed, next, Verdict.of(failed.error).retryAfter)
  }),
  ...unsent.flatMap((ask) => {
    if (ask.isBehind || ask.call !== made[0]?.call) return []
    const before = made.filter(({ number }) => number < ask.number)
    const last = before.at(-1)
    // Of several that were under way together, or of several models, its policy may have heard something else.
    const isAlone = before.every(
      ({ endMillis }) => endMillis <= (last?.startMillis ?? 0) || endMillis === last?.endMillis
    )
    // A pool whose other member failed somebody else meanwhile goes back to this one; an answer that says nothing may count as a
    // failure.
    const othersAreWell = attempts.every(
      ({ chunks, endMillis, error, model }) =>
        model === ask.model || (error === undefined && chunks.flat().some(says)) || endMillis > ask.startMillis
    )
    const isFurther = last?.model === ask.model && isAlone && othersAreWell && isAfter(last, ask)
    // Nor can an application's own policy be blamed for what only Holdfast reads, as the wait in an error of overload.
    return isFurther && !isOfItsOwn.has(ask.origin) && !isOfItsOwn.has(last.origin)
      ? tooEarly(last, ask, last.error?.retryAfter)
      : []
  })
]

const says = (part: AttemptSeen["chunks"][number][number]): boolean =>
  "delta" in part ? part.delta !== "" : "text" in part ? part.text !== "" : part.type === "tool-call"

/** Whether an attempt was made when another had ended, and not beside that, just when it failed. */
const isAfter = ({ endMillis }: AttemptSeen, { origin, startMillis }: AttemptSeen): boolean =>
  startMillis > endMillis || (startMillis === endMillis && origin === "retry")

const tooEarly = (
  { call, endMillis, error, number }: AttemptSeen,
  next: AttemptSeen,
  retryAfter: Duration.Duration | undefined
): ReadonlyArray<string> => {
  if (error === undefined) return []
  const asked = `call ${call} asked again by attempt ${next.number}`
  if (hopeless.has(error.reason._tag)) return [`${asked}, although attempt ${number} failed with ${error.reason._tag}`]
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

/**
 * Calls whose attempts failed at one moment, for no reason that asks for a wait, and that made their next ones at one moment
 * too. Those that stood in a line are left out, as it may let several go at once, and so may whoever makes room by ending.
 */
const backTogether = (trace: Trace): ReadonlyArray<string> => {
  const firsts = new Map<string, number>()
  return trace.calls.flatMap((call) => {
    if (call.decisions.some(({ decision }) => decision._tag === "Waited")) return []
    const made = attemptsOf(trace, call)
    return made.flatMap((failed, index) => {
      const next = made.slice(index + 1).find(({ model }) => model === failed.model)
      if (next === undefined || !isBackOff(failed, next)) return []
      const { startMillis } = next
      if (trace.attempts.some((other) => other.call !== call.number && other.endMillis === startMillis)) return []
      const moment = `${failed.model} ${failed.endMillis} ${startMillis}`
      const first = firsts.get(moment)
      firsts.set(moment, call.number)
      return first === undefined || first === call.number
        ? []
        : [
            `calls ${first} and ${call.number} failed together, and came back together ${startMillis - failed.endMillis} ms later`
          ]
    })
  })
}

/** Whether an attempt is one more of the same kind, after one that took some time to fail. */
const isBackOff = (failed: AttemptSeen, { origin, startMillis }: AttemptSeen): boolean => {
  if (failed.error === undefined || failed.startMillis === failed.endMillis || startMillis < failed.endMillis)
    return false
  const { blame, retryAfter } = Verdict.of(failed.error)
  return blame === "fault" && retryAfter === undefined && !isOfItsOwn.has(origin)
}

/** Attempts that are made for other reasons than that one failed before, and at moments that go by these. */
const isOfItsOwn: ReadonlySet<string> = new Set(["hedge", "race", "fallback", "continuation", "refresh"])

const outOfPace = (
  { call, endMillis, error, model, number }: AttemptSeen,
  { attempts, calls }: Trace
): ReadonlyArray<string> => {
  if (model !== 0 || error?.reason._tag !== "RateLimitError" || error.retryAfter === undefined) return []
  // What a model says at the moment at which its caller leaves, or has another answer, is heard by nobody.
  const { endMillis: callEnded = Infinity, ended } = calls[call] ?? {}
  if (callEnded === endMillis && ended !== "failed") return []
  const until = endMillis + Duration.toMillis(error.retryAfter)
  return attempts.flatMap((later) =>
    later.model === 0 && later.startMillis > endMillis && later.startMillis < until
      ? [`attempt ${later.number} began at ${later.startMillis}, but attempt ${number} asked to wait until ${until}`]
      : []
  )
}

const tooMany = ({ ofAnswers, perTenant, ...rate }: Rate, trace: Trace): ReadonlyArray<string> => {
  const made = trace.attempts.filter(
    ({ ended, model }) => model === 0 && (ofAnswers !== true || ended === "completed" || ended === "interrupted")
  )
  return beyond(made, rate, (attempt) => (perTenant === true ? `tenant ${tenantOf(trace, attempt)}` : "all"))
}

/** For whom an attempt was made. */
export const tenantOf = ({ calls }: Trace, { call }: AttemptSeen): string | undefined => calls[call]?.plan.tenant

/** Attempts beyond a limit that is kept by key: a bucket for each, full at first. */
export const beyond = (
  attempts: ReadonlyArray<AttemptSeen>,
  { burst, perMilli }: Rate,
  keyOf: (attempt: AttemptSeen) => string
): ReadonlyArray<string> => {
  const buckets = new Map<string, { level: number; at: number }>()
  return attempts.flatMap((attempt) => {
    const key = keyOf(attempt)
    const { at, level } = buckets.get(key) ?? { level: burst, at: 0 }
    const left = Math.min(burst, level + (attempt.startMillis - at) * perMilli) - 1
    buckets.set(key, { level: left, at: attempt.startMillis })
    return left < -grain ? [`attempt ${attempt.number} of ${key} was ${-left} too many for ${burst} at once`] : []
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
