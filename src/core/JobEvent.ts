/**
 * Names what happens to a job, in past tense and in order: what the supervisor's event stream carries.
 */
import type { Cause } from "effect"
import type { CallTrail } from "./call/CallTrail.ts"

/** Where a job is in its life. The last three are terminal: a job reaches exactly one of them, once. */
export type JobState = "pending" | "running" | "completed" | "failed" | "cancelled"

/**
 * What a job is for. A `job` occupies one of the supervisor's slots while it runs. The others take none: a `call` is a
 * model call, limited by the `Bulkhead` policy; a `periodic` job repeats something in the background.
 */
export type JobKind = "job" | "call" | "periodic"

/** How far a job says it is. */
export interface Progress {
  /** From 0 to 1. */
  readonly fraction: number
  readonly message: string | undefined
}

/** Who asked for a job's cancellation. */
export interface CancelledBy {
  /** The name the canceller gave: a person, a service. */
  readonly by: string | undefined
  /** The job in which the cancellation was asked for. */
  readonly jobId: string | undefined
}

/** Facts about a job chosen by whoever submits it; lists can be filtered by them. */
export type Metadata = Readonly<Record<string, string | number | boolean>>

interface Base<Tag extends string> {
  readonly _tag: Tag
  /** Position in the supervisor's event stream: 1, 2, 3, … without gaps. */
  readonly sequence: number
  /** Position among the events of its job: 1 for `JobSubmitted`, then 2, 3, … without gaps. */
  readonly jobSequence: number
  /** When it happened, by the supervisor's `Clock`: milliseconds since 1970. */
  readonly atMillis: number
  readonly jobId: string
  readonly jobName: string
  readonly kind: JobKind
}

interface Failure {
  /** JSON leaves it out: an error may carry a request with its credentials, and may be none that JSON can write. */
  readonly cause: Cause.Cause<unknown>
  /** The same as a short text for people, never an empty one, which JSON keeps. It says no field of an `Error` but its message. */
  readonly error: string
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
  /** The tokens of all attempts of a model call. Absent when no provider said how many. */
  readonly usage?: CallTrail["usage"]
  /** What `SpendBudget` booked for a model call, at its prices. Absent where there is none. */
  readonly cost?: CallTrail["cost"]
  /** For how long the job had lent its slot, in milliseconds. Absent when it never did. */
  readonly lentMillis?: number | undefined
}

/** A job succeeded: its fiber and all its finalizers have ended. */
export interface JobCompleted extends Ended<"JobCompleted"> {}

/** A job failed, died or ran out of time. */
export interface JobFailed extends Ended<"JobFailed">, Failure {}

/** A job was cancelled, before it started or while it ran. */
export interface JobCancelled extends Ended<"JobCancelled"> {
  readonly reason: string
  /** Who asked for it. Absent when the supervisor did, or nobody said. */
  readonly cancelledBy?: CancelledBy | undefined
}

/**
 * A job has reported how far it is. Reports that follow each other quickly become one event (see `progressEvery`); the
 * last one before the end is always told.
 */
export interface JobProgressed extends Base<"JobProgressed"> {
  readonly progress: Progress
}

/**
 * An attempt of a job failed, and its `retry` schedule says to try again. At most ten of one job in a second become events, so
 * that a `retry` without a pause leaves the history to the others; `attempt` tells how many there were.
 */
export interface JobRetrying extends Base<"JobRetrying">, Failure {
  /** The attempt that failed: 1 for the first. */
  readonly attempt: number
}

/** A pending job was paused, by itself or by its name, and does not start; or a periodic job, whose rounds do not. */
export interface JobPaused extends Base<"JobPaused"> {}

/** A paused job was resumed. */
export interface JobResumed extends Base<"JobResumed"> {}

/**
 * Rounds of a periodic job did not start, because the one before them had not ended. It is the event of that one, which has
 * it once, however many were skipped; `JobStatus.rounds` counts them.
 */
export interface RoundSkipped extends Base<"RoundSkipped"> {}

/** The failure hook itself failed, or did not end within its limit, for the failure of this job. */
export interface FailureHookFailed extends Base<"FailureHookFailed">, Failure {}

/** A logger failed twice for the failure of this job: with its cause, and with a plain text of it. */
export interface FailureLogFailed extends Base<"FailureLogFailed">, Failure {}

/** Everything the supervisor reports, in the order in which it happened. */
export type JobEvent =
  | JobSubmitted
  | JobStarted
  | JobProgressed
  | JobRetrying
  | JobCompleted
  | JobFailed
  | JobCancelled
  | JobPaused
  | JobResumed
  | RoundSkipped
  | FailureHookFailed
  | FailureLogFailed

/**
 * Tells a reader that fell behind the bounded history which events it can no longer have: `from` to `to`, inclusive. A
 * reader whose position no event had yet, as one from before a restart, is told that it missed all events so far.
 */
export interface EventsMissed {
  readonly _tag: "EventsMissed"
  /** The job whose numbers they are, for a reader of one job's events; absent for a reader of all. */
  readonly jobId?: string | undefined
  readonly from: number
  readonly to: number
}
