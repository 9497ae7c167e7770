/**
 * What was seen of a run.
 */
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
  Renewal,
  Settlement,
  Step,
  Store,
  Submitted,
  Token,
  Want
} from "../../durable/JobStore.ts"
import type { Program } from "./Program.ts"

/** A job, and everything that belongs to it. */
export interface Seen {
  readonly job: Job
  readonly log: ReadonlyArray<JobEvent>
  readonly steps: ReadonlyArray<Step>
  readonly attempts: ReadonlyArray<Attempt>
}

/** All jobs of a store by their id, the newest first. */
export type Stock = ReadonlyMap<string, Seen>

/** A request with its answer. */
export type Said =
  | {
      readonly is: "submit"
      readonly jobs: ReadonlyArray<NewJob>
      /** One list for each caller; none when the store was dropped before it answered. */
      readonly answers: ReadonlyArray<ReadonlyArray<Submitted>>
      readonly dropped: boolean
    }
  | { readonly is: "claim"; readonly want: Want; readonly answers: ReadonlyArray<ReadonlyArray<Claim>> }
  | { readonly is: "renew"; readonly held: ReadonlyArray<Token>; readonly answer: Renewal }
  | {
      readonly is: "settle"
      readonly ends: ReadonlyArray<Settlement>
      readonly answer: ReadonlyArray<"settled" | "stale">
    }
  | {
      readonly is: "record"
      readonly token: Token
      readonly entries: ReadonlyArray<Entry>
      readonly answer: "recorded" | "stale"
    }
  | {
      readonly is: "cancel"
      readonly which: Filter
      readonly reason: string
      readonly answer: ReadonlyArray<Cancellation>
    }
  | { readonly is: "requeue"; readonly which: Filter; readonly answer: number }
  | { readonly is: "expire"; readonly answer: number }
  | {
      readonly is: "prune"
      readonly retention: Parameters<Store["prune"]>[0]
      readonly limit: number
      readonly answer: number
    }
  | {
      readonly is: "look"
      readonly which: Filter
      readonly limit: number
      readonly pages: ReadonlyArray<Page>
      readonly counts: Counts
      /** Each job of the stock as it is given by its id. */
      readonly got: ReadonlyArray<Job | undefined>
    }
  /** The store was opened again, in order or after it was dropped. */
  | { readonly is: "opened" }
  | { readonly is: "pass" }
  | { readonly is: "set clock"; readonly millis: number }
  /** The store failed, or the request died. */
  | { readonly is: "failed"; readonly what: string }

export interface Note {
  readonly said: Said
  readonly wall: number
  readonly monotonic: number
  readonly before: Stock
  readonly after: Stock
}

export interface Trace {
  readonly program: Program
  readonly notes: ReadonlyArray<Note>
  /** The events of each job, read once more at the end from the first on. */
  readonly logs: ReadonlyMap<string, ReadonlyArray<JobEvent>>
  /** What the store answered after it was closed. */
  readonly afterClose: string
  readonly steps: number
}
