import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { openingMillis } from "../../../src/policy/circuit-breaker/Circuit.ts"

describe("openingMillis", () => {
  const settings = {
    ratio: 0.5,
    minCalls: 10,
    consecutive: 5,
    windowMillis: 30_000,
    openMillis: 5_000,
    maxOpenMillis: 300_000
  }
  const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
  const Draw = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
  const Said = Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 })))

  it.prop(
    "opens for faults only when there are too many, never for less than was said, and never for more than the maximum but when that was said",
    [Schema.Literals(["fault", "unusable", "busy", "none"]), Said, Count, Count, Count, Schema.Boolean, Count, Draw],
    ([blame, said, successes, faults, faultsInARow, probe, openings, draw]) => {
      const verdict = { blame, retryAfter: said === undefined ? undefined : Duration.millis(said) }
      const tally = { successes, faults, faultsInARow }
      const millis = openingMillis(settings, verdict, tally, probe, openings, draw)
      const calls = successes + faults
      const tooMany = faultsInARow >= 5 || (calls >= 10 && faults / calls >= 0.5)
      assert.strictEqual(millis !== undefined, blame === "unusable" || (blame === "fault" && (probe || tooMany)))
      if (millis === undefined) return
      assert.isAtLeast(millis, said ?? 4_000)
      assert.isAtMost(millis, Math.max(300_000, (said ?? 0) + 1_000))
    }
  )
})
