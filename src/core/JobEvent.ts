/**
 * Names what happens to a job, in past tense and in order: what the supervisor's event stream carries.
 */
import type { Cause } from "effect"
import type { CallTrail } from "./CallTrail.ts"

/** Where a job is in its life. The last three are terminal: a job reaches exactly one of them, once. */
export type JobState = "pending" | "running" | "completed" | "failed" | "cancelled"

/**
 * What a job is for. A `job` occupies one of the supervisor's slots while it runs. The others take none: a `call` is a
 * model call, limited by the `Bulkhead` policy; a `periodic` job repeats something in the background.
 */
export type JobKind = "job" | "call" | "periodic"

/** Facts about a job chosen by whoever submits it; lists can be filtered by them. */
export type Metadata = Readonly<Record<string, string | number | boolean>>

interface Base<Tag extends string> {
  readonly _tag: Tag
  /** Position in the supervisor's event stream: 1, 2, 3, … without gaps. */
  readonly sequence: number
  /** When it happened, by the supervisor's `Clock`: milliseconds since 1970. */
  readonly atMillis: number
  readonly jobId: string
  readonly jobName: string
  readonly kind: JobKind
}

/** A job was accepted and waits for a slot. */
export interface JobSubmitted extends Base<"JobSubmitted"> {
  readonly metadata: Metadata
  /** The job it was submitted from, which owns it. */
  readonly parentId: string | undefined
}

/** A job has its slot and its fiber runs. */
export interface JobStarted extends Base<"JobStarted"> {}

interface Ended<Tag extends string> extends Base<Tag> {
  /** What was tried for a model call and what policies decided about it. Absent for what is no call of a `Model`. */
  readonly trail?: CallTrail | undefined
}

/** A job succeeded: its fiber and all its finalizers have ended. */
export interface JobCompleted extends Ended<"JobCompleted"> {}

/** A job failed, died or ran out of time. */
export interface JobFailed extends Ended<"JobFailed"> {
  readonly cause: Cause.Cause<unknown>
}

/** A job was cancelled, before it started or while it ran. */
export interface JobCancelled extends Ended<"JobCancelled"> {
  readonly reason: string
}

/** An attempt of a job failed, and its `retry` schedule says to try again. */
export interface JobRetrying extends Base<"JobRetrying"> {
  /** The attempt that failed: 1 for the first. */
  readonly attempt: number
  readonly cause: Cause.Cause<unknown>
}

/** A round of a periodic job did not start, because the one before it had not ended. */
export interface RoundSkipped extends Base<"RoundSkipped"> {}

/** The failure hook itself failed, or did not end within its limit, for the failure of this job. */
export interface FailureHookFailed extends Base<"FailureHookFailed"> {
  readonly cause: Cause.Cause<unknown>
}

/** Everything the supervisor reports, in the order in which it happened. */
export type JobEvent =
  | JobSubmitted
  | JobStarted
  | JobRetrying
  | JobCompleted
  | JobFailed
  | JobCancelled
  | RoundSkipped
  | FailureHookFailed

/** Tells a reader that fell behind the bounded history which events it can no longer have: `from` to `to`, inclusive. */
export interface EventsMissed {
  readonly _tag: "EventsMissed"
  readonly from: number
  readonly to: number
}
