/**
 * Makes the event with which a job ends.
 */
import { Cause, Exit } from "effect"
import type { JobCancelled, JobCompleted, JobFailed } from "../../core/JobEvent.ts"
import type { Unplaced } from "./EventContents.ts"
import type { JobRecord } from "./JobRecord.ts"
import * as Outcome from "./Outcome.ts"

/** Says how a job ended, and what else is known at its end. */
export const of = (record: JobRecord, result: Outcome.Outcome): Unplaced<JobCompleted | JobFailed | JobCancelled> => {
  const facts = factsOf(record)
  if (result.state === "completed") return facts === undefined ? completed : { ...completed, ...facts }
  // Its exit is an error that nobody may ask for, and costly to make.
  if (result.state === "cancelled") return { _tag: "JobCancelled", ...Outcome.cancellationOf(record.stop), ...facts }
  const { exit } = result
  return { _tag: "JobFailed", cause: Exit.isFailure(exit) ? exit.cause : Cause.empty, ...facts }
}

// What most jobs end with, made once.
const completed = { _tag: "JobCompleted" } as const

const factsOf = ({ lentMillis, trail: recorder }: JobRecord) => {
  if (recorder === undefined) return lentMillis === 0 ? undefined : { lentMillis }
  const { trail } = recorder
  const { cost, usage } = trail
  return { trail, ...(usage && { usage }), ...(cost && { cost }) }
}
