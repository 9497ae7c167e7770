/**
 * Finds whose slot is lent while somebody waits for a job, so that jobs cannot wait for each other's slots.
 *
 * A job that waits for another lends its slot for as long as any of its fibers does. A call or a periodic job has none: while
 * it waits for a job, those that wait for it lend theirs, whichever wait began first. Waiting for a call alone lends
 * nothing, for calls are not held up by a lack of slots.
 *
 * So nobody who has a slot waits for somebody who needs one, and only a job's own fibers take its slot back. When a wait
 * brought what it was for, the job waits until a slot is free. When it was given up, or the job was asked to end, the job
 * goes on at once, above the limit: the free slot may be the one that would never come.
 */
import { Effect, Exit } from "effect"
import type { JobRecord } from "../records/JobRecord.ts"
import { Admission } from "./Admission.ts"
import * as Waiters from "./Waiters.ts"

export class SlotLending {
  private readonly admission: Admission
  private readonly schedule: (task: () => void) => void
  private readonly settleSoon: () => void

  /** `schedule` runs a task soon; `settleSoon` deals out the slots that are free. */
  constructor(admission: Admission, schedule: (task: () => void) => void, settleSoon: () => void) {
    this.admission = admission
    this.schedule = schedule
    this.settleSoon = settleSoon
  }

  /** Waits, as `waiter`, for something that needs a slot. It goes on when it has one again, or `at once` in any case. */
  forSlot<A, E>(waiter: JobRecord | undefined, wait: Effect.Effect<A, E>, resuming?: "at once"): Effect.Effect<A, E> {
    if (waiter === undefined) return wait
    return this.around(
      waiter,
      wait,
      resuming,
      () => this.begin(waiter, 1),
      () => this.end(waiter, 1)
    )
  }

  /** Waits, as `waiter`, for jobs. */
  forJobs<A, E>(
    jobs: ReadonlyArray<JobRecord>,
    waiter: JobRecord,
    wait: Effect.Effect<A, E>,
    resuming?: "at once"
  ): Effect.Effect<A, E> {
    return this.around(
      waiter,
      wait,
      resuming,
      () => {
        for (const job of jobs) {
          Waiters.add(job, waiter)
          if (needsSlots(job)) this.begin(waiter, 1)
        }
      },
      () => {
        for (const job of jobs) {
          Waiters.remove(job, waiter)
          if (needsSlots(job)) this.end(waiter, 1)
        }
      }
    )
  }

  /** Takes the slot of a job of this supervisor, which waits. */
  lend(record: JobRecord): void {
    this.admission.lend(record)
    this.settleSoon()
  }

  /** Lets a job that was asked to end go on if it waits for its slot. */
  stop(record: JobRecord): void {
    if (this.admission.isReturning(record)) this.admission.exceed(record)
  }

  private around<A, E>(
    waiter: JobRecord,
    wait: Effect.Effect<A, E>,
    resuming: "at once" | undefined,
    begin: () => void,
    end: () => void
  ): Effect.Effect<A, E> {
    return Effect.uninterruptibleMask((restore) => {
      begin()
      return Effect.flatMap(Effect.exit(restore(wait)), (exit) => {
        end()
        if (waiter.kind !== "job") return exit
        if (Exit.hasInterrupts(exit) || resuming === "at once") {
          this.admission.exceed(waiter)
          return exit
        }
        return Effect.flatMap(Effect.exit(restore(this.takeBack(waiter))), (back) => {
          if (Exit.isSuccess(back)) return exit
          this.admission.exceed(waiter)
          return Effect.failCause(back.cause)
        })
      })
    })
  }

  private takeBack(record: JobRecord): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (record.stop !== undefined) this.admission.exceed(record)
      if (!Admission.needsSlot(record)) return resume(Effect.void)
      const withdraw = this.admission.returnTo(record, () => this.schedule(() => resume(Effect.void)))
      this.settleSoon()
      return Effect.sync(withdraw)
    })
  }

  // Chains of calls that wait for each other are of any length: none of this calls itself.
  private begin(first: JobRecord, times: number): void {
    const rest: Array<readonly [JobRecord, number]> = [[first, times]]
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      const [record, more] = next
      const waited = record.waits > 0
      record.waits += more
      if (waited) continue
      if (record.kind !== "job") pushWaiters(record, rest)
      else record.supervision.lendSlot(record)
    }
  }

  private end(first: JobRecord, times: number): void {
    const rest: Array<readonly [JobRecord, number]> = [[first, times]]
    for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
      const [record, fewer] = next
      record.waits -= fewer
      if (record.waits === 0 && record.kind !== "job") pushWaiters(record, rest)
    }
  }
}

/** True when whoever waits for this job waits for a slot: the job's own, or one that it waits for. */
const needsSlots = (job: JobRecord): boolean => job.kind === "job" || job.waits > 0

// One by one, for there may be more than a call takes arguments.
const pushWaiters = (record: JobRecord, rest: Array<readonly [JobRecord, number]>): void => {
  for (const waiter of Waiters.of(record)) rest.push(waiter)
}
