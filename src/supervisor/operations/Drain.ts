/**
 * Brings a supervisor to rest and accounts for every job by name.
 */
import { type Duration, Effect } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { Lifecycle } from "../lifecycle/Lifecycle.ts"
import * as Waiters from "../lifecycle/Waiters.ts"
import { CurrentJob, type JobRecord } from "../records/JobRecord.ts"
import * as Report from "./Report.ts"

export interface Options {
  /** How long running jobs may go on before they are interrupted. Default 30 seconds. */
  readonly deadline?: Duration.Input | undefined
  /** How long to wait for interrupted jobs to end before they are reported as `still running`. Default 1 second. */
  readonly interruptLimit?: Duration.Input | undefined
}

export const defaults = { deadline: "30 seconds", interruptLimit: "1 second" } as const

/**
 * Jobs that drain do not wait for each other, nor for those that own them or wait for them: none of these ends before it has
 * its report.
 */
export const drain = (lifecycle: Lifecycle, given: Options = {}): Effect.Effect<Report.Report> =>
  Effect.flatMap(CurrentJob, (current) => {
    check.fields(given, fields)
    const { deadline = defaults.deadline, interruptLimit = defaults.interruptLimit } = given
    check.millis("deadline", deadline, { atLeast: 0, endless: true })
    check.millis("interruptLimit", interruptLimit, { atLeast: 0, endless: true })
    const limits = { deadline, interruptLimit }
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        const watched = lifecycle.watch.begin(lifecycle.table.liveRecords)
        lifecycle.refuse("draining")
        return watched
      }),
      (watched) => comeToReport(lifecycle, current, watched, limits),
      (watched) => Effect.sync(() => lifecycle.watch.end(watched))
    )
  })

const comeToReport = (
  lifecycle: Lifecycle,
  current: JobRecord | undefined,
  watched: ReadonlySet<JobRecord>,
  limits: TimeLimits
): Effect.Effect<Report.Report> => {
  const { hook } = lifecycle
  if (current?.supervision !== lifecycle) {
    const report = Effect.sync(() => Report.make(inOrder(watched), () => false))
    const idle = Effect.andThen(lifecycle.awaitIdle, hook.awaitIdle)
    return comeToRest(Effect.andThen(idle, report), () => lifecycle.stopAll("drained"), limits, report)
  }
  // The report names as callers those that were not waited for when it was last looked, drain they still or not.
  let callers: ReadonlySet<JobRecord> = new Set()
  const look = () => (callers = callersOf(lifecycle))
  const report = Effect.sync(() => Report.make(inOrder(watched), (record) => callers.has(record)))
  // While it waits for the hook, a caller may submit a further child.
  const rest: Effect.Effect<Report.Report> = Effect.andThen(
    Effect.andThen(awaitOthers(lifecycle, look), hook.awaitIdle),
    Effect.suspend(() => (othersThan(look(), lifecycle).length === 0 ? report : rest))
  )
  const entry = { caller: current }
  return Effect.acquireUseRelease(
    Effect.sync(() => lifecycle.drainCallers.add(entry)),
    () =>
      lifecycle.lending.forSlot(
        current,
        comeToRest(rest, () => lifecycle.stopAll("drained", look()), limits, report),
        "at once"
      ),
    () => Effect.sync(() => lifecycle.drainCallers.delete(entry))
  )
}

type TimeLimits = Readonly<Record<keyof Options, Duration.Input>>

/** The report is made in the step that found all at rest: one later, there may be jobs that nobody has waited for. */
const comeToRest = (
  rest: Effect.Effect<Report.Report>,
  stopAll: () => void,
  limits: TimeLimits,
  report: Effect.Effect<Report.Report>
): Effect.Effect<Report.Report> =>
  Effect.timeoutOrElse(rest, {
    duration: limits.deadline,
    orElse: () =>
      Effect.suspend(() => {
        stopAll()
        return Effect.timeoutOrElse(rest, { duration: limits.interruptLimit, orElse: () => report })
      })
  })

// Those that ended since stand behind the others.
const inOrder = (records: Iterable<JobRecord>): ReadonlyArray<JobRecord> =>
  Array.from(records).toSorted((a, b) => a.number - b.number)

const fields: OptionCheck.Fields<Options> = { deadline: true, interruptLimit: true }

const check = OptionCheck.of("Supervisor.drain")

const callersOf = (lifecycle: Lifecycle): Set<JobRecord> =>
  Waiters.withAllBehind(Array.from(lifecycle.drainCallers, ({ caller }) => caller))

const othersThan = (callers: ReadonlySet<JobRecord>, { table }: Lifecycle): ReadonlyArray<JobRecord> =>
  Array.from(table.liveRecords).filter((record) => !callers.has(record))

/**
 * Waits until all jobs have ended but those that `look` finds, and those that come to wait for one of these, which are added to
 * what it found. It looks again each time that the others have ended.
 */
export const awaitOthers = (lifecycle: Lifecycle, look: () => Set<JobRecord>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const callers = look()
    const others = othersThan(callers, lifecycle)
    if (others.length === 0) return Effect.void
    let seeAgain = () => {}
    const listen = Waiters.onAdd((job, waiter) => {
      if (!callers.has(job) || callers.has(waiter)) return
      for (const each of Waiters.withAllBehind([waiter])) callers.add(each)
      seeAgain()
    })
    const gone = (record: JobRecord) =>
      Effect.callback<void>((resume) => {
        if (record.endedAtMillis !== undefined || callers.has(record)) return resume(Effect.void)
        const withdraw = record.onEnd(() => resume(Effect.void))
        seeAgain = () => {
          if (!callers.has(record)) return
          withdraw()
          resume(Effect.void)
        }
        return Effect.sync(withdraw)
      })
    const allGone = Effect.forEach(others, gone, { discard: true })
    return Effect.andThen(
      Effect.acquireUseRelease(listen, () => allGone, Effect.sync),
      awaitOthers(lifecycle, look)
    )
  })
