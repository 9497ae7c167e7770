/**
 * The promises about jobs as they run: their states, the end of everything, limits, stopping and waiting.
 */
import { count, hanging, type Law, overdue, some, somebodyWaits } from "./Law.ts"
import { mayEndAs } from "./EarlyEnds.ts"
import { type History, isRound, isTerminal, isWorkingAt, type JobHistory, stateAt } from "./History.ts"
import { idleSlots } from "./OfSlots.ts"
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
        trace.notes.flatMap((note) =>
          note._tag === "Refused" && note.why === "die" ? [`submitting ${note.job} died`] : []
        ),
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
  return Object.entries(counts).flatMap(([state, number]) =>
    seen[state] === number ? [] : [`${state}: ${count(number, "job")} counted, ${seen[state]} in truth`]
  )
}

/** Closing the scope ends every job. Afterwards live fibers and timers are what they were, and readers have ended. */
export const closingEndsEverything: Law = {
  name: "closingEndsEverything",
  breaches: ({ jobs, trace }) => {
    const { defect, left, notes } = trace
    if (defect !== undefined) return [`the supervisor could not be asked: ${defect}`]
    const closed = notes.findIndex(({ _tag }) => _tag === "CloseReturned")
    if (closed < 0) return trace.ending === "success" ? ["closing was passed over"] : hanging(trace, "CloseCalled", [])
    return [
      ...Array.from(jobs.values()).flatMap((job) => [
        ...(isWorkingAt(job, closed) ? [`${job.name} ran when the supervisor had closed`] : []),
        ...(job.began.some(({ index }) => index > closed) ? [`${job.name} began when the supervisor had closed`] : []),
        ...(job.end === undefined ? [`${job.name} never ended`] : [])
      ]),
      ...(trace.ending === "success" && left.fibers !== 0 ? [`${count(left.fibers, "fiber")} did not end`] : []),
      ...(trace.ending === "success" && left.sleepers !== 0
        ? [`${count(left.sleepers, "timer")} did not end: stop what was started in the supervisor's scope`]
        : []),
      ...(trace.ending === "success" || somebodyWaits(trace) ? [] : [`after closing: ${trace.ending}`])
    ]
  }
}

/** A timeout or a cancel interrupts and waits; the permit is released only when the work has ended, and then it is. */
export const stopsWaitForTheWork: Law = {
  name: "stopsWaitForTheWork",
  breaches: (history) => {
    const { jobs, trace } = history
    return [
      ...hanging(trace, "CancelCalled", ["CancelReturned", "Left"]),
      ...hanging(trace, "LeaveCalled", ["Left"]),
      ...overdue(trace, "CancelCalled", ["CancelReturned", "Left"], () => graceMillis),
      ...overdue(trace, "LeaveCalled", ["Left"], () => graceMillis),
      ...Array.from(jobs.values()).flatMap(tooEarlyOrLate(trace)),
      ...trace.notes.flatMap((note, index) => {
        if (note._tag === "TimePassed") return trace.isLate ? [] : idleSlots(history, index)
        if (note._tag === "Left") return leftBehind(trace, jobs.get(note.job), index)
        if (note._tag !== "CancelReturned") return []
        const job = jobs.get(note.job)
        if (job === undefined || mayBeWithin(jobs, note.by, job)) return []
        return [
          ...(isReturnedLate(trace, job, index) ? [`cancelling ${job.name} returned long after it had ended`] : []),
          ...(isTerminal(note.state) ? [] : [`cancelling ${job.name} returned while it was ${note.state}`]),
          ...(isWorkingAt(job, index) ? [`cancelling ${job.name} returned before its work had ended`] : []),
          ...(job.end?.state === note.state ? [] : [`cancelling ${job.name} said ${note.state}, not ${job.end?.state}`])
        ]
      })
    ]
  }
}

/** Whether somebody is a job, or one that it owns. What came and went within one turn may not have been seen, nor whose it was. */
const mayBeWithin = (jobs: History["jobs"], by: string, job: JobHistory): boolean => {
  if (by.startsWith("client ")) return false
  for (let each = jobs.get(by); each !== undefined; each = each.parent) {
    if (each === job || (each.parentId !== undefined && each.parent === undefined)) return true
  }
  return !jobs.has(by)
}

/** Whether time passed between the end of a job that somebody cancelled, and the answer. */
const isReturnedLate = ({ isLate, notes }: Trace, { end }: JobHistory, index: number): boolean => {
  const answer = notes[index]
  if (isLate || end === undefined || answer?._tag !== "CancelReturned") return false
  const called = notes.findLast(
    (note, at) => at < index && note._tag === "CancelCalled" && note.job === answer.job && note.by === answer.by
  )
  return called !== undefined && answer.at > Math.max(called.at, end.at)
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
    const { changes, end, name, plan, worked } = job
    const { kind, timeout } = plan
    const started = changes.find(({ state }) => state === "running")
    if (end === undefined || timeout === undefined || started === undefined) return []
    // The limit is that of the rounds, not of what begins them.
    if (kind === "periodic" && !isRound(job)) return []
    const took = end.at - started.at
    const working = (worked.at(-1)?.at ?? started.at) - started.at
    const delay = delayOf(plan)
    return [
      ...(!trace.isLate && delay !== undefined && working > timeout + delay
        ? [`${name} went on for ${working} ms with a timeout of ${timeout} ms`]
        : []),
      ...(end.why === "TimedOut" && worked.at(-1)?.how !== "TimedOut" && took < timeout
        ? [`${name} timed out after ${took} of ${timeout}`]
        : []),
      ...(!trace.isLate && took > timeout + graceMillis ? [`${name} took ${took} with a timeout of ${timeout}`] : [])
    ]
  }

/** For how long work cannot be stopped, in milliseconds; nothing where that depends on others. */
const delayOf = ({ work }: JobHistory["plan"]): number | undefined =>
  work.every(({ do: what }) => what === "sleep" || what === "block" || what === "report" || what === "submit")
    ? Math.max(0, ...work.map((piece) => (piece.do === "block" ? piece.millis : 0)))
    : undefined

/**
 * Giving up waiting never touches the job, and waiting never hangs. What a waiter gets is what became of the job.
 */
export const waitingTouchesNothing: Law = {
  name: "waitingTouchesNothing",
  breaches: ({ jobs, moments, trace }) => [
    ...hanging(trace, "WaitCalled", ["WaitReturned", "GaveUp", "Left"]),
    ...overdue(trace, "WaitCalled", ["WaitReturned", "GaveUp", "Left"], (note) =>
      note._tag === "WaitCalled" ? note.limit : undefined
    ),
    ...trace.notes.flatMap((note, index) => {
      const job = "job" in note ? (jobs.get(note.job) ?? joinedBy(jobs, note, trace)) : undefined
      if (job === undefined) return []
      const { end, name } = job
      switch (note._tag) {
        case "RunReturned":
        case "WaitReturned": {
          if (note.how === "WaitsForItself" && mayBeWithin(jobs, note.by, job)) return []
          if (note.how === "Expired" && (isJoined(trace, name) || note.job !== name)) return []
          // The result of a call that came and went within one turn was dropped before anybody looked.
          if (end?.why === "Expired") return []
          // A promise is rejected with a defect as it is with an error.
          if (end?.why === "die" && note.how !== "success" && jobs.get(note.by)?.plan.by === "promise") return []
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
            ...(!trace.isLate && called !== undefined && note.at - called.at > limit
              ? [`giving up on ${name} took ${note.at - called.at} ms with a limit of ${limit} ms`]
              : []),
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
          // An id that the supervisor did not give out is unknown to it once its record is dropped.
          return note.how === (job.plan.idempotencyKey === undefined ? "Expired" : "NotFound") &&
            end !== undefined &&
            end.look <= (moments[index]?.look ?? 0)
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
