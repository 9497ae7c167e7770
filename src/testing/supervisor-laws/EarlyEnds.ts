/**
 * Says why a job may have ended early, and as what: by whom it may have been stopped up to a moment.
 *
 * Pure functions of what the notes say about each job.
 */
import type { JobState } from "../../core/JobEvent.ts"
import { isRound, type JobHistory, type Moment, type Run, type Stop } from "./History.ts"

/** The reasons a job had to end early, up to a moment; of all, or of those that count. */
export const stopsBefore = (
  job: JobHistory,
  moment: Moment,
  asked: ReadonlyArray<JobHistory> = [],
  counts: (stop: Stop) => boolean = () => true
): ReadonlyArray<Stop["kind"]> => {
  // A job may run one that waits for it.
  if (asked.includes(job)) return []
  const now = [...asked, job]
  const own = job.stops.filter(
    (stop) =>
      counts(stop) &&
      stop.index < moment.index &&
      stop.at <= moment.at &&
      (stop.onlyWhileWaiting !== true || !job.changes.some(({ state }) => state === "running"))
  )
  const { parent, parentId } = job
  // An owner that came and went within one turn may not have been seen.
  const fromParent =
    parentId !== undefined &&
    (parent === undefined ||
      parent.ended.some(({ index }) => index < moment.index) ||
      stopsBefore(parent, moment, now, counts).length > 0)
  const fromNextRound = isRound(job) && job.plan.every?.overlap === "cancel previous"
  const isGone = isLeftBefore(job, moment, now, counts) || isWithdrawn(job, moment, now, counts)
  const isStopped = fromParent || fromNextRound || isGone
  return [...own.map(({ kind }) => kind), ...(isStopped ? ["cancelled" as const] : [])]
}

/** Whether a job may have been withdrawn: it was accepted after a wait for room, and its submitter stopped without its handle. */
const isWithdrawn = (
  { handed, plan, submitter }: JobHistory,
  moment: Moment,
  asked: ReadonlyArray<JobHistory>,
  counts: (stop: Stop) => boolean
): boolean =>
  plan.whenFull !== undefined &&
  plan.idempotencyKey === undefined &&
  (handed === undefined || handed.index >= moment.index) &&
  submitter !== undefined &&
  stopsBefore(submitter, moment, asked, counts).length > 0

/** Whether all who run a job may have left it, up to a moment: none is sure to have been there first, and to have stayed. */
const isLeftBefore = (
  { parent, runs, submitted }: JobHistory,
  moment: Moment,
  asked: ReadonlyArray<JobHistory>,
  counts: (stop: Stop) => boolean
): boolean => {
  const gone = runs.flatMap((run) => {
    if (run.left !== undefined && run.left.index < moment.index) return [run.left]
    const { caller } = run
    const mayBeGone = caller !== undefined && caller !== parent && stopsBefore(caller, moment, asked, counts).length > 0
    return mayBeGone || (caller === undefined && !run.by.startsWith("client ")) ? [run.called] : []
  })
  const first = Math.min(...gone.map(({ index }) => index))
  const isSure = (since: Moment | undefined) => since !== undefined && since.index < first
  const isHeld = ({ by, joined, left, returned }: Run) =>
    by.startsWith("client ") && isSure(joined) && left === undefined && !(returned && returned.index < moment.index)
  return gone.length > 0 && !isSure(submitted) && !runs.some(isHeld)
}

/**
 * True when the job had lent its slot for sure: it waited for a job, or for a call that did. One that was asked to end
 * meanwhile may do so with its slot.
 */
export const isLendingAt = (job: JobHistory, moment: Moment, asked: ReadonlyArray<JobHistory> = []): boolean =>
  !asked.includes(job) &&
  stopsBefore(job, moment).length === 0 &&
  job.waits.some(({ call, callName, from, to }) => {
    if (from >= moment.index || moment.index > to) return false
    return callName === undefined || (call !== undefined && isLendingAt(call, moment, [...asked, job]))
  })

/** The terminal states a job may have come to, given how its work ended and why it may have been stopped. */
export const mayEndAs = (job: JobHistory, end: Moment): ReadonlySet<JobState> => {
  const states = new Set<JobState>()
  for (const kind of stopsBefore(job, end)) states.add(kind === "cancelled" ? "cancelled" : "failed")
  if (job.plan.kind === "periodic") {
    // What repeats the work comes to its own end when nothing is accepted any more.
    if (!isRound(job)) return states.add("completed")
  }
  const last = job.worked.at(-1)
  if (last === undefined) return states
  const { end: plannedEnd, finalizer } = job.plan
  if (last.how === "success") states.add(finalizer === "die" ? "failed" : "completed")
  else if (last.how !== "interrupt") states.add("failed")
  else if (plannedEnd === "interrupt") states.add(finalizer === "die" ? "failed" : "cancelled")
  return states
}
