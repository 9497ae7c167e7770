/**
 * Says who waits for a job, and so cannot end before it: a drain that is made in it neither waits for them nor ends them.
 */
import type { History, JobHistory } from "./History.ts"
import type { Note } from "./Trace.ts"

/** Whether a job may have owned another, or waited for it, at any time: directly or through others. */
export const mayBeBehind = (
  { jobs, trace: { notes } }: History,
  job: JobHistory,
  other: JobHistory | undefined
): boolean => {
  const found = new Set(other === undefined ? [] : [other])
  for (const each of found) {
    if (each.parent !== undefined) found.add(each.parent)
    for (const note of notes) {
      const waiter = "by" in note && mayWaitFor(note, each) ? jobs.get(note.by) : undefined
      if (waiter !== undefined) found.add(waiter)
    }
  }
  return found.has(job)
}

const mayWaitFor = (note: Note, job: JobHistory): boolean => {
  if (note._tag === "CancelAllCalled") return true
  if (note._tag !== "WaitCalled" && note._tag !== "RunCalled" && note._tag !== "CancelCalled") return false
  // By its key somebody runs it under another name.
  return note.job === job.name || (note._tag === "RunCalled" && job.plan.idempotencyKey !== undefined)
}
