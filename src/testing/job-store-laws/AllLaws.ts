/**
 * All laws of stores.
 */
import type { Breach } from "../laws/Search.ts"
import type { Law } from "./Law.ts"
import {
  attemptsAreRemembered,
  attemptsEndAsTold,
  limitsHold,
  lostWorkersLoseTheirJobs,
  nothingStartsEarly,
  oneClaimAtATime,
  staleTokensChangeNothing,
  whatCanRunIsGiven
} from "./OfClaims.ts"
import {
  acknowledgedJobsAreThere,
  cancellationsHold,
  nothingElseChanges,
  oneJobForOneKey,
  onlyTheOldAreDropped,
  requestsAreAnswered,
  requeuedJobsBeginAnew
} from "./OfJobs.ts"
import {
  changesHaveEvents,
  eventsHaveNoGaps,
  listsAreWhatTheyMean,
  progressIsOfItsAttempt,
  stepsAreWrittenOnce,
  textsComeBack
} from "./OfRecords.ts"
import { whoeverIsDueGoesNext } from "./OfTurns.ts"
import type { Trace } from "./Trace.ts"

/** All laws: of jobs, of claims, of turns, of what is known. */
export const laws: ReadonlyArray<Law> = [
  requestsAreAnswered,
  acknowledgedJobsAreThere,
  oneJobForOneKey,
  nothingElseChanges,
  cancellationsHold,
  requeuedJobsBeginAnew,
  onlyTheOldAreDropped,
  oneClaimAtATime,
  staleTokensChangeNothing,
  attemptsEndAsTold,
  attemptsAreRemembered,
  limitsHold,
  nothingStartsEarly,
  whatCanRunIsGiven,
  lostWorkersLoseTheirJobs,
  whoeverIsDueGoesNext,
  eventsHaveNoGaps,
  changesHaveEvents,
  progressIsOfItsAttempt,
  stepsAreWrittenOnce,
  textsComeBack,
  listsAreWhatTheyMean
]

/** The breaches of a run, each with the law that is broken. */
export const breachesOf = (trace: Trace, of: ReadonlyArray<Law>): ReadonlyArray<Breach> =>
  of.flatMap((law) => law.breaches(trace).map((what) => ({ law: law.name, what })))
