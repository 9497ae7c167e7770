import { assert, describe, it } from "@effect/vitest"
import { Cron } from "effect"
import { changed, SkippedSlots } from "../../../src/supervisor/operations/SkippedSlots.ts"

const minute = 60_000
const hour = 60 * minute

/** Where clocks were put forward: when, and by how many minutes they were ahead of UTC before and after. */
const changes = [
  ["Europe/Berlin", "2026-03-29T01:00Z", 60, 120],
  ["America/Havana", "2026-03-08T05:00Z", -300, -240], // at midnight
  ["Australia/Lord_Howe", "2026-10-03T15:30Z", 630, 660], // by half an hour
  ["Asia/Pyongyang", "2018-05-04T15:00Z", 510, 540], // by half an hour, to midnight
  ["Asia/Gaza", "2011-03-31T22:01Z", 120, 180], // a minute past midnight
  ["Antarctica/Casey", "2016-10-21T16:00Z", 480, 660], // by three hours
  ["Antarctica/Casey", "2020-10-03T16:01Z", 480, 660],
  ["Pacific/Apia", "2011-12-30T10:00Z", -600, 840] // by a day
] as const

const patterns = [
  "0 * * * *",
  "*/20 * * * *",
  "45 0-23 * * *",
  "30 2 * * *",
  "0 0 * * *",
  "15 0 * * *",
  "30 0,1,2 * * *",
  "0 */3 * * *",
  "*/30 1-3 * * *",
  "10,40 2 * * *",
  "30 23 * * *",
  "0 0 30 12 *",
  "15 0 * * 6"
]

const has = (values: ReadonlySet<number>, value: number): boolean => values.size === 0 || values.has(value)

/** What a clock shows, as a moment in UTC. */
const matches = ({ days, hours, minutes, months, weekdays }: Cron.Cron, shown: number): boolean => {
  const date = new Date(shown)
  return (
    has(minutes, date.getUTCMinutes()) &&
    has(hours, date.getUTCHours()) &&
    has(days, date.getUTCDate()) &&
    has(months, date.getUTCMonth() + 1) &&
    has(weekdays, date.getUTCDay())
  )
}

/** Minute by minute, what stands in the docs: given times that are left out come as much later, those of every hour do not. */
const expected = (cron: Cron.Cron, isOfEveryHour: boolean, at: number, before: number, after: number) => {
  const slots = new Set<number>()
  for (let time = at - 6 * hour; time < at + 26 * hour; time += minute) {
    if (matches(cron, time + (time < at ? before : after))) slots.add(time)
    const isLate = time >= at && time < at + after - before
    if (isLate && !isOfEveryHour && matches(cron, time + before)) slots.add(time)
  }
  return Array.from(slots, shown)
}

const shown = (millis: number): string => new Date(millis).toISOString().slice(0, 16)

describe("where the clocks are put forward, a cron", () => {
  it.each(changes)("of %s has the slots that the docs say: %s", (zone, iso, before, after) => {
    const at = Date.parse(iso)
    for (const pattern of patterns) {
      const isOfEveryHour = /^\S+ (\*|0-23) /.test(pattern)
      const cron = Cron.parseUnsafe(pattern, zone)
      const slots = new SkippedSlots(changed(cron, { onDstOverlap: isOfEveryHour ? "both" : "earlier" }))
      // It remembers how far ahead it looked.
      slots.next(at - 160 * hour)
      const found: Array<string> = []
      let slot = slots.next(at - 6 * hour - 1)
      for (; slot < at + 26 * hour; slot = slots.next(slot)) found.push(shown(slot))
      assert.deepStrictEqual(found, expected(cron, isOfEveryHour, at, before * minute, after * minute), pattern)
    }
  })
})
