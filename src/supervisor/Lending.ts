/**
 * Finds whose slot is lent while somebody waits for a job, so that jobs cannot wait for each other's slots.
 *
 * A job that waits for another lends its slot for as long as any of its fibers does. A call or a periodic job has none: while
 * it waits for a job, those that wait for it lend theirs, whichever wait began first. Waiting for a call alone lends
 * nothing, for calls are not held up by a lack of slots.
 *
 * So nobody who has a slot waits for somebody who needs one, and only a job's own fibers take its slot back.
 */
import { Effect } from "effect"
import type { JobRecord } from "./records/JobRecord.ts"

/** What is done with the slots of jobs. */
export interface Slots {
  readonly lend: (record: JobRecord) => void
  readonly takeBack: (record: JobRecord) => Effect.Effect<void>
}

export class Lending {
  // Who waits for a call or a periodic job, once for each wait.
  private readonly waiters = new Map<JobRecord, Array<JobRecord>>()
  private readonly slots: Slots

  constructor(slots: Slots) {
    this.slots = slots
  }

  /** Waits, as `waiter`, for something that needs a slot. */
  forSlot<A, E>(waiter: JobRecord | undefined, wait: Effect.Effect<A, E>): Effect.Effect<A, E> {
    if (waiter === undefined) return wait
    return this.around(
      waiter,
      wait,
      () => this.begin(waiter),
      () => this.end(waiter)
    )
  }

  /** Waits, as `waiter`, for a job. */
  forJob<A, E>(job: JobRecord, waiter: JobRecord | undefined, wait: Effect.Effect<A, E>): Effect.Effect<A, E> {
    if (waiter === undefined || job.kind === "job") return this.forSlot(waiter, wait)
    return this.around(
      waiter,
      wait,
      () => {
        const waiters = this.waiters.get(job)
        if (waiters === undefined) this.waiters.set(job, [waiter])
        else waiters.push(waiter)
        if (job.waits > 0) this.begin(waiter)
      },
      () => {
        const waiters = this.waiters.get(job) ?? []
        waiters.splice(waiters.indexOf(waiter), 1)
        if (waiters.length === 0) this.waiters.delete(job)
        if (job.waits > 0) this.end(waiter)
      }
    )
  }

  // A job has a slot again before it goes on.
  private around<A, E>(
    waiter: JobRecord,
    wait: Effect.Effect<A, E>,
    begin: () => void,
    end: () => void
  ): Effect.Effect<A, E> {
    return Effect.uninterruptibleMask((restore) => {
      begin()
      return Effect.flatMap(Effect.exit(restore(wait)), (exit) => {
        end()
        return waiter.kind === "job" ? Effect.andThen(this.slots.takeBack(waiter), exit) : exit
      })
    })
  }

  private begin(record: JobRecord): void {
    if (++record.waits > 1) return
    if (record.kind === "job") this.slots.lend(record)
    else for (const waiter of this.waiters.get(record) ?? []) this.begin(waiter)
  }

  private end(record: JobRecord): void {
    if (--record.waits > 0 || record.kind === "job") return
    for (const waiter of this.waiters.get(record) ?? []) this.end(waiter)
  }
}
