/**
 * Names how urgent something is: a level or a number, of which the higher goes first.
 */
import * as OptionCheck from "./OptionCheck.ts"

/** The named levels. */
export const levels = { low: -10, normal: 0, high: 10, critical: 20 } as const

export type Priority = keyof typeof levels | number

/** The number of a level. Rejects what is no number with a `RangeError`: it would have no place in any order. */
export const toNumber = (priority: Priority): number => {
  const number = typeof priority === "number" ? priority : levels[priority]
  return Number.isNaN(number) ? OptionCheck.of("Caller").reject("priority", "a level or a number", number) : number
}
