/**
 * Finds whose slot is lent while somebody waits for a job, so that jobs cannot wait for each other's slots.
 *
 * A job that waits lends its own. A call has none; while it waits for a job, the job that waits for the call lends its
 * slot, whichever of the two waits began first. Waiting for a call alone lends nothing, for calls are not held up by a
 * lack of slots.
 */
import { Effect } from "effect"
import type { JobRecord } from "./JobRecord.ts"

/** Waits on behalf of a job, which lends its slot meanwhile: `Lifecycle.lendSlot`. */
type Lend = <A, E>(holder: JobRecord, wait: Effect.Effect<A, E>) => Effect.Effect<A, E>

export class Lending {
  // The job that waits for a call, directly or through other calls.
  private readonly callers = new Map<JobRecord, JobRecord>()
  // Calls that wait for a job.
  private readonly waitingCalls = new Set<JobRecord>()
  private readonly lend: Lend

  constructor(lend: Lend) {
    this.lend = lend
  }

  /** Waits, as `waiter`, for something that needs a slot. */
  forSlot<A, E>(waiter: JobRecord | undefined, wait: Effect.Effect<A, E>): Effect.Effect<A, E> {
    if (waiter?.kind === "job") return this.lend(waiter, wait)
    if (waiter?.kind !== "call") return wait
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.waitingCalls.add(waiter)
        return this.callers.get(waiter)
      }),
      (holder) => (holder === undefined ? wait : this.lend(holder, wait)),
      () => Effect.sync(() => this.waitingCalls.delete(waiter))
    )
  }

  /** Waits, as `waiter`, for a call. */
  forCall<A, E>(call: JobRecord, waiter: JobRecord | undefined, wait: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      const holder = waiter?.kind === "call" ? this.callers.get(waiter) : waiter
      if (holder?.kind !== "job") return wait
      return Effect.acquireUseRelease(
        Effect.sync(() => this.callers.set(call, holder)),
        () => (this.waitingCalls.has(call) ? this.lend(holder, wait) : wait),
        () =>
          Effect.sync(() => {
            if (this.callers.get(call) === holder) this.callers.delete(call)
          })
      )
    })
  }
}
