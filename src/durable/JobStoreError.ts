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

/** Somebody else has the file of the store: one process at a time owns it. `by` says who, as far as that is known. */
export class Owned extends ShownError.TaggedError<Owned>()("Owned", { path: Schema.String, by: Schema.String }) {
  override get message(): string {
    return `is in use by ${this.by}`
  }
}

/** The file of the store cannot be read as one, and was not changed. Bring back a backup of it, or choose another path. */
export class Damaged extends ShownError.TaggedError<Damaged>()("Damaged", {
  path: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `is damaged, or no job store: ${this.problem}`
  }
}

/** A newer release wrote the file of the store, and this one cannot read it. */
export class Newer extends ShownError.TaggedError<Newer>()("Newer", {
  path: Schema.String,
  /** The version of the file, and the newest that this release knows. */
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message(): string {
    return `was written by a newer release: it has version ${this.found}, and ${this.known} is the newest that is known here`
  }
}

/** The disk is full. Nothing was lost that had been acknowledged, and the store goes on when there is room. */
export class Full extends ShownError.TaggedError<Full>()("Full", {}) {
  override get message(): string {
    return "has no room: the disk is full"
  }
}

/** Why a store did not do what it was asked. */
export const Reason = Schema.Union([TooLarge, Closed, Unavailable, Owned, Damaged, Newer, Full])
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
