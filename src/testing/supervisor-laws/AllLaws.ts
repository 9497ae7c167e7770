/**
 * All laws of the supervisor: its twelve promises, in their order, and what else it says of itself.
 */
import type { Breach } from "../laws/Search.ts"
import type { Law } from "./Law.ts"
import { historyOf } from "./History.ts"
import { closingEndsEverything, oneTerminalState, stopsWaitForTheWork, waitingTouchesNothing } from "./OfJobs.ts"
import { retriesAreAsAsked } from "./OfAttempts.ts"
import { endingAllFailsNobody } from "./OfClosing.ts"
import { oneJobPerKey } from "./OfKeys.ts"
import {
  childrenEndWithTheirParent,
  drainAccountsForAll,
  eventsHaveNoGaps,
  noFailureIsSilent,
  sameSeedSameRun
} from "./OfRecords.ts"
import { healthSaysWhatIs, theLatestAreKept } from "./OfStock.ts"
import { listsSayWhatIs } from "./OfLists.ts"
import { roundsOverlapAsAsked } from "./OfRounds.ts"
import { neverMoreThanTheLimit, noSlotStaysFree } from "./OfSlots.ts"
import { asManyWaitAsMay, whoeverWaitsForRoomGoesFirst } from "./OfRoom.ts"
import { pausedJobsWait } from "./OfPauses.ts"
import { whoeverIsDueGoesNext } from "./OfTurns.ts"
import type { Trace } from "./Trace.ts"

/** All laws: the twelve promises, in their order, then who goes next, who waits, what is kept, and health. */
export const laws: ReadonlyArray<Law> = [
  oneTerminalState,
  closingEndsEverything,
  neverMoreThanTheLimit,
  stopsWaitForTheWork,
  waitingTouchesNothing,
  eventsHaveNoGaps,
  noFailureIsSilent,
  drainAccountsForAll,
  childrenEndWithTheirParent,
  sameSeedSameRun,
  whoeverIsDueGoesNext,
  whoeverWaitsForRoomGoesFirst,
  asManyWaitAsMay,
  noSlotStaysFree,
  pausedJobsWait,
  theLatestAreKept,
  healthSaysWhatIs,
  retriesAreAsAsked,
  oneJobPerKey,
  endingAllFailsNobody,
  listsSayWhatIs,
  roundsOverlapAsAsked
]

/** The breaches of a run, each with the law that is broken. */
export const breachesOf = (trace: Trace, again: Trace | undefined, of: ReadonlyArray<Law>): ReadonlyArray<Breach> => {
  const history = historyOf(trace)
  return of.flatMap((law) => law.breaches(history, again).map((what) => ({ law: law.name, what })))
}
