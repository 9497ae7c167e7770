/**
 * Names how urgent something is: a level or a number, of which the higher goes first.
 */
import * as SafeText from "../SafeText.ts"

/** The named levels. */
export const levels = { low: -10, normal: 0, high: 10, critical: 20 } as const

export type Priority = keyof typeof levels | number

/** The number of a level. Rejects what is neither with a `RangeError`: no line could put it in order. */
export const toNumber = (priority: Priority): number => {
  if (isPriority(priority)) return typeof priority === "number" ? priority : levels[priority]
  throw new RangeError(`priority must be a level or a finite number below 2^53, got ${SafeText.of(priority)}`)
}

/**
 * Whether it is a level or a number. Neither `NaN` nor an endless one is, for what waits behind an endless one would never
 * become old enough, and beyond 2^53 a point more or less is lost.
 */
export const isPriority = (value: unknown): value is Priority =>
  typeof value === "number"
    ? Math.abs(value) <= Number.MAX_SAFE_INTEGER
    : typeof value === "string" && Object.hasOwn(levels, value)
