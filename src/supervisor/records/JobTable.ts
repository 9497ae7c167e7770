/**
 * Finds jobs: those that live, and the latest of those that have ended.
 */
import { MutableList } from "effect"
import type { JobKind, JobState, Metadata } from "../../core/JobEvent.ts"
import * as JobId from "./JobId.ts"
import type { JobRecord } from "./JobRecord.ts"

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
  private readonly known = new Map<JobId.JobId, JobRecord>()
  private readonly byIdempotencyKey = new Map<string, JobId.JobId>()
  private readonly live = new LiveList()
  // By id, so that a result which is no longer kept is held by nobody here.
  private readonly records = new Oldest<JobId.JobId>((id) => this.known.get(id)?.endedAtMillis)
  // Absent when results are kept for as long as records are.
  private readonly results: Oldest<JobRecord> | undefined
  private readonly tallies: Record<JobKind, Record<JobState, number>> = { job: zero(), call: zero(), periodic: zero() }
  private readonly retention: Retention
  private lastNumber = 0
  private hasForeignIds = false
  private issued: JobId.JobId | undefined = undefined

  constructor(retention: Retention) {
    this.retention = retention
    const { records, results } = retention
    const isEarlier = results.count < records.count || results.forMillis < records.forMillis
    this.results = isEarlier ? new Oldest((record) => record.endedAtMillis) : undefined
  }

  /** Makes an id that no known job has: `job-1`, `job-2`, … */
  nextId(): JobId.JobId {
    this.lastNumber++
    while (this.hasForeignIds && this.known.has(this.lastNumber)) this.lastNumber++
    return (this.issued = this.lastNumber)
  }

  /** True when no known job has this id; the one made last is known to be free without looking. */
  isFree(id: JobId.JobId): boolean {
    const isIssued = id === this.issued
    this.issued = undefined
    return isIssued || !this.known.has(id)
  }

  /** True for an id this table gave out: if it is not found, its record has been dropped. */
  hasIssued(id: string): boolean {
    const jobId = JobId.fromText(id)
    return typeof jobId === "number" && jobId <= this.lastNumber
  }

  get(id: string): JobRecord | undefined {
    return this.known.get(JobId.fromText(id))
  }

  /** The known job that was submitted with this idempotency key. */
  getByIdempotencyKey(key: string): JobRecord | undefined {
    const id = this.byIdempotencyKey.get(key)
    return id === undefined ? undefined : this.known.get(id)
  }

  /** Jobs that have not ended, in the order in which they were submitted. */
  get liveRecords(): Iterable<JobRecord> {
    return this.live
  }

  /** The job that was submitted first of those that have not ended. */
  get oldestLive(): JobRecord | undefined {
    return this.live.first
  }

  add(record: JobRecord): void {
    const { idempotencyKey, jobId, kind } = record
    if (typeof jobId === "number" && jobId > this.lastNumber) this.hasForeignIds = true
    this.known.set(jobId, record)
    this.live.add(record)
    if (idempotencyKey !== undefined) this.byIdempotencyKey.set(idempotencyKey, jobId)
    this.tallies[kind].pending++
  }

  /** Takes down that a job which was pending runs. */
  start(record: JobRecord): void {
    const tally = this.tallies[record.kind]
    tally.pending--
    tally.running++
    record.state = "running"
  }

  /** Takes down how a job ended. That makes its record old, and the oldest of the old are dropped. */
  end(record: JobRecord, state: JobState, nowMillis: number): void {
    const { jobId, kind } = record
    const tally = this.tallies[kind]
    // By name where one name is usual: a property that is looked up by a variable takes several times as long.
    if (record.state === "running") tally.running--
    else tally.pending--
    if (state === "completed") tally.completed++
    else tally[state]++
    record.state = state
    this.live.remove(record)
    // A round that went well is one of very many.
    if (kind === "periodic" && state === "completed" && record.parent !== undefined)
      return void this.known.delete(jobId)
    // What a call answered went to its callers, who let go of it, and nobody asks for it by id.
    if (kind !== "call") this.results?.push(record)
    else if (!record.runners) this.known.set(jobId, record.withoutResult())
    this.records.push(jobId)
    this.prune(nowMillis)
  }

  /** Drops the records and results that are not to be kept any longer. */
  prune(nowMillis: number): void {
    const { records, results } = this.retention
    let id: JobId.JobId | undefined
    while ((id = this.records.takeBeyond(records, nowMillis)) !== undefined) {
      const key = this.known.get(id)?.idempotencyKey
      this.known.delete(id)
      if (key !== undefined && this.byIdempotencyKey.get(key) === id) this.byIdempotencyKey.delete(key)
    }
    let old: JobRecord | undefined
    while ((old = this.results?.takeBeyond(results, nowMillis)) !== undefined) {
      const { jobId } = old
      if (this.known.get(jobId) === old) this.known.set(jobId, old.withoutResult())
    }
  }

  counts(kind: JobKind): Counts {
    return { ...this.tallies[kind] }
  }

  /** Jobs that match, in the order in which they were submitted. */
  select(filter: Filter): ReadonlyArray<JobRecord> {
    const matches = matching(filter)
    const { limit = Infinity, offset = 0 } = filter
    const found: Array<JobRecord> = []
    let passed = 0
    for (const record of isOnlyLive(filter) ? this.live : this.known.values()) {
      if (found.length >= limit) break
      if (matches(record) && ++passed > offset) found.push(record)
    }
    return found
  }
}

/** Jobs that have not ended, in the order in which they were submitted. A job knows its neighbours. */
class LiveList {
  first: JobRecord | undefined = undefined
  private last: JobRecord | undefined = undefined

  add(record: JobRecord): void {
    record.previous = this.last
    if (this.last === undefined) this.first = record
    else this.last.next = record
    this.last = record
  }

  remove(record: JobRecord): void {
    const { next, previous } = record
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.last = previous
    else next.previous = previous
    record.previous = undefined
    record.next = undefined
  }

  *[Symbol.iterator](): Iterator<JobRecord> {
    for (let record = this.first; record !== undefined; record = record.next) yield record
  }
}

/** What has ended, in the order of its end. */
class Oldest<Ended extends JobRecord | JobId.JobId> {
  private readonly rest = MutableList.make<Ended>()
  private first: Ended | undefined = undefined
  private readonly endedAtMillis: (ended: Ended) => number | undefined

  constructor(endedAtMillis: (ended: Ended) => number | undefined) {
    this.endedAtMillis = endedAtMillis
  }

  push(ended: Ended): void {
    if (this.first === undefined) this.first = ended
    else MutableList.append(this.rest, ended)
  }

  /** Takes out the oldest if it is not to be kept. */
  takeBeyond({ count, forMillis }: Keep, nowMillis: number): Ended | undefined {
    const { first } = this
    if (first === undefined) return undefined
    if (this.rest.length < count && (this.endedAtMillis(first) ?? 0) + forMillis > nowMillis) return undefined
    const next = MutableList.take(this.rest)
    this.first = next === MutableList.Empty ? undefined : next
    return first
  }
}

const zero = () => ({ pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 })

const statesOf = ({ state }: Filter): ReadonlyArray<JobState> | undefined =>
  typeof state === "string" ? [state] : state

const isOnlyLive = (filter: Filter): boolean =>
  statesOf(filter)?.every((state) => state === "pending" || state === "running") ?? false

const matching = (filter: Filter): ((record: JobRecord) => boolean) => {
  const { key, kind, name } = filter
  const states = statesOf(filter)
  const facts = Object.entries(filter.metadata ?? {})
  const hasFacts = (metadata: Metadata): boolean => {
    for (let n = 0; n < facts.length; n++) {
      const fact = facts[n]
      if (fact !== undefined && metadata[fact[0]] !== fact[1]) return false
    }
    return true
  }
  return (record) =>
    (states === undefined || states.includes(record.state)) &&
    (kind === undefined || kind === record.kind) &&
    (key === undefined || key === record.key) &&
    hasFacts(record.metadata) &&
    (name === undefined || name === record.name)
}
