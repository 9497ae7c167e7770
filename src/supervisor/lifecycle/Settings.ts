/**
 * Names the supervisor's limits and their defaults, and reads them from options or from configuration.
 */
import { Config, Duration, Option, Schema } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { Retention } from "../records/JobTable.ts"

/** The limits of a supervisor. All are optional; {@link defaults} holds for what is left out. */
export interface Limits {
  /** Jobs that run at the same time; the others wait. Default 50. */
  readonly concurrency?: number | undefined
  /** Jobs with the same `key` that run at the same time. Default: as many as run at all. */
  readonly keyConcurrency?: number | undefined
  /** Jobs that may wait. Default 10,000. */
  readonly maxPending?: number | undefined
  /** How long a job waits to gain one point of priority over newcomers. Default 1 minute. */
  readonly aging?: Duration.Input | undefined
  /** The time limit of jobs that are submitted without one; model calls have `Timeout`. Default: none. */
  readonly timeout?: Duration.Input | undefined
  /** Ended jobs whose record is kept; the one that ended first is dropped first. Default 1,000. */
  readonly retain?: number | undefined
  /** How long the record of an ended job is kept. Default 1 hour. */
  readonly retainFor?: Duration.Input | undefined
  /** Ended jobs whose result is kept with the record. Default: as `retain`. */
  readonly retainResults?: number | undefined
  /** How long the result of an ended job is kept with the record. Default: as `retainFor`. */
  readonly retainResultsFor?: Duration.Input | undefined
  /**
   * How many bytes the results of ended jobs may keep together, by an estimate: the one that ended first is dropped first,
   * and one that is larger by itself at once. The causes that events carry may be as large together. Default 67,108,864.
   */
  readonly retainBytes?: number | undefined
  /**
   * How ids are made that submitters do not choose: `counted` (`job-1`, `job-2`, …, calls and rounds included), or `random`
   * for those who show them to strangers. A random id tells nothing and cannot be guessed; once its record is dropped it is
   * `NotFound` and not `Expired`, for the two cannot be told apart. Default `counted`.
   */
  readonly ids?: "counted" | "random" | undefined
  /** Events kept for readers that come later or are slow. Default 4,096. */
  readonly eventHistory?: number | undefined
  /** How often what a job reports becomes an event, at most; its last report always does. Default 500 millis. */
  readonly progressEvery?: Duration.Input | undefined
  /** How often old records are dropped and the event loop's lag is measured. Default 1 second. */
  readonly upkeepEvery?: Duration.Input | undefined
  /** How long after its interruption a job that still runs counts as stuck. Default 5 seconds. */
  readonly stuckAfter?: Duration.Input | undefined
}

/** The names of all limits. */
export const fields: OptionCheck.Fields<Limits> = {
  concurrency: true,
  keyConcurrency: true,
  maxPending: true,
  aging: true,
  timeout: true,
  retain: true,
  retainFor: true,
  retainResults: true,
  retainResultsFor: true,
  retainBytes: true,
  ids: true,
  eventHistory: true,
  progressEvery: true,
  upkeepEvery: true,
  stuckAfter: true
}

export const defaults = {
  concurrency: 50,
  maxPending: 10_000,
  aging: "1 minute",
  retain: 1_000,
  retainFor: "1 hour",
  retainBytes: 67_108_864,
  ids: "counted",
  eventHistory: 4_096,
  progressEvery: "500 millis",
  upkeepEvery: "1 second",
  stuckAfter: "5 seconds"
} as const

/** The limits, all decided. */
export interface Settings {
  readonly concurrency: number
  readonly keyConcurrency: number
  readonly maxPending: number
  readonly agingMillis: number
  readonly timeout: Duration.Duration | undefined
  readonly retention: Retention
  readonly ids: "counted" | "random"
  readonly eventHistory: number
  readonly progressEvery: Duration.Duration
  readonly upkeepEvery: Duration.Duration
  readonly stuckAfterMillis: number
}

/** Fills in the defaults. Throws a `RangeError` that names the limit which is out of range. */
export const fromLimits = (limits: Limits): Settings => {
  const concurrency = check.whole("concurrency", limits.concurrency ?? defaults.concurrency, 1)
  const count = check.whole("retain", limits.retain ?? defaults.retain, 0)
  const retainFor = limits.retainFor ?? defaults.retainFor
  return {
    concurrency,
    keyConcurrency: check.whole("keyConcurrency", limits.keyConcurrency ?? concurrency, 1),
    maxPending: check.whole("maxPending", limits.maxPending ?? defaults.maxPending, 0),
    agingMillis: check.millis("aging", limits.aging ?? defaults.aging),
    timeout:
      limits.timeout === undefined ? undefined : Duration.millis(check.millis("timeout", limits.timeout, endless)),
    retention: {
      records: { count, forMillis: check.millis("retainFor", retainFor, endless) },
      results: {
        count: check.whole("retainResults", limits.retainResults ?? count, 0),
        forMillis: check.millis("retainResultsFor", limits.retainResultsFor ?? retainFor, endless)
      },
      resultBytes: check.whole("retainBytes", limits.retainBytes ?? defaults.retainBytes, 0)
    },
    ids:
      limits.ids === undefined || limits.ids === "counted" || limits.ids === "random"
        ? (limits.ids ?? defaults.ids)
        : check.reject("ids", "counted or random", limits.ids),
    eventHistory: check.whole("eventHistory", limits.eventHistory ?? defaults.eventHistory, 1),
    progressEvery: Duration.millis(
      check.millis("progressEvery", limits.progressEvery ?? defaults.progressEvery, endless)
    ),
    upkeepEvery: Duration.millis(check.millis("upkeepEvery", limits.upkeepEvery ?? defaults.upkeepEvery, endless)),
    stuckAfterMillis: check.millis("stuckAfter", limits.stuckAfter ?? defaults.stuckAfter, endless)
  }
}

const check = OptionCheck.of("Supervisor")

const endless = { endless: true } as const

/**
 * Reads the limits, each optional: `CONCURRENCY`, `KEY_CONCURRENCY`, `MAX_PENDING`, `AGING`, `TIMEOUT`, `RETAIN`,
 * `RETAIN_FOR`, `RETAIN_RESULTS`, `RETAIN_RESULTS_FOR`, `RETAIN_BYTES`, `IDS`, `EVENT_HISTORY`, `PROGRESS_EVERY`, `UPKEEP_EVERY` and `STUCK_AFTER` under a prefix.
 *
 * Durations are written `30 seconds`. Fails with a `ConfigError` that names the key that is wrong.
 */
export const config = (prefix: string) =>
  Config.all({
    concurrency: count(`${prefix}_CONCURRENCY`, 1),
    keyConcurrency: count(`${prefix}_KEY_CONCURRENCY`, 1),
    maxPending: count(`${prefix}_MAX_PENDING`, 0),
    aging: finiteTime(`${prefix}_AGING`),
    timeout: time(`${prefix}_TIMEOUT`),
    retain: count(`${prefix}_RETAIN`, 0),
    retainFor: time(`${prefix}_RETAIN_FOR`),
    retainResults: count(`${prefix}_RETAIN_RESULTS`, 0),
    retainResultsFor: time(`${prefix}_RETAIN_RESULTS_FOR`),
    retainBytes: count(`${prefix}_RETAIN_BYTES`, 0),
    ids: optional(Config.schema(Schema.Literals(["counted", "random"]), `${prefix}_IDS`)),
    eventHistory: count(`${prefix}_EVENT_HISTORY`, 1),
    progressEvery: time(`${prefix}_PROGRESS_EVERY`),
    upkeepEvery: time(`${prefix}_UPKEEP_EVERY`),
    stuckAfter: time(`${prefix}_STUCK_AFTER`)
  })

const count = (name: string, atLeast: number) =>
  optional(Config.schema(Figure.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(atLeast)), name))

// A number of blanks is 0.
const Figure = Schema.String.check(Schema.makeFilter((text) => text.trim() !== "" || "must not be blank")).pipe(
  Schema.decodeTo(Schema.FiniteFromString)
)

const time = (name: string) =>
  optional(Config.schema(Schema.DurationFromString.check(Schema.makeFilter(isPositive)), name))

const finiteTime = (name: string) =>
  optional(
    Config.schema(Schema.DurationFromString.check(Schema.makeFilter(isPositive), Schema.makeFilter(isBounded)), name)
  )

const isBounded = (duration: Duration.Duration): true | string => Duration.isFinite(duration) || "must be finite"

const isPositive = (duration: Duration.Duration): true | string =>
  Duration.toMillis(duration) > 0 || "must be longer than zero"

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)
