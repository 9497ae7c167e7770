/**
 * Finds jobs: those that live, and the latest of those that have ended.
 */
import type { JobKind, JobState } from "../../core/JobEvent.ts"
import { Ending } from "./Ending.ts"
import * as Filter from "./Filter.ts"
import * as JobId from "./JobId.ts"
import type { JobRecord } from "./JobRecord.ts"
import { type Keep, Oldest } from "./Oldest.ts"
import * as ResultSize from "./ResultSize.ts"

/** How many jobs are in each state. `pending` and `running` are now, the others since the supervisor started. */
export type Counts = Readonly<Record<JobState, number>>

/** How long ended jobs are kept. */
export interface Retention {
  readonly records: Keep
  readonly results: Keep
  /** Results are kept up to this size together: see `ResultSize`. */
  readonly resultBytes: number
}

/** A result that needs memory of its own. */
interface Weighed {
  readonly record: JobRecord
  readonly bytes: number
}

export class JobTable {
  private readonly known = new Map<JobId.JobId, JobRecord>()
  private readonly byIdempotencyKey = new Map<string, JobId.JobId>()
  private readonly live = new LiveList()
  // By id, so that a result which is no longer kept is held by nobody here.
  private readonly records = new Oldest<JobId.JobId>((id) => this.known.get(id)?.endedAtMillis)
  // Absent when results are kept for as long as records are.
  private readonly results: Oldest<number> | undefined
  // Then, by its number, what still has its result: an id may be another job's by now.
  private readonly withResult = new Map<number, JobRecord>()
  // Results that need memory of their own, by number, and how much each needs.
  private readonly sizes = new Map<number, Weighed>()
  // Their order: to look for the first one of a map takes the longer, the more were first before it.
  private readonly weighed = new Oldest<number>((number) => this.sizes.get(number)?.record.endedAtMillis)
  private bytes = 0
  private readonly tallies: Record<JobKind, Record<JobState, number>> = { job: zero(), call: zero(), periodic: zero() }
  private readonly retention: Retention
  private readonly randomId: (() => string) | undefined
  private lastNumber = 0
  private hasForeignIds = false
  /** Of those that run, those that were asked to end and that nobody has been warned of. */
  readonly ending = new Ending()
  private issued: JobId.JobId | undefined = undefined

  /** `randomId` makes the ids, where they are not to be counted. */
  constructor(retention: Retention, randomId: (() => string) | undefined) {
    this.retention = retention
    this.randomId = randomId
    const { records, results } = retention
    const isEarlier = results.count < records.count || results.forMillis < records.forMillis
    this.results = isEarlier ? new Oldest((number) => this.withResult.get(number)?.endedAtMillis) : undefined
  }

  /** Makes an id that no known job has: `job-1`, `job-2`, …, or a random one. */
  nextId(): JobId.JobId {
    if (this.randomId !== undefined) return (this.issued = this.randomId())
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
    return typeof jobId === "number" && jobId >= 1 && jobId <= this.lastNumber
  }

  get(id: string): JobRecord | undefined {
    return this.known.get(JobId.fromText(id))
  }

  /** True while the record of a job is kept. Its id may be another's by now, its number never is. */
  isKept(id: JobId.JobId, number: number): boolean {
    return this.known.get(id)?.number === number
  }

  /** The known job that was submitted with this idempotency key. */
  getByIdempotencyKey(key: string): JobRecord | undefined {
    const id = this.byIdempotencyKey.get(key)
    return id === undefined ? undefined : this.known.get(id)
  }

  /** Lets the next job with this idempotency key be another one. */
  forgetIdempotencyKey(key: string): void {
    this.byIdempotencyKey.delete(key)
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

  /**
   * Takes down how a job ended. That makes its record old, and the oldest of the old are dropped. Of a round that went well,
   * which is one of very many, none is kept.
   */
  end(record: JobRecord, state: JobState, nowMillis: number, isRound: boolean): void {
    const { jobId, kind } = record
    const tally = this.tallies[kind]
    // By name where one name is usual: a property that is looked up by a variable takes several times as long.
    if (record.state === "running") tally.running--
    else tally.pending--
    if (state === "completed") tally.completed++
    else tally[state]++
    record.state = state
    this.live.remove(record)
    this.ending.delete(record)
    if (isRound && state === "completed") return this.forget(jobId)
    // What a call answered went to its callers, who let go of it, and nobody asks for it by id; others may join it by its key.
    if (kind !== "call" || record.idempotencyKey !== undefined) this.keepResult(record)
    else if (!record.runners) this.known.set(jobId, record.withoutResult())
    this.records.push(jobId)
    this.prune(nowMillis)
  }

  /** Drops the records and results that are not to be kept any longer. */
  prune(nowMillis: number): void {
    const { records, results } = this.retention
    let id: JobId.JobId | undefined
    while ((id = this.records.takeBeyond(records, nowMillis)) !== undefined) this.forget(id)
    let number: number | undefined
    while ((number = this.results?.takeBeyond(results, nowMillis, this.withResult.size)) !== undefined) {
      const old = this.withResult.get(number)
      if (old !== undefined) this.dropResult(old)
    }
  }

  /** Drops all records and results there are. The counts stay. */
  clear(): void {
    this.known.clear()
    this.byIdempotencyKey.clear()
    this.withResult.clear()
    this.sizes.clear()
    this.weighed.clear()
    this.bytes = 0
    this.records.clear()
    this.results?.clear()
  }

  private forget(id: JobId.JobId): void {
    // Where nothing else is kept of any job, its record is not looked at: to fetch it from memory takes longer than the rest.
    if (this.sizes.size + this.withResult.size + this.byIdempotencyKey.size > 0) this.forgetMore(id)
    this.known.delete(id)
  }

  // What is kept of a job beside its record.
  private forgetMore(id: JobId.JobId): void {
    const record = this.known.get(id)
    if (record === undefined) return
    const key = record.idempotencyKey
    this.unweigh(record)
    this.withResult.delete(record.number)
    if (key !== undefined && this.byIdempotencyKey.get(key) === id) this.byIdempotencyKey.delete(key)
  }

  /** When the next record or result will be too old. */
  get dueMillis(): number {
    const { records, results } = this.retention
    return Math.min(this.records.dueMillis(records), this.results?.dueMillis(results) ?? Infinity)
  }

  private keepResult(record: JobRecord): void {
    if (this.results !== undefined) {
      this.results.push(record.number)
      this.withResult.set(record.number, record)
    }
    const { result } = record
    // Of a mere cancellation no more than the reason is kept, whose error is made when it is asked for.
    const isMere = result === undefined || (result.state === "cancelled" && !result.isFailure)
    const bytes = isMere ? 0 : ResultSize.estimate(result.exit)
    if (bytes === 0) return
    this.sizes.set(record.number, { record, bytes })
    this.weighed.push(record.number)
    this.bytes += bytes
    if (this.bytes <= this.retention.resultBytes) return
    if (bytes > this.retention.resultBytes) return this.dropResult(record)
    while (this.bytes > this.retention.resultBytes) {
      const oldest = this.weighed.take()
      if (oldest === undefined) return
      const kept = this.sizes.get(oldest)
      if (kept !== undefined) this.dropResult(kept.record)
    }
  }

  private dropResult(record: JobRecord): void {
    const { jobId } = record
    this.unweigh(record)
    if (this.withResult.delete(record.number)) this.results?.keepOnly(this.withResult)
    if (this.known.get(jobId) === record) this.known.set(jobId, record.withoutResult())
  }

  private unweigh(record: JobRecord): void {
    const kept = this.sizes.get(record.number)
    if (kept === undefined) return
    this.bytes -= kept.bytes
    this.sizes.delete(record.number)
    this.weighed.keepOnly(this.sizes)
  }

  counts(kind: JobKind): Counts {
    return { ...this.tallies[kind] }
  }

  /** Jobs that match, in the order in which they were submitted. */
  select(owner: string, filter: Filter.Filter): ReadonlyArray<JobRecord> {
    Filter.check(owner, filter)
    const matches = Filter.matching(filter)
    const { limit = Infinity, offset = 0 } = filter
    const found: Array<JobRecord> = []
    let passed = 0
    for (const record of Filter.isOnlyLive(filter) ? this.live : this.known.values()) {
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

const zero = () => ({ pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 })
