/**
 * Says who waits for a job, and so cannot end before it: a drain that is made in it neither waits for them nor ends them.
 */
import type { History, JobHistory } from "./History.ts"
import type { Note } from "./Trace.ts"

/**
 * Whether a job may have owned another, given by its name, or waited for it, at any time: directly or through others. The other
 * may have ended between two looks, with no record kept: then the notes alone tell.
 */
export const mayBeBehind = ({ jobs, trace: { notes } }: History, { name }: JobHistory, other: string): boolean => {
  const found = new Set([other])
  for (const each of found) {
    const job = jobs.get(each)
    if (job?.parent !== undefined) found.add(job.parent.name)
    for (const note of notes) {
      const isBehind = mayWaitFor(note, each, job) || (job === undefined && mayOwn(note, each))
      if ("by" in note && isBehind) found.add(note.by)
    }
  }
  return found.has(name)
}

const mayOwn = (note: Note, name: string): boolean => note._tag === "SubmitCalled" && note.job === name

const mayWaitFor = (note: Note, name: string, job: JobHistory | undefined): boolean => {
  if (note._tag === "CancelAllCalled") return true
  if (note._tag !== "WaitCalled" && note._tag !== "RunCalled" && note._tag !== "CancelCalled") return false
  // By its key somebody runs it under another name.
  return note.job === name || (note._tag === "RunCalled" && job?.plan.idempotencyKey !== undefined)
}
