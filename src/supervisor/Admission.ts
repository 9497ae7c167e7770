/**
 * Decides who may run now: slots, who waits for one, and who lends one while it waits for another job.
 */
import type { JobRecord } from "./records/JobRecord.ts"
import { WaitingLine } from "../core/queue/FairQueue.ts"

export interface Limits {
  readonly concurrency: number
  readonly keyConcurrency: number
  readonly maxPending: number
}

/** Somebody to be told when its turn has come. */
interface Returning {
  readonly record: JobRecord
  readonly go: () => void
}

export class Admission {
  private readonly limits: Limits
  private readonly line: WaitingLine<JobRecord>
  private readonly returning = new Set<Returning>()
  private taken = 0
  private fullNoticed = false

  constructor(limits: Limits) {
    this.limits = limits
    this.line = new WaitingLine(limits.keyConcurrency)
  }

  get waiting(): number {
    return this.line.size
  }

  get running(): number {
    return this.taken
  }

  /** True when as many wait as may: those for whom a slot is free do not count. */
  get isFull(): boolean {
    return this.line.size >= this.limits.maxPending + this.limits.concurrency - this.taken
  }

  /** True when a slot is free and somebody may want it. */
  get isUnsettled(): boolean {
    return this.taken < this.limits.concurrency && (this.line.size > 0 || this.returning.size > 0)
  }

  queue(record: JobRecord): void {
    this.fullNoticed = false
    this.line.push(record)
  }

  /** True for the first who finds the queue full since somebody last found room. */
  noticeFull(): boolean {
    const isFirst = !this.fullNoticed
    this.fullNoticed = true
    return isFirst
  }

  withdraw(record: JobRecord): void {
    this.line.remove(record)
  }

  /** Deals out the free slots: first to jobs that lent theirs, then to those that wait; calls `start` for the latter. */
  settle(start: (record: JobRecord) => void): void {
    for (const each of this.returning) {
      if (Admission.needsSlot(each.record) && !this.takeBack(each.record)) continue
      this.returning.delete(each)
      each.go()
    }
    while (this.taken < this.limits.concurrency) {
      const record = this.line.take()
      if (record === undefined) return
      this.taken++
      record.hasSlot = true
      start(record)
    }
  }

  /** Gives up a job's slot, for good or while it waits for another job. */
  free(record: JobRecord): void {
    if (!record.hasSlot) return
    record.hasSlot = false
    this.taken--
    this.line.leave(record)
  }

  /** Whether a job that goes on has to have a slot first: not one that was asked to end, or waits again with another fiber. */
  static needsSlot({ endedAtMillis, hasSlot, stop, waits }: JobRecord): boolean {
    return !hasSlot && waits === 0 && stop === undefined && endedAtMillis === undefined
  }

  /** Calls `go` as soon as a job that lent its slot has one again, or needs none. */
  returnTo(record: JobRecord, go: () => void): void {
    this.returning.add({ record, go })
  }

  private takeBack(record: JobRecord): boolean {
    if (this.taken >= this.limits.concurrency || !this.line.enter(record)) return false
    this.taken++
    record.hasSlot = true
    return true
  }
}
