/**
 * Names what can be said of work that repeats.
 */
import { Cron, type Duration, Schedule } from "effect"
import type { Metadata } from "../../core/JobEvent.ts"
import * as CronSlots from "../../core/CronSlots.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import { maxText } from "./SubmitOptions.ts"

export interface Options {
  /** What it does, for people; its rounds have the same name. */
  readonly name: string
  /** How the periodic job is found again; no other known job may have it. Default: `job-1`, `job-2`, … */
  readonly id?: string | undefined
  /**
   * Joins the periodic job of the same tenant, name and key (that of the job it is started in) that was started with this one and
   * goes on: nothing is started then. One that has ended, or was cancelled, is started anew, and a job that was submitted is never
   * joined. Default: none.
   */
  readonly idempotencyKey?: string | undefined
  /**
   * When rounds begin. With an interval or a `Schedule` the first begins at once, and a `Schedule` that ends ends the
   * periodic job; with a `Cron` the first begins when it says so. A cron of every hour has its rounds in each of the hours
   * there are, and one that names hours has one round for each time of day: also where the clocks skip or repeat an hour. A `Schedule` measures by a clock that
   * nobody sets, also where it names times of day: a `Cron` follows the clock on the wall.
   */
  readonly schedule: Duration.Input | Schedule.Schedule<unknown> | Cron.Cron
  /**
   * What to do when the round before has not ended: skip this one, let it follow (at most {@link maxQueued} do), or
   * cancel the one before. Default `skip`.
   */
  readonly overlap?: "skip" | "queue" | "cancel previous" | undefined
  /**
   * Rounds are put off by a random time up to this, drawn once, so that many processes do not act as one. With an interval or a
   * `Schedule` it is the first that is put off, and the others follow it; with a `Cron` each comes so long after its slot, and
   * none is left out. Default: none.
   */
  readonly jitter?: Duration.Input | undefined
  /** How long a round may run. Default: as long as it takes. */
  readonly timeout?: Duration.Input | undefined
  /** Facts to list it and its rounds by. Default: none. */
  readonly metadata?: Metadata | undefined
}

/** Throws a `RangeError` that names the option which makes no sense. */
export const validate = (options: Options): void => {
  check.fields(options, fields)
  const { id, idempotencyKey, jitter, metadata, name, overlap, schedule, timeout } = options
  check.text("name", name, maxText)
  if (id !== undefined) check.label("id", id, maxText)
  if (idempotencyKey !== undefined) check.label("idempotencyKey", idempotencyKey, maxText)
  if (metadata !== undefined) check.facts("metadata", metadata)
  if (!Cron.isCron(schedule) && !Schedule.isSchedule(schedule)) {
    if (!OptionCheck.isDuration(schedule))
      check.reject("schedule", `an interval, a Schedule or a Cron, as of Cron.parseUnsafe("0 4 * * *")`, schedule)
    check.millis("schedule", schedule)
  }
  if (Cron.isCron(schedule) && !CronSlots.come(schedule))
    check.reject("schedule", "a Cron that comes", patternOf(schedule))
  if (overlap !== undefined && !overlaps.has(overlap)) {
    check.reject("overlap", Array.from(overlaps, (each) => JSON.stringify(each)).join(" or "), overlap)
  }
  if (jitter !== undefined) check.millis("jitter", jitter, { atLeast: 0 })
  if (timeout !== undefined) check.millis("timeout", timeout, { endless: true })
}

const patternOf = ({ days, hours, minutes, months, seconds, weekdays }: Cron.Cron): string =>
  [seconds, minutes, hours, days, months, weekdays]
    .map((values) => (values.size === 0 ? "*" : Array.from(values).join(",")))
    .join(" ")
    .replace(/^0 /, "")

const fields: OptionCheck.Fields<Options> = {
  name: true,
  id: true,
  idempotencyKey: true,
  schedule: true,
  overlap: true,
  jitter: true,
  timeout: true,
  metadata: true
}

const check = OptionCheck.of("Supervisor.every")

const overlaps: ReadonlySet<string> = new Set(["skip", "queue", "cancel previous"])

/** How many rounds may wait for the one before them with `overlap: "queue"`; a further one is skipped. */
export const maxQueued = 100
