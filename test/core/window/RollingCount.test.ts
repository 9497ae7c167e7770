import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
// Not part of what the package publishes: budgets, circuits and the supervisor count with it.
import { RollingCount } from "../../../src/core/window/RollingCount.ts"

const gap = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 }))

describe("RollingCount", () => {
  it.prop("holds what is newer than its window but for a slice, and nothing older", [Schema.Array(gap)], ([gaps]) => {
    for (const slices of [10, 60]) {
      const count = new RollingCount(1_200, slices)
      const all: Array<number> = []
      for (const gap of gaps) {
        const now = (all.at(-1) ?? 5_000) + gap
        all.push(now)
        count.add(now)
        const within = (span: number) => all.filter((at) => now - at < span).length
        assert.isAtLeast(count.total(now), within(1_200 - 1_200 / slices))
        assert.isAtMost(count.total(now), within(1_200))
      }
    }
  })

  it("begins anew when it is cleared, and lets a clock that goes backwards stand still", () => {
    const count = new RollingCount(1_000)
    count.add(10_000)
    count.add(2_000)
    assert.deepStrictEqual([count.total(2_000), count.total(10_900), count.total(11_000)], [2, 2, 0])
    count.add(11_000)
    count.clear()
    assert.strictEqual(count.total(11_000), 0)
  })
})
