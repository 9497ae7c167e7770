import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ProgressBar } from "holdfast/cli"
import { StatusLine, Supervisor } from "holdfast/supervisor"

const now: ProgressBar.Snapshot = {
  total: 2_000,
  answered: 1_000,
  skipped: 200,
  failed: 3,
  retried: 61,
  inFlight: 50,
  tokens: 171_234,
  elapsedMillis: 20_000,
  stopping: false
}

describe("ProgressBar", () => {
  it("draws the share done, and how long the rest takes at the rate so far", () => {
    assert.deepStrictEqual(ProgressBar.render(now, 100), [
      "████████████████████████░░░░░░░░░░░░░░░░  60% 1,203/2,000  50.1/s  ETA 0:16",
      "3 failed · 61 retried · 50 in flight · 171.2k tokens · 200 skipped"
    ])
  })

  it("draws no share while the total is unknown", () => {
    const [bar] = ProgressBar.render({ ...now, total: undefined }, 80)
    assert.strictEqual(bar, "░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  1,203  50.1/s  ETA -:--")
  })

  it("says that it stops in the place of the time left", () => {
    assert.match(ProgressBar.render({ ...now, stopping: true }, 100)[0], /50\.1\/s {2}stopping$/)
  })

  it("is whole when all is done, and not before", () => {
    const [done] = ProgressBar.render({ ...now, answered: 1_797 }, 100)
    const [almost] = ProgressBar.render({ ...now, answered: 1_796 }, 100)
    assert.isTrue(done.startsWith("█".repeat(40) + " 100%") && almost.startsWith("█".repeat(39) + "░  99%"))
  })

  it.prop(
    "never exceeds the width, whatever the numbers",
    [
      Schema.Struct({
        width: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 300 })),
        total: Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))),
        answered: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 })),
        elapsedMillis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))
      })
    ],
    ([{ width, ...some }]) => {
      for (const line of ProgressBar.render({ ...now, ...some }, width)) {
        assert.isAtMost(line.length, width)
        assert.notMatch(line, /NaN|Infinity|undefined/)
      }
    }
  )

  it("fits into a narrow terminal by leaving out the bar, then the last details", () => {
    assert.deepStrictEqual(ProgressBar.render(now, 38), [
      "60% 1,203/2,000  50.1/s  ETA 0:16",
      "3 failed · 61 retried · 50 in flight"
    ])
  })

  it.effect("ends with the supervisor's status line, cut to the width", () =>
    Effect.gen(function* () {
      const health = yield* Supervisor.health
      const lines = ProgressBar.render({ ...now, health }, 20)
      assert.deepStrictEqual(lines.slice(2), [StatusLine.render(health, { width: 20 })])
      assert.match(lines[2] ?? "", /^jobs 0\/50/)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it("writes the same as one line for a log", () => {
    assert.strictEqual(
      ProgressBar.renderLine(now),
      "1,203 of 2,000 done, 3 failed, 61 retried, 50 in flight, 171.2k tokens, 200 skipped, 50.1/s, ETA 0:16"
    )
  })

  it.each([
    [0, "0:00"],
    [59_001, "1:00"],
    [3_599_000, "59:59"],
    [3_600_000, "1:00:00"]
  ])("writes %d ms as %s", (millis, text) => {
    assert.strictEqual(ProgressBar.clock(millis), text)
  })
})
