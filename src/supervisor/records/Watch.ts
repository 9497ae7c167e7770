/**
 * Keeps, for as long as a drain is under way, all jobs that its report is to name.
 */
import type { JobRecord } from "./JobRecord.ts"

export class Watch {
  private records: Set<JobRecord> | undefined = undefined
  private drains = 0

  /** All jobs there are to account for: those that live, those to come, and of those that end what a report says. */
  begin(live: Iterable<JobRecord>): ReadonlySet<JobRecord> {
    this.drains++
    return (this.records ??= new Set(live))
  }

  /** Lets go of all of them when no other drain is under way. */
  end(): void {
    if (--this.drains === 0) this.records = undefined
  }

  add(record: JobRecord): void {
    this.records?.add(record)
  }

  /** Keeps what a report says of a job that has ended. */
  replace(record: JobRecord): void {
    if (this.records?.delete(record) === true) this.records.add(record.forReport())
  }
}
