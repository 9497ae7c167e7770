/**
 * Says how a job ended, from its fiber's exit and the supervisor's own request to stop, if there was one.
 */
import { Cause, type Duration, Exit } from "effect"
import type { CancelledBy, JobState } from "../../core/JobEvent.ts"
import * as ErrorFrames from "./ErrorFrames.ts"
import * as ErrorOf from "./ErrorOf.ts"
import { Cancelled, type Reason, TimedOut } from "../JobError.ts"

/** Why the supervisor interrupts a job. */
export type Stop =
  | { readonly _tag: "Cancel"; readonly reason: string; readonly cancelledBy?: CancelledBy | undefined }
  | { readonly _tag: "Timeout"; readonly after: Duration.Duration }

export interface Outcome {
  /** The terminal state. */
  readonly state: JobState
  /** What `join` gives. Made when it is first asked for: most cancelled jobs are never asked, and errors are costly. */
  readonly exit: Exit.Exit<unknown, unknown>
  /** True when there is something to report: it failed, or a finalizer did. */
  readonly isFailure: boolean
}

export const make = (job: ErrorOf.Subject, stop: Stop | undefined, exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return { state: "completed", exit, isFailure: false }
  const { cause } = exit
  if (stop?._tag === "Timeout" && Cause.hasInterrupts(cause)) {
    const { after } = stop
    return new Late("failed", true, () => withReason(job, () => new TimedOut({ after }), cause))
  }
  const isCancelled = stop?._tag === "Cancel" && Cause.hasInterrupts(cause)
  if (!isCancelled && !Cause.hasInterruptsOnly(cause)) return { state: "failed", exit, isFailure: true }
  const { reason } = cancellationOf(stop)
  return new Late("cancelled", !Cause.hasInterruptsOnly(cause), () =>
    withReason(job, () => new Cancelled({ reason }), cause)
  )
}

/** Why a job that was cancelled was, and who asked for it. */
export const cancellationOf = (
  stop: Stop | undefined
): { readonly reason: string; readonly cancelledBy?: CancelledBy } => {
  if (stop?._tag !== "Cancel") return { reason: "interrupted" }
  const { cancelledBy, reason } = stop
  return cancelledBy === undefined ? { reason } : { reason, cancelledBy }
}

/** An outcome whose exit is no more than a reason. */
export const withOnly = (job: ErrorOf.Subject, { isFailure, state }: Outcome, reason: () => Reason): Outcome =>
  new Late(state, isFailure, () => withReason(job, reason, Cause.empty))

// A class, for an accessor of an object by itself takes several times as long to make.
class Late implements Outcome {
  readonly state: JobState
  readonly isFailure: boolean
  private readonly make: () => Exit.Exit<unknown, unknown>
  private made: Exit.Exit<unknown, unknown> | undefined

  constructor(state: JobState, isFailure: boolean, make: () => Exit.Exit<unknown, unknown>) {
    this.state = state
    this.isFailure = isFailure
    this.make = make
  }

  // It is asked for in the middle of what may not stop halfway.
  get exit(): Exit.Exit<unknown, unknown> {
    if (this.made !== undefined) return this.made
    try {
      return (this.made = this.make())
    } catch (thrown) {
      return (this.made = Exit.die(thrown))
    }
  }
}

// What finalizers added to the interruption is kept; the interruption itself becomes the typed error. It is made by whoever
// asks first, inside the job for one, and kept with the record.
const withReason = (job: ErrorOf.Subject, reason: () => Reason, cause: Cause.Cause<unknown>) => {
  const error = ErrorFrames.without(() => ErrorOf.job(job, reason()))
  return Exit.failCause(
    Cause.fromReasons<unknown>([
      ...Cause.fail(error).reasons,
      ...cause.reasons.filter((each) => !Cause.isInterruptReason(each))
    ])
  )
}
