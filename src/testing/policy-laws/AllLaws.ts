/**
 * All laws of policies, in the order of their promises.
 */
import type { Allows, Law } from "./Law.ts"
import { cachesOnlyWholeAnswers, oneWellFormedStream, sentOnceAndUnchanged } from "./OfAnswers.ts"
import { attemptsAreBounded, deadlineShrinks, interruptionLeavesNothing, neverTooEarly } from "./OfAttempts.ts"
import { everyCallEnds, stateIsBounded } from "./OfState.ts"
import type { Trace } from "./Trace.ts"

/** The eight promises in their order, and that nothing hangs or breaks meanwhile. */
export const laws: ReadonlyArray<Law> = [
  sentOnceAndUnchanged,
  interruptionLeavesNothing,
  attemptsAreBounded,
  neverTooEarly,
  oneWellFormedStream,
  deadlineShrinks,
  cachesOnlyWholeAnswers,
  stateIsBounded,
  everyCallEnds
]

export interface Breach {
  readonly law: string
  readonly what: string
}

/** The breaches of a run, each with the law that is broken. */
export const breachesOf = (trace: Trace, allows: Allows, of: ReadonlyArray<Law> = laws): ReadonlyArray<Breach> =>
  of.flatMap((law) => law.breaches(trace, allows).map((what) => ({ law: law.name, what })))
