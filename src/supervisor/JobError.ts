/**
 * Says why a job did not give its result, as one error with a typed reason.
 *
 * Match on the reason with `Effect.catchReason("JobError", "TimedOut", …)`.
 */
import { Duration, Schema } from "effect"

/** The job ran longer than its `timeout`, counted from its start. It has been interrupted and its finalizers have run. */
export class TimedOut extends Schema.TaggedError<TimedOut>()("TimedOut", { after: Schema.Duration }) {
  override get message(): string {
    return `ran longer than its timeout of ${Duration.format(this.after)}`
  }
}

/** The job was cancelled; `reason` is what the canceller gave. */
export class Cancelled extends Schema.TaggedError<Cancelled>()("Cancelled", { reason: Schema.String }) {
  override get message(): string {
    return `was cancelled: ${this.reason}`
  }
}

/** The waiting limit passed and the job has not ended. The job itself is untouched. */
export class StillRunning extends Schema.TaggedError<StillRunning>()("StillRunning", { waited: Schema.Duration }) {
  override get message(): string {
    return `had not ended after waiting ${Duration.format(this.waited)}`
  }
}

/** The job was asked to wait for its own end, which would not come. */
export class WaitsForItself extends Schema.TaggedError<WaitsForItself>()("WaitsForItself", {}) {
  override get message(): string {
    return "cannot wait for its own end"
  }
}

/** No job has had this id. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {}) {
  override get message(): string {
    return "is not known to this supervisor"
  }
}

/** The job has ended and its record is no longer kept (see `retain` in the supervisor's options). */
export class Expired extends Schema.TaggedError<Expired>()("Expired", {}) {
  override get message(): string {
    return "has ended and its record is no longer kept"
  }
}

/** A job with this id is known already. */
export class DuplicateId extends Schema.TaggedError<DuplicateId>()("DuplicateId", {}) {
  override get message(): string {
    return "has the id of a job that is already known"
  }
}

/** As many jobs wait as may wait (`maxPending`). */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", { maxPending: Schema.Int }) {
  override get message(): string {
    return `was refused: ${this.maxPending} jobs are waiting already`
  }
}

/** The supervisor drains or has closed, or the job that would own the new one is ending. */
export class NotAccepting extends Schema.TaggedError<NotAccepting>()("NotAccepting", {
  because: Schema.Literals(["draining", "closed", "parent ending"])
}) {
  override get message(): string {
    return `was refused: ${this.because}`
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
  NotAccepting
])
export type Reason = typeof Reason.Type

/** Why a job, named by `id`, was not accepted, cannot be had, or ended without a result. */
export class JobError extends Schema.TaggedError<JobError>()("JobError", { id: Schema.String, reason: Reason }) {
  override get message(): string {
    return `Job ${this.id} ${this.reason.message}`
  }
}
