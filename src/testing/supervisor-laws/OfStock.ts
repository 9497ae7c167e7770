/**
 * The promises about what is kept of ended jobs, and about health.
 */
import type { JobEvent } from "../../core/JobEvent.ts"
import type { Health } from "../../supervisor/Supervisor.ts"
import { type Law, some } from "./Law.ts"
import { stopsBefore } from "./EarlyEnds.ts"
import { type History, isHeldAt, isWorkingAt, type JobHistory, stateAt, timeOf } from "./History.ts"
import { jobsOf } from "./Program.ts"
import type { Note } from "./Trace.ts"

type Kept = Extract<Note, { readonly _tag: "Kept" }>
type Ended = Pick<JobEvent, "jobId" | "kind"> & { readonly at: number }

/**
 * Of the jobs that have ended, the latest `retain` are kept, each for `retainFor`, and not one more; of their results, the
 * latest `retainResults`, each for `retainResultsFor`. What a call answered is its caller's, and not kept unless others may join
 * it by its idempotency key.
 */
export const theLatestAreKept: Law = {
  name: "theLatestAreKept",
  breaches: (history) => {
    const { events, trace } = history
    // Periodic jobs are not counted, so it is not known how many have ended.
    if (jobsOf(trace.program).some(({ kind }) => kind === "periodic")) return []
    const { retain, retainFor, retainResults = retain, retainResultsFor = retainFor } = trace.program.limits
    const all = events.filter(({ _tag }) => tags.has(_tag))
    const ends = all.flatMap((event): ReadonlyArray<Ended> => {
      const { jobId, kind } = event
      const at = timeOf(history, event)
      return at === undefined ? [] : [{ jobId, kind, at }]
    })
    if (ends.length < all.length) return []
    let pruned = { from: 0, to: 0 }
    return trace.notes.flatMap((note) => {
      if (note._tag === "PruneCalled") pruned = { ...pruned, to: Infinity }
      if (note._tag === "PruneReturned") pruned = { from: note.at, to: note.at }
      if (note._tag !== "Kept" || note.ended > ends.length) return []
      const ended = ends.slice(0, note.ended)
      const last = ended.at(-1)?.at ?? 0
      const at = { from: Math.max(pruned.from, last), to: Math.min(note.at, Math.max(pruned.to, last)) }
      const records = keepsOf(ended, retain, retainFor, at)
      const results = keepsOf(
        ended.filter(({ jobId, kind }) => kind === "job" || history.jobs.get(jobId)?.plan.idempotencyKey !== undefined),
        retainResults,
        retainResultsFor,
        at
      )
      const both = new Set(Array.from(results.sure).filter((id) => records.sure.has(id)))
      // What a call answered is there until its callers have taken it.
      const possible = new Set([
        ...results.possible,
        ...ended.flatMap(({ jobId, kind }) => (kind === "call" ? [jobId] : []))
      ])
      return [
        ...mistakes("records", note.records, records.sure, records.possible),
        ...mistakes("results", note.results, both, possible)
      ]
    })
  }
}

const tags = new Set<JobEvent["_tag"]>(["JobCompleted", "JobFailed", "JobCancelled"])

/** Which are kept for sure and which may be, when what is too old was dropped last between two moments. */
const keepsOf = (
  ended: ReadonlyArray<Ended>,
  count: number,
  forMillis = Infinity,
  { from, to }: { readonly from: number; readonly to: number }
) => {
  const latest = count === 0 ? [] : ended.slice(-count)
  const idsAt = (millis: number) => new Set(latest.flatMap(({ at, jobId }) => (at + forMillis > millis ? [jobId] : [])))
  return { sure: idsAt(to), possible: idsAt(from) }
}

const mistakes = (
  what: keyof Kept,
  kept: ReadonlyArray<string>,
  sure: ReadonlySet<string>,
  possible: ReadonlySet<string>
): ReadonlyArray<string> => {
  const missing = Array.from(sure).filter((id) => !kept.includes(id))
  const tooMany = kept.filter((id) => !possible.has(id))
  return [
    ...(missing.length === 0 ? [] : [`${what} were dropped too early: ${some(missing)}`]),
    ...(tooMany.length === 0 ? [] : [`${what} were kept too long: ${some(tooMany)}`])
  ]
}

/** Health says what is: what runs, waits and is stuck, what the last minute brought, and the score that follows from it. */
export const healthSaysWhatIs: Law = {
  name: "healthSaysWhatIs",
  breaches: (history) => {
    const { trace } = history
    const lends = trace.notes.some(({ _tag }) => _tag === "WaitBegan")
    let counts: Extract<Note, { readonly _tag: "Counted" }>["counts"] | undefined
    let accepts: "yes" | "no" | "maybe" = "yes"
    return trace.notes.flatMap((note, index) => {
      if (note._tag === "Counted") counts = note.counts
      if (accepts === "yes" && (note._tag === "DrainCalled" || note._tag === "CloseCalled")) accepts = "maybe"
      if (note._tag === "DrainReturned" || note._tag === "CloseReturned") accepts = "no"
      if (note._tag !== "TookStock" || counts === undefined) return []
      const { health } = note
      const { calls, jobs, lastMinute } = health
      const total = (state: keyof typeof jobs) => jobs[state] + calls[state]
      const isShort = note.at < 60_000
      const { failed, succeeded } = lastMinute
      const facts: Readonly<Record<string, boolean>> = {
        jobs: states.every((state) => total(state) === counts?.[state]),
        accepting: accepts === "maybe" || health.accepting === (accepts === "yes"),
        running:
          // Jobs that gave up a wait go on above the limit.
          lends
            ? health.running <= jobs.running
            : health.running === jobs.running && health.running <= health.concurrency,
        concurrency: health.concurrency === trace.program.limits.concurrency,
        waiting: health.waiting === jobs.pending,
        maxPending: health.maxPending === trace.program.limits.maxPending,
        oldestWaitingMillis: health.oldestWaitingMillis === oldestAt(history, index),
        lastMinute: !isShort || hasPeriodic(history) || isRightMinute(health),
        errorRatio: health.errorRatio === (failed === 0 ? 0 : failed / (failed + succeeded)),
        stuck: isRightAboutStuck(history, health, index),
        score: health.score === scoreOf(health) && health.score >= 0 && health.score <= 100
      }
      return Object.entries(facts).flatMap(([name, isRight]) =>
        isRight ? [] : [`health was wrong about ${name} at ${note.at}: ${JSON.stringify(health)}`]
      )
    })
  }
}

const states = ["pending", "running", "completed", "failed", "cancelled"] as const

const hasPeriodic = ({ jobs }: History): boolean =>
  Array.from(jobs.values()).some(({ plan }) => plan.kind === "periodic")

const isRightMinute = ({ calls, jobs, lastMinute: { failed, started, succeeded } }: Health): boolean => {
  const ran = (counts: Health["jobs"]) => counts.running + counts.completed + counts.failed
  const least = ran(jobs) + ran(calls)
  return (
    succeeded === jobs.completed + calls.completed &&
    failed === jobs.failed + calls.failed &&
    started >= least &&
    started <= least + jobs.cancelled + calls.cancelled
  )
}

/** For how long the job that was submitted first has waited. */
const oldestAt = ({ jobs, moments }: History, index: number): number | undefined => {
  const now = moments[index]?.at ?? 0
  const waits = Array.from(jobs.values()).flatMap((job) =>
    job.plan.kind === undefined && stateAt(job, index) === "pending" && !isHeldAt(job, index)
      ? [now - (job.changes[0]?.at ?? now)]
      : []
  )
  return waits.length === 0 ? undefined : Math.max(...waits)
}

/** Jobs are stuck that run although they were asked to end long ago; one that nobody asked to is not. */
const isRightAboutStuck = ({ jobs, moments, trace }: History, { stuck }: Health, index: number): boolean => {
  const { stuckAfter = 5_000 } = trace.program.limits
  const moment = moments[index]
  if (moment === undefined) return true
  const all = Array.from(jobs.values())
  const isFound = ({ forMillis, id }: Health["stuck"][number]) => {
    const job = all.find((each) => each.id === id)
    if (job === undefined) return false
    return forMillis >= stuckAfter && stateAt(job, index) === "running" && stopsBefore(job, moment).length > 0
  }
  // When time has passed, a time limit has struck and a cancellation has come, unless its caller was stopped itself.
  const isOld = ({ at }: { readonly at: number }) => moment.at - at >= stuckAfter
  const isCancelled = (job: JobHistory) =>
    trace.notes.some((note, at) => {
      if (at >= index || note._tag !== "CancelCalled" || note.job !== job.name || !isOld(note)) return false
      const by = jobs.get(note.by)
      return by === undefined ? note.by.startsWith("client ") : stopsBefore(by, moment).length === 0
    })
  const isLate = ({ stops }: JobHistory) =>
    stops.some((stop) => stop.kind === "timed out" && stop.index < index && isOld(stop))
  const isDue = (job: JobHistory) =>
    !trace.isLate && job.plan.kind !== "periodic" && isWorkingAt(job, index) && (isLate(job) || isCancelled(job))
  return stuck.every(isFound) && all.filter(isDue).every(({ id }) => stuck.some((each) => each.id === id))
}

/** The documented formula. */
const scoreOf = ({ errorRatio, eventLoopLagMillis, failingPeriodic, maxPending, stuck, waiting }: Health): number => {
  const fullness = maxPending === 0 ? 0 : Math.min(1, waiting / maxPending)
  const failing = failingPeriodic.some(({ inARow }) => inARow >= 3)
  const lag = Math.min(1, eventLoopLagMillis / 1000)
  return Math.max(
    0,
    Math.round(100 - 50 * errorRatio - 20 * fullness - (stuck.length > 0 ? 10 : 0) - (failing ? 10 : 0) - 10 * lag)
  )
}
