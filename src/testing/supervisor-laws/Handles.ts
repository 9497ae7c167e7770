/**
 * Says how the handles of a supervisor under test are asked and used: Holdfast's by the functions of `Job`, those of a
 * supervisor of one's own by its own functions.
 */
import { Duration, Effect, type Exit, type Scope, type Stream } from "effect"
import * as Job from "../../supervisor/Job.ts"
import type { JobError } from "../../supervisor/JobError.ts"
import * as Supervisor from "../../supervisor/Supervisor.ts"

type Service = Supervisor.Supervisor["Service"]

/** What the laws do with a handle. Each function keeps the promises of the one in `Job` that has its name. */
export interface Handles {
  readonly status: (job: Job.Job<unknown, unknown>) => Effect.Effect<Job.JobStatus>
  /** Waits for the end, at most for `limit` milliseconds when there is one: then fails with reason `StillRunning`. */
  readonly await: (
    job: Job.Job<unknown, unknown>,
    options?: { readonly limit?: number | undefined }
  ) => Effect.Effect<Exit.Exit<unknown, unknown>, JobError>
  readonly cancel: (job: Job.Job<unknown, unknown>) => Effect.Effect<Job.JobStatus>
  readonly pause: (job: Job.Job<unknown, unknown>) => Effect.Effect<unknown>
  readonly resume: (job: Job.Job<unknown, unknown>) => Effect.Effect<unknown>
  readonly progress: (job: Job.Job<unknown, unknown>) => Stream.Stream<Job.Progress, JobError>
}

/** A supervisor whose handles are its own. */
export interface Own {
  readonly supervisor: Service
  readonly handles: Handles
}

/**
 * Builds the supervisor under test. It has to heed the limits and the failure hook it is given. One that makes handles of its
 * own says how they are used.
 */
export type Make = (options: Supervisor.Options) => Effect.Effect<Service | Own, never, Scope.Scope>

/** A supervisor under test, and what concerns all of its jobs. */
export interface Tested extends Own {
  readonly cancelAll: Effect.Effect<void>
  readonly awaitAll: (limit: number) => Effect.Effect<void, JobError>
}

export const testedOf = (made: Service | Own): Tested => {
  if (!("handles" in made)) {
    const provide = <A, E>(effect: Effect.Effect<A, E, Supervisor.Supervisor>) =>
      Effect.provideService(effect, Supervisor.Supervisor, made)
    return {
      supervisor: made,
      handles: Job,
      cancelAll: Effect.asVoid(provide(Supervisor.cancelAll())),
      awaitAll: (limit) => provide(Supervisor.awaitAll({}, { limit: Duration.millis(limit) }))
    }
  }
  const { handles, supervisor } = made
  const live = supervisor.select({ state: ["pending", "running"], kind: "job" })
  const each = <E>(use: (job: Job.Job<unknown, unknown>) => Effect.Effect<unknown, E>) =>
    Effect.flatMap(live, (jobs) => Effect.forEach(jobs, use, { discard: true, concurrency: "unbounded" }))
  return {
    ...made,
    cancelAll: each(handles.cancel),
    awaitAll: (limit) => each((job) => handles.await(job, { limit }))
  }
}
