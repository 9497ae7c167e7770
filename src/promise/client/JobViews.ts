/**
 * Shows what is known of jobs as plain data.
 */
import { Effect, Stream } from "effect"
import type * as Core from "../../core/JobEvent.ts"
import * as Job from "../../supervisor/Job.ts"
import type { JobEvent, JobStatus } from "../Job.ts"
import * as Failures from "./Failures.ts"

/** All but what only Effects have. */
export const status = (now: Job.JobStatus): JobStatus => ({
  id: now.id,
  name: now.name,
  kind: now.kind,
  state: now.state,
  metadata: now.metadata,
  key: now.key,
  priority: now.priority,
  parentId: now.parentId,
  submittedAtMillis: now.submittedAtMillis,
  startedAtMillis: now.startedAtMillis,
  endedAtMillis: now.endedAtMillis,
  error: now.error,
  progress: now.progress,
  cancelledBy: now.cancelledBy,
  rounds: now.rounds && { started: now.rounds.started, failed: now.rounds.failed, skipped: now.rounds.skipped }
})

export const event = (happened: Core.JobEvent | Core.EventsMissed): JobEvent => {
  if (happened._tag === "EventsMissed") {
    return { type: "events missed", jobId: happened.jobId ?? "", sequence: happened.to, atMillis: undefined }
  }
  const { atMillis, jobId, jobSequence } = happened
  return {
    type: types[happened._tag],
    jobId,
    sequence: jobSequence,
    atMillis,
    ...("progress" in happened ? { progress: happened.progress } : {}),
    ...("error" in happened ? { error: happened.error } : {}),
    ...("reason" in happened ? { reason: happened.reason } : {})
  }
}

const types = {
  JobSubmitted: "submitted",
  JobStarted: "started",
  JobProgressed: "progressed",
  JobRetrying: "retrying",
  JobCompleted: "completed",
  JobFailed: "failed",
  JobCancelled: "cancelled",
  JobPaused: "paused",
  JobResumed: "resumed",
  RoundSkipped: "round skipped",
  FailureHookFailed: "failure hook failed",
  FailureLogFailed: "failure log failed"
} as const satisfies { readonly [Tag in Core.JobEvent["_tag"]]: JobEvent["type"] }

/**
 * Reads a stream by `for await`, as often as is asked, each time as part of the job whose function does: the reading ends with
 * that job's abort, by its reason. Leaving a loop ends its reading at once.
 */
export const iterable = <A>(stream: Stream.Stream<A, unknown>, frames: Failures.Frames): AsyncIterable<A> => {
  const shown = Stream.mapError(stream, (error) => Failures.shown(error, frames))
  return {
    [Symbol.asyncIterator]: () => {
      const signal = Job.asyncSignal()
      const read = signal === undefined ? shown : Stream.interruptWhen(shown, failedBy(signal))
      return Stream.toAsyncIterableWith(read, Job.asyncContext())[Symbol.asyncIterator]()
    }
  }
}

const failedBy = (signal: AbortSignal): Effect.Effect<never, unknown> =>
  Effect.callback((resume) => {
    const abort = () => resume(Effect.fail(Failures.aborted(signal)))
    if (signal.aborted) return abort()
    signal.addEventListener("abort", abort, { once: true })
    return Effect.sync(() => signal.removeEventListener("abort", abort))
  })
