/**
 * Brings a supervisor to rest and accounts for every job by name.
 */
import { type Duration, Effect } from "effect"
import type { JobKind } from "../core/JobEvent.ts"
import type { JobRecord } from "./records/JobRecord.ts"
import type { Lifecycle } from "./Lifecycle.ts"

export interface Options {
  /** How long running jobs may go on before they are interrupted. Default 30 seconds. */
  readonly deadline?: Duration.Input | undefined
  /** How long to wait for interrupted jobs to end before they are reported as `still running`. Default 1 second. */
  readonly interruptLimit?: Duration.Input | undefined
}

export const defaults = { deadline: "30 seconds", interruptLimit: "1 second" } as const

/** What became of one job: its terminal state, that it was never started, or that it would not be interrupted. */
export interface Entry {
  readonly id: string
  readonly name: string
  readonly kind: JobKind
  readonly outcome: "completed" | "failed" | "cancelled" | "not started" | "still running"
  /** For how long it has ignored its interruption, in milliseconds; only when it is still running. */
  readonly stuckForMillis: number | undefined
}

/** What became of every job that was pending or running when the drain began, or was started by one of them since. */
export interface Report {
  readonly jobs: ReadonlyArray<Entry>
  /** True when every job has ended. */
  readonly clean: boolean
}

export const drain = Effect.fnUntraced(function* (lifecycle: Lifecycle, options: Options = {}) {
  const watched = lifecycle.refuse("draining")
  yield* Effect.timeoutOrElse(lifecycle.awaitIdle, {
    duration: options.deadline ?? defaults.deadline,
    orElse: () =>
      Effect.suspend(() => {
        lifecycle.stopAll("drained")
        return Effect.timeoutOption(lifecycle.awaitIdle, options.interruptLimit ?? defaults.interruptLimit)
      })
  })
  return report(watched, lifecycle.now())
})

const report = (records: Iterable<JobRecord>, now: number): Report => {
  const jobs = Array.from(records, (record) => entry(record, now))
  return { jobs, clean: jobs.every((job) => job.outcome !== "still running") }
}

const entry = ({ id, kind, name, startedAtMillis, state, stoppedAtMillis }: JobRecord, now: number): Entry => {
  if (state === "pending" || state === "running") {
    return { id, name, kind, outcome: "still running", stuckForMillis: now - (stoppedAtMillis ?? now) }
  }
  return { id, name, kind, outcome: startedAtMillis === undefined ? "not started" : state, stuckForMillis: undefined }
}
