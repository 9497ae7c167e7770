/**
 * Says who waits for a job, and so cannot end before it: a drain that is made in it neither waits for them nor ends them.
 */
import type { History, JobHistory, Stop } from "./History.ts"
import type { Note } from "./Trace.ts"

/** True when one is the other, or was submitted from it or from one of its own. */
export const isWithin = (job: JobHistory | undefined, owner: JobHistory): boolean =>
  job !== undefined && (job === owner || isWithin(job.parent, owner))

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

/** Whether a drain did not end a job for sure: it owns the one that drained, or waited for it at the deadline. */
export const isSpared = (
  job: JobHistory,
  { at: deadline, drainedBy }: Stop,
  { jobs, notes }: { readonly jobs: History["jobs"]; readonly notes: ReadonlyArray<Note> }
): boolean => {
  const drainer = drainedBy === undefined ? undefined : jobs.get(drainedBy)
  if (drainer === undefined) return false
  if (isWithin(drainer, job)) return true
  const last = notes.findLast((note) => note.at <= deadline && isOfWait(note, job.name, drainer.name))
  return last !== undefined && last.at < deadline && beginsWait(last)
}

const beginsWait = (note: Note): boolean =>
  note._tag === "RunCalled" || (note._tag === "WaitCalled" && note.limit === undefined)

const isOfWait = (note: Note, by: string, job: string): boolean =>
  ("by" in note && "job" in note && note.by === by && note.job === job && waits.has(note._tag)) ||
  (note._tag === "WaitEnded" && note.job === by)

const waits = new Set<Note["_tag"]>([
  "RunCalled",
  "RunReturned",
  "WaitCalled",
  "WaitReturned",
  "GaveUp",
  "LeaveCalled",
  "Left"
])
