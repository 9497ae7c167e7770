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

/** What waits for a call or a periodic job: for each waiter, how many of its fibers do. */
type Waiters = Map<JobRecord, number>

// Of all supervisors: a job of one may wait for a call of another that waits for a job of the first.
const waitersOf = new WeakMap<JobRecord, Waiters>()

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

  /** Waits, as `waiter`, for a job. */
  forJob<A, E>(
    job: JobRecord,
    waiter: JobRecord | undefined,
    wait: Effect.Effect<A, E>,
    resuming?: "at once"
  ): Effect.Effect<A, E> {
    if (waiter === undefined || job.kind === "job") return this.forSlot(waiter, wait, resuming)
    return this.around(
      waiter,
      wait,
      resuming,
      () => {
        const waiters = waitersOf.get(job)
        if (waiters === undefined) waitersOf.set(job, new Map([[waiter, 1]]))
        else waiters.set(waiter, (waiters.get(waiter) ?? 0) + 1)
        if (job.waits > 0) this.begin(waiter, 1)
      },
      () => {
        const waiters = waitersOf.get(job)
        const others = (waiters?.get(waiter) ?? 1) - 1
        if (others > 0) waiters?.set(waiter, others)
        else waiters?.delete(waiter)
        if (waiters?.size === 0) waitersOf.delete(job)
        if (job.waits > 0) this.end(waiter, 1)
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

// One by one, for there may be more than a call takes arguments.
const pushWaiters = (record: JobRecord, rest: Array<readonly [JobRecord, number]>): void => {
  for (const waiter of waitersOf.get(record) ?? []) rest.push(waiter)
}
