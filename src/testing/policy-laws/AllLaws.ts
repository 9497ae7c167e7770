/**
 * All laws of policies, in the order of their promises.
 */
import type { Breach } from "../laws/Search.ts"
import type { Allows, Law } from "./Law.ts"
import { cachesOnlyWholeAnswers, oneWellFormedStream, sentOnceAndUnchanged } from "./OfAnswers.ts"
import { attemptsAreBounded, deadlineShrinks, interruptionLeavesNothing, neverTooEarly } from "./OfAttempts.ts"
import { asManyAtOnceAsAllowed, limitsHoldEverywhere } from "./OfProviders.ts"
import { requestsArriveUnchanged } from "./OfRequests.ts"
import { everyCallEnds, stateIsBounded } from "./OfState.ts"
import type { Trace } from "./Trace.ts"

/** The ten promises in their order, and that nothing hangs or breaks meanwhile. */
export const laws: ReadonlyArray<Law> = [
  sentOnceAndUnchanged,
  interruptionLeavesNothing,
  attemptsAreBounded,
  neverTooEarly,
  oneWellFormedStream,
  deadlineShrinks,
  cachesOnlyWholeAnswers,
  stateIsBounded,
  limitsHoldEverywhere,
  asManyAtOnceAsAllowed,
  requestsArriveUnchanged,
  everyCallEnds
]

/** The breaches of a run, each with the law that is broken. */
export const breachesOf = (trace: Trace, allows: Allows, of: ReadonlyArray<Law>): ReadonlyArray<Breach> =>
  of.flatMap((law) => law.breaches(trace, allows).map((what) => ({ law: law.name, what })))
