/**
 * Names how urgent something is: a level or a number, of which the higher goes first.
 */

/** The named levels. */
export const levels = { low: -10, normal: 0, high: 10, critical: 20 } as const

export type Priority = keyof typeof levels | number

/** The number of a level. */
export const toNumber = (priority: Priority): number => (typeof priority === "number" ? priority : levels[priority])
