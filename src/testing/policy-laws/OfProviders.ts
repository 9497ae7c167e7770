/**
 * The promise of a pipeline about all the providers that it asks: what is set on it holds for each of them, and what they
 * share they share.
 */
import * as Usage from "../../core/call/Usage.ts"
import { bounds, type Everywhere, type Law } from "./Law.ts"
import { beyond, tenantOf } from "./OfAttempts.ts"
import type { Trace } from "./Trace.ts"

/** Times are sums of fractions of milliseconds, and so are not exact. */
const grain = 1e-3

/**
 * Limits that are set once hold for every model that is asked, and not only for the first: so many attempts at a time and
 * at such a pace at each, no attempt longer than it may be, and one budget and one tenant's limit over all of them.
 */
export const limitsHoldEverywhere: Law = {
  name: "limitsHoldEverywhere",
  breaches: (trace, { everywhere }) =>
    everywhere === undefined
      ? []
      : [
          ...tooManyAtOnce(trace, everywhere),
          ...overspent(trace, everywhere),
          // A busy machine is late with everything.
          ...(trace.isLate ? [] : [...tooLong(trace, everywhere), ...tooFast(trace, everywhere)])
        ]
}

const tooManyAtOnce = ({ attempts }: Trace, { concurrency = Infinity }: Everywhere): ReadonlyArray<string> =>
  attempts.flatMap(({ model, number, startMillis }) => {
    const open = attempts.filter(
      (other) =>
        other.model === model &&
        other.number < number &&
        other.startMillis <= startMillis &&
        other.endMillis > startMillis
    )
    return open.length < concurrency
      ? []
      : [`attempt ${number} began at model ${model} beside ${open.length} others, ${concurrency} are allowed`]
  })

const tooLong = ({ attempts }: Trace, { attempt = Infinity }: Everywhere): ReadonlyArray<string> =>
  attempts.flatMap(({ endMillis, method, model, number, startMillis }) =>
    method === "streamText" || endMillis - startMillis <= attempt + grain
      ? []
      : [`attempt ${number} at model ${model} took ${endMillis - startMillis} ms, ${attempt} are allowed`]
  )

const tooFast = (trace: Trace, { perModel, perTenant }: Everywhere): ReadonlyArray<string> => [
  ...(perModel === undefined ? [] : beyond(trace.attempts, perModel, ({ model }) => `model ${model}`)),
  ...(perTenant === undefined
    ? []
    : beyond(trace.attempts, perTenant, (attempt) => `tenant ${tenantOf(trace, attempt)}`))
]

const overspent = (trace: Trace, { tokens = Infinity }: Everywhere): ReadonlyArray<string> =>
  trace.attempts.flatMap((attempt) => {
    const tenant = tenantOf(trace, attempt)
    const spent = trace.attempts
      .filter(
        (other) =>
          other.ended === "completed" && other.endMillis < attempt.startMillis && tenantOf(trace, other) === tenant
      )
      .reduce((sum, { chunks }) => {
        const { inputTokens, outputTokens } = Usage.fromParts(chunks.flat())
        return sum + inputTokens + outputTokens
      }, 0)
    return spent < tokens
      ? []
      : [`attempt ${attempt.number} at model ${attempt.model} began when ${spent} of ${tokens} tokens were spent`]
  })

/**
 * As many calls as the options allow are under way at the first model at the same time: never more, and so many where so many
 * are made of a model that is well.
 */
export const asManyAtOnceAsAllowed: Law = {
  name: "asManyAtOnceAsAllowed",
  breaches: (trace, { concurrency }) => {
    const { atLeast, atMost } = bounds(concurrency)
    const counts = underWay(trace)
    const beyond = counts.find(({ calls }) => calls > atMost)
    const ofProbes = counts.filter(({ at }) => at >= (trace.probes[0]?.startMillis ?? Infinity))
    const most = Math.max(0, ...ofProbes.map(({ calls }) => calls))
    return [
      ...(beyond === undefined
        ? []
        : [`${beyond.calls} calls were under way at the first model at ${beyond.at}, ${atMost} are allowed`]),
      // On a busy machine one may have ended before the next was begun.
      ...(most < atLeast && !trace.isLate && trace.ending === "success"
        ? [`of ${atLeast} calls that were made at once, ${most} were under way at the first model at a time`]
        : [])
    ]
  }
}

/** How many calls were under way at the first model whenever an attempt began there; those made behind a call are none. */
const underWay = ({ attempts }: Trace): ReadonlyArray<{ readonly at: number; readonly calls: number }> => {
  const made = attempts.filter(({ isBehind, model }) => model === 0 && !isBehind)
  return made.map(({ number, startMillis }) => {
    const open = made.filter(
      (other) => other.number <= number && (other.number === number || other.endMillis > startMillis)
    )
    return { at: startMillis, calls: new Set(open.map(({ call }) => call)).size }
  })
}
