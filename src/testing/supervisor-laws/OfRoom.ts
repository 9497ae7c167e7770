/**
 * The promises about room in the queue: as many wait as may, and whoever waits for room is let in before those who come later.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import { type History, type JobHistory, type Moment, stateAt } from "./History.ts"
import { count, type Law } from "./Law.ts"
import { type Job, jobsOf, planned, sharedKey } from "./Program.ts"
import type { Note } from "./Trace.ts"

/** A submit that asks for room in the queue. */
export interface Call {
  readonly name: string
  readonly by: string
  readonly plan: Job
  readonly called: Moment
  /** When it had an answer, or its caller went away. */
  answered: Moment | undefined
}

/**
 * Whoever waits for room goes before newcomers, and before those who began to wait later; where its key is at its limit, before
 * those of its own key, for a slot that its key may not take is there for others.
 */
export const whoeverWaitsForRoomGoesFirst: Law = {
  name: "whoeverWaitsForRoomGoesFirst",
  breaches: (history) => {
    const { events, jobs, trace } = history
    // On a busy machine nobody knows when a call is heard.
    if (trace.isLate) return []
    const calls = callsOf(history)
    // Whose name is paused may stand aside.
    const paused = new Set(trace.notes.flatMap((note) => (note._tag === "NamePauseCalled" ? [note.name] : [])))
    const waiting = new Map(Array.from(calls).filter(([name, { plan }]) => mayWait(plan) && !paused.has(name)))
    return events.flatMap((event) => {
      if (event._tag !== "JobSubmitted" || event.kind !== "job") return []
      const name = event.jobName === sharedKey ? event.jobId : event.jobName
      const newcomer = calls.get(name)
      waiting.delete(name)
      const [accepted] = jobs.get(name)?.changes ?? []
      if (newcomer === undefined || accepted === undefined || !asksForRoom(history, newcomer)) return []
      return Array.from(waiting.values()).flatMap((other) =>
        (other.plan.key === newcomer.plan.key || mayStart(history, other.plan.key, accepted)) &&
        hasWaited(history, other, newcomer.called) &&
        waitsOn(history, other, accepted)
          ? [`${name} was accepted although ${other.name} had waited for room before it came`]
          : []
      )
    })
  }
}

/** Whether a key lets one more run for sure, beside all of it that run or wait, or did so when it was last looked. */
const mayStart = ({ jobs, trace }: History, key: string | undefined, { look }: Moment): boolean => {
  const { keyConcurrency } = trace.program.limits
  if (key === undefined || keyConcurrency === undefined) return true
  const known = Array.from(jobs.values()).filter(({ changes, end, plan }) => {
    const [accepted] = changes
    const hasEnded = end !== undefined && end.look < look
    return plan.key === key && plan.kind === undefined && accepted !== undefined && accepted.look <= look && !hasEnded
  })
  return known.length < keyConcurrency
}

/**
 * No more jobs wait than `maxPending` says, but for those that a running job submits without `whenFull`; nobody is refused while
 * fewer do, nor before it has waited for room as long as it asked to.
 */
export const asManyWaitAsMay: Law = {
  name: "asManyWaitAsMay",
  breaches: (history) => {
    const { jobs, trace } = history
    const { maxPending, retain } = trace.program.limits
    if (trace.isLate) return []
    const all = Array.from(jobs.values()).filter(({ plan }) => plan.kind === undefined)
    const calls = callsOf(history)
    const pauses = trace.notes.flatMap(({ _tag }, index) =>
      _tag === "PauseCalled" || _tag === "NamePauseCalled" ? [index] : []
    )
    const isPausedSince = ({ holds, name }: JobHistory, index: number): boolean => {
      const from = calls.get(name)?.called.index ?? index
      return (
        holds.findLast((hold) => hold.index < index)?.isHeld === true && pauses.some((at) => at > from && at < index)
      )
    }
    return trace.notes.flatMap((note, index) => {
      if (note._tag === "TimePassed") {
        const waiting = all.filter((job) => stateAt(job, index) === "pending" && !isPartOfWork(job))
        const since = Math.min(...waiting.map(({ changes }) => changes[0]?.index ?? 0))
        // There was a slot for one of them that somebody else took, or it was paused before it started.
        const others = all.filter((job) =>
          stateAt(job, index) === "running"
            ? hasReturned(job, since, index) || (isPartOfWork(job) && hasStarted(job, since))
            : waiting.includes(job) && (isHeldAtOnce(job) || isPausedSince(job, index))
        )
        return waiting.length > maxPending + others.length
          ? [`${count(waiting.length, "job")} waited, ${maxPending} may`]
          : []
      }
      // What came and went within one turn, with no record kept, has waited as well.
      if (!isRefusal(note) || jobs.has(note.job) || retain < 10) return []
      const waits = Array.from(calls.values()).some(
        (call) => call.plan.whenFull !== undefined && !hasRoomBefore(history, call, index)
      )
      const call = calls.get(note.job)
      if (call !== undefined && note.at < waitsUntil(call))
        return [`${note.job} was refused, and did not wait for room`]
      const called = call?.called
      const refused = history.moments[index]
      const most = all.filter((job) => mayHaveWaited(job, called, refused))
      return waits || most.length >= maxPending
        ? []
        : [
            `${note.job} was refused for want of room while ${count(most.length, "job")} waited, of ${maxPending} that may`
          ]
    })
  }
}

/** Until when a call waits for room. */
const waitsUntil = ({ called, plan: { whenFull } }: Call): number =>
  whenFull === undefined ? 0 : whenFull === "wait" ? Infinity : called.at + whenFull

const isPartOfWork = ({ parentId, plan }: JobHistory): boolean => parentId !== undefined && plan.whenFull === undefined

const isRefusal = (note: Note): note is Extract<Note, { readonly _tag: "Refused" | "RunReturned" }> =>
  (note._tag === "Refused" && note.why === "QueueFull") || (note._tag === "RunReturned" && note.how === "QueueFull")

/** Whether a call had found room, or was none yet, before a note; or was answered otherwise. */
export const hasRoomBefore = ({ jobs }: History, { answered, called, name }: Call, index: number): boolean => {
  const accepted = jobs.get(name)?.changes[0]
  return [answered, accepted].some((moment) => moment !== undefined && moment.index < index) || called.index >= index
}

/** Whether a job goes on after a wait that ended between two notes. */
const hasReturned = ({ waits }: JobHistory, since: number, index: number): boolean =>
  waits.some(({ to }) => to >= since && to < index)

/** Whether a job started after a note. */
const hasStarted = ({ changes }: JobHistory, since: number): boolean =>
  changes.some(({ index, state }) => state === "running" && index >= since)

/** Whether a job was paused before time passed, and not as it was accepted. */
const isHeldAtOnce = ({ changes: [accepted], holds }: JobHistory): boolean => {
  const held = holds.find(({ isHeld }) => isHeld)
  return held !== undefined && accepted !== undefined && held.at === accepted.at && held.look > accepted.look
}

/** Whether a job may have waited at some time between a call and its answer. */
const mayHaveWaited = ({ changes }: JobHistory, from: Moment | undefined, to: Moment | undefined): boolean => {
  const [accepted] = changes
  const left = changes.find(({ state }) => state !== "pending")
  if (from === undefined || to === undefined) return true
  return accepted !== undefined && accepted.look <= to.look && (left === undefined || left.look >= from.look)
}

/** The submits of a run, by the names of their jobs; not those that were made more than once. */
export const callsOf = ({ moments, trace }: History): ReadonlyMap<string, Call> => {
  const plans = new Map(jobsOf(trace.program).map((job) => [job.name, job]))
  const calls = new Map<string, Call>()
  const repeated = new Set<string>()
  for (const [index, note] of trace.notes.entries()) {
    const called = moments[index]
    if (called === undefined || !("job" in note)) continue
    if (note._tag === "WaitEnded") for (const call of calls.values()) if (call.by === note.job) call.answered ??= called
    const call = calls.get(note.job)
    if (answers.has(note._tag) && call !== undefined) call.answered ??= called
    if (note._tag !== "SubmitCalled" && note._tag !== "RunCalled") continue
    const plan = plans.get(planned(note.job))
    if (call !== undefined) repeated.add(note.job)
    if (plan !== undefined) calls.set(note.job, { name: note.job, by: note.by, plan, called, answered: undefined })
  }
  for (const name of repeated) calls.delete(name)
  return calls
}

// One that came and went within one turn may be seen by its work alone.
const answers = new Set(["Began", "Submitted", "Joined", "Refused", "RunReturned", "LeaveCalled", "Left"])

/** Whether a job may wait for room. With an idempotency key it may join another instead. */
export const mayWait = ({ idempotencyKey, kind, whenFull }: Job): boolean =>
  kind === undefined && whenFull !== undefined && idempotencyKey === undefined

/** Part of a job that runs, and not made to wait, it needs no room. */
const asksForRoom = ({ jobs }: History, { by, plan }: Call): boolean =>
  plan.whenFull !== undefined || plan.owner === "supervisor" || (by.startsWith("client ") && !jobs.has(by))

/** Whether a submit waits for sure when another is made: time has passed since it was made. */
const hasWaited = ({ trace }: History, { called }: Call, moment: Moment): boolean =>
  trace.notes.some(({ _tag }, index) => _tag === "TimePassed" && index > called.index && index < moment.index)

/** Whether a submit waits on at a moment: it has neither had an answer, nor run out of time, nor lost its caller. */
export const waitsOn = ({ jobs }: History, { answered, by, called, plan }: Call, moment: Moment): boolean => {
  if (answered !== undefined && answered.index <= moment.index) return false
  if (typeof plan.whenFull === "number" && called.at + plan.whenFull <= moment.at) return false
  const caller = jobs.get(by)
  if (caller === undefined) return by.startsWith("client ")
  return stopsBefore(caller, moment).length === 0
}
