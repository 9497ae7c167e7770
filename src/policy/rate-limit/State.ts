/**
 * Decides for one key when the next call may go: a pure step over all its limits, its pace and its pauses.
 */
import * as Bucket from "./Bucket.ts"
import { type Dimension, leastOf, type Told } from "./Headers.ts"
import * as Pace from "./Pace.ts"

/** What a call takes, or several do together. */
export type Need = Readonly<Record<Dimension, number>>

export interface State {
  /** What was given as options, and beside it what was learned: all of them hold. */
  readonly buckets: ReadonlyArray<Bucket.Bucket>
  readonly pace: Pace.Pace
  /** Nothing goes before. */
  readonly pausedUntil: number
  /** All that was ever let through. */
  readonly admitted: Need
  /** The newest call whose response was heard, and the newest that had gone when the last rejection was known. */
  readonly heard: number
  readonly rejected: number
  /** Rejections in a row with nothing let through between them. */
  readonly strikes: number
  /** The most requests that may go at once, if that was given. */
  readonly burst: number | undefined
  /** Whether limits are learned. */
  readonly learns: boolean
  /** When the last call was let through. */
  readonly wentAtMillis: number
}

/**
 * However little a provider told, a call goes when none went for so long, and finds out whether that still holds: 5 minutes.
 * So one odd header locks nobody out.
 */
export const probeAfterMillis = 5 * 60_000

/** A call that was let through. */
export interface Taken {
  readonly number: number
  readonly atMillis: number
  readonly need: Need
  /** All that was let through up to here, this call included. */
  readonly admitted: Need
}

/** What a call takes of which no tokens are counted. */
export const oneRequest: Need = { requests: 1, tokens: 0, inputTokens: 0, outputTokens: 0 }

/** What nobody takes. */
export const nothing: Need = { ...oneRequest, requests: 0 }

/** `learns`: while no limit of requests is known, begin slowly. */
export const make = (given: ReadonlyArray<Bucket.Bucket>, learns: boolean, now: number, burst?: number): State => ({
  buckets: given,
  pace: Pace.make(learns && paceKnown(given) === undefined ? "starting" : "free", now, burst),
  pausedUntil: 0,
  admitted: nothing,
  heard: 0,
  rejected: 0,
  strikes: 0,
  burst,
  learns,
  wentAtMillis: now
})

/** The state now: what was told too long ago is forgotten, also when no call came meanwhile. */
export const current = (state: State, now: number): State => {
  if (state.buckets.every(({ expiresAtMillis }) => now < expiresAtMillis)) return state
  const buckets = state.buckets.filter(({ expiresAtMillis }) => now < expiresAtMillis)
  const begins = state.learns && state.pace.kind === "free" && paceKnown(buckets) === undefined
  return { ...state, buckets, pace: begins ? Pace.make("starting", now, state.burst) : state.pace }
}

/** Whether it is as if no call had ever been made: it allows all that it may at once, and nothing holds back a call. */
export const isClear = (state: State, now: number): boolean =>
  state.pausedUntil <= now &&
  state.buckets.every((bucket) => Bucket.level(bucket, now) > bucket.capacity - 1e-6) &&
  Pace.isClear(Pace.relax(state.pace, paceKnown(state.buckets), now), now)

/** Whether tokens count, so that it is worth while to estimate them. */
export const countsTokens = (state: State): boolean => state.buckets.some(({ dimension }) => dimension !== "requests")

export interface Wait {
  readonly millis: number
  /** Which limit it is for. */
  readonly dimension: Dimension
}

/**
 * How long until a call that needs this may go, 0 when it may now; `before` is what others need that go before it. What was
 * told holds it back until it is forgotten or probed at the latest.
 */
export const wait = (state: State, need: Need, now: number, before: Need = nothing): Wait => {
  const requests = before.requests + need.requests
  let millis = Math.max(0, state.pausedUntil - now, Pace.wait(state.pace, requests, now))
  let dimension: Dimension = "requests"
  for (const bucket of state.buckets) {
    const full = Bucket.wait(bucket, need[bucket.dimension], now, before[bucket.dimension])
    const until = bucket.learned ? Math.min(bucket.expiresAtMillis, state.wentAtMillis + probeAfterMillis) : Infinity
    const other = Math.min(full, Math.max(0, until - now))
    if (other > millis) {
      millis = other
      dimension = bucket.dimension
    }
  }
  return { millis, dimension }
}

/**
 * The given limit of tokens that is far too small for this call, if there is one. Estimates may be wrong by half, and what was
 * told may be wrong altogether: it is for the provider to refuse the call.
 */
export const tooSmall = (state: State, need: Need): Bucket.Bucket | undefined =>
  state.buckets.find(
    ({ dimension, learned, limit }) => !learned && dimension !== "requests" && need[dimension] > 2 * limit
  )

/** Lets a call through. */
export const take = (state: State, need: Need, now: number): readonly [State, Taken] => {
  const admitted = add(state.admitted, need)
  return [
    {
      ...state,
      admitted,
      wentAtMillis: now,
      buckets: state.buckets.map((bucket) => Bucket.take(bucket, need[bucket.dimension], now)),
      pace: Pace.take(Pace.relax(state.pace, paceKnown(state.buckets), now), now)
    },
    { number: admitted.requests, atMillis: now, need, admitted }
  ]
}

/** Corrects what was taken, once it is known what was used. */
export const settle = (state: State, { need }: Taken, used: Need, now: number): State =>
  need === used
    ? state
    : {
        ...state,
        buckets: state.buckets.map((bucket) =>
          Bucket.giveBack(bucket, Bucket.unused(bucket, need[bucket.dimension] - used[bucket.dimension]), now)
        )
      }

/** Puts back all that a call took which was never sent. */
export const undo = (state: State, taken: Taken, now: number): State => settle(state, taken, nothing, now)

/**
 * Takes in what the response to a call said about limits; nothing when a newer call's response was heard before.
 *
 * What remains was true about when the call was sent: what has gone since then is taken off, what has refilled is added.
 * A told remainder only ever takes away, so that all who wait for it do not go at once.
 */
export const learn = (state: State, told: ReadonlyArray<Told>, taken: Taken, now: number): State => {
  if (told.length === 0 || taken.number < state.heard) return state
  const buckets = [...state.buckets]
  for (const one of told) {
    const {
      dimension,
      limit,
      windowFits: [least, most]
    } = one
    const since = state.admitted[dimension] - taken.admitted[dimension]
    const at = buckets.findIndex((bucket) => bucket.learned && bucket.dimension === dimension)
    const known = buckets[at]
    let bucket = known
    // What was found out before holds as long as nothing speaks against it.
    const isKnown = known !== undefined && known.windowMillis >= least && known.windowMillis <= most
    const windowMillis = isKnown ? known.windowMillis : one.windowMillis
    if (limit !== undefined && (known?.limit !== limit || known.windowMillis !== windowMillis)) {
      const given = state.buckets.find((bucket) => !bucket.learned && bucket.dimension === dimension)?.capacity
      const burst = given ?? (dimension === "requests" ? state.burst : undefined)
      bucket = Bucket.make({ dimension, limit, windowMillis, burst, learned: true, now })
      const there = known === undefined ? bucket.capacity - since - taken.need[dimension] : Bucket.level(known, now)
      bucket = Bucket.lower(bucket, Math.max(0, there), now)
    }
    if (bucket === undefined) continue
    bucket = Bucket.confirm(bucket, now)
    if (one.remaining !== undefined) {
      const refilled = ((now - taken.atMillis) * bucket.limit) / bucket.windowMillis
      const there = Math.max(0, one.remaining - since + refilled)
      if (there < Bucket.level(bucket, now)) bucket = Bucket.lower(bucket, there, now)
    }
    if (known === undefined) buckets.push(bucket)
    else buckets[at] = bucket
  }
  return { ...state, buckets, heard: taken.number, pace: Pace.relax(state.pace, paceKnown(buckets), now) }
}

export interface Rejection {
  readonly retryAfterMillis: number | undefined
  /** What its headers said about limits. */
  readonly told: ReadonlyArray<Told>
  /** A random number from 0 to 1. */
  readonly draw: number
}

/**
 * Takes in that a call was rejected: nothing goes for the time it was told to wait, and then calls go one by one.
 *
 * The time is the longest of Retry-After and of what the limits that were used up need to let the call through. Where
 * nothing was said it is a second, and twice as long each time it was too short. Up to a twentieth is added by `draw`, at
 * most a second, so that processes which were rejected together do not come back together.
 */
export const reject = (state: State, { draw, retryAfterMillis, told }: Rejection, taken: Taken, now: number): State => {
  const isFirst = taken.number > state.rejected
  const isLimitKnown = paceKnown(state.buckets) !== undefined
  const wasTooShort = state.rejected > 0 && state.pace.accepted <= 1
  const strikes = !isFirst ? state.strikes : wasTooShort ? state.strikes + 1 : 0
  const asked = Math.max(retryAfterMillis ?? 0, ...told.map((one) => timeUntilSome(one, taken.need)))
  const pauseMillis = asked > 0 ? asked : Math.min(longestGuess, 1_000 * 2 ** strikes)
  const until = now + pauseMillis + draw * Math.min(1_000, pauseMillis / 20)
  return {
    ...state,
    pausedUntil: Math.max(state.pausedUntil, until),
    rejected: isFirst ? state.admitted.requests : state.rejected,
    strikes,
    pace: Pace.reject(state.pace, { pause: pauseMillis, until, isFirst, isLimitKnown }, now),
    buckets: state.buckets.map((bucket) =>
      bucket.dimension === "requests"
        ? isPace(bucket)
          ? Bucket.lower(bucket, 1, until)
          : bucket
        : Bucket.giveBack(bucket, taken.need[bucket.dimension], now)
    )
  }
}

/** Lets nothing go for a time, of a provider that is not well and said when to come back. */
export const pause = (state: State, millis: number, now: number): State => ({
  ...state,
  pausedUntil: Math.max(state.pausedUntil, now + millis)
})

const longestGuess = 60_000

// Of a limit that is used up; a rejection that does not say how much remains says that nothing does.
const timeUntilSome = ({ dimension, isContinuous, limit, remaining, resetMillis, windowMillis }: Told, need: Need) => {
  if (resetMillis === undefined || (remaining !== undefined && remaining >= Math.max(1, need[dimension]))) return 0
  const some = limit === undefined ? Infinity : (Math.max(1, need[dimension]) * windowMillis) / limit
  return isContinuous ? Math.min(resetMillis, some) : resetMillis
}

// The least of the limits of requests that say something about a pace, in calls a millisecond.
const paceKnown = (buckets: ReadonlyArray<Bucket.Bucket>): number | undefined => {
  let least: number | undefined
  for (const bucket of buckets) {
    if (isPace(bucket)) least = Math.min(least ?? Infinity, bucket.limit / bucket.windowMillis)
  }
  return least
}

/** Says whether a limit tells a pace: over more than a minute it is a quota, which may be used up at any. */
export const isPace = ({ dimension, windowMillis }: Bucket.Bucket) => dimension === "requests" && windowMillis <= 60_000

/** Adds up what calls need. */
export const add = (self: Need, that: Need): Need => ({
  requests: self.requests + that.requests,
  tokens: self.tokens + that.tokens,
  inputTokens: self.inputTokens + that.inputTokens,
  outputTokens: self.outputTokens + that.outputTokens
})

/** What is left of a sum without one of its parts. */
export const subtract = (self: Need, that: Need): Need => ({
  requests: self.requests - that.requests,
  tokens: self.tokens - that.tokens,
  inputTokens: self.inputTokens - that.inputTokens,
  outputTokens: self.outputTokens - that.outputTokens
})

/** The limits and what they allow now, for health. */
export const limits = (state: State, now: number) =>
  state.buckets.map((bucket) => ({
    dimension: bucket.dimension,
    limit: bucket.limit,
    windowMillis: bucket.windowMillis,
    available: Math.max(0, Bucket.level(bucket, now)),
    learned: bucket.learned,
    expiresInMillis: bucket.learned ? Math.ceil(bucket.expiresAtMillis - now) : undefined,
    clamped: bucket.learned && (bucket.limit * probeAfterMillis) / bucket.windowMillis < leastOf[bucket.dimension]
  }))
