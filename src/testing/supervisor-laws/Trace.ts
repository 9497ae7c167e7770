/**
 * Says what was seen while a program ran against a supervisor: one plain note after the other, in the order in which it
 * happened.
 */
import type { JobEvent, EventsMissed, JobState } from "../../core/JobEvent.ts"
import type { JobStatus } from "../../supervisor/Job.ts"
import type { DrainReport, Health } from "../../supervisor/Supervisor.ts"
import type { Ending } from "../laws/Ending.ts"
import type { Program } from "./Program.ts"

/** A name for whoever does something: a job's, or `client 0`, `client 1`, … */
export type Actor = string

/** One thing that was seen. */
export type Note = { readonly at: number } & (
  | { readonly _tag: "SubmitCalled" | "RunCalled" | "Submitted"; readonly job: string; readonly by: Actor }
  | { readonly _tag: "Joined"; readonly job: string; readonly other: string; readonly by: Actor }
  | { readonly _tag: "Refused"; readonly job: string; readonly by: Actor; readonly why: Ending }
  /** The work of a job begins; says itself how it ended; and has ended, with all its finalizers. Once for every attempt. */
  | { readonly _tag: "Began" | "Ended"; readonly job: string }
  | { readonly _tag: "Worked"; readonly job: string; readonly how: Ending }
  /**
   * A job waits for another job, or for room. It lends its slot, unless that one takes none (`call`) and does not wait for a
   * job itself.
   */
  | { readonly _tag: "WaitBegan"; readonly job: string; readonly call: string | undefined }
  /** Given up when it did not wait to the end: then it goes on at once, with a slot or without. */
  | { readonly _tag: "WaitEnded"; readonly job: string; readonly isGivenUp: boolean }
  | {
      readonly _tag: "State"
      readonly job: string
      readonly id: string
      readonly state: JobState
      readonly parentId: string | undefined
      readonly startedAt: number | undefined
      readonly why: Ending
      /** How many reasons its cause has. */
      readonly reasons: number
    }
  /** Whether a job is held back, by its own word, each time that changes. */
  | { readonly _tag: "Held"; readonly job: string; readonly isHeld: boolean }
  | { readonly _tag: "PauseCalled" | "Paused" | "ResumeCalled" | "Resumed"; readonly job: string; readonly by: Actor }
  | {
      readonly _tag: "NamePauseCalled" | "NamePaused" | "NameResumeCalled" | "NameResumed"
      readonly name: string
      readonly by: Actor
    }
  /** What a list, or a snapshot with its position, said. */
  | {
      readonly _tag: "Listed"
      readonly by: Actor
      readonly position: number | undefined
      readonly jobs: ReadonlyArray<Pick<JobStatus, "id" | "state" | "metadata"> & { readonly job: string }>
    }
  | { readonly _tag: "Counted"; readonly counts: Readonly<Record<JobState, number>> }
  /** Ids of the ended jobs that are still known, and of those among them whose result is; and how many have ended. */
  | {
      readonly _tag: "Kept"
      readonly records: ReadonlyArray<string>
      readonly results: ReadonlyArray<string>
      readonly ended: number
    }
  | { readonly _tag: "TookStock"; readonly health: Health }
  | { readonly _tag: "PruneCalled" | "PruneReturned"; readonly by: Actor }
  | { readonly _tag: "CancelCalled"; readonly job: string; readonly by: Actor }
  /** Somebody who runs a job and waits leaves; then has left. */
  | { readonly _tag: "LeaveCalled"; readonly job: string; readonly by: Actor }
  | { readonly _tag: "CancelReturned"; readonly job: string; readonly by: Actor; readonly state: JobState }
  | { readonly _tag: "CancelAllCalled" | "CancelAllReturned"; readonly by: Actor }
  | { readonly _tag: "WaitCalled"; readonly job: string; readonly by: Actor; readonly limit: number | undefined }
  | { readonly _tag: "WaitReturned" | "RunReturned"; readonly job: string; readonly by: Actor; readonly how: Ending }
  | { readonly _tag: "GaveUp" | "Left"; readonly job: string; readonly by: Actor }
  | { readonly _tag: "Found"; readonly job: string; readonly how: Ending }
  | { readonly _tag: "Progress"; readonly job: string; readonly watcher: number; readonly fraction: number }
  | { readonly _tag: "ProgressEnded"; readonly job: string; readonly watcher: number }
  | { readonly _tag: "Reported"; readonly job: string; readonly fraction: number }
  | { readonly _tag: "ReaderBegan"; readonly reader: number; readonly after: number }
  | { readonly _tag: "Read"; readonly reader: number; readonly event: JobEvent | EventsMissed }
  | { readonly _tag: "Logged" | "Hooked"; readonly job: string; readonly text: string }
  | { readonly _tag: "DrainCalled"; readonly deadline: number; readonly by: Actor }
  | { readonly _tag: "DrainReturned"; readonly by: Actor; readonly report: DrainReport }
  | { readonly _tag: "CloseCalled" | "CloseReturned"; readonly by: Actor }
  /** Time passed because nothing was ready to go on (or, when timers are late, although something was). */
  | { readonly _tag: "TimePassed" }
)

/** A note without its time, which is added when it is taken. */
export type Unplaced<N = Note> = N extends Note ? Omit<N, "at"> : never

/** All that was seen in one run. */
export interface Trace {
  readonly program: Program
  /** Chose the order. */
  readonly seed: number
  readonly notes: ReadonlyArray<Note>
  /** How the run itself ended: `success`, `Deadlock`, `Endless`. */
  readonly ending: Ending
  /** What looking at the supervisor, or building it, threw. */
  readonly defect?: string | undefined
  /** True when time could pass although something was ready, as on a busy machine. */
  readonly isLate: boolean
  /** Fibers and sleepers that were left at the end. */
  readonly left: { readonly fibers: number; readonly sleepers: number }
  /** A number for the order that was taken, and how many turns that was. */
  readonly order: number
  readonly steps: number
}

/** How long the failure hook may take, in milliseconds. */
export const hookLimit = 5

/** How long interrupted jobs may take in a drain, in milliseconds. */
export const interruptLimit = 2
