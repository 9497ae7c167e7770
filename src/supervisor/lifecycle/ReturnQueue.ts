/**
 * Keeps the jobs that lent their slot and want one again, in the order in which they came.
 *
 * A job whose key is at its limit stands aside until a job of that key leaves its slot, so that it is not looked at for
 * every slot that comes free.
 */
import type { JobRecord } from "../records/JobRecord.ts"

export class ReturnQueue {
  // What to call when the job has its slot, or needs none any more: one for each fiber that waits.
  private readonly callbacks = new Map<JobRecord, Set<() => void>>()
  private readonly line = new Set<JobRecord>()
  private readonly aside = new Map<string, Set<JobRecord>>()
  // The keys of which a job left its slot since they were last looked at.
  private readonly left = new Set<string>()

  get size(): number {
    return this.callbacks.size
  }

  has(record: JobRecord): boolean {
    return this.callbacks.has(record)
  }

  /** Adds a fiber of a job. Returns how to withdraw it. */
  add(record: JobRecord, go: () => void): () => void {
    const callbacks = this.callbacks.get(record)
    if (callbacks === undefined) {
      this.callbacks.set(record, new Set([go]))
      this.line.add(record)
    } else callbacks.add(go)
    return () => {
      const those = this.callbacks.get(record)
      if (those?.delete(go) === true && those.size === 0) this.remove(record)
    }
  }

  /** Takes the first job for which `enter` finds a slot of its key. */
  take(enter: (record: JobRecord) => boolean): JobRecord | undefined {
    for (const key of this.left) {
      const first = firstOf(this.aside.get(key))
      if (first !== undefined && enter(first)) return first
      this.left.delete(key)
    }
    for (const record of this.line) {
      if (enter(record)) return record
      this.line.delete(record)
      const others = this.aside.get(record.key)
      if (others === undefined) this.aside.set(record.key, new Set([record]))
      else others.add(record)
    }
    return undefined
  }

  /** Takes down that a job of this key left its slot. */
  leave(key: string): void {
    if (this.aside.has(key)) this.left.add(key)
  }

  /** Lets a job's fibers go on. */
  release(record: JobRecord): void {
    const callbacks = this.callbacks.get(record)
    if (callbacks === undefined) return
    this.remove(record)
    for (const go of callbacks) go()
  }

  private remove(record: JobRecord): void {
    this.callbacks.delete(record)
    this.line.delete(record)
    const others = this.aside.get(record.key)
    if (others?.delete(record) === true && others.size === 0) this.aside.delete(record.key)
  }
}

const firstOf = (records: Set<JobRecord> | undefined): JobRecord | undefined => records?.values().next().value
