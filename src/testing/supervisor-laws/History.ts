/**
 * The reference the supervisor is measured by: what a run's notes say about each job, and what may become of it.
 *
 * Pure functions of plain data. Nothing here knows how a supervisor works.
 */
import type { JobEvent, JobState } from "../../core/JobEvent.ts"
import { type Job, jobsOf, planned, setsClock } from "./Program.ts"
import type { Ending } from "../laws/Ending.ts"
import type { Note, Trace } from "./Trace.ts"

/** A moment of a run. */
export interface Moment {
  /** Place among the notes. */
  readonly index: number
  /** Milliseconds of the run's time. */
  readonly at: number
  /** How many times the supervisor had been looked at. */
  readonly look: number
}

export interface Change extends Moment {
  readonly state: JobState
  readonly why: Ending
  /** How many reasons its cause has. */
  readonly reasons: number
  readonly startedAt: number | undefined
}

/** Why a job may have been asked to end, and since when. */
export interface Stop extends Moment {
  readonly kind: "cancelled" | "timed out"
  /** What only a job that never started may take for a reason. */
  readonly onlyWhileWaiting?: boolean
  /** Who drains, if that is why: the jobs it is made in, and those that wait for them, are not interrupted for it. */
  readonly drainedBy?: string
  /** True when it ends all jobs at once, those that wait together with what they wait for. */
  readonly isOfAll?: true
}

/** Somebody who runs a job and waits. */
export interface Run {
  /** What the job would be called if it were not another's. */
  readonly name: string
  readonly by: string
  /** The job that does, if it is one. */
  readonly caller: JobHistory | undefined
  readonly called: Moment
  /** When it had joined for sure, if it ever had. */
  readonly joined: Moment | undefined
  /** When it began to leave, if it did. */
  readonly left: Moment | undefined
  /** When it had its answer, if it had one. */
  readonly returned: Moment | undefined
}

/** Between which notes a job waited, and for which call, if it was for one. */
export interface Wait {
  readonly from: number
  readonly to: number
  readonly isGivenUp: boolean
  readonly callName: string | undefined
  readonly call: JobHistory | undefined
}

/** What the notes say about one job that was accepted. */
export interface JobHistory {
  readonly name: string
  readonly id: string
  readonly plan: Job
  readonly parentId: string | undefined
  readonly parent: JobHistory | undefined
  /** Those who run it and wait: it ends with the last of them. */
  readonly runs: ReadonlyArray<Run>
  /** Since when it goes on without them, because somebody submitted it. */
  readonly submitted: Moment | undefined
  /** The job that submitted it, if one did; and when whoever did had its handle. */
  readonly submitter: JobHistory | undefined
  readonly handed: Moment | undefined
  readonly changes: ReadonlyArray<Change>
  readonly began: ReadonlyArray<Moment>
  readonly ended: ReadonlyArray<Moment>
  /** How its work ended, by its own word. */
  readonly worked: ReadonlyArray<Moment & { readonly how: Ending }>
  /** Between which notes it waited for other jobs or for room; open at the end when it still does. */
  readonly waits: ReadonlyArray<Wait>
  /** When it was seen to be held back, and to be no longer. */
  readonly holds: ReadonlyArray<Moment & { readonly isHeld: boolean }>
  /** What was done to it, or to all jobs, that makes it end early. */
  readonly stops: ReadonlyArray<Stop>
  /** Its terminal state. */
  readonly end: Change | undefined
}

export interface History {
  readonly trace: Trace
  readonly jobs: ReadonlyMap<string, JobHistory>
  readonly jobsById: ReadonlyMap<string, JobHistory>
  readonly moments: ReadonlyArray<Moment>
  /** What the reader that was there from the start was told, as far as it was told all. */
  readonly events: ReadonlyArray<JobEvent>
}

type Open<A> = { -readonly [K in keyof A]: A[K] extends ReadonlyArray<infer B> ? Array<B> : A[K] }

/** Sorts a run's notes by job. */
export const historyOf = (trace: Trace): History => {
  const jobs = new Map<string, Open<JobHistory>>()
  const plans = new Map(jobsOf(trace.program).map((job) => [job.name, job]))
  const moments: Array<Moment> = []
  const everywhere: Array<Stop> = []
  const events: Array<JobEvent> = []
  const runs: Array<Called> = []
  const leaves = new Map<string, Moment>()
  const submitters = new Map<string, string>()
  let look = 0
  for (const [index, note] of trace.notes.entries()) {
    const moment = { index, at: note.at, look }
    moments.push(moment)
    if (note._tag === "Counted") look++
    everywhere.push(...stopsForAll(note, moment))
    if (note._tag === "Read" && note.reader === 0 && note.event._tag !== "EventsMissed") {
      if (note.event.sequence === events.length + 1) events.push(note.event)
    }
    if (note._tag === "TimePassed" && !trace.isLate) for (const run of runs) run.joined ??= moment
    if (!("job" in note)) continue
    const known = jobs.get(note.job)
    const plan = known === undefined ? plans.get(planned(note.job)) : known.plan
    if (plan === undefined) continue
    const job = known ?? unknown(note.job, plan)
    if (known === undefined) jobs.set(note.job, job)
    record(job, note, moment)
    if (note._tag === "RunCalled") runs.push({ name: note.job, plan, by: note.by, called: moment })
    if (note._tag === "SubmitCalled") submitters.set(note.job, note.by)
    if (note._tag === "LeaveCalled") leaves.set(note.job, moment)
    if (note._tag === "RunReturned") for (const run of runs) if (run.name === note.job) run.returned ??= moment
    if (note._tag === "Joined")
      for (const other of jobs.values()) if (other.name === note.other) other.submitted ??= moment
  }
  const byId = new Map(Array.from(jobs.values(), (job) => [job.id, job]))
  for (const [name, job] of jobs) {
    if (job.changes.length === 0) jobs.delete(name)
    if (job.parentId !== undefined) job.parent = byId.get(job.parentId)
    job.submitter = jobs.get(submitters.get(name) ?? "")
    job.waits = job.waits.map((wait) => ({ ...wait, call: jobs.get(wait.callName ?? "") }))
  }
  for (const job of jobs.values()) {
    const others = everywhere.filter((stop) => !isSpared(job, stop, { jobs, notes: trace.notes }))
    job.stops.push(...others, ...timeoutOf(job, moments))
  }
  for (const run of runs) {
    const left = leaves.get(run.name)
    for (const job of jobs.values()) if (isRunOf(run, job, jobs)) job.runs.push(runOf(run, left, job, jobs))
  }
  return { trace, jobs, jobsById: byId, moments, events }
}

/** A call of `run`, before it is known which job it got. */
interface Called {
  readonly name: string
  readonly plan: Job
  readonly by: string
  readonly called: Moment
  joined?: Moment
  returned?: Moment
}

// Its own job, or else one with the same key.
const isRunOf = ({ name, plan }: Called, job: JobHistory, jobs: History["jobs"]): boolean =>
  name === job.name ||
  (plan.idempotencyKey !== undefined &&
    plan.idempotencyKey === job.plan.idempotencyKey &&
    plan.key === job.plan.key &&
    job.plan.kind !== "periodic" &&
    !jobs.has(name))

const runOf = (
  { by, called, joined, name, returned }: Called,
  left: Moment | undefined,
  job: JobHistory,
  jobs: History["jobs"]
): Run => ({ name, by, caller: jobs.get(by), called, joined: name === job.name ? called : joined, left, returned })

const unknown = (name: string, plan: Job): Open<JobHistory> => ({
  name,
  id: "",
  plan,
  parentId: undefined,
  parent: undefined,
  runs: [],
  submitted: undefined,
  submitter: undefined,
  handed: undefined,
  changes: [],
  began: [],
  ended: [],
  worked: [],
  waits: [],
  holds: [],
  stops: [],
  end: undefined
})

const record = (job: Open<JobHistory>, note: Note, moment: Moment): void => {
  if (note._tag === "SubmitCalled") job.submitted ??= moment
  if (note._tag === "Submitted") job.handed ??= moment
  if (note._tag === "Began") job.began.push(moment)
  if (note._tag === "Ended") job.ended.push(moment)
  if (note._tag === "Worked") job.worked.push({ ...moment, how: note.how })
  if (note._tag === "Held") job.holds.push({ ...moment, isHeld: note.isHeld })
  if (note._tag === "CancelCalled") job.stops.push({ ...moment, kind: "cancelled" })
  if (note._tag === "WaitBegan")
    job.waits.push({ from: moment.index, to: Infinity, isGivenUp: false, callName: note.call, call: undefined })
  if (note._tag === "WaitEnded") {
    const last = job.waits.pop()
    if (last !== undefined) job.waits.push({ ...last, to: moment.index, isGivenUp: note.isGivenUp })
  }
  if (note._tag === "State") {
    const { id, parentId, reasons, startedAt, state, why } = note
    job.id = id
    job.parentId = parentId
    const change = { ...moment, state, why, reasons, startedAt }
    // States that came and went within one turn can be told only from what followed.
    const before = state === "pending" ? [] : passed.slice(0, startedAt === undefined || state === "running" ? 1 : 2)
    for (const missed of before.slice(job.changes.length)) job.changes.push({ ...change, state: missed, why: "" })
    job.changes.push(change)
    if (isTerminal(state)) job.end ??= change
  }
}

const timeoutOf = ({ changes, plan: { timeout } }: JobHistory, moments: ReadonlyArray<Moment>): ReadonlyArray<Stop> => {
  const startedAt = changes.find(({ state }) => state === "running")?.at
  if (timeout === undefined || startedAt === undefined) return []
  const due = moments.find(({ at }) => at >= startedAt + timeout)
  return due === undefined ? [] : [{ ...due, kind: "timed out" }]
}

const passed = ["pending", "running"] as const

const stopsForAll = (note: Note, moment: Moment): ReadonlyArray<Stop> => {
  if (note._tag === "CloseCalled") return [{ ...moment, kind: "cancelled", isOfAll: true }]
  if (note._tag === "CancelAllCalled") return [{ ...moment, kind: "cancelled" }]
  if (note._tag !== "DrainCalled") return []
  return [
    { ...moment, kind: "cancelled", onlyWhileWaiting: true },
    {
      ...moment,
      at: moment.at + note.deadline,
      kind: "cancelled",
      drainedBy: note.by,
      // One that a job makes spares those who own that or wait for it.
      ...(note.by.startsWith("client ") ? { isOfAll: true } : {})
    }
  ]
}

/** Whether a drain did not end a job for sure: it owns the one that drained, or waited for it at the deadline. */
const isSpared = (
  job: JobHistory,
  { at: deadline, drainedBy }: Stop,
  { jobs, notes }: { readonly jobs: History["jobs"]; readonly notes: ReadonlyArray<Note> }
): boolean => {
  const drainer = drainedBy === undefined ? undefined : jobs.get(drainedBy)
  if (drainer === undefined) return false
  if (isWithin(drainer, job)) return true
  // What ends the wait at the deadline may be the drain.
  const last = notes.findLast((note) => note.at < deadline && isOfWait(note, job.name, drainer.name))
  const leaves = notes.some((note) => note._tag === "LeaveCalled" && note.by === job.name && note.job === drainer.name)
  return last !== undefined && beginsWait(last) && !leaves
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

/** True when one is the other, or was submitted from it or from one of its own. */
const isWithin = (job: JobHistory | undefined, owner: JobHistory): boolean =>
  job !== undefined && (job === owner || isWithin(job.parent, owner))

/**
 * When what an event tells happened, whatever the wall clock said: its own date only where nobody saw it happen. Unknown when
 * the wall clock was set as well.
 */
export const timeOf = (history: History, { _tag, atMillis, jobId }: JobEvent): number | undefined => {
  const state = _tag === "JobSubmitted" ? "pending" : _tag === "JobStarted" ? "running" : undefined
  const changes = history.jobsById.get(jobId)?.changes ?? []
  const change = changes.find((each) => (state === undefined ? isTerminal(each.state) : each.state === state))
  return change?.at ?? (setsClock(history.trace.program) ? undefined : atMillis)
}

export const isTerminal = (state: JobState): boolean => state !== "pending" && state !== "running"

/** The state a job was in just before a note; none when it was not known yet. */
export const stateAt = (job: JobHistory, index: number): JobState | undefined =>
  job.changes.findLast((change) => change.index < index)?.state

/** True when the job said just before a note that it was held back. */
export const isHeldAt = (job: JobHistory, index: number): boolean =>
  job.holds.findLast((hold) => hold.index < index)?.isHeld === true

/** True when the job's work ran just before a note. */
export const isWorkingAt = ({ began, ended, worked }: JobHistory, index: number): boolean => {
  const before = (moments: ReadonlyArray<Moment>) => moments.filter((moment) => moment.index < index).length
  return before(began) > Math.min(before(ended), before(worked))
}

/** True when the job waited for another one, or for room, just before a note. */
export const isWaitingAt = (job: JobHistory, index: number): boolean =>
  job.waits.some(({ from, to }) => from < index && index <= to)

/** True for one time of what a periodic job repeats. */
export const isRound = ({ parent, plan }: JobHistory): boolean => plan.kind === "periodic" && parent?.plan === plan
