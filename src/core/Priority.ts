/**
 * Names how urgent something is: a level or a number, of which the higher goes first.
 */

/** The named levels. */
export const levels = { low: -10, normal: 0, high: 10, critical: 20 } as const

export type Priority = keyof typeof levels | number

/** The number of a level. Rejects what is neither with a `RangeError`: no line could put it in order. */
export const toNumber = (priority: Priority): number => {
  const number = typeof priority === "number" ? priority : levels[priority]
  // False for NaN, and for a level that does not exist.
  if (number >= -Infinity) return number
  throw new RangeError(`priority must be a level or a number, got ${priority}`)
}
