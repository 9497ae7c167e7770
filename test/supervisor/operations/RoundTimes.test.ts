import { assert, describe, it } from "@effect/vitest"
import { Clock, Cron, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Supervisor } from "holdfast/supervisor"
import { settle } from "../settle.ts"

/** When the rounds begin of the four hours after a moment, as `HH:MM` in UTC. */
const rounds = Effect.fnUntraced(
  function* (cron: Cron.Cron, start: string) {
    yield* TestClock.setTime(Date.parse(start))
    const begun: Array<string> = []
    const round = Effect.map(Clock.currentTimeMillis, (now) => {
      begun.push(new Date(now).toISOString().slice(11, 16))
    })
    yield* Supervisor.every(round, { name: "round", schedule: cron })
    yield* settle
    yield* Effect.replicateEffect(Effect.andThen(TestClock.adjust("10 minutes"), settle), 24)
    return begun
  },
  Effect.provide(Supervisor.layer({ upkeepEvery: "Infinity" }))
)

const toWinter = "2026-10-24T22:40:00Z" // 0:40 in Berlin, and at 1:00 UTC it is 2:00 for the second time
const toSummer = "2026-03-28T22:40:00Z" // 23:40 in Berlin, and at 1:00 UTC it is 3:00 instead of 2:00
const quarters = ["00:00", "00:15", "00:30", "00:45", "01:00", "01:15", "01:30", "01:45"]
const half = "2026-04-04T13:10:00Z" // 0:10 on Lord Howe, where at 15:00 UTC it is 1:30 for the second time

describe("the rounds of a cron, when the clocks change,", () => {
  it.effect.each([
    ["0 * * * *", "Europe/Berlin", toWinter, ["23:00", "00:00", "01:00", "02:00"]],
    ["0 0-23 * * *", "Europe/Berlin", toWinter, ["23:00", "00:00", "01:00", "02:00"]],
    ["30 * * * *", "Europe/Berlin", toWinter, ["23:30", "00:30", "01:30", "02:30"]],
    ["30 0-1 * * *", "Europe/Berlin", toWinter, ["23:30"]],
    ["45 * * * *", "Australia/Lord_Howe", half, ["13:45", "14:45", "15:15", "16:15"]],
    ["0 * * * *", "Europe/Berlin", toSummer, ["23:00", "00:00", "01:00", "02:00"]],
    ["30 * * * *", "Europe/Berlin", toSummer, ["23:30", "00:30", "01:30", "02:30"]],
    // Given hours: one round for each time of day.
    ["0 1,2,3 * * *", "Europe/Berlin", toWinter, ["23:00", "00:00", "02:00"]],
    ["0 */2 * * *", "Europe/Berlin", toWinter, ["00:00"]],
    ["30 2 * * *", "Europe/Berlin", toSummer, ["01:30"]],
    ["30 2,3 * * *", "Europe/Berlin", toSummer, ["01:30"]],
    ["15,45 2 * * *", "Europe/Berlin", toSummer, ["01:15", "01:45"]],
    ["*/15 1,2 * * *", "Europe/Berlin", toSummer, quarters],
    ["50 1,2,3 * * *", "Europe/Berlin", toSummer, ["00:50", "01:50"]],
    ["30 1,2 * * *", "Antarctica/Troll", toSummer, ["01:30", "02:30"]],
    ["10,40 2 * * *", "Australia/Lord_Howe", "2026-10-03T13:10:00Z", ["15:40", "15:40"].slice(0, 1)]
  ] as const)("%s in %s from %s on, begin as those of cron do", ([pattern, zone, start, expected]) =>
    Effect.map(rounds(Cron.parseUnsafe(pattern, zone), start), (begun) =>
      assert.deepStrictEqual(begun, Array.from<string>(expected))
    )
  )

  it.effect("begin in a chosen one of the two hours, or in both", () =>
    Effect.gen(function* () {
      const berlin = (pattern: string, onDstOverlap: Cron.DstOverlapPolicy) =>
        rounds(Cron.parseUnsafe(pattern, "Europe/Berlin", { onDstOverlap }), toWinter)
      assert.deepStrictEqual(yield* berlin("0 * * * *", "later"), ["23:00", "01:00", "02:00"])
      assert.deepStrictEqual(yield* berlin("30 2 * * *", "both"), ["00:30", "01:30"])
    })
  )
})
