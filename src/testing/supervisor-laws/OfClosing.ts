/**
 * The promise about the end of all jobs at once: it cancels those who wait for others of them, and fails nobody.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import type { History, JobHistory } from "./History.ts"
import type { Law } from "./Law.ts"
import type { Trace } from "./Trace.ts"

/**
 * Who waits for a job, by running, joining or awaiting it, when closing or a drain's deadline ends both, is cancelled: it does not
 * fail because the other one was.
 */
export const endingAllFailsNobody: Law = {
  name: "endingAllFailsNobody",
  breaches: (history) =>
    Array.from(history.jobs.values()).flatMap((job) => {
      if (history.trace.isLate || job.end?.state !== "failed" || job.worked.at(-1)?.how !== "Cancelled") return []
      const cancelled = cancelledFor(history, job)
      const [first] = cancelled
      return first !== undefined && cancelled.every((other) => other !== undefined)
        ? [`${job.name} failed because ${first.name}, for which it waited, was ended with all jobs`]
        : []
    })
}

/** What a job learnt of that was cancelled: those for which it waited for sure when all were ended, and that nothing else ended. */
const cancelledFor = ({ jobs, trace }: History, { name }: JobHistory): ReadonlyArray<JobHistory | undefined> =>
  trace.notes.flatMap((note, index) => {
    if (note._tag !== "RunReturned" && note._tag !== "WaitReturned") return []
    if (note.by !== name || note.how !== "Cancelled") return []
    const other = jobs.get(note.job)
    return other !== undefined && isEndedWithAll(other) && hasWaited(trace, name, note.job, index)
      ? [other]
      : [undefined]
  })

/**
 * Whether the caller was there, between its call and the answer, to be ended with the other: time passed since it called, and its
 * limit had not come.
 */
const hasWaited = ({ notes }: Trace, by: string, job: string, answered: number): boolean => {
  const called = notes.findLastIndex(
    (note, index) =>
      index < answered &&
      (note._tag === "RunCalled" || note._tag === "WaitCalled") &&
      note.by === by &&
      note.job === job
  )
  const [call, answer] = [notes[called], notes[answered]]
  if (call === undefined || answer === undefined) return false
  const until = call._tag === "WaitCalled" && call.limit !== undefined ? call.at + call.limit : Infinity
  return call.at < answer.at && answer.at < until
}

/** Whether nothing else can have ended a job. */
const isEndedWithAll = (job: JobHistory): boolean =>
  job.end !== undefined &&
  job.plan.end !== "interrupt" &&
  job.plan.kind !== "periodic" &&
  stopsBefore(job, job.end, [], ({ isOfAll }) => isOfAll !== true).length === 0
