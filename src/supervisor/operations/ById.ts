/**
 * What can be asked of a job by its id alone: by a page, a command, or another part of the program, which has no handle.
 */
import { Effect, type Exit, Stream } from "effect"
import * as Job from "../Job.ts"
import type { JobError } from "../JobError.ts"
import * as CancelOptions from "./CancelOptions.ts"
import { Supervisor } from "./SupervisorService.ts"
import * as WaitOptions from "./WaitOptions.ts"

/**
 * Finds a job by its id. The handle is untyped, for only the submitter knows the types.
 *
 * Fails with a `JobError`: `Expired` when the supervisor gave out this id and no longer keeps the record, else `NotFound`.
 */
export const find = (id: string): Effect.Effect<Job.Job<unknown, unknown>, JobError, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.find(id))

/** Tells how a job is right now. Fails as {@link find}. */
export const get = (id: string): Effect.Effect<Job.JobStatus, JobError, Supervisor> =>
  Effect.flatMap(find(id), Job.status)

/**
 * Follows what a job reports, by its id, from what it reported last until it ends: see `Job.progress`. Fails as
 * {@link find}.
 */
export const progress = (id: string): Stream.Stream<Job.Progress, JobError, Supervisor> =>
  Stream.unwrap(Effect.map(find(id), Job.progress))

/** Cancels a job by its id: see `Job.cancel`. Fails as {@link find}. */
export const cancel = (id: string, options?: Job.CancelOptions): Effect.Effect<Job.JobStatus, JobError, Supervisor> => {
  const read = CancelOptions.read("Supervisor.cancel", options)
  return Effect.flatMap(find(id), (job) => Job.cancel(job, read))
}

/**
 * Waits for a job by its id and gives its result, or fails as it failed: see `Job.join`. Fails as {@link find}, and with
 * `StillRunning` when `limit` passes.
 */
export const join = (id: string, options?: WaitOptions.Options): Effect.Effect<unknown, unknown, Supervisor> => {
  const read = WaitOptions.read("Supervisor.join", options)
  return Effect.flatMap(find(id), (job) => Effect.flatten(Job.await(job, read)))
}

/**
 * Waits for a job's end by its id: see `Job.await`. Fails as {@link find}, and with `StillRunning` when `limit` passes.
 */
const await_ = (
  id: string,
  options?: WaitOptions.Options
): Effect.Effect<Exit.Exit<unknown, unknown>, JobError, Supervisor> => {
  const read = WaitOptions.read("Supervisor.await", options)
  return Effect.flatMap(find(id), (job) => Job.await(job, read))
}
export { await_ as await }

/** Holds a pending job back, by its id: see `Job.pause`. Fails as {@link find}. */
export const pause = (id: string): Effect.Effect<Job.JobStatus, JobError, Supervisor> =>
  Effect.flatMap(find(id), Job.pause)

/** Lets a job go that was paused, by its id: see `Job.resume`. Fails as {@link find}. */
export const resume = (id: string): Effect.Effect<Job.JobStatus, JobError, Supervisor> =>
  Effect.flatMap(find(id), Job.resume)
