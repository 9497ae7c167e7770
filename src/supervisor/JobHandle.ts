/**
 * Ties a job's public handle to its record and to the supervisor that runs it.
 */
import { Context, type Types } from "effect"
import type { JobRecord } from "./JobRecord.ts"
import type { Lifecycle } from "./Lifecycle.ts"

const TypeId = "~holdfast/supervisor/Job"

export class JobHandle<out A, out E> {
  declare readonly [TypeId]: { readonly _A: Types.Covariant<A>; readonly _E: Types.Covariant<E> }
  readonly record: JobRecord
  readonly lifecycle: Lifecycle

  constructor(record: JobRecord, lifecycle: Lifecycle) {
    this.record = record
    this.lifecycle = lifecycle
  }

  get id(): string {
    return this.record.submission.id
  }

  get name(): string {
    return this.record.submission.name
  }
}

/** The job the running fiber belongs to, if any: how a job's own jobs, calls and reports find it. */
export const CurrentJob = Context.Reference<JobHandle<unknown, unknown> | undefined>(
  "holdfast/supervisor/JobHandle/CurrentJob",
  { defaultValue: () => undefined }
)
