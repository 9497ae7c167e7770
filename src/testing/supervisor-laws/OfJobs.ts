/**
 * The promises about jobs as they run: their states, the end of everything, limits, stopping and waiting.
 */
import { hanging, type Law, some, somebodyWaits } from "./Law.ts"
import {
  type History,
  isLendingAt,
  isRound,
  isTerminal,
  isWaitingAt,
  isWithin,
  isWorkingAt,
  type JobHistory,
  mayEndAs,
  stateAt,
  stopsBefore
} from "./History.ts"
import { hookLimit, type Note, type Trace } from "./Trace.ts"

/**
 * A job has exactly one terminal state, the one its work and what was done to it lead to; it is reached only after its
 * fiber and all its finalizers have ended.
 */
export const oneTerminalState: Law = {
  name: "oneTerminalState",
  breaches: ({ jobs, moments, trace }) =>
    Array.from(jobs.values())
      .flatMap((job) => {
        const path = job.changes.map(({ state }) => state).join(" → ")
        const [final] = job.changes.slice(-1)
        return [
          ...(/^(pending)( → running)?( → (completed|failed|cancelled))?$/.test(path)
            ? []
            : [`${job.name} went ${path}`]),
          ...(job.began.length > 0 && !path.includes("running") ? [`${job.name} ran while it was ${path}`] : []),
          ...(final === undefined || !isTerminal(final.state)
            ? []
            : [
                ...(isWorkingAt(job, final.index) ? [`${job.name} was ${final.state} before its work had ended`] : []),
                ...(job.began.some(({ index }) => index > final.index)
                  ? [`${job.name} ran after it was ${final.state}`]
                  : []),
                ...(mayEndAs(job, final).has(final.state)
                  ? []
                  : [`${job.name} was ${final.state} (${final.why}) but may only be ${some(mayEndAs(job, final))}`])
              ])
        ]
      })
      .concat(
        trace.notes.flatMap((note, index) =>
          note._tag === "Counted" && trace.program.limits.retain > 10 ? miscounted(jobs, note, index) : []
        ),
        moments.length === 0 ? ["nothing was seen"] : []
      )
}

const miscounted = (
  jobs: History["jobs"],
  { counts }: Extract<Note, { readonly _tag: "Counted" }>,
  index: number
): ReadonlyArray<string> => {
  const seen: Record<string, number> = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
  for (const job of jobs.values()) {
    const state = job.plan.kind === "periodic" ? undefined : stateAt(job, index)
    if (state !== undefined) seen[state] = (seen[state] ?? 0) + 1
  }
  return Object.entries(counts).flatMap(([state, count]) =>
    seen[state] === count ? [] : [`${count} jobs were counted as ${state}, but ${seen[state]} are`]
  )
}

/** Closing the scope ends every job. Afterwards live fibers and timers are what they were, and readers have ended. */
export const closingEndsEverything: Law = {
  name: "closingEndsEverything",
  breaches: ({ jobs, trace }) => {
    const { left, notes } = trace
    const closed = notes.findIndex(({ _tag }) => _tag === "CloseReturned")
    if (closed < 0) return trace.ending === "success" ? ["closing was passed over"] : hanging(trace, "CloseCalled", [])
    return [
      ...Array.from(jobs.values()).flatMap((job) => [
        ...(isWorkingAt(job, closed) ? [`${job.name} ran when the supervisor had closed`] : []),
        ...(job.began.some(({ index }) => index > closed) ? [`${job.name} began when the supervisor had closed`] : []),
        ...(job.end === undefined ? [`${job.name} never ended`] : [])
      ]),
      ...(trace.ending === "success" && left.fibers !== 0 ? [`${left.fibers} fibers were left`] : []),
      ...(trace.ending === "success" && left.sleepers !== 0 ? [`${left.sleepers} timers were left`] : []),
      ...(trace.ending === "success" || somebodyWaits(trace) ? [] : [`after closing: ${trace.ending}`])
    ]
  }
}

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
      const running = Array.from(jobs.values()).filter((job) => holdsSlot(history, job, index + 1))
      const keys = new Map<string, number>()
      for (const { plan } of running) if (plan.key !== undefined) keys.set(plan.key, (keys.get(plan.key) ?? 0) + 1)
      return [
        ...(running.length > concurrency ? [`${some(running.map(({ name }) => name))} ran at once`] : []),
        ...Array.from(keys).flatMap(([key, count]) =>
          count > keyConcurrency ? [`${count} jobs of ${key} ran at once`] : []
        ),
        ...(note._tag === "Began" ? overlapping(rounds, index + 1) : [])
      ]
    })
  }
}

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

/** A timeout or a cancel interrupts and waits; the permit is released only when the work has ended, and then it is. */
export const stopsWaitForTheWork: Law = {
  name: "stopsWaitForTheWork",
  breaches: (history) => {
    const { jobs, trace } = history
    return [
      ...hanging(trace, "CancelCalled", ["CancelReturned", "Left"]),
      ...hanging(trace, "LeaveCalled", ["Left"]),
      ...Array.from(jobs.values()).flatMap(tooEarlyOrLate(trace)),
      ...trace.notes.flatMap((note, index) => {
        if (note._tag === "TimePassed") return trace.isLate ? [] : idleSlots(history, index)
        if (note._tag === "Left") return leftBehind(trace, jobs.get(note.job), index)
        if (note._tag !== "CancelReturned") return []
        const job = jobs.get(note.job)
        const by = jobs.get(note.by)
        // A job that came and went within one turn may not have been seen, nor whose it was.
        const isUnknown = by === undefined ? !note.by.startsWith("client ") : by.parentId !== undefined && !by.parent
        if (job === undefined || isUnknown || isWithin(by, job)) return []
        return [
          ...(isTerminal(note.state) ? [] : [`cancelling ${job.name} returned while it was ${note.state}`]),
          ...(isWorkingAt(job, index) ? [`cancelling ${job.name} returned before its work had ended`] : []),
          ...(job.end?.state === note.state ? [] : [`cancelling ${job.name} said ${note.state}, not ${job.end?.state}`])
        ]
      })
    ]
  }
}

/** Says when the last of those who run a job has left it, and it has not ended. */
const leftBehind = ({ notes }: Trace, job: JobHistory | undefined, index: number): ReadonlyArray<string> => {
  if (job === undefined || job.submitted !== undefined || job.runs.length === 0 || !isWorkingAt(job, index)) return []
  const hasLeft = (name: string) => notes.some((note, at) => at <= index && note._tag === "Left" && note.job === name)
  return job.runs.every(({ left, name }) => left !== undefined && hasLeft(name))
    ? [`${job.name} goes on although all who ran it have left`]
    : []
}

/** Longer than any job here takes to end once it is interrupted: blocked, with finalizers, children and a slow hook. */
const graceMillis = 8 * hookLimit

const tooEarlyOrLate =
  (trace: Trace) =>
  (job: JobHistory): ReadonlyArray<string> => {
    const { end, name, plan } = job
    const { kind, timeout } = plan
    if (end === undefined || timeout === undefined || end.startedAt === undefined) return []
    // The limit is that of the rounds, not of what begins them.
    if (kind === "periodic" && !isRound(job)) return []
    const took = end.at - end.startedAt
    return [
      ...(end.why === "TimedOut" && took < timeout ? [`${name} timed out after ${took} of ${timeout}`] : []),
      ...(!trace.isLate && took > timeout + graceMillis ? [`${name} took ${took} with a timeout of ${timeout}`] : [])
    ]
  }

const idleSlots = (history: History, index: number): ReadonlyArray<string> => {
  const { concurrency, keyConcurrency = concurrency } = history.trace.program.limits
  const moment = history.moments[index]
  if (moment === undefined) return []
  const jobs = Array.from(history.jobs.values()).filter(({ plan }) => plan.kind === undefined)
  const busy = jobs.filter((job) => stateAt(job, index) === "running" && !isLendingAt(job, moment))
  if (busy.length >= concurrency) return []
  return jobs.flatMap((job) =>
    stateAt(job, index) === "pending" &&
    (job.plan.key === undefined || busy.filter(({ plan }) => plan.key === job.plan.key).length < keyConcurrency)
      ? [`${job.name} waited although a slot was free`]
      : []
  )
}

/**
 * Giving up waiting never touches the job, and waiting never hangs. What a waiter gets is what became of the job.
 */
export const waitingTouchesNothing: Law = {
  name: "waitingTouchesNothing",
  breaches: ({ jobs, moments, trace }) => [
    ...hanging(trace, "WaitCalled", ["WaitReturned", "GaveUp", "Left"]),
    ...trace.notes.flatMap((note, index) => {
      const job = "job" in note ? (jobs.get(note.job) ?? joinedBy(jobs, note, trace)) : undefined
      if (job === undefined) return []
      const { end, name } = job
      switch (note._tag) {
        case "RunReturned":
        case "WaitReturned": {
          if (note.how === "WaitsForItself" && note.by === name) return []
          if (note.how === "Expired" && (isJoined(trace, name) || note.job !== name)) return []
          // The result of a call that came and went within one turn was dropped before anybody looked.
          if (end?.why === "Expired") return []
          const right = end?.state === "completed" ? "success" : end?.why
          return note.how === right
            ? isWorkingAt(job, index)
              ? [`waiting for ${name} returned before its work had ended`]
              : []
            : [`waiting for ${name} gave ${note.how}, not ${right}`]
        }
        case "GaveUp": {
          const called = moments[callBefore(trace, index)]
          const limit = limitOf(trace.notes[called?.index ?? -1])
          return [
            ...(called === undefined || note.at - called.at < limit ? [`gave up on ${name} before its limit`] : []),
            ...(!trace.isLate && end !== undefined && end.at < note.at ? [`gave up on ${name}, which had ended`] : [])
          ]
        }
        case "Left": {
          const called = moments[callBefore(trace, index)]
          return !trace.isLate && called !== undefined && note.at > called.at + graceMillis
            ? [`could not leave ${name}`]
            : []
        }
        case "Found":
          if (note.how === "success") return []
          return note.how === "Expired" && end !== undefined && end.look <= (moments[index]?.look ?? 0)
            ? []
            : [`finding ${name} gave ${note.how}`]
        default:
          return []
      }
    })
  ]
}

/** The job that a run has joined, if there is only one that it can be. */
const joinedBy = (jobs: History["jobs"], note: Note, { program }: Trace): JobHistory | undefined => {
  if (note._tag !== "RunReturned" || refusals.has(note.how)) return undefined
  // Of few records kept, one may have come and gone before anybody looked.
  if (program.limits.retain < 10) return undefined
  const joined = Array.from(jobs.values()).filter((job) => job.runs.some(({ name }) => name === note.job))
  return joined.length === 1 ? joined[0] : undefined
}

/** What a run gives that got no job, or was left. */
const refusals: ReadonlySet<string> = new Set(["QueueFull", "NotAccepting", "DuplicateId", "interrupt"])

/** Whether somebody who submitted with the same idempotency key has this job, and maybe only after its result was dropped. */
const isJoined = ({ notes }: Trace, name: string): boolean =>
  notes.some((note) => note._tag === "Joined" && note.other === name)

/** Where somebody last began to wait for the job they speak of, and has had no other answer since. */
const callBefore = ({ notes }: Trace, index: number): number => {
  const answer = notes[index]
  const last = notes.findLastIndex(
    (note, at) =>
      at < index &&
      answer !== undefined &&
      "by" in answer &&
      "job" in answer &&
      "by" in note &&
      "job" in note &&
      note.by === answer.by &&
      note.job === answer.job &&
      waits.has(note._tag)
  )
  return notes[last]?._tag === "WaitCalled" ? last : -1
}

const waits = new Set(["WaitCalled", "WaitReturned", "GaveUp", "Left"])

const limitOf = (note: Note | undefined): number => (note?._tag === "WaitCalled" ? (note.limit ?? 0) : 0)
