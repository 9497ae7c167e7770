/**
 * Says what a job needs of the supervisor that runs it.
 */
import type { Context, Effect, Exit } from "effect"
import type { JobEvent, Progress } from "../../core/JobEvent.ts"
import type { Unplaced } from "./EventContents.ts"
import type { EventLog } from "./EventLog.ts"
import type { JobRecord } from "./JobRecord.ts"
import type * as Outcome from "./Outcome.ts"

/** What a job needs of the supervisor that runs it; `Lifecycle` is it. */
export interface Supervision {
  readonly now: () => number
  readonly toEpoch: (millis: number) => number
  readonly events: EventLog
  readonly pause: (record: JobRecord, paused: boolean) => void
  readonly isPaused: (record: JobRecord) => boolean
  readonly stop: (record: JobRecord, stop: Outcome.Stop) => void
  readonly waitingFor: <A, E>(
    targets: ReadonlyArray<JobRecord>,
    waiter: JobRecord,
    wait: Effect.Effect<A, E>,
    resuming?: "at once"
  ) => Effect.Effect<A, E>
  readonly waitingForAny: <A, E>(waiter: JobRecord, wait: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Lends the slot of a job that waits. */
  readonly lendSlot: (record: JobRecord) => void
  readonly report: (record: JobRecord, progress: Progress) => void
  readonly dropReport: () => void
  readonly finish: (record: JobRecord, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> | undefined
  readonly ended: (record: JobRecord, exit: Exit.Exit<unknown, unknown>, context: Context.Context<never>) => void
  readonly emit: (record: JobRecord, event: Unplaced<JobEvent>) => void
}
