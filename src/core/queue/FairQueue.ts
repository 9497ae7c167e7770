/**
 * Says which waiting job goes next: keys take turns, and within a key priority goes first. Age counts as priority in both.
 *
 * Inside a key a job's place is `submitted - priority × aging`. That never changes while it waits, yet a job gains one
 * point of priority over newcomers with each `aging` it has waited, so nothing starves; equal places go first come,
 * first served.
 *
 * Between keys turns are dealt by start-time fair queueing (Goyal, Vin, Cheng, SIGCOMM 1996) with every job costing one
 * turn: a key that comes anew is dealt in at the current turn and not behind another key's backlog. A point of priority is
 * worth one turn, and so is each `aging` that a key has waited since its last turn. Each turn starts this waiting anew, so
 * an old backlog of one key does not outweigh the others.
 *
 * So an urgent job overtakes other keys and cannot shut them out, not even when every urgent job brings a key of its own:
 * a job of priority p that is the first of its key goes before every key that comes later with priority q once its key has
 * waited for (q - p) × aging, and for (q - p + 1) × aging when the key has just had a turn.
 */
import { Heap } from "./Heap.ts"

/** What the line needs to know of a job. */
export interface Waiting {
  readonly key: string
  readonly priority: number
  /** `submitted - priority × aging`, in milliseconds. */
  readonly place: number
  /** Decides between equal places: the order of submission, of the job itself or of the one it is a part of. */
  readonly order: number
  /** The order of submission. */
  readonly number: number
  heapIndex: number
}

interface Key<Job extends Waiting> {
  readonly name: string
  readonly waiting: Heap<Job>
  running: number
  /** How many of those that wait its limit lets run. */
  startable: number
  turn: number
  /** When it had its last turn, or came: since then it has waited. In milliseconds. */
  since: number
  heapIndex: number
}

export class FairQueue<Job extends Waiting> {
  private readonly keys = new Map<string, Key<Job>>()
  // That of all jobs with no key, which is kept: in most programs it is the only one.
  private readonly noKey: Key<Job>
  // Keys that have a job waiting and may run one more.
  private readonly ready: Heap<Key<Job>>
  private readonly limit: number
  private turn = 0
  private count = 0
  private startableCount = 0

  /**
   * `limit` jobs of a key may run at the same time; any number of those with no key, which is the empty one. A key gains
   * one point of priority with each `agingMillis` it has waited.
   */
  constructor(limit: number, agingMillis: number) {
    this.limit = limit
    this.ready = new Heap(isBefore<Job>(agingMillis))
    this.noKey = this.make("")
  }

  /** How many wait. */
  get size(): number {
    return this.count
  }

  /** How many of those that wait their keys let run. */
  get startable(): number {
    return this.startableCount
  }

  /** Whether one more of a key would be let run by it, beside those that wait already. */
  mayStart(key: string): boolean {
    if (key === "") return true
    const known = this.keys.get(key)
    return known === undefined || known.running + known.waiting.size < this.limit
  }

  /** How many wait with this key. */
  sizeOf(key: string): number {
    return (key === "" ? this.noKey : this.keys.get(key))?.waiting.size ?? 0
  }

  /** How many keys have a job that may go. */
  get keysReady(): number {
    return this.ready.size
  }

  /** Lines up a job that comes now, at `now` by the clock of the jobs' places. */
  push(job: Job, now: number): void {
    const key = this.keyOf(job)
    if (key.waiting.size === 0) {
      key.turn = Math.max(key.turn, this.turn)
      key.since = now
    }
    key.waiting.push(job)
    this.count++
    this.see(key)
    // A key that is ready already changes its place only with the job that is its first.
    if (key.heapIndex < 0 || key.waiting.first === job) this.place(key)
  }

  /** Takes out a job that waits. */
  remove(job: Job): void {
    this.withdraw(job, this.keyOf(job))
  }

  /** Takes the job that goes next, and counts it as running; none when nobody waits or every key is at its limit. */
  take(now: number): Job | undefined {
    const key = this.ready.first
    const job = key?.waiting.first
    if (key === undefined || job === undefined) return undefined
    this.turn = Math.max(this.turn, key.turn)
    key.turn++
    key.since = now
    key.running++
    this.withdraw(job, key)
    return job
  }

  /** Counts a job as running again, out of turn; false when its key is at its limit. */
  enter(job: Job): boolean {
    const key = this.keyOf(job)
    if (!this.mayRun(key)) return false
    this.exceed(job)
    return true
  }

  /** Counts a job as running again, out of turn, whatever the limit of its key: none of it goes until that is kept again. */
  exceed(job: Job): void {
    const key = this.keyOf(job)
    key.running++
    this.see(key)
    this.place(key)
  }

  /** Counts a job as no longer running. */
  leave(job: Job): void {
    const key = this.keyOf(job)
    key.running--
    this.see(key)
    // A key that is ready remains so, at its place.
    if (key.heapIndex < 0) this.place(key)
  }

  private withdraw(job: Job, key: Key<Job>): void {
    key.waiting.remove(job)
    this.count--
    this.see(key)
    this.place(key)
  }

  private keyOf({ key: name }: Job): Key<Job> {
    if (name === "") return this.noKey
    let key = this.keys.get(name)
    if (key === undefined) {
      key = this.make(name)
      this.keys.set(name, key)
    }
    return key
  }

  private make(name: string): Key<Job> {
    return {
      name,
      waiting: new Heap<Job>(isJobBefore),
      running: 0,
      startable: 0,
      turn: this.turn,
      since: 0,
      heapIndex: -1
    }
  }

  private mayRun(key: Key<Job>): boolean {
    return key.name === "" || key.running < this.limit
  }

  // To be called when it changed how many of a key wait or run.
  private see(key: Key<Job>): void {
    const waiting = key.waiting.size
    const startable = key === this.noKey ? waiting : Math.min(waiting, Math.max(0, this.limit - key.running))
    this.startableCount += startable - key.startable
    key.startable = startable
  }

  private place(key: Key<Job>): void {
    const isReady = key.waiting.size > 0 && this.mayRun(key)
    if (key.heapIndex >= 0) {
      if (isReady) this.ready.update(key)
      else this.ready.remove(key)
    } else if (isReady) this.ready.push(key)
    if (key.waiting.size > 0 || key.running > 0) return
    if (key === this.noKey) key.turn = this.turn
    else this.keys.delete(key.name)
  }
}

const isJobBefore = (a: Waiting, b: Waiting): boolean =>
  a.place !== b.place ? a.place < b.place : a.order !== b.order ? a.order < b.order : a.number < b.number

// A key's standing does not change while it waits: with time all keys gain the same.
const isBefore =
  <Job extends Waiting>(agingMillis: number) =>
  (a: Key<Job>, b: Key<Job>): boolean => {
    const [first, second] = [a.waiting.first, b.waiting.first]
    if (first === undefined || second === undefined) return false
    const standingA = a.turn - first.priority + a.since / agingMillis
    const standingB = b.turn - second.priority + b.since / agingMillis
    return standingA < standingB || (standingA === standingB && first.number < second.number)
  }
