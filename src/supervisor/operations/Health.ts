/**
 * Takes stock of a supervisor in one typed snapshot.
 */
import type { Counts } from "../records/JobTable.ts"
import type { Lifecycle } from "../lifecycle/Lifecycle.ts"
import { waitsForOthers } from "../records/Ending.ts"
import type { Settings } from "../lifecycle/Settings.ts"

/** How a supervisor is right now. Times are milliseconds, ratios run from 0 to 1. */
export interface Health {
  readonly jobs: Counts
  readonly calls: Counts
  /** False once it drains or has closed. */
  readonly accepting: boolean
  /** Slots that are taken, and how many there are. */
  readonly running: number
  readonly concurrency: number
  /** Jobs that wait for a slot, and how many may. */
  readonly waiting: number
  readonly maxPending: number
  /** How many pending jobs are paused, and which names are. */
  readonly paused: { readonly jobs: number; readonly names: ReadonlyArray<string> }
  /** How long the job that was submitted first has waited, paused ones apart; none when nobody waits. */
  readonly oldestWaitingMillis: number | undefined
  /** What the last 60 seconds brought, jobs and calls together. */
  readonly lastMinute: { readonly started: number; readonly succeeded: number; readonly failed: number }
  /** Failed ones among those that succeeded or failed in the last 60 seconds. */
  readonly errorRatio: number
  /**
   * Jobs that still run long after they were interrupted: they ignore it, or block the event loop. Those that only wait for jobs of
   * their own which do come last.
   */
  readonly stuck: ReadonlyArray<{ readonly id: string; readonly name: string; readonly forMillis: number }>
  /** Periodic jobs whose latest rounds failed, and how many in a row. */
  readonly failingPeriodic: ReadonlyArray<{ readonly id: string; readonly name: string; readonly inARow: number }>
  /** Reports of progress that made no sense, `NaN` for one, since the supervisor was made. They were dropped. */
  readonly droppedReports: number
  /**
   * Calls of `onFailure` that were given up and still run, for they ignore their interruption; and failures that it was not
   * called for since the supervisor was made. While 1,000 calls still run it is not called.
   */
  readonly failureHook: { readonly ignoring: number; readonly missed: number }
  /** By how much the last upkeep came too late: what blocks the event loop holds up everything. */
  readonly eventLoopLagMillis: number
  /** From 100, all is well, to 0: see {@link score}. */
  readonly score: number
}

/**
 * The score: 100, minus 50 × the error ratio, minus 20 × how full the queue is, minus 10 when a job is stuck, minus 10
 * when a periodic job failed three times in a row, minus 10 × the event loop's lag in seconds (at most 10).
 */
export const score = (health: Omit<Health, "score">): number =>
  Math.max(
    0,
    Math.round(
      100 -
        50 * health.errorRatio -
        20 * (health.maxPending === 0 ? 0 : Math.min(1, health.waiting / health.maxPending)) -
        (health.stuck.length > 0 ? 10 : 0) -
        (health.failingPeriodic.some(({ inARow }) => inARow >= 3) ? 10 : 0) -
        10 * Math.min(1, health.eventLoopLagMillis / 1000)
    )
  )

export const snapshot = (lifecycle: Lifecycle, settings: Settings, eventLoopLagMillis: number): Health => {
  const now = lifecycle.now()
  const { failed, started, succeeded } = lifecycle.rates
  const lastMinute = { started: started.total(now), succeeded: succeeded.total(now), failed: failed.total(now) }
  const live = Array.from(lifecycle.table.liveRecords)
  const health = {
    jobs: lifecycle.table.counts("job"),
    calls: lifecycle.table.counts("call"),
    accepting: lifecycle.isAccepting,
    running: lifecycle.admission.running,
    concurrency: settings.concurrency,
    waiting: lifecycle.admission.waiting,
    maxPending: settings.maxPending,
    paused: { jobs: lifecycle.pauses.size, names: lifecycle.pauses.pausedNames },
    oldestWaitingMillis: live
      .filter((record) => record.state === "pending" && record.kind === "job" && !lifecycle.pauses.isHeld(record))
      .map(({ submittedAtMillis }) => now - submittedAtMillis)
      .at(0),
    lastMinute,
    errorRatio: lastMinute.failed === 0 ? 0 : lastMinute.failed / (lastMinute.failed + lastMinute.succeeded),
    stuck: live
      .filter(
        ({ state, stoppedAtMillis = Infinity }) =>
          state === "running" && now - stoppedAtMillis >= settings.stuckAfterMillis
      )
      .toSorted((one, other) => Number(waitsForOthers(one)) - Number(waitsForOthers(other)))
      .map(({ id, name, stoppedAtMillis = now }) => ({ id, name, forMillis: now - stoppedAtMillis })),
    failingPeriodic: live.flatMap(({ id, name, rounds }) =>
      rounds !== undefined && rounds.failedInARow > 0 ? [{ id, name, inARow: rounds.failedInARow }] : []
    ),
    droppedReports: lifecycle.droppedReports,
    failureHook: lifecycle.hook.health,
    eventLoopLagMillis
  }
  return { ...health, score: score(health) }
}
