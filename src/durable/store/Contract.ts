/**
 * What a store of jobs can be asked.
 *
 * A request has happened when its effect returns: what it changed outlives a crash, if the store outlives it at all. One that
 * is interrupted may happen or not, and never half of it.
 */
import type { Duration, Effect, Option, Stream } from "effect"
import type { JobStoreError } from "../JobStoreError.ts"
import type {
  Attempt,
  Cancellation,
  Claim,
  Counts,
  Entry,
  Filter,
  Job,
  JobEvent,
  NewJob,
  Page,
  PageRequest,
  Renewal,
  Settlement,
  Signal,
  Step,
  Submitted,
  Token,
  Want
} from "./Job.ts"

/** Which ended jobs need not be kept. At least one bound has to be given; a job beyond any of them goes, the oldest first. */
export interface Retention {
  /** How long after their end. */
  readonly age?: Duration.Input | undefined
  /** How many. */
  readonly count?: number | undefined
  /** How many characters their payloads, results and metadata have together. */
  readonly characters?: number | undefined
}

/** Keeps jobs, says who may run which, and keeps what became of them. */
export interface Store {
  /** Keeps jobs: all of them, or none when it fails. Fails with `TooLarge` for a payload beyond the store's limit. */
  readonly submit: (jobs: ReadonlyArray<NewJob>) => Effect.Effect<ReadonlyArray<Submitted>, JobStoreError>
  /**
   * Takes jobs that may run now, and gives none when there are none. Keys take turns; within a key priority and age count. The
   * claim is held for one `lease`: renew it before then.
   */
  readonly claim: (want: Want) => Effect.Effect<ReadonlyArray<Claim>, JobStoreError>
  /** Holds claims for another lease. */
  readonly renew: (held: ReadonlyArray<Token>) => Effect.Effect<Renewal, JobStoreError>
  /** Says how attempts ended, each in the place of its settlement. `stale`: the token is worth nothing, and nothing changed. */
  readonly settle: (ends: ReadonlyArray<Settlement>) => Effect.Effect<ReadonlyArray<"settled" | "stale">, JobStoreError>
  /** Adds what an attempt says while it runs, all of it or nothing. */
  readonly record: (token: Token, entries: ReadonlyArray<Entry>) => Effect.Effect<"recorded" | "stale", JobStoreError>
  /**
   * Cancels jobs that wait, and asks for the end of those that run. Jobs that have ended are in the answer only when the filter
   * names ids. The first reason that a job is given counts.
   */
  readonly cancel: (which: Filter, reason: string) => Effect.Effect<ReadonlyArray<Cancellation>, JobStoreError>
  /** Has failed and cancelled jobs run once more, with the same id and history; their attempts are counted anew. */
  readonly requeue: (which: Filter) => Effect.Effect<number, JobStoreError>
  readonly get: (id: string) => Effect.Effect<Option.Option<Job>, JobStoreError>
  /** The steps of a job, in the order in which they were written. */
  readonly steps: (id: string) => Effect.Effect<ReadonlyArray<Step>, JobStoreError>
  /** What became of the attempts of a job, the first one first. */
  readonly attempts: (id: string) => Effect.Effect<ReadonlyArray<Attempt>, JobStoreError>
  readonly list: (filter: Filter, page?: PageRequest) => Effect.Effect<Page, JobStoreError>
  readonly count: (filter: Filter) => Effect.Effect<Counts, JobStoreError>
  /** The events of a job behind that number, all of them: `events(id, 0)` begins with the first. */
  readonly events: (id: string, after: number) => Effect.Effect<ReadonlyArray<JobEvent>, JobStoreError>
  /**
   * Takes jobs back whose lease has ended, and gives how many. They wait again, or have failed when too many workers in a row
   * were lost with them. Call it about once a second.
   */
  readonly expire: Effect.Effect<number, JobStoreError>
  /** Drops ended jobs that need not be kept, at most `limit` of them, and gives how many. */
  readonly prune: (retention: Retention, limit: number) => Effect.Effect<number, JobStoreError>
  /** Hints for everybody who listens from now on. A slow listener loses the oldest. */
  readonly signals: Stream.Stream<Signal>
}
