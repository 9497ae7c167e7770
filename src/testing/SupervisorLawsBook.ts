/**
 * All laws of the supervisor: its ten promises, in their order, and what else it says of itself.
 */
import type { Law } from "./supervisor-laws/Law.ts"
import { historyOf } from "./supervisor-laws/History.ts"
import {
  closingEndsEverything,
  neverMoreThanTheLimit,
  oneTerminalState,
  stopsWaitForTheWork,
  waitingTouchesNothing
} from "./supervisor-laws/OfJobs.ts"
import {
  childrenEndWithTheirParent,
  drainAccountsForAll,
  eventsHaveNoGaps,
  noFailureIsSilent,
  sameSeedSameRun
} from "./supervisor-laws/OfRecords.ts"
import { healthSaysWhatIs, theLatestAreKept } from "./supervisor-laws/OfStock.ts"
import { whoeverIsDueGoesNext } from "./supervisor-laws/OfTurns.ts"
import type { Trace } from "./supervisor-laws/Trace.ts"

/** All laws: the ten promises, in their order, then who goes next, what is kept, and health. */
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
  theLatestAreKept,
  healthSaysWhatIs
]

/** The breaches of a run, each with the law that is broken. */
export const breachesOf = (trace: Trace, again: () => Trace, of: ReadonlyArray<Law> = laws): ReadonlyArray<Breach> => {
  const history = historyOf(trace)
  return of.flatMap((law) => law.breaches(history, again).map((what) => ({ law: law.name, what })))
}

export interface Breach {
  readonly law: string
  readonly what: string
}
