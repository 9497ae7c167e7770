/**
 * Waits for what becomes of a job. Giving up a wait does not touch the job.
 *
 * Each wait looks and subscribes in one step: news between the two would wake nobody.
 */
import { Effect } from "effect"
import type { Progress } from "../../core/JobEvent.ts"
import type { JobRecord } from "./JobRecord.ts"

/** Waits until a job has ended. */
export const end = (record: JobRecord): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (record.endedAtMillis !== undefined) return resume(Effect.void)
    return Effect.sync(record.onEnd(() => resume(Effect.void)))
  })

/** Waits until a job has ended or has reported other progress than `seen`. */
export const progress = (record: JobRecord, seen: Progress | undefined): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (record.endedAtMillis !== undefined || record.progress !== seen) return resume(Effect.void)
    return Effect.sync(record.onProgress(() => resume(Effect.void)))
  })
