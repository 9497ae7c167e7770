/**
 * What a store knows of jobs, as plain data: it can be written to a file and sent to another process.
 *
 * Payloads, results, errors, progress, reports and steps are JSON texts, which the store keeps as they are.
 */
import type { JobState, Metadata } from "../../core/JobEvent.ts"

/** A job that is to be kept. */
export interface NewJob {
  /** What kind of work it is. Workers claim jobs by name. */
  readonly name: string
  /** A JSON text. */
  readonly payload: string
  /** Names the job for good: a second submission with it joins the first. Default: one made at random. */
  readonly id?: string | undefined
  /** Which form the payload has, for workers that know several. Default 1. */
  readonly version?: number | undefined
  /** The group in which jobs share a limit and take turns, such as a tenant. Default "". */
  readonly key?: string | undefined
  /** A higher one goes first within its key, as if it had waited one `aging` longer for each point. Default 0. */
  readonly priority?: number | undefined
  /** Not to be started before then, in milliseconds since 1970. Default: at once. */
  readonly dueMillis?: number | undefined
  /** Joins the job of this name and key that was submitted with the same one and is still kept. Default: none. */
  readonly idempotencyKey?: string | undefined
  /** Facts to find it by. Default: none. */
  readonly metadata?: Metadata | undefined
}

/** Which job a submission became. */
export interface Submitted {
  readonly id: string
  /** Whether this submission made it. It did not when the store had the id, or the idempotency key, already. */
  readonly isNew: boolean
}

/** A job as it is now. */
export interface Job {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly key: string
  readonly priority: number
  readonly state: JobState
  /** Pending and not to be started before then, in milliseconds since 1970. */
  readonly dueMillis: number | undefined
  readonly idempotencyKey: string | undefined
  readonly metadata: Metadata
  /** Which attempt runs, or ran last; 0 before the first. An attempt that was released is not counted. */
  readonly attempt: number
  /** How many workers in a row were lost with it. */
  readonly lost: number
  /** How often it was claimed, ever. The number of the newest claim's token. */
  readonly claims: number
  /** Who runs it. */
  readonly worker: string | undefined
  /** Why it is to be cancelled, or was: the first reason that was given. */
  readonly cancelReason: string | undefined
  readonly submittedAtMillis: number
  /** When the newest attempt started. */
  readonly startedAtMillis: number | undefined
  readonly endedAtMillis: number | undefined
  /** The number of its newest event. */
  readonly events: number
  /** The last progress of the newest attempt. */
  readonly progress: string | undefined
  /**
   * The result of a completed job, the error of a failed one. A failed job without one was given up by the store, because too
   * many workers in a row were lost with it.
   */
  readonly result: string | undefined
}

/** The right to say how one attempt goes. A newer claim of the same job makes it worthless. */
export interface Token {
  readonly id: string
  /** Larger than that of every earlier claim of the job, and never used again. */
  readonly claim: number
}

/** A job that is to be run by whoever claimed it. */
export interface Claim {
  readonly job: Job
  readonly payload: string
  readonly token: Token
}

/** What a worker can run now. */
export interface Want {
  /** Names the worker to people. It is no proof of anything: the token is. */
  readonly worker: string
  /** How many jobs at most. */
  readonly slots: number
  readonly names: ReadonlyArray<WantedName>
}

export interface WantedName {
  readonly name: string
  /** How many jobs of the name may run, over all workers. Default: any number. */
  readonly limit?: number | undefined
  /** How many of each key. Default: any number. */
  readonly keyLimit?: number | undefined
}

/** How an attempt ended. */
export type Outcome =
  | { readonly _tag: "Completed"; readonly result: string }
  | { readonly _tag: "Failed"; readonly error: string }
  /** It failed and is to be tried again; `atMillis` is the earliest time, since 1970. */
  | { readonly _tag: "RetryAt"; readonly error: string; readonly atMillis: number }
  /** It was stopped. The reason counts when nobody had asked for the cancellation in the store. */
  | { readonly _tag: "Cancelled"; readonly reason: string }
  /** It is given back as if it had not been started. */
  | { readonly _tag: "Released" }

export interface Settlement {
  readonly token: Token
  readonly outcome: Outcome
}

/** What an attempt says while it runs. */
export type Entry =
  | { readonly _tag: "Progress"; readonly value: string }
  | { readonly _tag: "Report"; readonly value: string }
  /** A result within the job that later attempts use again. The first value of a name is kept. */
  | { readonly _tag: "Step"; readonly name: string; readonly value: string }

export interface Step {
  readonly name: string
  readonly value: string
}

/** What became of one attempt; the outcome of one that runs is not there yet. */
export interface Attempt {
  readonly claim: number
  readonly attempt: number
  readonly startedAtMillis: number
  readonly endedAtMillis: number | undefined
  readonly outcome: Outcome["_tag"] | "Lost" | undefined
  readonly error: string | undefined
}

export type EventKind =
  | "Submitted"
  | "Started"
  | "Progress"
  | "Report"
  | "Step"
  | "CancelRequested"
  | "RetryAt"
  | "Released"
  | "Lost"
  | "Requeued"
  | "Completed"
  | "Failed"
  | "Cancelled"

/** Something that happened to a job. */
export interface JobEvent {
  /** 1, 2, 3, … of each job, without gaps. */
  readonly sequence: number
  readonly kind: EventKind
  readonly atMillis: number
  /** A JSON text of progress, a report or an error; the name of a step; the reason of a cancellation. */
  readonly data: string | undefined
}

/** Which jobs are meant: those that match everything given. A list matches any of its items. */
export interface Filter {
  readonly ids?: ReadonlyArray<string> | undefined
  readonly names?: ReadonlyArray<string> | undefined
  readonly keys?: ReadonlyArray<string> | undefined
  readonly states?: ReadonlyArray<JobState> | undefined
  /** Each of these facts, with the same value. */
  readonly metadata?: Metadata | undefined
}

/** A place between two pages; it stays right while jobs come and go. */
export type Cursor = number

export interface PageRequest {
  /** What the page before gave as `next`. Default: begin with the newest job. */
  readonly before?: Cursor | undefined
  /** How many jobs. Default 100. */
  readonly limit?: number | undefined
}

/** Jobs, the newest first. */
export interface Page {
  readonly jobs: ReadonlyArray<Job>
  /** Where to go on. There is none behind the last page. */
  readonly next: Cursor | undefined
}

export type Counts = Readonly<Record<JobState, number>>

/** What a request to cancel did. */
export interface Cancellation {
  readonly id: string
  /** `requested`: it runs, and its worker is told. `ended`: it had ended already. */
  readonly is: "cancelled" | "requested" | "ended"
}

/** What the store says of claims that are held. */
export interface Renewal {
  /** Tokens that are worth nothing any longer: whoever holds them must stop. */
  readonly lost: ReadonlyArray<Token>
  /** Those whose job is to be cancelled. */
  readonly cancel: ReadonlyArray<{ readonly token: Token; readonly reason: string }>
}

/** Hints that something may be there to do. They may be lost and doubled, so nothing may depend on them. */
export type Signal =
  /** A job of the name can be claimed from then on. */
  | { readonly _tag: "Ready"; readonly name: string; readonly atMillis: number }
  | { readonly _tag: "CancelRequested"; readonly id: string }
  | { readonly _tag: "Ended"; readonly id: string }
  | { readonly _tag: "Reported"; readonly id: string }
