/**
 * Makes events of what jobs report, few enough that the history of events keeps everything else as well.
 *
 * A job may report thousands of times a second. What it reported last becomes an event at the next tick, and before the
 * job's end at the latest. When more jobs report than a tick has room for, they take turns.
 */
import { Duration, type Fiber } from "effect"
import type { JobProgressed } from "../../core/JobEvent.ts"
import type { Unplaced } from "../records/EventContents.ts"
import type { JobRecord } from "../records/JobRecord.ts"

/** The share of the history of events that one tick may fill: one event in so many. */
const share = 16

export class ProgressEvents {
  // Jobs that have reported since their last event, in the order of their turns.
  private readonly reported = new Set<JobRecord>()
  private timer: Fiber.Fiber<void> | undefined = undefined
  private readonly every: Duration.Duration
  private readonly atMost: number
  private readonly after: (every: Duration.Duration, task: () => void) => Fiber.Fiber<void>
  private readonly emit: (record: JobRecord, event: Unplaced<JobProgressed>) => void

  /** `after` calls a task later; `emit` writes an event. */
  constructor(
    { eventHistory, progressEvery }: { readonly eventHistory: number; readonly progressEvery: Duration.Duration },
    after: (every: Duration.Duration, task: () => void) => Fiber.Fiber<void>,
    emit: (record: JobRecord, event: Unplaced<JobProgressed>) => void
  ) {
    this.every = progressEvery
    this.atMost = Math.max(1, Math.floor(eventHistory / share))
    this.after = after
    this.emit = emit
  }

  /** Takes down that a job has reported. */
  note(record: JobRecord): void {
    this.reported.add(record)
    if (this.timer === undefined && Duration.isFinite(this.every)) this.timer = this.after(this.every, this.tick)
  }

  /** Writes the event of what a job reported last; to be called when it ends. */
  end(record: JobRecord): void {
    if (!this.reported.delete(record)) return
    this.tell(record)
    if (this.reported.size > 0) return
    this.timer?.interruptUnsafe()
    this.timer = undefined
  }

  private tell(record: JobRecord): void {
    if (record.progress !== undefined) this.emit(record, { _tag: "JobProgressed", progress: record.progress })
  }

  private readonly tick = (): void => {
    let left = this.atMost
    for (const record of this.reported) {
      if (left-- === 0) break
      this.reported.delete(record)
      this.tell(record)
    }
    this.timer = this.reported.size > 0 ? this.after(this.every, this.tick) : undefined
  }
}
