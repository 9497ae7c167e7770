/**
 * Accounts for jobs that were asked to end: what became of each, by name.
 */
import type { JobKind } from "../../core/JobEvent.ts"
import * as JobId from "../records/JobId.ts"
import type { JobRecord } from "../records/JobRecord.ts"

/**
 * What became of one job: its terminal state, that it was never started, or that it would not be interrupted.
 *
 * A `caller` asked for the report, or owns the job that did, or waits for one of these. It is not waited for, and goes on with
 * the report.
 */
export interface Entry {
  readonly id: string
  readonly name: string
  readonly kind: JobKind
  /** The job that owns it, or did. */
  readonly parentId: string | undefined
  readonly outcome: "completed" | "failed" | "cancelled" | "not started" | "still running" | "caller"
  /** For how long it has ignored its interruption, in milliseconds; only when it is still running. */
  readonly stuckForMillis: number | undefined
}

/** What became of every job that was to end. */
export interface Report {
  readonly jobs: ReadonlyArray<Entry>
  /** True when every job has ended, but for those that asked. */
  readonly clean: boolean
}

/** Makes the report of jobs as they are now. */
export const make = (records: Iterable<JobRecord>, isCaller: (record: JobRecord) => boolean): Report => {
  const jobs = Array.from(records, (record) => entry(record, isCaller))
  return { jobs, clean: jobs.every((job) => job.outcome !== "still running") }
}

const entry = (record: JobRecord, isCaller: (record: JobRecord) => boolean): Entry => {
  const { id, kind, name, startedAtMillis, state, stoppedAtMillis, supervision } = record
  const parentId = record.parentId === undefined ? undefined : JobId.toText(record.parentId)
  const facts = { id, name, kind, parentId, stuckForMillis: undefined }
  if (state !== "pending" && state !== "running") {
    return { ...facts, outcome: startedAtMillis === undefined ? "not started" : state }
  }
  if (isCaller(record)) return { ...facts, outcome: "caller" }
  const now = supervision.now()
  return { ...facts, outcome: "still running", stuckForMillis: now - (stoppedAtMillis ?? now) }
}
