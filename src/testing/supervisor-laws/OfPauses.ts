/**
 * The promise about pauses: who is paused, by itself or by its name, does not start before it is resumed.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import { type History, isHeldAt, isRound, type JobHistory, stateAt } from "./History.ts"
import type { Law } from "./Law.ts"
import { submittedName } from "./Program.ts"
import type { Note } from "./Trace.ts"

/** A job that is paused, by itself, by its name, or as a round, does not start and says so; one that is resumed is not held. */
export const pausedJobsWait: Law = {
  name: "pausedJobsWait",
  breaches: (history) => {
    const { jobs, trace } = history
    const pauses = pausesOf(trace.notes)
    if (pauses.length === 0) return []
    return Array.from(jobs.values()).flatMap((job) => {
      const own = pauses.filter(({ isOf }) => isOf(job))
      return trace.notes.flatMap((note, index) => {
        if (note._tag !== "TimePassed" || trace.isLate) return []
        if (isHeldAt(job, index) && stateAt(job, index) === "pending" && !own.some((each) => mayHold(each, own, index)))
          return [`${job.name} is held, although nothing that concerns it is paused`]
        if (!isHeldForSure(history, job, own, index)) return []
        const next = job.changes.find((change) => change.index > index)
        return [
          ...(isHeldAt(job, index) ? [] : [`${job.name} is paused and does not say so`]),
          ...(next?.state === "running" && isHeldForSure(history, job, own, next.index)
            ? [`${job.name} started although it was paused`]
            : [])
        ]
      })
    })
  }
}

/** Somebody pauses or resumes jobs: between the call, a note, and its answer, another. */
interface Pause {
  readonly isResume: boolean
  readonly target: string
  readonly isOf: (job: JobHistory) => boolean
  readonly called: number
  readonly returned: number
}

const calls: Partial<Record<Note["_tag"], Note["_tag"]>> = {
  PauseCalled: "Paused",
  ResumeCalled: "Resumed",
  NamePauseCalled: "NamePaused",
  NameResumeCalled: "NameResumed"
}

const pausesOf = (notes: ReadonlyArray<Note>): ReadonlyArray<Pause> =>
  notes.flatMap((note, called) => {
    const answer = calls[note._tag]
    if (answer === undefined || !("by" in note)) return []
    const found = notes.findIndex(
      (each, at) => at > called && each._tag === answer && "by" in each && each.by === note.by
    )
    const returned = found < 0 ? Infinity : found
    const isResume = answer === "Resumed" || answer === "NameResumed"
    if ("name" in note) {
      const isOf = (job: JobHistory) => job.plan.kind !== "call" && submittedName(job) === note.name
      return [{ isResume, target: `name ${note.name}`, isOf, called, returned }]
    }
    if (!("job" in note)) return []
    const isOf = (job: JobHistory) =>
      job.plan.kind !== "call" && (job.name === note.job || (isRound(job) && job.parent?.name === note.job))
    return [{ isResume, target: `job ${note.job}`, isOf, called, returned }]
  })

/** Whether a pause may hold jobs just before a note: it was called, and nobody has undone it. */
const mayHold = (pause: Pause, all: ReadonlyArray<Pause>, index: number): boolean =>
  !pause.isResume &&
  pause.called < index &&
  !all.some((each) => each.isResume && isSame(each, pause) && each.called > pause.returned && each.returned < index)

const isSame = (a: Pause, b: Pause): boolean => a.target === b.target

/** Whether a job that waits is held for sure just before a note. */
const isHeldForSure = ({ moments }: History, job: JobHistory, own: ReadonlyArray<Pause>, index: number): boolean => {
  const moment = moments[index]
  if (moment === undefined || stateAt(job, index) !== "pending" || stopsBefore(job, moment).length > 0) return false
  return own.some(
    (pause) =>
      !pause.isResume &&
      pause.returned < index &&
      !own.some((each) => each.isResume && isSame(each, pause) && each.returned > pause.called && each.called < index)
  )
}
