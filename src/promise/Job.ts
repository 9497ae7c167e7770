/**
 * What a job of a client is given, and what can be asked of it.
 */
import type { CancelledBy, JobKind, JobState, Metadata, Progress } from "../core/JobEvent.ts"
import type { Priority } from "../core/queue/Priority.ts"
import type { Time } from "./Call.ts"

export type { JobKind, JobState, Metadata, Progress } from "../core/JobEvent.ts"

/** How far a job is: a fraction from 0 to 1, or so many done of a total. */
export type Reported = { readonly fraction: number } | { readonly done: number; readonly total: number }

/** What work is given. */
export interface JobTools {
  /** Aborts when the job is cancelled, runs out of time or the client closes. Pass it on. */
  readonly signal: AbortSignal
  /** Says how far the job is. It never fails. */
  readonly report: (progress: Reported, message?: string) => void
  /**
   * Runs a job of this job and gives its result. This one lends its slot while it waits, so that a full client does not wait for
   * itself.
   */
  readonly run: <A>(work: Work<A>, options?: JobOptions) => Promise<A>
  /** Starts a job of this job and gives its handle. It ends with this one. */
  readonly submit: <A>(work: Work<A>, options?: JobOptions) => Promise<Job<A>>
}

/** Work: an async function. Its job has ended when it has, clean-up included. */
export type Work<A> = (tools: JobTools) => PromiseLike<A> | A

/** How a job is submitted. */
export interface JobOptions {
  /** What it does, for people. Default: its id. */
  readonly name?: string | undefined
  /** How it is found again; no other known job may have it. Default: a random one. */
  readonly id?: string | undefined
  /** How long it may run, from its start. Default: the client's `jobs.timeout`. */
  readonly timeout?: Time | undefined
  /** Facts to list it by. Default: none. */
  readonly metadata?: Metadata | undefined
  /**
   * Who it is for: jobs with the same key take turns with others, and share `jobs.keyConcurrency`; the empty text is nobody.
   * Default: that of the job it belongs to, or nobody.
   */
  readonly key?: string | undefined
  /** How urgent it is, as a level or a number. Default `normal`. */
  readonly priority?: Priority | undefined
  /** What to do when `jobs.maxPending` jobs wait: be refused, wait for room, or wait for at most so long. Default `refuse`. */
  readonly whenFull?: "refuse" | "wait" | Time | undefined
  /** Joins the known job of the same name and `key` that was submitted with this one: nothing is started then. Default: none. */
  readonly idempotencyKey?: string | undefined
}

/** How work repeats. */
export interface EveryOptions {
  /** What it does, for people. */
  readonly name: string
  /** The time zone of a cron text, such as `Europe/Berlin`. Default: that of the process. */
  readonly timeZone?: string | undefined
  /** What to do when the round before has not ended. Default `skip`. */
  readonly overlap?: "skip" | "queue" | "cancel previous" | undefined
  /** Rounds are put off by a random time up to this, so that many processes do not act as one. Default: none. */
  readonly jitter?: Time | undefined
  /** How long a round may run. Default: as long as it takes. */
  readonly timeout?: Time | undefined
  /** Facts to list it by. Default: none. */
  readonly metadata?: Metadata | undefined
}

/** How a job is right now. Times are milliseconds since 1970. */
export interface JobStatus {
  readonly id: string
  readonly name: string
  readonly kind: JobKind
  readonly state: JobState
  readonly metadata: Metadata
  readonly key: string
  readonly priority: number
  /** The job that owns this one. */
  readonly parentId: string | undefined
  readonly submittedAtMillis: number
  readonly startedAtMillis: number | undefined
  readonly endedAtMillis: number | undefined
  /** Why it failed or was cancelled, for people. */
  readonly error: string | undefined
  /** What it reported last. */
  readonly progress: Progress | undefined
  /** Who asked for its cancellation. */
  readonly cancelledBy: CancelledBy | undefined
  /** What became of its rounds, of work that repeats. */
  readonly rounds: { readonly started: number; readonly failed: number; readonly skipped: number } | undefined
}

/** What happened to a job, in order. `error` and `reason` are for people. */
export interface JobEvent {
  readonly type:
    | "submitted"
    | "started"
    | "progressed"
    | "retrying"
    | "completed"
    | "failed"
    | "cancelled"
    | "paused"
    | "resumed"
    | "round skipped"
    | "failure hook failed"
    | "failure log failed"
    | "events missed"
  readonly jobId: string
  /** Position among the job's events: 1, 2, 3, … Of `events missed`, the last one that is no longer kept. */
  readonly sequence: number
  readonly atMillis: number | undefined
  readonly progress?: Progress
  readonly error?: string
  readonly reason?: string
}

/** How long to wait for something, and until when. The job goes on, whichever ends the wait. */
export interface WaitOptions {
  /** How long to wait. Then it rejects with code `still_running`. Default: as long as it takes. */
  readonly timeout?: Time | undefined
  /** Ends the wait when it aborts. */
  readonly signal?: AbortSignal | undefined
}

/** A job that was submitted. It is no promise: `await job.result()`. It stays good for as long as you hold it. */
export interface Job<A = unknown> {
  readonly id: string
  /** Tells how it is right now. */
  readonly status: () => Promise<JobStatus>
  /** Waits for its result, or rejects as it failed: with what your own work threw, or a `HoldfastError`. */
  readonly result: (options?: WaitOptions) => Promise<A>
  /** What it reports, from what it reported last until it ends. Reports that a slow reader has no time for are passed over. */
  readonly progress: AsyncIterable<Progress>
  /** What happens to it until it ends. `after: 0` gives all that is still known. Default: what happens from now on. */
  readonly events: (options?: { readonly after?: number | undefined }) => AsyncIterable<JobEvent>
  /** Cancels it, and waits until it has ended, clean-up included. */
  readonly cancel: (reason?: string) => Promise<JobStatus>
}

/** A job by name: what it does is known before it is submitted. */
export interface DefinedJob<In, A> {
  readonly name: string
  /** Starts it with this input. Rejects with code `invalid_input` when the schema refuses it. */
  readonly submit: (input: In, options?: Omit<JobOptions, "name">) => Promise<Job<A>>
  /** Starts it and waits for its result. It ends when the signal aborts. */
  readonly run: (
    input: In,
    options?: Omit<JobOptions, "name"> & { readonly signal?: AbortSignal | undefined }
  ) => Promise<A>
}

/** Which jobs: those that match every field given. Calls of models are jobs of kind `call`. */
export interface JobFilter {
  readonly state?: JobState | ReadonlyArray<JobState>
  readonly name?: string
  readonly kind?: JobKind
  readonly key?: string
  readonly metadata?: Metadata
  readonly offset?: number
  readonly limit?: number
}

/** What became of jobs that were to end. */
export interface EndReport {
  readonly jobs: ReadonlyArray<{
    readonly id: string
    readonly name: string
    readonly kind: JobKind
    readonly parentId: string | undefined
    readonly outcome: "completed" | "failed" | "cancelled" | "not started" | "still running" | "caller"
    /** For how long it has ignored its interruption, in milliseconds; only when it is still running. */
    readonly stuckForMillis: number | undefined
  }>
  /** Whether all have ended. */
  readonly clean: boolean
}
