/**
 * Says in the log which jobs have been interrupted and do not end, and that somebody waits for them: neither is silent.
 */
import { Duration, Effect, Fiber, References } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import type { JobRecord } from "../records/JobRecord.ts"
import * as FailureLog from "./FailureLog.ts"
import type { Lifecycle } from "./Lifecycle.ts"
import type { Settings } from "./Settings.ts"

/** Waits, and logs one warning when that takes longer than `millis`. */
export const during = <A, E, R>(
  wait: Effect.Effect<A, E, R>,
  millis: number,
  message: () => string
): Effect.Effect<A, E, R> => {
  const late = Effect.delay(
    Effect.suspend(() => FailureLog.warn(message())),
    Duration.millis(millis)
  )
  // A fiber that is interrupted before its first step, and then preempted, forgets that: it would be waited for until it has slept.
  return Effect.flatMap(Effect.forkChild(late, { startImmediately: true }), (warning) =>
    Effect.ensuring(wait, Fiber.interrupt(warning))
  )
}

/** Logs a warning for each job that has been stuck for long enough, once. Of very many at a time some are named. */
export const ofUpkeep = (lifecycle: Lifecycle, { stuckAfterMillis }: Settings): Effect.Effect<void> =>
  Effect.suspend(() => {
    const now = lifecycle.now()
    const stuck = lifecycle.table.ending.takeUntil(now - stuckAfterMillis)
    const warnings = stuck.slice(0, mostNamed).map((record) => {
      const about = { jobId: record.id, jobName: record.name }
      return Effect.annotateLogs(warnOf(record, described(record, now)), about)
    })
    const next = stuck.at(mostNamed)
    if (next !== undefined)
      warnings.push(warnOf(next, `${stuck.length - mostNamed} more jobs that are to end still run`))
    return Effect.all(warnings, { discard: true })
  })

// By the loggers of whoever submitted it, as its failure is.
const warnOf = ({ fiber }: JobRecord, line: string): Effect.Effect<void> => {
  const warning = FailureLog.warn(line)
  if (fiber === undefined) return warning
  return Effect.provideService(warning, References.CurrentLoggers, fiber.getRef(References.CurrentLoggers))
}

/** So many are named in one round of upkeep. */
const mostNamed = 10

const described = ({ givenName, id, stop, stoppedAtMillis = 0 }: JobRecord, now: number): string => {
  const name = givenName === undefined ? id : `${SafeText.cut(givenName, 100)} (${id})`
  const why = stop?._tag === "Timeout" ? `ran out of its time of ${Duration.format(stop.after)}` : "was cancelled"
  const reason = stop?._tag === "Cancel" ? ` (${SafeText.cut(stop.reason, 100)})` : ""
  const ago = Duration.format(Duration.millis(now - stoppedAtMillis))
  return SafeText.inLine(
    `job ${name} ${why} ${ago} ago${reason} and still runs: it ignores its interruption, or its async function its signal`
  )
}
