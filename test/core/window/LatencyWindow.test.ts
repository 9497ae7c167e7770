import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { LatencyWindow } from "../../../src/core/window/LatencyWindow.ts"

const windowOf = (latencies: ReadonlyArray<number>, capacity = 1_000) => {
  const window = new LatencyWindow(capacity)
  for (const latency of latencies) window.add(latency)
  return window
}

const times = (count: number, latency: number) => Array.from({ length: count }, () => latency)

describe("LatencyWindow", () => {
  const Latencies = Schema.Array(Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 3_600_000 }))).check(
    Schema.isMinLength(1)
  )
  const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

  it.prop("is above the true quantile by 4 % at most", [Latencies, Share], ([latencies, share]) => {
    const exact = latencies.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(share * latencies.length)) - 1] ?? NaN
    const estimate = windowOf(latencies).quantile(share)
    assert.isAtLeast(estimate, exact * 0.999_999)
    assert.isAtMost(estimate, exact * 1.040_001)
  })

  it("forgets all but the latest", () => {
    const window = windowOf([...times(100, 5_000), ...times(100, 10)], 100)
    assert.approximately(window.quantile(1), 10, 0.4)
    assert.strictEqual(window.size, 100)
  })

  it.each([4, 5, 6])("is not beyond the gap when %i of 100 are slow", (slow) => {
    const window = windowOf([...times(100 - slow, 20), ...times(slow, 1_000)])
    assert.approximately(window.quantileBeforeGap(0.95, 0.02), slow > 5 ? 29 : 20.5, 0.9)
  })

  it("lies beyond a gap that is further before the quantile than the slack", () => {
    const window = windowOf([...times(90, 20), ...times(10, 1_000)])
    assert.approximately(window.quantileBeforeGap(0.95, 0.02), 1_000, 40)
  })

  it("is the quantile where there is no gap", () => {
    const window = windowOf(Array.from({ length: 1_000 }, (_, n) => n + 1))
    assert.strictEqual(window.quantileBeforeGap(0.95, 0.02), window.quantile(0.95))
  })

  it("takes nothing and everything", () => {
    assert.strictEqual(windowOf([]).quantile(0.95), 0)
    assert.strictEqual(windowOf([]).quantileBeforeGap(0.95, 0.02), 0)
    assert.isAtLeast(windowOf([Infinity]).quantile(1), 3_600_000)
  })
})
