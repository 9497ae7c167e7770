/**
 * The promises about what is told: events, failures, the drain's report; and about owners and seeds.
 */
import type { EventsMissed, JobEvent } from "../../core/JobEvent.ts"
import { mayBeBehind } from "./Behind.ts"
import { hanging, type Law, some } from "./Law.ts"
import { isLendingAt, stopsBefore } from "./EarlyEnds.ts"
import { type History, isHeldAt, isRound, isTerminal, type JobHistory, type Moment, stateAt } from "./History.ts"
import { alert, jobsOf, planned } from "./Program.ts"
import { interruptLimit, type Note, type Trace } from "./Trace.ts"

/**
 * Every event has the next sequence number, and the next among those of its job; "after N" gives exactly N+1, N+2, …; a slow reader is told about its gap.
 * Of a job's progress, the last is never lost.
 */
export const eventsHaveNoGaps: Law = {
  name: "eventsHaveNoGaps",
  breaches: (history) => {
    const { jobs, trace } = history
    const { eventHistory } = trace.program.limits
    const last = Math.max(0, ...trace.notes.map((note) => (note._tag === "Read" ? lastOf(note.event) : 0)))
    const next = new Map<number, number>()
    // Readers that have nothing yet and began behind a position that no event is known to have had by then.
    const ahead = new Map<number, number>()
    let known = 0
    const gaps = trace.notes.flatMap((note) => {
      if (note._tag === "ReaderBegan") {
        next.set(note.reader, note.after + 1)
        if (note.after > known) ahead.set(note.reader, note.after)
      }
      if (note._tag !== "Read") return []
      const { event, reader } = note
      const expected = next.get(reader)
      const first = event._tag === "EventsMissed" ? event.from : event.sequence
      next.set(reader, lastOf(event) + 1)
      known = Math.max(known, lastOf(event))
      const after = ahead.get(reader)
      ahead.delete(reader)
      if (after !== undefined && first === 1 && (event._tag !== "EventsMissed" || event.to < after)) return []
      return [
        ...(first === expected ? [] : [`reader ${reader} got event ${first} instead of ${expected}`]),
        ...(event._tag === "EventsMissed" && (event.to < event.from || event.to > last - eventHistory)
          ? [`reader ${reader} missed ${event.from} to ${event.to} of ${last}, of which ${eventHistory} are kept`]
          : [])
      ]
    })
    const isComplete = trace.ending === "success" && last <= eventHistory
    const numbers = new Map<string, number>()
    const misnumbered = history.events.flatMap(({ jobId, jobName, jobSequence }) => {
      const expected = (numbers.get(jobId) ?? 0) + 1
      numbers.set(jobId, expected)
      return jobSequence === expected ? [] : [`event ${expected} of ${jobName} has the number ${jobSequence}`]
    })
    const told = isComplete ? Array.from(jobs.values()).flatMap(mistold(history)) : []
    return [...gaps, ...misnumbered, ...told, ...trace.notes.flatMap(lostProgress(jobs, trace))]
  }
}

const lastOf = (event: JobEvent | EventsMissed): number => (event._tag === "EventsMissed" ? event.to : event.sequence)

const mistold =
  (history: History) =>
  ({ began, changes, id, name, runs, stops }: JobHistory): ReadonlyArray<string> => {
    const events = eventsOf(history, id)
    const told = events.filter((tag) => !asides.has(tag))
    const right = changes.map(({ state }) => tags[state])
    const retries = events.filter((tag) => tag === "JobRetrying").length
    // An attempt may be stopped before its work begins.
    const isRight =
      retries === Math.max(0, began.length - 1) || (retries === began.length && stops.length + runs.length > 0)
    return [
      ...(told.join() === right.join() ? [] : [`the events of ${name} were ${some(told)}, not ${some(right)}`]),
      ...(isRight ? [] : [`${name} began ${began.length} times, with ${retries} events of a retry`])
    ]
  }

/** Says when somebody who followed a job's progress to its end was not told the last of it. */
const lostProgress =
  (jobs: History["jobs"], { notes }: Trace) =>
  (note: Note, index: number): ReadonlyArray<string> => {
    if (note._tag !== "ProgressEnded") return []
    const job = jobs.get(note.job)
    if (job?.end === undefined || stopsBefore(job, job.end).length > 0) return []
    const reported = notes.findLast((each) => each._tag === "Reported" && each.job === note.job)
    const told = notes.findLast((each, at) => at < index && each._tag === "Progress" && each.watcher === note.watcher)
    if (reported?._tag !== "Reported" || (told?._tag === "Progress" && told.fraction === reported.fraction)) return []
    return [`the last progress of ${note.job} was not told`]
  }

/** Events that are no change of state. */
const asides = new Set<JobEvent["_tag"]>([
  "JobProgressed",
  "JobPaused",
  "JobResumed",
  "JobRetrying",
  "RoundSkipped",
  "FailureHookFailed",
  "FailureLogFailed"
])

const tags = {
  pending: "JobSubmitted",
  running: "JobStarted",
  completed: "JobCompleted",
  failed: "JobFailed",
  cancelled: "JobCancelled"
} as const

const eventsOf = ({ events }: History, id: string): ReadonlyArray<JobEvent["_tag"]> =>
  events.flatMap((event) => (event.jobId === id ? [event._tag] : []))

/**
 * No failure is silent: recorded, counted, logged once, handed to the hook once. A failure that the hook itself brought about is
 * not handed to it, and that is recorded. So is a hook or a logger that fails, and it keeps no other logger from its turn.
 */
export const noFailureIsSilent: Law = {
  name: "noFailureIsSilent",
  breaches: (history) => {
    const { jobs, trace } = history
    const count = (name: string, text: string) =>
      trace.notes.filter((note) => note._tag === "Logged" && note.job === name && note.text === text).length
    const knowsAllEvents = trace.program.limits.eventHistory > 100
    return Array.from(jobs.values()).flatMap(({ end, id, name, plan }) => {
      if (end === undefined) return []
      const logged = count(name, "job failed")
      const hooked = trace.notes.filter((note) => note._tag === "Hooked" && note.job === name).length
      const isFailure = end.state === "failed" || (end.state === "cancelled" && end.reasons > 1)
      const right = isFailure && plan.kind !== "call" ? 1 : 0
      const isOwn = plan === alert
      const rightHooked = isOwn ? 0 : right
      const { hook } = trace.program
      const hookLogged = count(name, "the failure hook failed")
      const fails = hook === "die" || hook === "throw" || hook === "hang"
      const hookFails = isOwn ? right : trace.isLate ? hookLogged : fails ? hooked : 0
      const told = (event: JobEvent["_tag"]) => eventsOf(history, id).filter((tag) => tag === event).length
      const hookTold = told("FailureHookFailed")
      const unheard = trace.program.logger === "throw" ? logged + hookLogged : 0
      const unheardTold = told("FailureLogFailed")
      return [
        ...(logged === right ? [] : [`${name} was ${end.state} and logged ${logged} times`]),
        ...(hooked === rightHooked || (trace.isLate && hooked < rightHooked)
          ? []
          : [`${name} was ${end.state} and handed to the hook ${hooked} times`]),
        ...(hookLogged === hookFails ? [] : [`the hook failed for ${name} and that was logged ${hookLogged} times`]),
        ...(hookTold === hookFails || !knowsAllEvents ? [] : [`the hook failed for ${name}, with ${hookTold} events`]),
        ...(unheardTold === unheard || !knowsAllEvents
          ? []
          : [`a logger threw ${unheard} times for ${name}, with ${unheardTold} events`])
      ]
    })
  }
}

/**
 * After a drain began nothing starts but children of jobs that run; it returns by its deadline; its report accounts for
 * every job by name, including any that could not be interrupted.
 */
export const drainAccountsForAll: Law = {
  name: "drainAccountsForAll",
  breaches: (history) => {
    const { jobs, moments, trace } = history
    const { notes } = trace
    const all = Array.from(jobs.values())
    const names = new Set(jobsOf(trace.program).map(({ name }) => name))
    return [
      ...hanging(trace, "DrainCalled", ["DrainReturned"]),
      ...notes.flatMap((note, index) => {
        if (note._tag !== "DrainCalled") return []
        const sure = notes.findIndex(
          (each, at) => at > index && (each._tag === "TimePassed" || isReturn(each, note.by) || isLeft(each, note.by))
        )
        const first = notes[sure]
        // A job may be interrupted before it comes to drain.
        if (first === undefined || isLeft(first, note.by) || trace.isLate) return []
        const looks = moments[sure]?.look ?? 0
        return [
          ...all
            .filter((job) => (job.changes[0]?.index ?? 0) < index && mayNotStartAfter(job, looks))
            .map(({ name }) => `${name} started after the drain had begun`),
          ...goOn(all, notes, sure),
          ...all
            .filter((job) => isRound(job) && (job.changes[0]?.look ?? 0) > looks)
            .map(({ name }) => `a round, ${name}, began after the drain had begun`),
          ...notes.flatMap((each, at) => {
            // A job that came and went within one turn is known by its plan alone.
            const isClient = each._tag === "Submitted" && !names.has(planned(each.by))
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
        const sure = notes.findIndex(
          (each, after) => after > at && ((each._tag === "TimePassed" && !trace.isLate) || after === index)
        )
        const live = all.filter(
          (job) => !isTerminal(stateAt(job, at) ?? "completed") && isLiveAt(job, moments[sure]?.look ?? 0, at)
        )
        return [
          ...(!trace.isLate && note.at > limit ? [`the drain returned at ${note.at}, not by ${limit}`] : []),
          ...(outcomes.size === report.jobs.length ? [] : ["the drain reported a job twice"]),
          ...all
            .filter((job) => live.includes(job) || (report.clean && isOfOne(job, outcomes, moments[sure]?.look ?? 0)))
            .filter(({ changes, name }) => !outcomes.has(name) && (changes[0]?.index ?? 0) < index)
            // Whoever is not waited for goes on, between the report and the return too.
            .filter(
              ({ changes, parent }) => outcomes.get(parent?.name ?? "") !== "caller" || changes[0]?.at !== note.at
            )
            .map(({ name }) => `the drain did not account for ${name}`),
          ...all.flatMap((job) => {
            const outcome = outcomes.get(job.name)
            const right = outcomeOf(job, limit)
            // A caller is there when the report is given: it may end in the same millisecond, and no earlier.
            const isCaller = () =>
              !hasEndedBefore(trace, job, index) &&
              notes.some((each) => each._tag === "DrainCalled" && mayBeBehind(history, job, each.by))
            return outcome === undefined || right.has(outcome) || (outcome === "caller" && isCaller())
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

/** The periodic jobs that still run when time passes after a drain has begun for sure, and have no round that lives. */
const goOn = (jobs: ReadonlyArray<JobHistory>, notes: Trace["notes"], sure: number): ReadonlyArray<string> => {
  const later = notes.findIndex(({ _tag }, index) => index > sure && _tag === "TimePassed")
  if (later < 0) return []
  const isLive = (job: JobHistory) => !isTerminal(stateAt(job, later) ?? "completed")
  const isRepeated = (job: JobHistory) => jobs.some((round) => round.parent === job && isRound(round) && isLive(round))
  return jobs
    .filter((job) => job.plan.kind === "periodic" && !isRound(job) && stateAt(job, later) === "running")
    .filter((job) => !isRepeated(job))
    .map(({ name }) => `${name} still runs, although it may begin no round after the drain had begun`)
}

/** Whether a job started after a look, and belonged to none that ran. */
const mayNotStartAfter = (job: JobHistory, look: number): boolean => {
  const { changes, parent, parentId } = job
  const start = changes.find(({ state }) => state === "running")
  if (start === undefined || start.look <= look) return false
  if (parentId === undefined || isRound(job)) return true
  return parent !== undefined && stateAt(parent, start.index) !== "running"
}

const isReturn = (note: Note, by: string): boolean => note._tag === "DrainReturned" && note.by === by
const isLeft = (note: Note, by: string): boolean => note._tag === "WaitEnded" && note.job === by
const isSubmit = (note: Note): note is Extract<Note, { readonly _tag: "SubmitCalled" | "RunCalled" | "Submitted" }> =>
  note._tag === "SubmitCalled" || note._tag === "RunCalled"
const isSubmitOf = (call: Note, answer: Note): boolean => isSubmit(call) && "job" in answer && call.job === answer.job

/** Whether a job lived for sure when a drain began, between a note and a look: it lived on, or only that stopped it. */
const isLiveAt = ({ changes, end, parentId, runs, stops }: JobHistory, look: number, called: number): boolean =>
  end === undefined ||
  end.look > look ||
  (parentId === undefined &&
    !changes.some(({ state }) => state === "running") &&
    stops.every(({ index }) => index === called || index > end.index) &&
    runs.every(({ caller, left }) => caller === undefined && (left === undefined || left.index > end.index)))

/** Whether a job was submitted after a look by one of the jobs that a drain has ended. */
const isOfOne = ({ changes, parent }: JobHistory, outcomes: ReadonlyMap<string, string>, look: number): boolean =>
  parent !== undefined && outcomes.has(parent.name) && (changes[0]?.look ?? 0) > look

/** Whether a job had ended before a note for sure: time has passed between the two. */
const hasEndedBefore = ({ isLate, notes }: Trace, { end }: JobHistory, index: number): boolean =>
  end !== undefined &&
  !isLate &&
  notes.some(({ _tag }, between) => _tag === "TimePassed" && between > end.index && between < index)

/** What a drain that had to return by `limit` may say of a job. */
const outcomeOf = ({ changes, end }: JobHistory, limit: number): ReadonlySet<string> => {
  const outcomes = new Set<string>()
  if (end === undefined || end.at >= limit) outcomes.add("still running")
  if (end !== undefined) outcomes.add(changes.some(({ state }) => state === "running") ? end.state : "not started")
  return outcomes
}

/** A child ends before its parent does, unless handed over. Submit-and-wait inside a job cannot deadlock. */
export const childrenEndWithTheirParent: Law = {
  name: "childrenEndWithTheirParent",
  breaches: ({ jobs, moments, trace }) => [
    ...hanging(trace, "WaitBegan", ["WaitEnded"]),
    ...(trace.isLate
      ? []
      : trace.notes.flatMap((note, index) => (note._tag === "TimePassed" ? stuck(jobs, moments[index]) : []))),
    ...Array.from(jobs.values()).flatMap((child) => {
      const submit = trace.notes.find((note) => isSubmit(note) && note.job === child.name)
      const by = submit !== undefined && isSubmit(submit) ? jobs.get(submit.by) : undefined
      const right = child.plan.owner === "supervisor" ? undefined : by
      const { parent } = child
      return [
        ...(parent === right || child.plan.kind === "periodic"
          ? []
          : [`${child.name} belongs to ${parent?.name}, not to ${right?.name}`]),
        ...(parent?.end !== undefined && (child.end === undefined || child.end.look > parent.end.look)
          ? [`${child.name} outlived ${parent.name}`]
          : [])
      ]
    })
  ]
}

/** The children that cannot start because every job that runs waits. */
const stuck = (jobs: History["jobs"], moment: Moment | undefined): ReadonlyArray<string> => {
  if (moment === undefined) return []
  const { index } = moment
  const all = Array.from(jobs.values()).filter(({ plan }) => plan.kind === undefined)
  const running = all.filter((job) => stateAt(job, index) === "running")
  if (running.length === 0 || !running.every((job) => isLendingAt(job, moment))) return []
  return all.flatMap((job) =>
    stateAt(job, index) === "pending" && !isHeldAt(job, index)
      ? [`${job.name} cannot start while ${some(running.map(({ name }) => name))} wait`]
      : []
  )
}

/** Fibers are numbered through the whole process. */
const known = (key: string, value: unknown): unknown => (key === "fiberId" ? "" : value)

/** The same seed gives the same run. */
export const sameSeedSameRun: Law = {
  name: "sameSeedSameRun",
  breaches: ({ trace }, again) => {
    if (again === undefined) return []
    const [one, other] = [trace, again].map(({ ending, notes, order }) => JSON.stringify([ending, order, notes], known))
    return one === other ? [] : [`seed ${trace.seed} gave two different runs`]
  }
}
