/**
 * Reads when and how a client's work repeats.
 */
import { Cron, DateTime, Option, type Result } from "effect"
import * as CronSlots from "../../core/CronSlots.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { PeriodicOptions } from "../../supervisor/Supervisor.ts"
import type { Time } from "../Call.ts"
import type { EveryOptions } from "../Job.ts"

/** Throws a `RangeError` for a schedule, a time zone or a name of an option that makes no sense. */
export const read = (schedule: Time | string, given: EveryOptions): PeriodicOptions => {
  check.fields(given, names)
  const { timeZone, ...rest } = given
  return { ...rest, schedule: scheduleOf(schedule, timeZone) }
}

const scheduleOf = (schedule: Time | string, timeZone: string | undefined): Time | Cron.Cron => {
  if (timeZone !== undefined) check.label("timeZone", timeZone)
  if (typeof schedule === "string" && schedule.trim().split(/\s+/).length >= 5) return cronOf(schedule, timeZone)
  if (timeZone !== undefined) check.reject("timeZone", "given with a cron text", timeZone)
  if (!OptionCheck.isDuration(schedule as Time)) check.reject("schedule", wanted, schedule)
  check.millis("schedule", schedule as Time)
  // A text that is a time, by the line before.
  return schedule as Time
}

const cronOf = (text: string, timeZone: string | undefined): Cron.Cron => {
  const zone = timeZone === undefined ? undefined : Option.getOrUndefined(DateTime.zoneFromString(timeZone))
  if (timeZone !== undefined && zone === undefined) {
    check.reject("timeZone", `one that there is, such as "Europe/Berlin" or "+02:00"`, timeZone)
  }
  const parsed: Result.Result<Cron.Cron, unknown> = Cron.parse(text, zone)
  if (parsed._tag === "Failure") return check.reject("schedule", wanted, text)
  return CronSlots.come(parsed.success)
    ? parsed.success
    : check.reject("schedule", "a cron text of a moment that comes", text)
}

const wanted = `a time, or a cron text such as "0 4 * * *"`
const check = OptionCheck.of("Client.every")

const names: OptionCheck.Fields<EveryOptions> = {
  name: true,
  timeZone: true,
  overlap: true,
  jitter: true,
  timeout: true,
  metadata: true
}
