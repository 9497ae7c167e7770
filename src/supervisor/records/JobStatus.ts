/**
 * Says what anyone may know about a job.
 */
import type { Cause } from "effect"
import type { CancelledBy, JobKind, JobState, Metadata, Progress } from "../../core/JobEvent.ts"
import type { Rounds } from "./Rounds.ts"

/** What anyone may know about a job at one moment: plain data, not updated afterwards. */
export interface JobStatus {
  readonly id: string
  readonly name: string
  readonly kind: JobKind
  readonly state: JobState
  readonly metadata: Metadata
  /** The job that owns this one. */
  readonly parentId: string | undefined
  /** Milliseconds since 1970, by the supervisor's `Clock`, as are the next two. */
  readonly submittedAtMillis: number
  readonly startedAtMillis: number | undefined
  readonly endedAtMillis: number | undefined
  /**
   * Why it failed or was cancelled; for a timeout or a cancellation a `JobError` with that reason. JSON leaves it out: an
   * error may carry a request with its credentials, and may be none that JSON can write.
   */
  readonly cause: Cause.Cause<unknown> | undefined
  /** The same as a short text for people, never an empty one. Any value a job may fail with has one. */
  readonly error: string | undefined
  /** Which jobs it shares a limit and takes turns with; empty for none in particular. */
  readonly key: string
  readonly priority: number
  /** 1 for the first attempt, 2 for the first retry, … */
  readonly attempt: number
  /** What the job reported last. */
  readonly progress: Progress | undefined
  /** What became of its rounds; only for periodic jobs. */
  readonly rounds: Readonly<Rounds> | undefined
  /** When it was asked to end, if it was. A running job long after that ignores its interruption. */
  readonly stoppedAtMillis: number | undefined
  /** Who asked for its cancellation; also while it has not ended yet. */
  readonly cancelledBy: CancelledBy | undefined
  /** True while it is pending and paused, by itself or by its name, and for a periodic job whose rounds are. */
  readonly isPaused: boolean
  /** For how long it has lent its slot to others while it waited for them, in milliseconds. */
  readonly lentMillis: number
}
