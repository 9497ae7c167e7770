/**
 * The promise about room: whoever waits for it in a full queue is let in before those who come later.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import { type History, type Moment } from "./History.ts"
import type { Law } from "./Law.ts"
import { type Job, jobsOf, planned, sharedKey } from "./Program.ts"

/** A submit that asks for room in the queue. */
interface Call {
  readonly name: string
  readonly by: string
  readonly plan: Job
  readonly called: Moment
  /** When it had an answer, or its caller went away. */
  answered: Moment | undefined
}

/**
 * Whoever waits for room goes before newcomers, and before those who began to wait later; where keys have a limit, before those
 * of its own key, for a slot that its key may not take is there for others.
 */
export const whoeverWaitsForRoomGoesFirst: Law = {
  name: "whoeverWaitsForRoomGoesFirst",
  breaches: (history) => {
    const { events, jobs, trace } = history
    // On a busy machine nobody knows when a call is heard.
    if (trace.isLate) return []
    const calls = callsOf(history)
    const isLimited = trace.program.limits.keyConcurrency !== undefined
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
        (!isLimited || other.plan.key === newcomer.plan.key) &&
        hasWaited(history, other, newcomer.called) &&
        waitsOn(history, other, accepted)
          ? [`${name} was accepted although ${other.name} had waited for room before it came`]
          : []
      )
    })
  }
}

/** The submits of a run, by the names of their jobs; not those that were made more than once. */
const callsOf = ({ moments, trace }: History): ReadonlyMap<string, Call> => {
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

const answers = new Set(["Submitted", "Joined", "Refused", "RunReturned", "LeaveCalled", "Left"])

/** Whether a job may wait for room. With an idempotency key it may join another instead. */
const mayWait = ({ idempotencyKey, kind, whenFull }: Job): boolean =>
  kind === undefined && whenFull !== undefined && idempotencyKey === undefined

/** Part of a job that runs, and not made to wait, it needs no room. */
const asksForRoom = ({ jobs }: History, { by, plan }: Call): boolean =>
  plan.whenFull !== undefined || plan.owner === "supervisor" || (by.startsWith("client ") && !jobs.has(by))

/** Whether a submit waits for sure when another is made: time has passed since it was made. */
const hasWaited = ({ trace }: History, { called }: Call, moment: Moment): boolean =>
  trace.notes.some(({ _tag }, index) => _tag === "TimePassed" && index > called.index && index < moment.index)

/** Whether a submit waits on at a moment: it has neither had an answer, nor run out of time, nor lost its caller. */
const waitsOn = ({ jobs }: History, { answered, by, called, plan }: Call, moment: Moment): boolean => {
  if (answered !== undefined && answered.index <= moment.index) return false
  if (typeof plan.whenFull === "number" && called.at + plan.whenFull <= moment.at) return false
  const caller = jobs.get(by)
  if (caller === undefined) return by.startsWith("client ")
  return stopsBefore(caller, moment).length === 0
}
