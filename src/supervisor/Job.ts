/**
 * Follows one submitted job: ask how it is, wait for it, cancel it.
 *
 * A handle stays good for as long as you hold it, also after the supervisor has dropped the job's record. The handle of
 * another supervisor than Holdfast's is refused: by a `JobError` of reason `ForeignHandle`, as an error by `join`, `await`,
 * `progress` and `events`, as a defect by what cannot fail.
 */
import { Effect, Exit, Option, Stream } from "effect"
import type { CallTrail } from "../core/call/CallTrail.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import { type JobError, StillRunning } from "./JobError.ts"
import type { EventsMissed, JobEvent, Progress } from "../core/JobEvent.ts"
import * as CancelOptions from "./operations/CancelOptions.ts"
import * as Report from "./operations/Report.ts"
import * as WaitOptions from "./operations/WaitOptions.ts"
import * as Waiting from "./operations/Waiting.ts"
import * as ErrorOf from "./records/ErrorOf.ts"
import { CurrentJob, recordOf, type Job, type JobRecord, whyForeign } from "./records/JobRecord.ts"
import type { JobStatus } from "./records/JobStatus.ts"
import type { ReportedProgress } from "./records/ReportedProgress.ts"

export {
  promise,
  type PromiseFunction,
  type PromiseOptions,
  type PromiseTools,
  type Startable
} from "./operations/PromiseWork.ts"
export { apartContext, asyncContext, asyncSignal } from "./operations/AsyncContext.ts"
export type { Options as CancelOptions } from "./operations/CancelOptions.ts"
export type { Progress } from "../core/JobEvent.ts"
export type { Job } from "./records/JobRecord.ts"
export type { JobStatus } from "./records/JobStatus.ts"
export type { ReportedProgress } from "./records/ReportedProgress.ts"

/** Tells how the job is right now. */
export const status = <A, E>(job: Job<A, E>): Effect.Effect<JobStatus> => Effect.sync(() => recordOf(job).status())

/**
 * Reads what has happened to a model call that runs: its attempts, those in flight too, and what policies decided.
 *
 * `None` for a job that is no call of a `Model`, and for a call that has ended: the event of its end carries the trail.
 */
export const trail = <A, E>(job: Job<A, E>): Effect.Effect<Option.Option<CallTrail>> =>
  Effect.sync(() => Option.map(Option.fromUndefinedOr(recordOf(job).trail), (recorder) => recorder.trail))

/**
 * Waits for the job and gives its result, or fails as it failed.
 *
 * A timeout or a cancellation arrives as a `JobError` with reason `TimedOut` or `Cancelled`; a defect dies here too.
 * Interrupting the wait does not touch the job.
 *
 * A job that waits lends its slot meanwhile, and takes one again before it goes on. A job that gives up the wait goes on at
 * once, above `concurrency` if need be. A job that waits for itself, or for a job that owns it, fails with reason
 * `WaitsForItself`.
 *
 * It takes no options, so that it can be handed to a function which calls it with more: `Effect.forEach(jobs, Job.join)`. For
 * a result within a limit, flatten {@link await_ | await}: `Effect.flatten(Job.await(job, { limit: "5 seconds" }))`.
 */
export const join: <A, E>(job: Job<A, E>) => Effect.Effect<A, E | JobError> = (job, index?: unknown) => {
  if (index !== undefined && typeof index !== "number") {
    throw new RangeError(
      "Job.join takes no options: give a limit to Job.await(job, { limit }), or to Supervisor.join(id, { limit })"
    )
  }
  return Effect.flatten(exitOf(job))
}

/**
 * Waits for the job's end and gives it as an `Exit`, at most for `limit` when there is one: see {@link join}.
 *
 * Fails with a `JobError` of reason `StillRunning` when the limit passes first. Neither that nor interrupting the wait
 * touches the job.
 */
const await_ = <A, E>(
  job: Job<A, E>,
  options?: WaitOptions.Options
): Effect.Effect<Exit.Exit<A, E | JobError>, JobError> => {
  const waited = WaitOptions.read("Job.await", options).limit
  if (waited === undefined) return exitOf(job)
  return Effect.timeoutOrElse(exitOf(job), {
    duration: waited,
    orElse: () =>
      recordOf(job).endedAtMillis === undefined
        ? Effect.fail(ErrorOf.job(recordOf(job), new StillRunning({ waited })))
        : told(job)
  })
}
export { await_ as await }

/**
 * Cancels the job and waits until it has ended, finalizers included; gives its final status.
 *
 * A pending job never starts; a running one is interrupted. Of several cancellations the first reason counts, and a job
 * that has ended stays as it is. A job that cancels itself, or the job that owns it, does not wait; one that cancels another
 * lends its slot while it waits, and goes on at once when that has ended. Interrupting the wait does not take the
 * cancellation back.
 */
export const cancel = <A, E>(job: Job<A, E>, options?: CancelOptions.Options): Effect.Effect<JobStatus> => {
  const read = CancelOptions.read("Job.cancel", options)
  return Effect.flatMap(CurrentJob, (current) => {
    const record = recordOf(job)
    stop(record, read, current)
    return Effect.map(Waiting.forEndOfOther(record), () => record.status())
  })
}

/**
 * Cancels all jobs at once, and waits until they have ended, at most for `limit` when there is one: see {@link cancel}.
 *
 * Gives a report that names every job and what became of it. One that has not ended by the limit is `still running`, and
 * still cancelled.
 */
export const cancelAll = (
  jobs: Iterable<Job<unknown, unknown>>,
  options?: CancelOptions.Options & WaitOptions.Options
): Effect.Effect<Report.Report> => {
  const read = CancelOptions.read("Job.cancelAll", options, { limit: true })
  const limit = options?.limit === undefined ? undefined : WaitOptions.limitOf("Job.cancelAll", options.limit)
  return Effect.flatMap(CurrentJob, (current) => {
    const records = Array.from(new Set(jobs), recordOf)
    for (const record of records) stop(record, read, current)
    const wait = Waiting.forAllOthers(records)
    return Effect.map(limit === undefined ? wait : Effect.timeoutOption(wait, limit), () =>
      Report.make(records, (record) => current?.isWithin(record) === true)
    )
  })
}

/**
 * Holds a pending job back: it does not start until {@link resume}. Gives its status.
 *
 * It stays pending, keeps its place and goes on aging, counts for `maxPending`, and can be cancelled and drained like any
 * other. Of a periodic job the rounds are held back. Nothing happens to a job that runs or has ended, or to a call.
 */
export const pause = <A, E>(job: Job<A, E>): Effect.Effect<JobStatus> => Effect.sync(() => pausing(job, true))

/** Lets a job go that was paused; it starts when its turn comes, unless its name is paused. Gives its status. */
export const resume = <A, E>(job: Job<A, E>): Effect.Effect<JobStatus> => Effect.sync(() => pausing(job, false))

/**
 * Waits until all jobs have ended, at most for `limit` when there is one. Fails with the `JobError` `StillRunning` of one
 * that has not ended by then. Neither that nor interrupting the wait touches a job.
 */
export const awaitAll = (
  jobs: Iterable<Job<unknown, unknown>>,
  options?: WaitOptions.Options
): Effect.Effect<void, JobError> => {
  const all = Array.from(new Set(jobs))
  const foreign = all.map(whyForeign).find((error) => error !== undefined)
  if (foreign !== undefined) return Effect.fail(foreign)
  const records = all.map(recordOf)
  const waited = WaitOptions.read("Job.awaitAll", options).limit
  if (waited === undefined) return Waiting.forAll(records)
  return Effect.timeoutOrElse(Waiting.forAll(records), {
    duration: waited,
    orElse: () => {
      const late = records.find(({ endedAtMillis }) => endedAtMillis === undefined)
      return late === undefined ? Effect.void : Effect.fail(ErrorOf.job(late, new StillRunning({ waited })))
    }
  })
}

/**
 * Reports, from inside a job, how far it is: a fraction from 0 to 1, or so many done of a total. Outside of a job it does
 * nothing. More than all is all. It never fails: what makes no sense, a part that is no finite number of 0 or more, is
 * dropped and counted in `Supervisor.health`. Of a message the first 1,000 characters are kept.
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
export const report = (progress: ReportedProgress, message?: string): Effect.Effect<void> =>
  Effect.map(CurrentJob, (current) => {
    current?.report(progress, message)
  })

/**
 * Follows what the job reports, from what it reported last until it ends.
 *
 * A reader gets the latest report when it asks for one: those in between are passed over, the last one never is. A job that
 * waits for a report lends its slot meanwhile; one that waits for its own fails with reason `WaitsForItself`.
 */
export const progress = <A, E>(job: Job<A, E>): Stream.Stream<Progress, JobError> => {
  const foreign = whyForeign(job)
  if (foreign !== undefined) return Stream.fail(foreign)
  const record = recordOf(job)
  const next = (seen: Progress | undefined): Effect.Effect<readonly [Progress, Progress] | undefined, JobError> =>
    Effect.suspend(() => {
      const latest = record.progress
      if (latest !== undefined && latest !== seen) return Effect.succeed([latest, latest])
      if (record.endedAtMillis !== undefined) return Effect.undefined
      return Effect.andThen(Waiting.forProgress(record, latest), next(seen))
    })
  return Stream.unfold(undefined, (seen: Progress | undefined) => next(seen))
}

/**
 * Follows what happens to the job, in order and without gaps, until it ends.
 *
 * `after: n` gives the job's events n+1, n+2, … by their `jobSequence`, so a reader can leave and come back; `after: 0`
 * gives all that are kept. Default: what happens from now on. What the bounded history no longer has is told by an
 * `EventsMissed` with the job's id. The stream ends with the job's end, or when the supervisor closes.
 *
 * A job that waits for events lends its slot meanwhile; one that waits for its own fails with reason `WaitsForItself`. The
 * handle of another supervisor than Holdfast's fails with `ForeignHandle`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Stream } from "effect"
 * import { Job, Supervisor } from "holdfast/supervisor"
 *
 * const program = Effect.gen(function* () {
 *   const job = yield* Supervisor.submit(Effect.void)
 *   const events = yield* Stream.runCollect(Job.events(job, { after: 1 }))
 *   return events.map((event) => event._tag)
 * })
 * await Effect.runPromise(Effect.provide(program, Supervisor.layer())) // => ["JobStarted", "JobCompleted"]
 * ```
 */
export const events = <A, E>(
  job: Job<A, E>,
  options?: { readonly after?: number | undefined }
): Stream.Stream<JobEvent | EventsMissed, JobError> => {
  if (options !== undefined) OptionCheck.of("Job.events").fields(options, { after: true })
  const foreign = whyForeign(job)
  if (foreign !== undefined) return Stream.fail(foreign)
  const record = recordOf(job)
  return record.supervision.events.followJob(record, (news) => Waiting.forNews(record, news), options?.after)
}

const pausing = (job: Job<unknown, unknown>, paused: boolean): JobStatus => {
  const record = recordOf(job)
  record.supervision.pause(record, paused)
  return record.status()
}

const stop = (
  record: JobRecord,
  { by, reason }: CancelOptions.Options & { readonly reason: string },
  current: JobRecord | undefined
): void => {
  const cancelledBy = by === undefined && current === undefined ? undefined : Object.freeze({ by, jobId: current?.id })
  record.supervision.stop(record, { _tag: "Cancel", reason, cancelledBy })
}

const exitOf = <A, E>(job: Job<A, E>): Effect.Effect<Exit.Exit<A, E | JobError>, JobError> => {
  const foreign = whyForeign(job)
  if (foreign !== undefined) return Effect.fail(foreign)
  return Effect.flatMap(Waiting.forEnd(recordOf(job)), () => told(job))
}

// Who is to end as well is not told that the job was cancelled.
const told = <A, E>(job: Job<A, E>): Effect.Effect<Exit.Exit<A, E | JobError>> =>
  recordOf(job).state === "cancelled"
    ? Effect.map(Waiting.forOwnEnd, () => resultOf(job))
    : Effect.succeed(resultOf(job))

// The record holds jobs of every type; the handle's type remembers which one this is.
const resultOf = <A, E>(job: Job<A, E>) =>
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  (recordOf(job).result?.exit ?? Exit.interrupt()) as Exit.Exit<A, E | JobError>
