/**
 * Follows one submitted job: ask how it is, wait for it, cancel it.
 *
 * A handle stays good for as long as you hold it, also after the supervisor has dropped the job's record.
 */
import { Duration, Effect, Exit, Stream } from "effect"
import { JobError, StillRunning, WaitsForItself } from "./JobError.ts"
import { CurrentJob, recordOf, type Job, type JobRecord, type JobStatus, type Progress } from "./records/JobRecord.ts"

export type { Job, JobStatus, Progress } from "./records/JobRecord.ts"

/** Tells how the job is right now. */
export const status = <A, E>(job: Job<A, E>): Effect.Effect<JobStatus> => Effect.sync(() => recordOf(job).status())

/**
 * Waits for the job and gives its result, or fails as it failed.
 *
 * A timeout or a cancellation arrives as a `JobError` with reason `TimedOut` or `Cancelled`; a defect dies here too. A
 * job that waits lends its slot meanwhile; one that waits for itself fails with reason `WaitsForItself`. Interrupting the
 * wait does not touch the job.
 */
export const join = <A, E>(job: Job<A, E>): Effect.Effect<A, E | JobError> => Effect.flatten(exitOf(job))

/**
 * Waits for the job's end and gives it as an `Exit`, at most for `limit` when there is one.
 *
 * Fails with a `JobError` of reason `StillRunning` when the limit passes first. Neither that nor interrupting the wait
 * touches the job.
 */
const await_ = <A, E>(
  job: Job<A, E>,
  options?: { readonly limit?: Duration.Input | undefined }
): Effect.Effect<Exit.Exit<A, E | JobError>, JobError> => {
  if (options?.limit === undefined) return exitOf(job)
  const waited = Duration.fromInputUnsafe(options.limit)
  return Effect.timeoutOrElse(exitOf(job), {
    duration: waited,
    orElse: () => Effect.fail(new JobError({ id: job.id, reason: new StillRunning({ waited }) }))
  })
}
export { await_ as await }

/**
 * Cancels the job and waits until it has ended, finalizers included; gives its final status.
 *
 * A pending job never starts; a running one is interrupted. Of several cancellations the first reason counts, and a job
 * that has ended stays as it is. A job that cancels itself, or the job that owns it, does not wait. Interrupting the
 * wait does not take the cancellation back.
 */
export const cancel = <A, E>(
  job: Job<A, E>,
  options?: { readonly reason?: string | undefined }
): Effect.Effect<JobStatus> =>
  Effect.suspend(() => {
    const record = recordOf(job)
    stop(record, options)
    return Effect.map(awaitOthersEnd(record), () => record.status())
  })

/** Cancels all jobs at once, and waits until they have ended: see {@link cancel}. */
export const cancelAll = (
  jobs: ReadonlyArray<Job<unknown, unknown>>,
  options?: { readonly reason?: string | undefined }
): Effect.Effect<void> =>
  Effect.suspend(() => {
    for (const job of jobs) stop(recordOf(job), options)
    return Effect.forEach(jobs, (job) => awaitOthersEnd(recordOf(job)), { discard: true })
  })

/**
 * Waits until all jobs have ended, at most for `limit` when there is one. Fails with the `JobError` `StillRunning` of one
 * that has not ended by then. Neither that nor interrupting the wait touches a job.
 */
export const awaitAll = (
  jobs: Iterable<Job<unknown, unknown>>,
  options?: { readonly limit?: Duration.Input | undefined }
): Effect.Effect<void, JobError> => {
  const pending = new Set(jobs)
  const each = (job: Job<unknown, unknown>) => Effect.map(await_(job), () => pending.delete(job))
  const all = Effect.asVoid(Effect.forEach(Array.from(pending), each, { discard: true }))
  if (options?.limit === undefined) return all
  const waited = Duration.fromInputUnsafe(options.limit)
  return Effect.timeoutOrElse(all, {
    duration: waited,
    orElse: () => {
      const late = Array.from(pending).find((job) => recordOf(job).endedAtMillis === undefined)
      return late === undefined
        ? Effect.void
        : Effect.fail(new JobError({ id: late.id, reason: new StillRunning({ waited }) }))
    }
  })
}

/**
 * Reports, from inside a job, how far it is: a fraction from 0 to 1, or so many done of a total. Outside of a job it does
 * nothing.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Job, Supervisor } from "holdfast/supervisor"
 *
 * const work = Job.report({ done: 3, total: 4 }, "pages read")
 * const program = Effect.gen(function* () {
 *   const job = yield* Supervisor.submit(work)
 *   yield* Job.join(job)
 *   return (yield* Job.status(job)).progress
 * })
 * await Effect.runPromise(Effect.provide(program, Supervisor.layer())) // => { fraction: 0.75, message: "pages read" }
 * ```
 */
export const report = (
  progress: { readonly fraction: number } | { readonly done: number; readonly total: number },
  message?: string
): Effect.Effect<void> =>
  Effect.map(CurrentJob, (current) => {
    if (current === undefined) return
    const fraction =
      "fraction" in progress ? progress.fraction : progress.total === 0 ? 1 : progress.done / progress.total
    current.supervision.report(current, { fraction: Math.min(1, Math.max(0, fraction)), message })
  })

/**
 * Follows what the job reports, from what it reported last until it ends.
 *
 * A reader gets the latest report when it asks for one: those in between are passed over, the last one never is.
 */
export const progress = <A, E>(job: Job<A, E>): Stream.Stream<Progress, JobError> => {
  const record = recordOf(job)
  const next = (seen: Progress | undefined): Effect.Effect<readonly [Progress, Progress] | undefined, JobError> =>
    Effect.suspend(() => {
      const latest = record.progress
      if (latest !== undefined && latest !== seen) return Effect.succeed([latest, latest])
      if (record.endedAtMillis !== undefined) return Effect.undefined
      return Effect.andThen(lending(record, record.supervision.awaitNews(record, latest)), next(seen))
    })
  return Stream.unfold(undefined, (seen: Progress | undefined) => next(seen))
}

// The end of the job that waits, or of one that owns it, would not come while it waits.
const awaitOthersEnd = (record: JobRecord): Effect.Effect<void> =>
  Effect.flatMap(CurrentJob, (current) =>
    current?.isWithin(record) === true ? Effect.void : record.supervision.awaitEnd(record)
  )

const stop = (record: JobRecord, options: { readonly reason?: string | undefined } | undefined): void =>
  record.supervision.stop(record, { _tag: "Cancel", reason: options?.reason ?? "cancelled" })

const exitOf = <A, E>(job: Job<A, E>): Effect.Effect<Exit.Exit<A, E | JobError>, JobError> => {
  const record = recordOf(job)
  // The record holds jobs of every type; the handle's type remembers which one this is.
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  return Effect.map(waitingFor(record), () => (record.result?.exit ?? Exit.interrupt()) as Exit.Exit<A, E | JobError>)
}

const waitingFor = (record: JobRecord): Effect.Effect<void, JobError> =>
  Effect.suspend(() =>
    record.endedAtMillis === undefined ? lending(record, record.supervision.awaitEnd(record)) : Effect.void
  )

const lending = (record: JobRecord, wait: Effect.Effect<void>): Effect.Effect<void, JobError> =>
  Effect.flatMap(CurrentJob, (current) =>
    current === record
      ? Effect.fail(new JobError({ id: record.id, reason: new WaitsForItself() }))
      : record.supervision.waitingFor(record, current?.supervision === record.supervision ? current : undefined, wait)
  )
