/**
 * The supervisor's ten promises, each as a law: a pure function from what was seen in a run to what was wrong with it.
 */
import type { EventsMissed, JobEvent } from "../core/JobEvent.ts"
import {
  type History,
  historyOf,
  isTerminal,
  isWaitingAt,
  isWithin,
  isWorkingAt,
  type JobHistory,
  mayEndAs,
  stateAt,
  stopsBefore
} from "./SupervisorLawsModel.ts"
import { hookLimit, interruptLimit } from "./SupervisorLawsStage.ts"
import type { Note, Trace } from "./SupervisorLawsTrace.ts"

/** A promise of the supervisor. */
export interface Law {
  readonly name: string
  /** Says what was wrong in a run, one sentence for each breach; `again` gives the same run once more. */
  readonly breaches: (history: History, again: () => Trace) => ReadonlyArray<string>
}

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
    const state = stateAt(job, index)
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

/** Running never exceeds the limit, globally and per key, not even for one scheduler step. */
export const neverMoreThanTheLimit: Law = {
  name: "neverMoreThanTheLimit",
  breaches: (history) => {
    const { jobs, trace } = history
    const { concurrency, keyConcurrency = Infinity } = trace.program.limits
    return trace.notes.flatMap((note, index) => {
      if (note._tag !== "Began" && note._tag !== "Counted" && note._tag !== "WaitEnded") return []
      const running = Array.from(jobs.values()).filter((job) => holdsSlot(history, job, index + 1))
      const keys = new Map<string, number>()
      for (const { plan } of running) if (plan.key !== undefined) keys.set(plan.key, (keys.get(plan.key) ?? 0) + 1)
      return [
        ...(running.length > concurrency ? [`${some(running.map(({ name }) => name))} ran at once`] : []),
        ...Array.from(keys).flatMap(([key, count]) =>
          count > keyConcurrency ? [`${count} jobs of ${key} ran at once`] : []
        )
      ]
    })
  }
}

// A job that was asked to end while it waited goes on without a slot.
const holdsSlot = ({ moments }: History, job: JobHistory, index: number): boolean => {
  if (job.plan.kind === "call") return false
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
      ...Array.from(jobs.values()).flatMap(tooEarlyOrLate(trace)),
      ...trace.notes.flatMap((note, index) => {
        if (note._tag === "TimePassed") return trace.isLate ? [] : idleSlots(history, index)
        if (note._tag !== "CancelReturned") return []
        const job = jobs.get(note.job)
        if (job === undefined || isWithin(jobs.get(note.by), job)) return []
        return [
          ...(isTerminal(note.state) ? [] : [`cancelling ${job.name} returned while it was ${note.state}`]),
          ...(isWorkingAt(job, index) ? [`cancelling ${job.name} returned before its work had ended`] : []),
          ...(job.end?.state === note.state ? [] : [`cancelling ${job.name} said ${note.state}, not ${job.end?.state}`])
        ]
      })
    ]
  }
}

/** Longer than any job here takes to end once it is interrupted: blocked, with finalizers, children and a slow hook. */
const graceMillis = 8 * hookLimit

const tooEarlyOrLate =
  (trace: Trace) =>
  ({ end, name, plan: { timeout } }: JobHistory): ReadonlyArray<string> => {
    if (end === undefined || timeout === undefined || end.startedAt === undefined) return []
    const took = end.at - end.startedAt
    return [
      ...(end.why === "TimedOut" && took < timeout ? [`${name} timed out after ${took} of ${timeout}`] : []),
      ...(!trace.isLate && took > timeout + graceMillis ? [`${name} took ${took} with a timeout of ${timeout}`] : [])
    ]
  }

const idleSlots = (history: History, index: number): ReadonlyArray<string> => {
  const { concurrency, keyConcurrency = concurrency } = history.trace.program.limits
  const jobs = Array.from(history.jobs.values()).filter(({ plan }) => plan.kind !== "call")
  const busy = jobs.filter((job) => stateAt(job, index) === "running" && !isWaitingAt(job, index))
  if (busy.length >= concurrency) return []
  return jobs.flatMap((job) =>
    stateAt(job, index) === "pending" && busy.filter(({ plan }) => plan.key === job.plan.key).length < keyConcurrency
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
      const job = "job" in note ? jobs.get(note.job) : undefined
      if (job === undefined) return []
      const { end, name } = job
      const called = moments[trace.notes.findLastIndex((each, at) => at < index && isCallOf(each, note))]
      switch (note._tag) {
        case "WaitReturned": {
          const right = end?.state === "completed" ? "success" : end?.why
          return note.how === right || (note.how === "interrupt" && right === undefined)
            ? isWorkingAt(job, index)
              ? [`waiting for ${name} returned before its work had ended`]
              : []
            : [`waiting for ${name} gave ${note.how}, not ${right}`]
        }
        case "GaveUp": {
          const limit = limitOf(trace.notes[called?.index ?? -1])
          return [
            ...(called === undefined || note.at - called.at < limit ? [`gave up on ${name} before its limit`] : []),
            ...(!trace.isLate && end !== undefined && end.at < note.at ? [`gave up on ${name}, which had ended`] : [])
          ]
        }
        case "Left":
          return !trace.isLate && called !== undefined && note.at > called.at + graceMillis
            ? [`could not leave ${name}`]
            : []
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

const isCallOf = (call: Note, answer: Note): boolean =>
  call._tag === "WaitCalled" && "by" in answer && "job" in answer && call.by === answer.by && call.job === answer.job

const limitOf = (note: Note | undefined): number => (note?._tag === "WaitCalled" ? (note.limit ?? 0) : 0)

/**
 * Every event has the next sequence number; "after N" gives exactly N+1, N+2, …; a slow reader is told about its gap.
 */
export const eventsHaveNoGaps: Law = {
  name: "eventsHaveNoGaps",
  breaches: ({ jobs, trace }) => {
    const { eventHistory } = trace.program.limits
    const last = Math.max(0, ...trace.notes.map((note) => (note._tag === "Read" ? lastOf(note.event) : 0)))
    const next = new Map<number, number>()
    const gaps = trace.notes.flatMap((note) => {
      if (note._tag === "ReaderBegan") next.set(note.reader, note.after + 1)
      if (note._tag !== "Read") return []
      const { event, reader } = note
      const expected = next.get(reader)
      const first = event._tag === "EventsMissed" ? event.from : event.sequence
      next.set(reader, lastOf(event) + 1)
      return [
        ...(first === expected ? [] : [`reader ${reader} got event ${first} instead of ${expected}`]),
        ...(event._tag === "EventsMissed" && (event.to < event.from || event.to > last - eventHistory)
          ? [`reader ${reader} missed ${event.from} to ${event.to} of ${last}, of which ${eventHistory} are kept`]
          : [])
      ]
    })
    const isComplete = trace.ending === "success" && last <= eventHistory
    return isComplete ? [...gaps, ...Array.from(jobs.values()).flatMap(mistold(trace))] : gaps
  }
}

const lastOf = (event: JobEvent | EventsMissed): number => (event._tag === "EventsMissed" ? event.to : event.sequence)

const mistold =
  (trace: Trace) =>
  ({ changes, id, name }: JobHistory): ReadonlyArray<string> => {
    const told = eventsOf(trace, id).filter((tag) => tag !== "JobRetrying" && tag !== "FailureHookFailed")
    const right = changes.map(({ state }) => tags[state])
    return told.join() === right.join() ? [] : [`the events of ${name} were ${some(told)}, not ${some(right)}`]
  }

const tags = {
  pending: "JobSubmitted",
  running: "JobStarted",
  completed: "JobCompleted",
  failed: "JobFailed",
  cancelled: "JobCancelled"
} as const

/** What the reader that was there from the start was told of a job. */
const eventsOf = ({ notes }: Trace, id: string): ReadonlyArray<JobEvent["_tag"]> =>
  notes.flatMap((note) =>
    note._tag === "Read" && note.reader === 0 && note.event._tag !== "EventsMissed" && note.event.jobId === id
      ? [note.event._tag]
      : []
  )

/** No failure is silent: recorded, counted, logged once, handed to the hook once. A hook that fails is itself recorded. */
export const noFailureIsSilent: Law = {
  name: "noFailureIsSilent",
  breaches: ({ jobs, trace }) => {
    const count = (name: string, text: string) =>
      trace.notes.filter((note) => note._tag === "Logged" && note.job === name && note.text === text).length
    const knowsAllEvents = trace.program.limits.eventHistory > 100
    return Array.from(jobs.values()).flatMap(({ end, id, name, plan }) => {
      if (end === undefined) return []
      const logged = count(name, "job failed")
      const hooked = trace.notes.filter((note) => note._tag === "Hooked" && note.job === name).length
      const isFailure = end.state === "failed" && plan.kind !== "call"
      const right = isFailure || (end.state === "cancelled" && plan.finalizer === "die" && logged > 0) ? 1 : 0
      const hookFails = trace.program.hook === "die" || trace.program.hook === "hang" ? hooked : 0
      const hookLogged = count(name, "the failure hook failed")
      const hookTold = eventsOf(trace, id).filter((tag) => tag === "FailureHookFailed").length
      return [
        ...(logged === right ? [] : [`${name} was ${end.state} and logged ${logged} times`]),
        ...(hooked === right ? [] : [`${name} was ${end.state} and handed to the hook ${hooked} times`]),
        ...(hookLogged === hookFails ? [] : [`the hook failed for ${name} and that was logged ${hookLogged} times`]),
        ...(hookTold === hookFails || !knowsAllEvents ? [] : [`the hook failed for ${name}, with ${hookTold} events`])
      ]
    })
  }
}

/**
 * After a drain began nothing new starts; it returns by its deadline; its report accounts for every job by name,
 * including any that could not be interrupted.
 */
export const drainAccountsForAll: Law = {
  name: "drainAccountsForAll",
  breaches: ({ jobs, moments, trace }) => {
    const { notes } = trace
    const all = Array.from(jobs.values())
    return [
      ...hanging(trace, "DrainCalled", ["DrainReturned"]),
      ...notes.flatMap((note, index) => {
        if (note._tag !== "DrainCalled") return []
        const sure = notes.findIndex(
          (each, at) => at > index && (each._tag === "TimePassed" || isReturn(each, note.by))
        )
        if (sure < 0 || trace.isLate) return []
        return [
          ...all
            .filter((job) => job.changes.some((change) => change.state === "running" && change.index > sure))
            .filter((job) => (job.changes[0]?.index ?? 0) < index)
            .map(({ name }) => `${name} started after the drain had begun`),
          ...notes.flatMap((each, at) => {
            const isClient = each._tag === "Submitted" && !jobs.has(each.by)
            const called = notes.findLastIndex((call, before) => before < at && isSubmitOf(call, each))
            return isClient && called > sure ? [`${each.job} was accepted after the drain had begun`] : []
          })
        ]
      }),
      ...notes.flatMap((note, index) => {
        if (note._tag !== "DrainReturned") return []
        const { by, report } = note
        const at = notes.findLastIndex(
          (each, before) => before < index && each._tag === "DrainCalled" && each.by === by
        )
        const called = notes[at]
        if (called?._tag !== "DrainCalled") return []
        const limit = called.at + called.deadline + interruptLimit
        const outcomes = new Map(report.jobs.map((entry) => [entry.name, entry.outcome]))
        const live = all.filter((job) => !isTerminal(stateAt(job, at) ?? "completed"))
        return [
          ...(!trace.isLate && note.at > limit ? [`the drain returned at ${note.at}, not by ${limit}`] : []),
          ...(outcomes.size === report.jobs.length ? [] : ["the drain reported a job twice"]),
          ...live.filter(({ name }) => !outcomes.has(name)).map(({ name }) => `the drain did not account for ${name}`),
          ...all.flatMap((job) => {
            const outcome = outcomes.get(job.name)
            const right = outcomeOf(job, index)
            return outcome === undefined || right.has(outcome)
              ? []
              : [`the drain said that ${job.name} was ${outcome}, not ${some(right)}`]
          }),
          ...(report.clean === !report.jobs.some(({ outcome }) => outcome === "still running")
            ? []
            : ["clean is wrong"])
        ]
      }),
      ...(moments.length === notes.length ? [] : ["notes were lost"])
    ]
  }
}

const isReturn = (note: Note, by: string): boolean => note._tag === "DrainReturned" && note.by === by
const isSubmitOf = (call: Note, answer: Note): boolean =>
  call._tag === "SubmitCalled" && "job" in answer && call.job === answer.job

/** What a drain may say of a job. Whatever happens in the turn in which it returns is seen only after it. */
const outcomeOf = (job: JobHistory, index: number): ReadonlySet<string> => {
  const outcomes = new Set<string>()
  if (!isTerminal(stateAt(job, index) ?? "pending")) outcomes.add("still running")
  if (job.end !== undefined) {
    outcomes.add(job.changes.some(({ state }) => state === "running") ? job.end.state : "not started")
  }
  return outcomes
}

/** A child ends before its parent does, unless handed over. Submit-and-wait inside a job cannot deadlock. */
export const childrenEndWithTheirParent: Law = {
  name: "childrenEndWithTheirParent",
  breaches: ({ jobs, trace }) => [
    ...hanging(trace, "WaitBegan", ["WaitEnded"]),
    ...Array.from(jobs.values()).flatMap((child) => {
      const submit = trace.notes.find((note) => note._tag === "SubmitCalled" && note.job === child.name)
      const by = submit?._tag === "SubmitCalled" ? jobs.get(submit.by) : undefined
      const right = child.plan.owner === "supervisor" ? undefined : by
      const { parent } = child
      return [
        ...(parent === right ? [] : [`${child.name} belongs to ${parent?.name}, not to ${right?.name}`]),
        ...(parent?.end !== undefined && (child.end === undefined || child.end.look > parent.end.look)
          ? [`${child.name} outlived ${parent.name}`]
          : [])
      ]
    })
  ]
}

/** The same seed gives the same run. */
export const sameSeedSameRun: Law = {
  name: "sameSeedSameRun",
  breaches: ({ trace }, again) => {
    const second = again()
    const [one, other] = [trace, second].map(({ ending, notes, order }) => JSON.stringify([ending, order, notes]))
    return one === other ? [] : [`seed ${trace.seed} gave two different runs`]
  }
}

/** All laws, in the order of the promises. */
export const laws: ReadonlyArray<Law> = [
  oneTerminalState,
  closingEndsEverything,
  neverMoreThanTheLimit,
  stopsWaitForTheWork,
  waitingTouchesNothing,
  eventsHaveNoGaps,
  noFailureIsSilent,
  drainAccountsForAll,
  childrenEndWithTheirParent,
  sameSeedSameRun
]

/** The breaches of a run, each with the law that is broken. */
export const breachesOf = (trace: Trace, again: () => Trace, of: ReadonlyArray<Law> = laws): ReadonlyArray<Breach> => {
  const history = historyOf(trace)
  return of.flatMap((law) => law.breaches(history, again).map((what) => ({ law: law.name, what })))
}

export interface Breach {
  readonly law: string
  readonly what: string
}

/** The calls that never returned, in a run that did not come to its end. */
const hanging = (trace: Trace, call: Note["_tag"], answers: ReadonlyArray<Note["_tag"]>): ReadonlyArray<string> => {
  if (trace.ending === "success") return []
  const open = new Map<string, string>()
  for (const note of trace.notes) {
    const who = `${"by" in note ? `${note.by} ` : ""}${"job" in note ? note.job : ""}`
    if (note._tag === call) open.set(who, `${call} of ${who} never returned: ${trace.ending}`)
    if (answers.includes(note._tag)) open.delete(who)
  }
  return Array.from(open.values())
}

const somebodyWaits = (trace: Trace): boolean =>
  [
    hanging(trace, "WaitCalled", ["WaitReturned", "GaveUp", "Left"]),
    hanging(trace, "CancelCalled", ["CancelReturned", "Left"]),
    hanging(trace, "DrainCalled", ["DrainReturned"])
  ].some((open) => open.length > 0)

const some = (words: Iterable<string>): string => Array.from(words).join(", ") || "nothing"
