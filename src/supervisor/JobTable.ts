/**
 * Finds jobs: those that live, and the latest of those that have ended.
 */
import { MutableList } from "effect"
import type { JobKind, JobState, Metadata } from "../core/JobEvent.ts"
import type { JobRecord, JobStatus } from "./JobRecord.ts"

/** How many jobs are in each state. `pending` and `running` are now, the others since the supervisor started. */
export type Counts = Readonly<Record<JobState, number>>

/** Which jobs to list: those that match every field given. */
export interface Filter {
  /** One state, or any of several. Default: all. */
  readonly state?: JobState | ReadonlyArray<JobState> | undefined
  /** The exact name. Default: any. */
  readonly name?: string | undefined
  /** Default: any. */
  readonly kind?: JobKind | undefined
  /** Default: any. */
  readonly key?: string | undefined
  /** Jobs whose metadata has all of these values. Default: any. */
  readonly metadata?: Metadata | undefined
  /** How many of the matching jobs to pass over. Default 0. */
  readonly offset?: number | undefined
  /** How many to give at most. Default: all. */
  readonly limit?: number | undefined
}

/** How long ended jobs are kept. */
export interface Retention {
  readonly records: Keep
  readonly results: Keep
}

/** At most `count`, each for at most `forMillis`. */
export interface Keep {
  readonly count: number
  readonly forMillis: number
}

export class JobTable {
  private readonly live = new Map<string, JobRecord>()
  private readonly ended = new Map<string, JobRecord>()
  private readonly byIdempotencyKey = new Map<string, JobRecord>()
  private readonly records = new Oldest()
  private readonly results = new Oldest()
  private readonly tallies: Record<JobKind, Record<JobState, number>> = { job: zero(), call: zero(), periodic: zero() }
  private readonly retention: Retention
  private lastNumber = 0

  constructor(retention: Retention) {
    this.retention = retention
  }

  /** Makes an id that no known job has: `job-1`, `job-2`, … */
  nextId(): string {
    do this.lastNumber++
    while (this.get(`job-${this.lastNumber}`) !== undefined)
    return `job-${this.lastNumber}`
  }

  /** True for an id this table gave out: if it is not found, its record has been dropped. */
  hasIssued(id: string): boolean {
    const number = /^job-([1-9][0-9]*)$/.exec(id)?.[1]
    return number !== undefined && Number(number) <= this.lastNumber
  }

  get(id: string): JobRecord | undefined {
    return this.live.get(id) ?? this.ended.get(id)
  }

  /** The known job that was submitted with this idempotency key. */
  getByIdempotencyKey(key: string): JobRecord | undefined {
    const record = this.byIdempotencyKey.get(key)
    return record === undefined ? undefined : this.get(record.id)
  }

  /** Jobs that have not ended, in the order in which they were submitted. */
  get liveRecords(): Iterable<JobRecord> {
    return this.live.values()
  }

  get liveCount(): number {
    return this.live.size
  }

  get endedCount(): number {
    return this.ended.size
  }

  add(record: JobRecord): void {
    const { id, idempotencyKey, kind } = record.submission
    this.live.set(id, record)
    if (idempotencyKey !== undefined) this.byIdempotencyKey.set(idempotencyKey, record)
    this.tallies[kind].pending++
  }

  /** Moves a record to its next state; a terminal one makes it old, and the oldest of the old are dropped. */
  move(record: JobRecord, state: JobState, nowMillis: number): void {
    const { id, kind } = record.submission
    const tally = this.tallies[kind]
    tally[record.state]--
    tally[state]++
    record.state = state
    if (state === "pending" || state === "running") return
    this.live.delete(id)
    // A round that went well is one of very many.
    if (kind === "periodic" && state === "completed" && record.submission.parent !== undefined) return
    // What a call answered went to its caller, and nobody asks for it by id.
    this.ended.set(id, kind === "call" ? record.withoutResult() : record)
    this.records.push(record)
    if (kind !== "call") this.results.push(record)
    this.prune(nowMillis)
  }

  /** Drops the records and results that are not to be kept any longer. */
  prune(nowMillis: number): void {
    for (const { id, submission } of this.records.beyond(this.retention.records, nowMillis)) {
      this.ended.delete(id)
      const { idempotencyKey } = submission
      if (idempotencyKey !== undefined && this.byIdempotencyKey.get(idempotencyKey)?.id === id) {
        this.byIdempotencyKey.delete(idempotencyKey)
      }
    }
    for (const record of this.results.beyond(this.retention.results, nowMillis)) {
      if (this.ended.get(record.id) === record) this.ended.set(record.id, record.withoutResult())
    }
  }

  counts(kind: JobKind): Counts {
    return { ...this.tallies[kind] }
  }

  /** Jobs that match, oldest first: those that have ended, then those that live. */
  list(filter: Filter): ReadonlyArray<JobStatus> {
    const found: Array<JobStatus> = []
    let toPass = filter.offset ?? 0
    for (const records of [this.ended, this.live]) {
      for (const record of records.values()) {
        if (found.length >= (filter.limit ?? Infinity)) return found
        if (matches(record, filter) && --toPass < 0) found.push(record.status())
      }
    }
    return found
  }
}

/** Ended records in the order of their end. */
class Oldest {
  private readonly rest = MutableList.make<JobRecord>()
  private first: JobRecord | undefined = undefined

  push(record: JobRecord): void {
    if (this.first === undefined) this.first = record
    else MutableList.append(this.rest, record)
  }

  /** Takes out those that are not to be kept, oldest first. */
  *beyond({ count, forMillis }: Keep, nowMillis: number): Iterable<JobRecord> {
    while (
      this.first !== undefined &&
      (this.rest.length + 1 > count || (this.first.endedAtMillis ?? 0) + forMillis <= nowMillis)
    ) {
      yield this.first
      const next = MutableList.take(this.rest)
      this.first = next === MutableList.Empty ? undefined : next
    }
  }
}

const zero = () => ({ pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 })

const matches = ({ state, submission }: JobRecord, filter: Filter): boolean =>
  (filter.state === undefined ||
    (typeof filter.state === "string" ? filter.state === state : filter.state.includes(state))) &&
  (filter.name === undefined || filter.name === submission.name) &&
  (filter.kind === undefined || filter.kind === submission.kind) &&
  (filter.key === undefined || filter.key === submission.key) &&
  Object.entries(filter.metadata ?? {}).every(([key, value]) => submission.metadata[key] === value)
