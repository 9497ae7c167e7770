/**
 * All laws of the supervisor, in the order of its promises.
 */
import type { Law } from "./SupervisorLaw.ts"
import { historyOf } from "./SupervisorLawsModel.ts"
import {
  closingEndsEverything,
  neverMoreThanTheLimit,
  oneTerminalState,
  stopsWaitForTheWork,
  waitingTouchesNothing
} from "./SupervisorLawsOfJobs.ts"
import {
  childrenEndWithTheirParent,
  drainAccountsForAll,
  eventsHaveNoGaps,
  noFailureIsSilent,
  sameSeedSameRun
} from "./SupervisorLawsOfRecords.ts"
import type { Trace } from "./SupervisorLawsTrace.ts"

/** All laws, in the order of the promises. */
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
  sameSeedSameRun
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
