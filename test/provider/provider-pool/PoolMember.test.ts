import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
// Not part of what the package publishes: the decisions of a pool, as plain functions.
import * as PoolMember from "../../../src/provider/provider-pool/PoolMember.ts"

const settings = {
  consecutive: 5,
  margin: 0.3,
  minCalls: 10,
  windowMillis: 30_000,
  ejectMillis: 30_000,
  maxEjectMillis: 300_000,
  maxEjected: 0.5,
  decayMillis: 10_000,
  failedChecks: 2
}
const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))
const Draw = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999_999 }))
const Millis = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 60_000 }))

describe("PeakEwma", () => {
  const Step = Schema.Struct({ after: Millis, latency: Millis })

  it.prop(
    "lies between the shortest and the longest observed, and never below the last",
    [Schema.NonEmptyArray(Step)],
    ([steps]) => {
      const ewma = new PoolMember.PeakEwma(10_000)
      let now = 0
      for (const { after, latency } of steps) {
        now += after
        ewma.observe(latency, now)
        assert.isAtLeast(ewma.value(now), latency)
      }
      const latencies = steps.map(({ latency }) => latency)
      assert.isAtLeast(ewma.value(now), Math.min(...latencies))
      assert.isAtMost(ewma.value(now), Math.max(...latencies) + 1e-6)
    }
  )

  it("takes a slow answer in at once, and forgets it slowly", () => {
    const ewma = new PoolMember.PeakEwma(10_000)
    ewma.observe(100, 0)
    ewma.observe(5_000, 1_000)
    assert.strictEqual(ewma.value(1_000), 5_000)
    ewma.observe(100, 2_000)
    assert.closeTo(ewma.value(2_000), 4_534, 1)
    assert.closeTo(ewma.value(12_000), 4_534 / Math.E, 1)
  })
})

describe("cheaperOfTwo", () => {
  it.prop(
    "gives one there is, and never the dearest where there is a cheaper one",
    [Schema.NonEmptyArray(Millis), Draw, Draw],
    ([costs, first, second]) => {
      const chosen = costs[PoolMember.cheaperOfTwo(costs, first, second)]
      assert.isDefined(chosen)
      const dearest = costs.filter((cost) => cost === Math.max(...costs))
      if (dearest.length === 1 && costs.length > 1) assert.notStrictEqual(chosen, dearest[0])
    }
  )

  it("draws every pair, and each as often", () => {
    const seen = new Map<number, number>()
    for (let first = 0; first < 3; first++) {
      for (let second = 0; second < 2; second++) {
        const chosen = PoolMember.cheaperOfTwo([3, 2, 1], (first + 0.5) / 3, (second + 0.5) / 2)
        seen.set(chosen, (seen.get(chosen) ?? 0) + 1)
      }
    }
    assert.deepStrictEqual([...seen].toSorted(), [
      [1, 2],
      [2, 4]
    ])
  })
})

describe("cost", () => {
  it.prop(
    "rises with latency, calls in flight and faults, and falls with weight",
    [Millis, Count, Count, Count],
    ([latency, inFlight, successes, faults]) => {
      const tally = { successes, faults, faultsInARow: 0 }
      const here = PoolMember.cost(latency, inFlight, 1, tally)
      assert.isAbove(PoolMember.cost(latency + 1, inFlight, 1, tally), here)
      assert.isAbove(PoolMember.cost(latency, inFlight + 1, 1, tally), here)
      assert.isAtLeast(PoolMember.cost(latency, inFlight, 1, { ...tally, faults: faults + 1 }), here)
      assert.isBelow(PoolMember.cost(latency, inFlight, 2, tally), here)
    }
  )

  it("tries who was never measured first, but with one call only, and not again when that failed", () => {
    const none = { successes: 0, faults: 0, faultsInARow: 0 }
    assert.strictEqual(PoolMember.cost(0, 0, 1, none), 0)
    assert.isAbove(PoolMember.cost(0, 1, 1, none), 10_000)
    assert.isAbove(PoolMember.cost(0, 0, 1, { ...none, faults: 1 }), 10_000)
  })
})

describe("ejection", () => {
  it.prop(
    "is for faults in a row, or for a share of faults far above that of the others",
    [Count, Count, Count, Draw],
    ([successes, faults, faultsInARow, othersRatio]) => {
      const tally = { successes, faults, faultsInARow }
      const calls = successes + faults
      const far = calls >= 10 && faults / calls - othersRatio >= 0.3
      // At the very edge rounding decides.
      if (Math.abs(faults / calls - othersRatio - 0.3) < 1e-9) return
      assert.strictEqual(PoolMember.isOutlier(settings, tally, othersRatio, false), faultsInARow >= 5 || far)
      assert.isTrue(PoolMember.isOutlier(settings, tally, othersRatio, true))
    }
  )

  it.prop(
    "lasts twice as long each time, a fifth less by chance, at most the maximum",
    [Count, Draw],
    ([ejections, draw]) => {
      const whole = Math.min(300_000, 30_000 * 2 ** ejections)
      const millis = PoolMember.ejectionMillis(settings, ejections, draw)
      assert.isAtMost(millis, whole)
      assert.isAtLeast(millis, whole * 0.8)
    }
  )
})
