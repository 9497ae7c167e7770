/**
 * Says why a store did not do what it was asked, as one error with a typed reason.
 *
 * Match on the reason with `Effect.catchReason("JobStoreError", "TooLarge", …)`. A store that fails has changed nothing,
 * unless it is `Unavailable`: then it may have, and the same request can be made again.
 */
import { Schema } from "effect"
import * as ShownError from "../core/ShownError.ts"

/** A text is longer than the store takes. Keep large data elsewhere, and its place in the payload. */
export class TooLarge extends ShownError.TaggedError<TooLarge>()("TooLarge", {
  what: Schema.Literals(["payload", "result", "error", "progress", "report", "step"]),
  /** Its length as UTF-8. */
  bytes: Schema.Int,
  /** The longest that is taken. */
  most: Schema.Int
}) {
  override get message(): string {
    return `takes no ${this.what} of ${this.bytes} bytes: ${this.most} at most`
  }
}

/** The store has been closed. */
export class Closed extends ShownError.TaggedError<Closed>()("Closed", {}) {
  override get message(): string {
    return "is closed"
  }
}

/** The store cannot be reached, or could not do its work. `problem` says what it is in the words of the system. */
export class Unavailable extends ShownError.TaggedError<Unavailable>()("Unavailable", { problem: Schema.String }) {
  override get message(): string {
    return `is not available: ${this.problem}`
  }
}

/** Why a store did not do what it was asked. */
export const Reason = Schema.Union([TooLarge, Closed, Unavailable])
export type Reason = typeof Reason.Type

/** Why a store, named by `store`, did not do what it was asked. */
export class JobStoreError extends ShownError.TaggedError<JobStoreError>()("JobStoreError", {
  /** `memory`, or the path of a file. */
  store: Schema.String,
  reason: Reason
}) {
  override get message(): string {
    return `The job store ${this.store} ${this.reason.message}`
  }
}
