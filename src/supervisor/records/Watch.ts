/**
 * Keeps, for as long as a drain is under way, all jobs that its report is to name.
 */
import type { JobRecord } from "./JobRecord.ts"

export class Watch {
  private readonly reports = new Set<Set<JobRecord>>()

  /** All jobs there are to account for: those that live, those to come, and of those that end what a report says. */
  begin(live: Iterable<JobRecord>): Set<JobRecord> {
    const records = new Set(live)
    this.reports.add(records)
    return records
  }

  /** Lets go of those that one report is about. */
  end(records: Set<JobRecord>): void {
    this.reports.delete(records)
  }

  add(record: JobRecord): void {
    for (const records of this.reports) records.add(record)
  }

  /** Keeps what a report says of a job that has ended. */
  replace(record: JobRecord): void {
    if (this.reports.size === 0) return
    const ended = record.forReport()
    for (const records of this.reports) if (records.delete(record)) records.add(ended)
  }
}
