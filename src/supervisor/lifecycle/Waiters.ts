/**
 * Remembers which jobs wait for which: who waits for a job cannot end before that does.
 */
import { Effect } from "effect"
import type { JobRecord } from "../records/JobRecord.ts"

// Of all supervisors: a job of one may wait for a job of another that waits for a job of the first. For each waiter, how
// many of its fibers wait.
const waitersOf = new WeakMap<JobRecord, Map<JobRecord, number>>()

const listeners = new Set<(job: JobRecord, waiter: JobRecord) => void>()

/** Takes down that a fiber of a job waits for another job. */
export const add = (job: JobRecord, waiter: JobRecord): void => {
  const waiters = waitersOf.get(job)
  if (waiters === undefined) waitersOf.set(job, new Map([[waiter, 1]]))
  else waiters.set(waiter, (waiters.get(waiter) ?? 0) + 1)
  for (const listener of listeners) listener(job, waiter)
}

/** Takes down that a fiber waits no longer. */
export const remove = (job: JobRecord, waiter: JobRecord): void => {
  const waiters = waitersOf.get(job)
  if (waiters === undefined) return
  const others = (waiters.get(waiter) ?? 1) - 1
  if (others > 0) waiters.set(waiter, others)
  else waiters.delete(waiter)
  if (waiters.size === 0) waitersOf.delete(job)
}

/** The jobs that wait for a job, each with the number of its fibers that do. */
export const of = (job: JobRecord): Iterable<readonly [waiter: JobRecord, fibers: number]> => waitersOf.get(job) ?? []

/** These jobs, and all that cannot end before one of them has: those that own them or wait for them, and so on. */
export const withAllBehind = (jobs: Iterable<JobRecord>): Set<JobRecord> => {
  const found = new Set(jobs)
  // A set also gives what is added while it is gone through.
  for (const job of found) {
    if (job.parent !== undefined) found.add(job.parent)
    for (const [waiter] of of(job)) found.add(waiter)
  }
  return found
}

/** Calls a listener, which must not throw, whenever a job begins to wait for another. Gives how to withdraw it. */
export const onAdd = (listener: (job: JobRecord, waiter: JobRecord) => void): Effect.Effect<() => void> =>
  Effect.sync(() => {
    listeners.add(listener)
    return () => void listeners.delete(listener)
  })
