/**
 * Waits for jobs on behalf of whoever asks: a job that waits lends its slot meanwhile.
 */
import { Effect } from "effect"
import { type JobError, WaitsForItself } from "../JobError.ts"
import * as ErrorOf from "../records/ErrorOf.ts"
import * as JobNews from "../records/JobNews.ts"
import type { Progress } from "../../core/JobEvent.ts"
import { CurrentJob, type JobRecord } from "../records/JobRecord.ts"

/** Waits until a job has ended. Fails when that is the job that waits, or one that owns it: that end would not come. */
export const forEnd = (record: JobRecord): Effect.Effect<void, JobError> =>
  Effect.suspend(() =>
    record.endedAtMillis === undefined
      ? Effect.flatMap(CurrentJob, (current) =>
          current?.isWithin(record) === true ? failFor(record) : lending([record], current, JobNews.end(record))
        )
      : Effect.void
  )

/** Waits until all jobs have ended, and lends the slot for all of them together. Fails as {@link forEnd}. */
export const forAll = (records: ReadonlyArray<JobRecord>): Effect.Effect<void, JobError> =>
  Effect.flatMap(CurrentJob, (current) => {
    const own = records.find((record) => record.endedAtMillis === undefined && current?.isWithin(record) === true)
    return own === undefined ? together(records, current, undefined) : failFor(own)
  })

/**
 * Waits until all jobs that were asked to end have ended, but for the one that waits and those that own it. Whoever ends
 * jobs goes on at once when they have, whatever holds the slots.
 */
export const forAllOthers = (records: ReadonlyArray<JobRecord>): Effect.Effect<void> =>
  Effect.flatMap(CurrentJob, (current) =>
    together(
      records.filter((record) => current?.isWithin(record) !== true),
      current,
      "at once"
    )
  )

/** As {@link forAllOthers}, for one. */
export const forEndOfOther = (record: JobRecord): Effect.Effect<void> =>
  Effect.flatMap(CurrentJob, (current) =>
    record.endedAtMillis !== undefined || current?.isWithin(record) === true
      ? Effect.void
      : lending([record], current, JobNews.end(record), "at once")
  )

/** Waits until a job has ended or reported other progress than `seen`. Fails as {@link forNews}. */
export const forProgress = (record: JobRecord, seen: Progress | undefined): Effect.Effect<void, JobError> =>
  forNews(record, JobNews.progress(record, seen))

/** Waits for news of a job by which it is followed. Fails when that is the job that waits. */
export const forNews = (record: JobRecord, news: Effect.Effect<void>): Effect.Effect<void, JobError> =>
  Effect.flatMap(CurrentJob, (current) => (current === record ? failFor(record) : lending([record], current, news)))

/** Waits for news of no job in particular: any job may be the one that needs the slot to bring them. */
export const forAnyNews = (news: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.flatMap(CurrentJob, (current) =>
    current === undefined ? news : current.supervision.waitingForAny(current, news)
  )

/**
 * Lets a job that was asked to end be interrupted before it hears that others end, or that it may not submit any more: it would
 * fail by that. The interruption comes in a turn of its own.
 */
export const forOwnEnd: Effect.Effect<void> = Effect.flatMap(CurrentJob, (current) =>
  current?.stop === undefined || current.result !== undefined ? Effect.void : current.supervision.nextTurn
)

const failFor = (record: JobRecord) => Effect.fail(ErrorOf.job(record, new WaitsForItself()))

// The slot is the waiting job's, and so lent by the supervisor that runs it.
const lending = (
  records: ReadonlyArray<JobRecord>,
  waiter: JobRecord | undefined,
  wait: Effect.Effect<void>,
  resuming?: "at once"
): Effect.Effect<void> => (waiter === undefined ? wait : waiter.supervision.waitingFor(records, waiter, wait, resuming))

const together = (
  records: ReadonlyArray<JobRecord>,
  waiter: JobRecord | undefined,
  resuming: "at once" | undefined
): Effect.Effect<void> => {
  const living = records.filter(({ endedAtMillis }) => endedAtMillis === undefined)
  const [others, jobs] = [living.filter(({ kind }) => kind !== "job"), living.filter(({ kind }) => kind === "job")]
  const end = (those: ReadonlyArray<JobRecord>): Effect.Effect<void> =>
    those.length === 0
      ? Effect.void
      : lending(those, waiter, Effect.forEach(those, JobNews.end, { discard: true }), resuming)
  return Effect.andThen(end(jobs), end(others))
}
