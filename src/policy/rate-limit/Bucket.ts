/**
 * A token bucket: what one limit still allows now, and when it allows more.
 *
 * It holds at most `capacity` and refills with `limit` per window. Whoever needs more than the capacity is let through
 * when it is full, and leaves a debt that refills first.
 */
import type { Dimension } from "./Headers.ts"

export interface Bucket {
  readonly dimension: Dimension
  readonly limit: number
  readonly windowMillis: number
  readonly capacity: number
  /** Whether the provider said so; otherwise it was given as an option. */
  readonly learned: boolean
  /** When it is forgotten, unless the provider says it again; a limit that was given never is. */
  readonly expiresAtMillis: number
  /** What was there at `atMillis`; below zero is a debt. */
  readonly level: number
  /** When it began, or begins, to refill. */
  readonly atMillis: number
}

/**
 * The other side's bucket begins to refill when the first request arrives there, which is later than ours was sent, and
 * the next may be quicker on its way. So ours begins to refill this much later, but no more than a tenth of the window.
 */
const travelMillis = 100

/** How long what a provider told holds, from when it said it last. */
const toldForMillis = 10 * 60_000

/**
 * What may go at once: what a tenth of the window brings, or a second where that is more, and at least 1. OpenAI and
 * Anthropic say that they may enforce a limit per minute in shorter steps. A limit over more than a minute is a quota, of
 * which any part may go at once.
 */
const usualBurst = (limit: number, windowMillis: number): number =>
  windowMillis > 60_000 ? limit : Math.max(1, Math.min(limit, limit * Math.max(0.1, 1_000 / windowMillis)))

export const make = (options: {
  readonly dimension: Dimension
  readonly limit: number
  readonly windowMillis: number
  readonly burst?: number | undefined
  readonly learned: boolean
  readonly now: number
}): Bucket => {
  const { burst, dimension, learned, limit, now, windowMillis } = options
  const expiresAtMillis = learned ? now + toldForMillis : Infinity
  const capacity = Math.min(limit, burst ?? usualBurst(limit, windowMillis))
  return { dimension, limit, windowMillis, capacity, learned, expiresAtMillis, level: capacity, atMillis: now }
}

/** The same limit, told again. */
export const confirm = (bucket: Bucket, now: number): Bucket => ({ ...bucket, expiresAtMillis: now + toldForMillis })

/** What is there now. */
export const level = (bucket: Bucket, now: number): number =>
  now <= bucket.atMillis
    ? bucket.level
    : Math.min(bucket.capacity, bucket.level + ((now - bucket.atMillis) * bucket.limit) / bucket.windowMillis)

/** Milliseconds until `need` may be taken, 0 when it may now, if others take `before` of it first. */
export const wait = (bucket: Bucket, need: number, now: number, before = 0): number =>
  need + before === 0 ? 0 : waitForAll(bucket, before + Math.min(need, bucket.capacity), now)

/** Milliseconds until `need` has refilled altogether, also where it is more than there is room for at once. */
export const waitForAll = (bucket: Bucket, need: number, now: number): number => {
  const missing = need - level(bucket, now)
  // Sums of fractions may be off in the last digits; a wait for those would never end.
  if (missing <= 1e-6) return 0
  return Math.max(0, bucket.atMillis - now) + (missing * bucket.windowMillis) / bucket.limit
}

/** Takes what is needed, whether or not it is there. */
export const take = (bucket: Bucket, need: number, now: number): Bucket => {
  if (need === 0) return bucket
  const current = level(bucket, now)
  const begins = current >= bucket.capacity ? now + Math.min(travelMillis, bucket.windowMillis / 10) : now
  return { ...bucket, level: current - need, atMillis: Math.max(bucket.atMillis, begins) }
}

/** Puts back what was taken and not used, or takes, when negative, what was used beyond. */
export const giveBack = (bucket: Bucket, amount: number, now: number): Bucket =>
  amount === 0
    ? bucket
    : {
        ...bucket,
        level: Math.min(bucket.capacity, level(bucket, now) + amount),
        atMillis: Math.max(bucket.atMillis, now)
      }

/**
 * What a call gives back, or takes beyond its estimate: no more than twice of what the limit allows in its whole window, which
 * nobody can have used at once. What a server says that was used would otherwise close the limit for as long as it likes.
 */
export const unused = (bucket: Bucket, amount: number): number => Math.max(amount, -2 * bucket.limit)

/** Leaves at most `most` in it at `from`, and from then on it refills. */
export const lower = (bucket: Bucket, most: number, from: number): Bucket => ({
  ...bucket,
  level: Math.min(most, level(bucket, from)),
  atMillis: Math.max(bucket.atMillis, from)
})
