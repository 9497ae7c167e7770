/**
 * Sees to it that no failure of a job is silent: it is logged once, with its cause, and given to a hook.
 */
import { type Cause, type Duration, Effect, Exit } from "effect"
import type { JobRecord, JobStatus } from "./records/JobRecord.ts"
import type { Outcome } from "./records/Outcome.ts"

/** A failure as the hook receives it. */
export interface JobFailure {
  readonly job: JobStatus
  readonly cause: Cause.Cause<unknown>
}

/** What hears of failures, and for how long it may take over one. */
export interface FailureHook {
  readonly run: (failure: JobFailure) => Effect.Effect<void, unknown>
  readonly limit: Duration.Duration
}

/**
 * Reports how a job ended, if it failed. A hook that fails, or takes too long, is logged and emitted in its turn.
 *
 * A cancellation alone is no failure; one whose finalizers failed is. A call's failure is its caller's to handle: it is
 * recorded, counted and emitted, but not logged as nobody's.
 */
export const report = ({ limit, run }: FailureHook, record: JobRecord, result: Outcome): Effect.Effect<void> => {
  if (!result.isFailure || record.kind === "call" || Exit.isSuccess(result.exit)) return Effect.void
  const { cause } = result.exit
  const hook = Effect.suspend(() => run({ job: { ...record.status(), state: result.state, cause }, cause })).pipe(
    Effect.timeout(limit),
    Effect.catchCause((hookCause) => {
      record.supervision.emit(record, { _tag: "FailureHookFailed", cause: hookCause })
      return Effect.logError("the failure hook failed", hookCause)
    })
  )
  return Effect.annotateLogs(Effect.andThen(Effect.logError("job failed", cause), hook), {
    jobId: record.id,
    jobName: record.name,
    jobAttempt: record.attempt
  })
}
