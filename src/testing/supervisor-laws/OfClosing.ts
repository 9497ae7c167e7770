/**
 * The promise about the end of all jobs at once: it cancels those who wait for others of them, and fails nobody.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import type { History, JobHistory } from "./History.ts"
import type { Law } from "./Law.ts"

/**
 * Whoever waits for a job, by running, joining or awaiting it, when closing or a drain's deadline ends both, is cancelled: it does
 * not fail because the other one was, nor because nothing is accepted once all are closed.
 */
export const endingAllFailsNobody: Law = {
  name: "endingAllFailsNobody",
  breaches: (history) =>
    Array.from(history.jobs.values()).flatMap((job) => {
      const how = job.end?.state === "failed" ? job.worked.at(-1)?.how : undefined
      if (how === "Cancelled") return failedFor(history, job)
      return how === "NotAccepting" && isRefusedByClosing(history, job)
        ? [`${job.name} failed because nothing was accepted any more once it was to be closed`]
        : []
    })
}

const failedFor = (history: History, job: JobHistory): ReadonlyArray<string> => {
  const cancelled = cancelledFor(history, job)
  const [first] = cancelled
  return first !== undefined && cancelled.every((other) => other !== undefined && isEndedWithAll(other))
    ? [`${job.name} failed because ${first.name}, for which it waited, was ended with all jobs`]
    : []
}

/** The jobs of which one learnt that they were cancelled. What it joined by a key is not known. */
const cancelledFor = (
  { jobs, trace: { notes } }: History,
  { name }: JobHistory
): ReadonlyArray<JobHistory | undefined> =>
  notes.flatMap((note) =>
    (note._tag === "RunReturned" || note._tag === "WaitReturned") && note.by === name && note.how === "Cancelled"
      ? [jobs.get(note.job)]
      : []
  )

/** Whether a job was cancelled and nothing else can have been why. */
const isEndedWithAll = (job: JobHistory): boolean =>
  job.end?.state === "cancelled" &&
  job.plan.end !== "interrupt" &&
  job.plan.kind !== "periodic" &&
  stopsBefore(job, job.end, [], ({ isOfAll }) => isOfAll !== true).length === 0

/** Whether a job was refused by nothing else than closing. */
const isRefusedByClosing = ({ trace: { notes } }: History, job: JobHistory): boolean => {
  const refused = notes.findIndex(
    (note) => note._tag === "RunReturned" && note.by === job.name && note.how === "NotAccepting"
  )
  const moment = job.worked.at(-1)
  return (
    refused >= 0 &&
    moment !== undefined &&
    !notes.slice(0, refused).some(({ _tag }) => _tag === "DrainCalled") &&
    stopsBefore(job, moment, [], ({ isOfAll }) => isOfAll !== true).length === 0
  )
}
