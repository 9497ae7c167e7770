/**
 * What the rules of a store need of whoever keeps its rows: one row at a time, at once.
 */
import type { JobState, Metadata } from "../../core/JobEvent.ts"
import type { Attempt, Counts, EventKind, Filter, JobEvent, Step } from "./Job.ts"

/** A job that is not in a table yet. */
export interface Row {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly key: string
  readonly priority: number
  readonly idempotencyKey: string | undefined
  readonly metadata: Metadata
  readonly payload: string
  readonly submittedAtMillis: number
  state: JobState
  /** Where it stands within its key, smaller first: see `Lanes.ts`. */
  place: number
  dueMillis: number | undefined
  attempt: number
  lost: number
  claims: number
  worker: string | undefined
  cancelReason: string | undefined
  startedAtMillis: number | undefined
  endedAtMillis: number | undefined
  events: number
  progress: string | undefined
  result: string | undefined
}

export interface StoredRow extends Row {
  /** In the order of submission, over all jobs. */
  readonly position: number
}

/** The jobs of one name and key. */
export interface Lane {
  readonly name: string
  readonly key: string
  running: number
  /** See `Lanes.ts`. */
  turn: number
  sinceMillis: number
  /** The smallest is served first. There is none while no job of the lane can be started. */
  score: number | undefined
}

/** What is kept once for all jobs. */
export interface Ledger {
  /** The turn that was served last. */
  turn: number
  /** Ended jobs, and the characters they have. */
  ended: number
  characters: number
}

export interface Table {
  readonly ledger: Ledger
  readonly find: (id: string) => StoredRow | undefined
  readonly findByIdempotencyKey: (name: string, key: string, idempotencyKey: string) => StoredRow | undefined
  readonly insert: (row: Row) => StoredRow
  /** Keeps what was changed of a row. */
  readonly save: (row: StoredRow) => void
  /** Drops a row, and everything that belongs to it. */
  readonly remove: (row: StoredRow) => void
  /** The first job of a lane that can be started. */
  readonly head: (name: string, key: string) => StoredRow | undefined
  /** The job that was to wait for the shortest, when its time has come. */
  readonly firstDue: (nowMillis: number) => StoredRow | undefined
  readonly running: () => ReadonlyArray<StoredRow>
  readonly countRunning: (name: string) => number
  readonly lane: (name: string, key: string) => Lane | undefined
  readonly saveLane: (lane: Lane) => void
  readonly removeLane: (lane: Lane) => void
  /** The lane of a name with the smallest score of those that run less than the limit. */
  readonly firstLane: (name: string, keyLimit: number) => Lane | undefined
  /** Lanes without a job that waits or runs. */
  readonly idleLanes: () => ReadonlyArray<Lane>
  readonly addEvent: (row: StoredRow, sequence: number, kind: EventKind, atMillis: number, data?: string) => void
  readonly events: (row: StoredRow, after: number) => ReadonlyArray<JobEvent>
  readonly addAttempt: (row: StoredRow, attempt: Attempt) => void
  readonly endAttempt: (row: StoredRow, outcome: Attempt["outcome"], atMillis: number, error?: string) => void
  readonly attempts: (row: StoredRow) => ReadonlyArray<Attempt>
  /** Keeps a step, unless one of that name is kept. Gives whether it was. */
  readonly addStep: (row: StoredRow, step: Step) => boolean
  readonly steps: (row: StoredRow) => ReadonlyArray<Step>
  /** The jobs that a filter means, the newest first, from before a position on. */
  readonly select: (filter: Filter, before: number, limit: number) => ReadonlyArray<StoredRow>
  readonly count: (filter: Filter) => Counts
  /** The job that ended first. */
  readonly firstEnded: () => StoredRow | undefined
}
