/**
 * The requests to a store and their answers, as plain data: what a thread or another process can be sent.
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
  Submitted,
  Token,
  Want
} from "./Job.ts"
import type { Instant } from "./Transitions.ts"

/** A job with its id. */
export type NamedJob = NewJob & { readonly id: string }

export interface Bounds {
  readonly ageMillis: number | undefined
  readonly count: number | undefined
  readonly characters: number | undefined
}

/** Each request, by its name, and its answer. */
export interface Operations {
  readonly submit: [{ readonly jobs: ReadonlyArray<NamedJob> }, ReadonlyArray<Submitted>]
  readonly claim: [{ readonly want: Want }, ReadonlyArray<Claim>]
  readonly renew: [{ readonly held: ReadonlyArray<Token> }, Renewal]
  readonly settle: [{ readonly ends: ReadonlyArray<Settlement> }, ReadonlyArray<"settled" | "stale">]
  readonly record: [{ readonly token: Token; readonly entries: ReadonlyArray<Entry> }, "recorded" | "stale"]
  readonly cancel: [{ readonly which: Filter; readonly reason: string }, ReadonlyArray<Cancellation>]
  readonly requeue: [{ readonly which: Filter }, number]
  readonly get: [{ readonly id: string }, Job | undefined]
  readonly steps: [{ readonly id: string }, ReadonlyArray<Step>]
  readonly attempts: [{ readonly id: string }, ReadonlyArray<Attempt>]
  readonly list: [{ readonly filter: Filter; readonly before: number; readonly limit: number }, Page]
  readonly count: [{ readonly filter: Filter }, Counts]
  readonly events: [{ readonly id: string; readonly after: number }, ReadonlyArray<JobEvent>]
  readonly expire: [object, number]
  readonly prune: [{ readonly bounds: Bounds; readonly limit: number }, number]
}

export type Name = keyof Operations
export type Question<N extends Name> = Operations[N][0]
export type Answer<N extends Name> = Operations[N][1]

/** A request as it is sent. */
export type Operation = {
  readonly [N in Name]: { readonly is: N; readonly at: Instant; readonly of: Question<N> }
}[Name]
