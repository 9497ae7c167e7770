/**
 * Decides how many calls a server is given at a time, from how long it takes and what it refuses.
 *
 * The rule is that of Netflix's `Gradient2Limit`,
 * https://github.com/Netflix/concurrency-limits/blob/main/concurrency-limits-core/src/main/java/com/netflix/concurrency/limits/limit/Gradient2Limit.java :
 * the limit is multiplied by `baseline / latency`, at least a half and at most 1, and a few more are allowed for a queue.
 * Refusals shrink it by a share, and it grows slowly afterwards (AIMD, as their `AIMDLimit`).
 *
 * It differs in the baseline. A long-term average takes in the very queue it is to detect, and under lasting load the
 * limit climbs with it. Here the baseline is measured, as BBR measures its round trip (`ProbeRTT` in
 * https://datatracker.ietf.org/doc/draft-ietf-ccwg-bbr/ ): now and then one window runs at half the limit. If that did
 * not make calls much faster, there was no queue: the latency is the baseline, and the limit is as before. If it did,
 * the other half only stood in a queue: the limit stays halved, and is halved again until that no longer helps.
 */

export interface Settings {
  readonly min: number
  readonly max: number
  /** How many times the baseline calls may take before the limit shrinks. */
  readonly tolerance: number
}

/** Two kinds of latency that cannot be compared: until a whole answer, and until the first content of a stream. */
export type Kind = "answer" | "firstContent"

export interface State {
  /** Calls at a time; the part behind the point is for slow growth. */
  readonly limit: number
  /** How long calls take that do not stand in a queue. */
  readonly baselines: Readonly<Partial<Record<Kind, number>>>
  /** Windows since something was refused. */
  readonly calm: number
  /** Windows in a row that made the limit a good deal smaller. */
  readonly falling: number
  /** Windows since the baseline was measured. */
  readonly sinceProbe: number
  /** While the baseline is being measured: the limit before, and how long calls took with it. */
  readonly probing: { readonly limit: number; readonly kind: Kind; readonly latencyMillis: number } | undefined
}

/** What was seen of the calls that began within one window of time. */
export interface Window {
  /** The most that were in flight together. */
  readonly peak: number
  /** The median latency, of the kind of which there was more; none when nothing succeeded. */
  readonly latency: { readonly kind: Kind; readonly millis: number } | undefined
  /** Calls that ended in the server's fault, among all that ended: 0 to 1. */
  readonly faults: number
  /** Whether growing is out of the question, as the server has asked for a pause. */
  readonly paused: boolean
}

/** Windows from one measurement of the baseline to the next. */
const probeEvery = 30

/** Windows in a row that shrink the limit before the baseline is doubted. */
const doubtAfter = 3

/** A latency that falls to this share when the limit is halved was a queue's. */
const queued = 0.6

/** How much of the way a baseline goes to a lower latency: chance makes some windows fast. */
const sinking = 0.2

/** What a refusal leaves of the limit. */
const backOff = 0.8

/** The share of faults that counts as a refusal. */
const tooManyFaults = 0.1

/** What a clock cannot tell apart: latencies that differ by so many milliseconds are the same. */
const tick = 1

/** The limit to begin with. Its first window already measures the baseline. */
export const initial = (limit: number): State => ({
  limit,
  baselines: {},
  calm: Infinity,
  falling: 0,
  sinceProbe: Infinity,
  probing: undefined
})

/** What remains when the server has refused a call. Apply it once for all refusals of a round trip. */
export const refused = (settings: Settings, state: State): State => ({
  ...state,
  limit: within(settings, state.limit * backOff),
  calm: 0,
  falling: 0,
  probing: undefined
})

/** The limit for the next window. */
export const next = (settings: Settings, state: State, window: Window): State => {
  if (window.faults >= tooManyFaults) return refused(settings, state)
  const { latency, peak } = window
  if (latency === undefined) return state
  const known = state.baselines[latency.kind] ?? latency.millis
  const baseline = known + sinking * Math.min(0, latency.millis - known)
  const seen: State = {
    ...state,
    baselines: { ...state.baselines, [latency.kind]: baseline },
    calm: state.calm + 1,
    sinceProbe: state.sinceProbe + 1
  }
  if (state.probing !== undefined) return probed(seen, state.probing, latency)
  // Who does not use the limit learns nothing about it.
  if (peak <= state.limit / 2) return seen
  const half = within(settings, state.limit / 2)
  const isSaturated = peak >= Math.floor(state.limit)
  if (isSaturated && (seen.sinceProbe > probeEvery || state.falling >= doubtAfter)) {
    const { kind, millis } = latency
    return { ...seen, limit: half, probing: { limit: state.limit, kind, latencyMillis: millis } }
  }
  const gradient = Math.max(0.5, Math.min(1, (settings.tolerance * baseline + tick) / latency.millis))
  const queue = Math.max(1, Math.min(seen.calm, state.limit / 10))
  const target = within(settings, state.limit * gradient + queue)
  const limit = isSaturated && !window.paused ? target : Math.min(state.limit, target)
  return { ...seen, limit, falling: limit < state.limit * 0.9 ? state.falling + 1 : 0 }
}

const probed = (seen: State, before: NonNullable<State["probing"]>, latency: NonNullable<Window["latency"]>): State => {
  const { kind, millis } = latency
  const measured: State = {
    ...seen,
    baselines: { ...seen.baselines, [kind]: millis },
    falling: 0,
    sinceProbe: 0,
    probing: undefined
  }
  if (kind === before.kind && millis + tick <= before.latencyMillis * queued)
    return { ...measured, sinceProbe: Infinity }
  return { ...measured, limit: before.limit }
}

const within = ({ max, min }: Settings, limit: number): number => Math.max(min, Math.min(max, limit))
