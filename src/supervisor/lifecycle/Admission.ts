/**
 * Decides who may run now: slots, who waits for one, and who lends one while it waits for another job.
 */
import type { JobRecord } from "../records/JobRecord.ts"
import { FairQueue } from "../../core/queue/FairQueue.ts"
import type { Pauses } from "./Pauses.ts"
import { ReturnQueue } from "./ReturnQueue.ts"

export interface SlotLimits {
  readonly concurrency: number
  readonly keyConcurrency: number
  readonly maxPending: number
  readonly agingMillis: number
}

/** So many jobs start in one turn of the event loop: as many steps as a fiber takes before it yields. */
const mostInTurn = 2_048

/** And none after so many milliseconds. */
const longestTurnMillis = 10

export class Admission {
  private readonly limits: SlotLimits
  private readonly clock: () => number
  private readonly line: FairQueue<JobRecord>
  private readonly returning = new ReturnQueue()
  private taken = 0
  /** How many jobs are about to be interrupted. */
  interruptions = 0
  private fullNoticed = false
  private readonly pauses: Pauses

  /**
   * `clock` tells the time by which jobs are submitted. Jobs that `pauses` holds stand beside the line and take up room in
   * the queue all the same.
   */
  constructor(limits: SlotLimits, clock: () => number, pauses: Pauses) {
    this.pauses = pauses
    this.limits = limits
    this.clock = clock
    this.line = new FairQueue(limits.keyConcurrency, limits.agingMillis)
  }

  get waiting(): number {
    return this.line.size + this.pauses.waiting
  }

  /** How many slots are taken: more than there are while jobs go on that gave up a wait. */
  get running(): number {
    return this.taken
  }

  /** True when one more of this key would have to wait, and there is no room for it. */
  isFull(key: string): boolean {
    return this.isFullOfWaiting && !(this.hasSlotLeft && this.line.mayStart(key))
  }

  /** True when there is no room for one more that has to wait: those for whom a slot is free do not count. */
  get isFullOfWaiting(): boolean {
    return this.line.size - Math.min(this.freeSlots, this.line.startable) >= this.room
  }

  /** True when there is no room for one more that is held: it cannot take a slot that is free. */
  get isFullOfHeld(): boolean {
    return this.isFullOfWaiting || this.pauses.waiting >= this.limits.maxPending
  }

  /** True when a slot is free that nobody in the line takes: the keys of all others are at their limit. */
  get hasSlotLeft(): boolean {
    return this.freeSlots > this.line.startable
  }

  private get room(): number {
    return Math.max(0, this.limits.maxPending - this.pauses.waiting)
  }

  private get freeSlots(): number {
    return Math.max(0, this.limits.concurrency - this.taken)
  }

  /** True when a slot is free and somebody may want it. */
  get isUnsettled(): boolean {
    return this.taken < this.limits.concurrency && (this.line.size > 0 || this.returning.size > 0)
  }

  private get maySettle(): boolean {
    return this.taken < this.limits.concurrency && this.interruptions === 0
  }

  queue(record: JobRecord): void {
    this.fullNoticed = false
    this.line.push(record, record.submittedAtMillis)
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

  /**
   * Deals out the free slots: first to jobs that lent theirs, then to those that wait; calls `start` for the latter, with
   * the time.
   *
   * A job that starts may cancel another and lend its slot: nothing more starts until the cancelled one had its say, for
   * its finalizers go before what has not begun.
   *
   * Jobs that end where they start make room for the next ones at once. So that timers, cancellations and sockets have their
   * turns all the same, it stops after a while: true when it is to be called again, in a turn of its own.
   */
  settle(start: (record: JobRecord, now: number) => void): boolean {
    while (this.maySettle) {
      const record = this.returning.take(this.enter)
      if (record === undefined) break
      this.giveBack(record)
    }
    if (this.line.size === 0) return false
    let now = this.clock()
    const until = now + longestTurnMillis
    for (let started = 0; this.maySettle; started++) {
      if (started === mostInTurn || now >= until) return true
      const record = this.line.take(now)
      if (record === undefined) return false
      this.take(record)
      start(record, now)
      // To ask for the time is costly, and nothing of anybody's ran since a job ended that did so at once.
      now = record.endedAtMillis ?? this.clock()
    }
    return false
  }

  /** Gives up a job's slot, for good or while it waits for another job. */
  free(record: JobRecord): void {
    if (!record.hasSlot) return
    record.hasSlot = false
    this.taken--
    this.line.leave(record)
    this.returning.leave(record.key)
  }

  /** Gives up a job's slot while it waits. Its fibers that wait for one go on without: the job waits again. */
  lend(record: JobRecord): void {
    if (record.hasSlot) record.lentMillis -= record.supervision.now()
    this.free(record)
    this.returning.release(record)
  }

  /** True when a job that goes on has to have a slot: not one that has ended, or of which another fiber waits. */
  static needsSlot({ endedAtMillis, hasSlot, waits }: JobRecord): boolean {
    return !hasSlot && waits === 0 && endedAtMillis === undefined
  }

  isReturning(record: JobRecord): boolean {
    return this.returning.has(record)
  }

  /** Calls `go` as soon as a job that lent its slot has one again, or needs none. Returns how to withdraw. */
  returnTo(record: JobRecord, go: () => void): () => void {
    return this.returning.add(record, go)
  }

  /** Gives a job that lent its slot one at once, above the limit if there is none: nothing starts until it is below again. */
  exceed(record: JobRecord): void {
    if (!Admission.needsSlot(record)) return
    this.line.exceed(record)
    this.giveBack(record)
  }

  private readonly enter = (record: JobRecord): boolean => this.line.enter(record)

  private giveBack(record: JobRecord): void {
    record.lentMillis += record.supervision.now()
    this.take(record)
    this.returning.release(record)
  }

  private take(record: JobRecord): void {
    this.taken++
    record.hasSlot = true
  }
}
