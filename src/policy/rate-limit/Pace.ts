/**
 * Finds the pace a provider can stand where it does not say its limit: begins slowly, goes up while nothing is rejected,
 * and measures the limit when something is.
 *
 * - `starting`: nothing is known. A few calls go at once, and then a multiple of what was let through lately: within
 *   two seconds an unlimited provider gets everything, and a limited one rejects few.
 * - `learned`: something was rejected. The limit is what was let through from one rejection to the next, divided by the
 *   time between: both times it was used up, so that is what refilled. Calls go one by one at that pace, and it creeps up
 *   so little that what refilled during the pause lasts for a hundred calls and more; with time it goes up faster, as in
 *   CUBIC (RFC 9438), so a limit that has risen is found in some minutes.
 * - `free`: a limit is known, and nothing was rejected lately.
 */
export interface Pace {
  readonly kind: "free" | "starting" | "learned"
  /** Calls that may go now, and since when more are granted. */
  readonly level: number
  readonly atMillis: number
  /** Learned: calls a millisecond at the last rejection, and when the pause after it ended. */
  readonly measured: number
  readonly clearSinceMillis: number
  /** Let through since the last rejection; those rejected do not count. */
  readonly accepted: number
  /** The time in which they were, without most of the time in which there was nothing to do. */
  readonly busyMillis: number
  readonly lastMillis: number
  /** Starting: calls let through lately, fading with the time. */
  readonly recent: number
  /** What the last rejection was measured by, so that those of calls sent before it can still be taken into account. */
  readonly evidence: { readonly accepted: number; readonly millis: number }
  /** The longest pause of which all counts as busy. */
  readonly idleMillis: number
  /** Starting: calls that go at once. */
  readonly burst: number
}

/** Calls that go at once while nothing is known; also how many a second follow. */
const start = { burst: 10, perMilli: 0.02 } as const

/** Calls a millisecond that go whatever was measured: one a minute, which a provider that is well must be able to stand. */
const slowest = 1 / 60_000

/** Over which time calls count as "lately", and the least pause that counts as having nothing to do. */
const recentMillis = 10_000

/** `burst`: the most that may go at once. */
export const make = (kind: "free" | "starting", now: number, burst = Infinity): Pace => ({
  kind,
  level: Math.min(start.burst, burst),
  atMillis: now,
  measured: 0,
  clearSinceMillis: now,
  accepted: 0,
  busyMillis: 0,
  lastMillis: now,
  recent: 0,
  evidence: { accepted: 0, millis: 1 },
  idleMillis: recentMillis,
  burst: Math.min(start.burst, burst)
})

/** Calls a millisecond that are let through now. */
const perMilli = (pace: Pace, now: number): number => {
  switch (pace.kind) {
    case "free":
      return Infinity
    case "starting":
      return start.perMilli * (1 + (pace.recent * fading(now - pace.lastMillis)) / start.burst)
    case "learned":
      return Math.max(slowest, pace.measured * growth(pace, now))
  }
}

/** Milliseconds until the next `count` calls may all have gone. */
export const wait = (pace: Pace, count: number, now: number): number => {
  if (pace.kind === "free") return 0
  const rate = perMilli(pace, now)
  const missing = count - level(pace, rate, now)
  return missing <= 1e-6 ? 0 : Math.max(0, pace.atMillis - now) + missing / rate
}

/** Whether it lets go all that it may at once. */
export const isClear = (pace: Pace, now: number): boolean =>
  pace.kind === "free" || (pace.kind === "starting" && level(pace, perMilli(pace, now), now) > pace.burst - 1e-6)

/** Counts a call as let through. */
export const take = (pace: Pace, now: number): Pace => {
  const passed = Math.max(0, now - pace.lastMillis)
  const counted = {
    accepted: pace.accepted + 1,
    busyMillis: pace.busyMillis + Math.min(passed, pace.idleMillis),
    lastMillis: now
  }
  if (pace.kind === "free") return { ...pace, ...counted }
  return {
    ...pace,
    ...counted,
    level: level(pace, perMilli(pace, now), now) - 1,
    atMillis: Math.max(pace.atMillis, now),
    recent: pace.recent * fading(passed) + 1
  }
}

export interface Rejected {
  /** Milliseconds after which the provider wants to be asked again, and when it will be. */
  readonly pause: number
  readonly until: number
  /** Whether it tells something new; otherwise its call had been sent before the last rejection was known. */
  readonly isFirst: boolean
  readonly isLimitKnown: boolean
}

/**
 * Takes a rejection into account: nothing goes before `until`, then one by one at the pace measured. Where nothing at all
 * was accepted, nothing was measured, and it begins anew.
 */
export const reject = (pace: Pace, { isFirst, isLimitKnown, pause, until }: Rejected, now: number): Pace => {
  const passed = Math.min(now - pace.lastMillis, pace.idleMillis)
  // The first time it was not empty before: what was granted is what was there and what refills until it is again.
  const millis = Math.max(1, pace.busyMillis + passed + (pace.kind === "learned" ? 0 : pause))
  const evidence = isFirst
    ? { accepted: pace.accepted - 1, millis }
    : { ...pace.evidence, accepted: pace.evidence.accepted - 1 }
  const clearSinceMillis = Math.max(until, pace.clearSinceMillis)
  const measured: Pace = {
    ...pace,
    kind: evidence.accepted > 0 ? "learned" : isLimitKnown ? "free" : "starting",
    level: 1,
    atMillis: clearSinceMillis,
    measured: (evidence.accepted + leftOver) / evidence.millis,
    clearSinceMillis,
    evidence
  }
  if (!isFirst) return measured
  const idleMillis = Math.max(recentMillis, 2 * pause)
  return { ...measured, accepted: 0, busyMillis: 0, lastMillis: now, recent: 0, idleMillis }
}

/** Forgets what was learned when it has not held anything back for long; `limit` is the limit known, per millisecond. */
export const relax = (pace: Pace, limit: number | undefined, now: number): Pace => {
  if (pace.kind !== "learned") {
    const kind = limit === undefined ? pace.kind : "free"
    return kind === pace.kind ? pace : { ...pace, kind }
  }
  const times = growth(pace, now)
  if (times < 2 || (limit === undefined ? times < 8 : times * pace.measured < limit)) return pace
  return make(limit === undefined ? "starting" : "free", now, pace.burst)
}

// What is too little for one more call.
const leftOver = 0.5

const level = (pace: Pace, rate: number, now: number): number => {
  const most = Math.max(pace.kind === "starting" ? pace.burst : 1 + lateness, rate * tickMillis)
  return Math.min(most, pace.level + Math.max(0, now - pace.atMillis) * rate)
}

// Who sleeps until the next call may go wakes up to two milliseconds later; what was granted meanwhile is not lost.
const tickMillis = 2

// A call that goes late by less than a turn does not delay those after it.
const lateness = 0.9

const fading = (millis: number): number => Math.exp(-millis / recentMillis)

// By calls since the last rejection; a minute without one counts as a hundred calls. What was measured by few calls may
// be far off, and holds the less.
const growth = (pace: Pace, now: number): number => {
  const clear = pace.accepted + (100 * Math.max(0, now - pace.clearSinceMillis)) / 60_000
  const certain = Math.min(1, (pace.evidence.accepted + leftOver) / certainty)
  return 1 + clear / (1_000 * certain) + (clear / (400 * certain)) ** 3
}

const certainty = 20
