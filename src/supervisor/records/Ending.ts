/**
 * Knows the jobs that run although they were asked to end, in the order in which they were.
 */
import type { JobRecord } from "./JobRecord.ts"

export class Ending {
  private readonly records = new Set<JobRecord>()
  private readonly wakers = new Set<() => void>()

  /** Whether none is there that has not been taken. */
  get isEmpty(): boolean {
    return this.records.size === 0
  }

  /** When the first was asked to end that waits for no others, in the supervisor's own time. */
  get sinceMillis(): number {
    for (const record of this.records) if (!waitsForOthers(record)) return record.stoppedAtMillis ?? Infinity
    return Infinity
  }

  add(record: JobRecord): void {
    this.records.add(record)
    for (const wake of this.wakers) wake()
    this.wakers.clear()
  }

  delete(record: JobRecord): void {
    this.records.delete(record)
  }

  /** Calls `wake` once, when the next job is asked to end; returns how to withdraw. */
  onNext(wake: () => void): () => void {
    this.wakers.add(wake)
    return () => this.wakers.delete(wake)
  }

  /** Takes those that were asked to end by then. One that waits for jobs of its own which are ending stays. */
  takeUntil(millis: number): ReadonlyArray<JobRecord> {
    const taken: Array<JobRecord> = []
    for (const record of this.records) {
      if ((record.stoppedAtMillis ?? Infinity) > millis) break
      if (!waitsForOthers(record)) taken.push(record)
    }
    for (const record of taken) this.records.delete(record)
    return taken
  }
}

/** Whether a job that is to end has jobs of its own that are to end and still run: it ends next, at the earliest. */
export const waitsForOthers = ({ children }: JobRecord): boolean => {
  for (const { state, stop } of children ?? []) if (state === "running" && stop !== undefined) return true
  return false
}
