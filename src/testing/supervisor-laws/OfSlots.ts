/**
 * The promise about slots: never more at once than may, and never fewer while somebody waits for one.
 */
import { type Law, some } from "./Law.ts"
import { isLendingAt, stopsBefore } from "./EarlyEnds.ts"
import { type History, isHeldAt, isWaitingAt, isWorkingAt, type JobHistory, type Moment, stateAt } from "./History.ts"
import { callsOf, hasRoomBefore, mayWait, waitsOn } from "./OfRoom.ts"

/**
 * Running never exceeds the limit, globally and per key, not even for one scheduler step; and of the rounds of a periodic
 * job one at most.
 */
export const neverMoreThanTheLimit: Law = {
  name: "neverMoreThanTheLimit",
  breaches: (history) => {
    const { jobs, trace } = history
    const { concurrency, keyConcurrency = Infinity } = trace.program.limits
    const rounds = Array.from(jobs.values()).filter(({ plan }) => plan.kind === "periodic")
    return trace.notes.flatMap((note, index) => {
      if (note._tag !== "Began" && note._tag !== "Counted" && note._tag !== "WaitEnded") return []
      const since = note._tag === "Counted" ? 0 : hasSlotSince(jobs.get(note.job), index)
      const running = Array.from(jobs.values()).filter(
        (job) => holdsSlot(history, job, index + 1) && !hasGivenUp(job, since, index + 1)
      )
      const keys = new Map<string, number>()
      for (const { plan } of running) if (plan.key !== undefined) keys.set(plan.key, (keys.get(plan.key) ?? 0) + 1)
      // A start says something of its own key only: in another, a job that gave up a wait may stand above the limit.
      const key = note._tag === "Counted" ? undefined : jobs.get(note.job)?.plan.key
      const judged = note._tag === "Counted" ? keys : new Map(Array.from(keys).filter(([each]) => each === key))
      return [
        ...(running.length > concurrency
          ? [`${some(running.map(({ name }) => name))} ran at once, ${concurrency} may`]
          : []),
        ...Array.from(judged).flatMap(([key, running]) =>
          running > keyConcurrency ? [`${running} jobs of ${key} ran at once, ${keyConcurrency} may`] : []
        ),
        ...(note._tag === "Began" ? overlapping(rounds, index + 1) : [])
      ]
    })
  }
}

/**
 * Since when a job may have the slot with which it begins, or goes on after a wait: it lends none for an answer that is
 * there. What gives up a wait later goes on above the limit; what did so before is counted by whoever starts.
 */
const hasSlotSince = (job: JobHistory | undefined, index: number): number => {
  // A call needs none; and what gave up before, or does so now, may go on above the limit.
  if (job === undefined || job.plan.kind !== undefined || hasGivenUp(job, 0, index + 1)) return 0
  return Math.min(index, job.changes.find(({ state }) => state === "running")?.index ?? index)
}

/** True when a job gave up a wait between two notes. */
const hasGivenUp = ({ waits }: JobHistory, since: number, index: number): boolean =>
  waits.some(({ isGivenUp, to }) => isGivenUp && to >= since && to < index)

/** The rounds of a periodic job of which two run at once. */
const overlapping = (rounds: ReadonlyArray<JobHistory>, index: number): ReadonlyArray<string> => {
  const working = rounds.filter((job) => isWorkingAt(job, index))
  const owners = new Set(working.map(({ parentId }) => parentId))
  return owners.size === working.length ? [] : [`rounds ran at once: ${some(working.map(({ name }) => name))}`]
}

// A job that was asked to end while it waited goes on without a slot.
const holdsSlot = ({ moments }: History, job: JobHistory, index: number): boolean => {
  if (job.plan.kind !== undefined) return false
  if (stateAt(job, index) !== "running" && !isWorkingAt(job, index)) return false
  if (isWaitingAt(job, index)) return false
  const moment = moments[index - 1]
  const hasWaited = job.waits.some(({ from }) => from < index)
  return moment === undefined || !hasWaited || stopsBefore(job, moment).length === 0
}

/**
 * No slot stays free while somebody waits who may take it: not who waits for room in a full queue, nor who lent its slot and has
 * what it waited for.
 */
export const noSlotStaysFree: Law = {
  name: "noSlotStaysFree",
  breaches: (history) => {
    const { trace } = history
    if (trace.isLate) return []
    const paused = new Set(trace.notes.flatMap((note) => (note._tag === "NamePauseCalled" ? [note.name] : [])))
    const calls = Array.from(callsOf(history).values()).filter(({ name, plan }) => mayWait(plan) && !paused.has(name))
    return trace.notes.flatMap((note, index) => {
      const moment = history.moments[index]
      if (note._tag !== "TimePassed" || moment === undefined) return []
      const busy = busyAt(history, moment)
      return [
        ...calls
          .filter((call) => !hasRoomBefore(history, call, index) && waitsOn(history, call, moment))
          .filter(({ plan }) => mayTake(history, busy, plan))
          .map(({ name }) => `${name} waited for room although a slot was free`),
        ...Array.from(history.jobs.values())
          .filter((job) => hasWhatItWaitedFor(history, job, moment) && mayTake(history, busy, job.plan))
          .map(({ name }) => `${name} had what it waited for, and did not go on although a slot was free`)
      ]
    })
  }
}

/** Whether all for which a job waits has ended. */
const hasWhatItWaitedFor = ({ jobs, trace: { notes } }: History, job: JobHistory, moment: Moment): boolean => {
  const { index } = moment
  const wait = job.waits.find(({ from, to }) => from < index && index <= to)
  if (wait === undefined || stopsBefore(job, moment).length > 0) return false
  const called = notes.slice(wait.from, index).flatMap((note) => {
    if ((note._tag !== "RunCalled" && note._tag !== "WaitCalled") || note.by !== job.name) return []
    return [jobs.get(note.job)?.end]
  })
  return called.length > 0 && called.every((end) => end !== undefined && end.index < index)
}

/** The jobs that take a slot, at most. */
const busyAt = (history: History, moment: Moment): ReadonlyArray<JobHistory> =>
  Array.from(history.jobs.values()).filter(
    (job) => job.plan.kind === undefined && stateAt(job, moment.index) === "running" && !isLendingAt(job, moment)
  )

/** Whether a slot is free that a job with this key may take. */
const mayTake = ({ trace }: History, busy: ReadonlyArray<JobHistory>, { key }: JobHistory["plan"]): boolean => {
  const { concurrency, keyConcurrency = concurrency } = trace.program.limits
  if (busy.length >= concurrency) return false
  return key === undefined || busy.filter(({ plan }) => plan.key === key).length < keyConcurrency
}

/** The jobs that waited when time passed although a slot was free for them. */
export const idleSlots = (history: History, index: number): ReadonlyArray<string> => {
  const moment = history.moments[index]
  if (moment === undefined) return []
  const busy = busyAt(history, moment)
  return Array.from(history.jobs.values()).flatMap((job) =>
    job.plan.kind === undefined &&
    stateAt(job, index) === "pending" &&
    !isHeldAt(job, index) &&
    mayTake(history, busy, job.plan)
      ? [`${job.name} waited although a slot was free: was a permit never given back?`]
      : []
  )
}
