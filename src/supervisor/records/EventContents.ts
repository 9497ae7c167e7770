/**
 * Says what an event carries that its job's submitter gave or its work made, and what the event is without it.
 */
import { Cause } from "effect"
import type { JobEvent, Metadata } from "../../core/JobEvent.ts"
import * as PlainData from "../../core/PlainData.ts"
import * as ErrorOf from "./ErrorOf.ts"
import { Expired, type JobError } from "../JobError.ts"
import * as ResultSize from "./ResultSize.ts"

/** An event as its maker knows it: where it stands, when it happened and to which job, the log knows. */
export type Unplaced<Event> = Event extends JobEvent
  ? Omit<Event, "sequence" | "jobSequence" | "atMillis" | "jobId" | "jobName" | "kind" | "error">
  : never

/** Shared by all jobs that are submitted without: it need not be looked into. */
export const noMetadata: Metadata = {}

/** 0 for an event that carries nothing, else 1 and the bytes of its cause. */
export const weightOf = (happening: Unplaced<JobEvent>): number => {
  if ("cause" in happening) return 1 + ResultSize.ofCause(happening.cause)
  if ("metadata" in happening) return happening.metadata === noMetadata ? 0 : 1
  return "trail" in happening ? 1 : 0
}

/** The event without its cause, metadata and trail. What stands for its cause is made when it is read: see {@link goneCause}. */
export const without = (happening: Unplaced<JobEvent>): Unplaced<JobEvent> => {
  if ("cause" in happening) return { ...happening, cause: Cause.empty, ...withoutTrail }
  if ("metadata" in happening) return { ...happening, metadata: {} }
  return "trail" in happening ? { ...happening, ...withoutTrail } : happening
}

const withoutTrail = { trail: undefined }

/** The event with what it carries as a copy for one reader, so that none writes into what the others read. */
export const copy = (happening: Unplaced<JobEvent>): Unplaced<JobEvent> => {
  if ("metadata" in happening) return { ...happening, metadata: { ...happening.metadata } }
  if (!("trail" in happening) || happening.trail === undefined) return happening
  const { cost, trail, usage } = happening
  return {
    ...happening,
    trail: PlainData.copy(trail),
    ...(usage && { usage: PlainData.copy(usage) }),
    ...(cost && { cost: PlainData.copy(cost) })
  }
}

/**
 * Stands for a cause that is no longer kept. Made for each who reads it: errors are costly, and the stack of one that was made
 * as the cause was dropped would hold it.
 */
export const goneCause = (job: ErrorOf.Subject): Cause.Cause<JobError> => Cause.fail(ErrorOf.job(job, new Expired()))
