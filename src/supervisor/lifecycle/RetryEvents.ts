/**
 * Makes events of the retries of one job, few enough that the history of events keeps everything else as well.
 *
 * A `retry` without a pause tries again tens of thousands of times a second, and each of its failures is one more like the last.
 */
import type { Cause } from "effect"
import type { JobRecord } from "../records/JobRecord.ts"

/** How many retries of one job become events in a second. The numbers of the attempts tell of the others. */
const mostInASecond = 10

export class RetryEvents {
  private readonly record: JobRecord
  private since = -Infinity
  private told = 0

  constructor(record: JobRecord) {
    this.record = record
  }

  /** Takes down that the present attempt has failed and another follows. `now` is in milliseconds, of a clock that never steps back. */
  note(cause: Cause.Cause<unknown>, now: number): void {
    if (now - this.since >= 1_000) {
      this.since = now
      this.told = 0
    }
    if (this.told++ >= mostInASecond) return
    this.record.supervision.emit(this.record, { _tag: "JobRetrying", attempt: this.record.attempt, cause })
  }
}
