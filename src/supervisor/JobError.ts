/**
 * Says why a job did not give its result, as one error with a typed reason.
 *
 * Match on the reason with `Effect.catchReason("JobError", "TimedOut", …)`.
 */
import { Duration, Schema } from "effect"
import * as SafeText from "../core/SafeText.ts"
import * as ShownError from "../core/ShownError.ts"

/** The job ran longer than its `timeout`, counted from its start. It has been interrupted and its finalizers have run. */
export class TimedOut extends ShownError.TaggedError<TimedOut>()("TimedOut", { after: Schema.Duration }) {
  override get message(): string {
    return `ran longer than its timeout of ${Duration.format(this.after)}`
  }
}

/** The job was cancelled; `reason` is what the canceller gave. */
export class Cancelled extends ShownError.TaggedError<Cancelled>()("Cancelled", { reason: Schema.String }) {
  override get message(): string {
    return `was cancelled: ${this.reason}`
  }
}

/** The waiting limit passed and the job has not ended. The job itself is untouched. */
export class StillRunning extends ShownError.TaggedError<StillRunning>()("StillRunning", { waited: Schema.Duration }) {
  override get message(): string {
    return `had not ended after waiting ${Duration.format(this.waited)}`
  }
}

/** The job was asked to wait for its own end, or for that of a job which owns it: that end would not come. */
export class WaitsForItself extends ShownError.TaggedError<WaitsForItself>()("WaitsForItself", {}) {
  override get message(): string {
    return "cannot be waited for by itself, or by a job that it owns"
  }
}

/** No known job has this id. One that was given by a submitter, or made at random, may have been a dropped job's. */
export class NotFound extends ShownError.TaggedError<NotFound>()("NotFound", {}) {
  override get message(): string {
    return "is not known to this supervisor"
  }
}

/** The job has ended and its record, or its result, is no longer kept (see `retain` in the supervisor's options). */
export class Expired extends ShownError.TaggedError<Expired>()("Expired", {}) {
  override get message(): string {
    return "has ended, and its record or its result is no longer kept"
  }
}

/** A job with this id is known already. */
export class DuplicateId extends ShownError.TaggedError<DuplicateId>()("DuplicateId", {}) {
  override get message(): string {
    return "has the id of a job that is already known"
  }
}

/** As many jobs wait as may wait (`maxPending`). */
export class QueueFull extends ShownError.TaggedError<QueueFull>()("QueueFull", { maxPending: Schema.Int }) {
  override get message(): string {
    return `was refused: ${this.maxPending} jobs are waiting already`
  }
}

/** The supervisor drains or has closed, or the job that would own the new one, named by `parentId` and `parentName`, is ending. */
export class NotAccepting extends ShownError.TaggedError<NotAccepting>()("NotAccepting", {
  because: Schema.Literals(["draining", "closed", "parent ending"]),
  parentId: Schema.optionalKey(Schema.String),
  parentName: Schema.optionalKey(Schema.String)
}) {
  override get message(): string {
    return this.parentId === undefined
      ? `was refused: ${this.because}`
      : `was refused: the job that would own it, ${called(this.parentId, this.parentName)}, is ending`
  }
}

/** As many names are paused as may be. The name, which stands in place of the id, was not. */
export class TooManyPaused extends ShownError.TaggedError<TooManyPaused>()("TooManyPaused", { names: Schema.Int }) {
  override get message(): string {
    return `was not paused: ${this.names} names are paused already`
  }
}

/** The handle was made by another supervisor than Holdfast's, or by another copy of Holdfast; whoever made it knows how to use it. */
export class ForeignHandle extends ShownError.TaggedError<ForeignHandle>()("ForeignHandle", {}) {
  override get message(): string {
    return "was not submitted to Holdfast's supervisor, or Holdfast is loaded twice: use the functions that belong to its handle"
  }
}

/** Everything that can be said of a job that gave no result of its own. */
export const Reason = Schema.Union([
  TimedOut,
  Cancelled,
  StillRunning,
  WaitsForItself,
  NotFound,
  Expired,
  DuplicateId,
  QueueFull,
  NotAccepting,
  TooManyPaused,
  ForeignHandle
])
export type Reason = typeof Reason.Type

/**
 * Why a job was not accepted, cannot be had, or ended without a result. `jobName` is the name that its submitter gave it, where
 * that is known; `id` is empty for a job that was refused before it had one.
 */
export class JobError extends ShownError.TaggedError<JobError>()("JobError", {
  id: Schema.String,
  jobName: Schema.optionalKey(Schema.String),
  reason: Reason
}) {
  override get message(): string {
    return `${subject(this.id, this.jobName)} ${this.reason.message}`
  }
}

const subject = (id: string, name: string | undefined): string => {
  if (id !== "") return `Job ${called(id, name)}`
  return name === undefined ? "A job" : `Job ${quoted(name)}`
}

const called = (id: string, name: string | undefined): string =>
  name === undefined || name === id ? SafeText.inLine(id) : `${quoted(name)} (${SafeText.inLine(id)})`

/** A name is others' text, of any length. */
const quoted = (name: string): string => SafeText.inLine(JSON.stringify(SafeText.cut(name, 100)))
