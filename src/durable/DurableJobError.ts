/**
 * Says why a durable job gave no result of its own, as one error with a typed reason.
 *
 * Match on the reason with `Effect.catchReason("DurableJobError", "Cancelled", …)`.
 */
import { Duration, Schema } from "effect"
import * as ShownError from "../core/ShownError.ts"

/** The store does not have the job: it never had, or has dropped it after its retention. */
export class NotFound extends ShownError.TaggedError<NotFound>()("NotFound", {}) {
  override get message(): string {
    return "is not kept"
  }
}

/** The waiting limit passed and the job has not ended. The job itself is untouched. */
export class StillRunning extends ShownError.TaggedError<StillRunning>()("StillRunning", { waited: Schema.Duration }) {
  override get message(): string {
    return `had not ended after waiting ${Duration.format(this.waited)}`
  }
}

/** The job was cancelled, for the first reason that was given. */
export class Cancelled extends ShownError.TaggedError<Cancelled>()("Cancelled", { reason: Schema.String }) {
  override get message(): string {
    return `was cancelled: ${this.reason}`
  }
}

/** So many workers in a row were lost with the job that it was given up. */
export class WorkerLost extends ShownError.TaggedError<WorkerLost>()("WorkerLost", { times: Schema.Int }) {
  override get message(): string {
    return `was given up: ${this.times} workers in a row were lost with it`
  }
}

/** The job ended by a bug or by its supervisor's time limit. `problem` is a short text for people. */
export class Crashed extends ShownError.TaggedError<Crashed>()("Crashed", { problem: Schema.String }) {
  override get message(): string {
    return `crashed: ${this.problem}`
  }
}

/** A text of the job does not have the form that its schema has today, or a value has none that can be kept. */
export class Undecodable extends ShownError.TaggedError<Undecodable>()("Undecodable", {
  what: Schema.Literals(["payload", "result", "error", "progress"]),
  problem: Schema.String
}) {
  override get message(): string {
    return `has a ${this.what} that does not fit its schema: ${this.problem}`
  }
}

/** Everything that can be said of a durable job that gave no result of its own. */
export const Reason = Schema.Union([NotFound, StillRunning, Cancelled, WorkerLost, Crashed, Undecodable])
export type Reason = typeof Reason.Type

/** Why a durable job, named by `id`, cannot be had or ended without a result. One that is not kept yet has its name in place of it. */
export class DurableJobError extends ShownError.TaggedError<DurableJobError>()("DurableJobError", {
  id: Schema.String,
  reason: Reason
}) {
  override get message(): string {
    return `Durable job ${this.id} ${this.reason.message}`
  }
}
