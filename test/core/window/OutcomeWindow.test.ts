import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
// Not part of what the package publishes: circuits and pools count with it.
import * as OutcomeWindow from "../../../src/core/window/OutcomeWindow.ts"

describe("OutcomeWindow", () => {
  const Outcome = Schema.Struct({
    after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 400 })),
    success: Schema.Boolean
  })

  it.prop(
    "holds what is newer than nine tenths of it, and nothing older than all of it",
    [Schema.Array(Outcome)],
    ([outcomes]) => {
      const window = new OutcomeWindow.OutcomeWindow(1_000)
      let now = 5_000
      const all: Array<{ readonly at: number; readonly success: boolean }> = []
      for (const { after, success } of outcomes) {
        now += after
        all.push({ at: now, success })
        if (success) window.success(now)
        else window.fault(now)
        const count = (success: boolean, span: number) =>
          all.filter((outcome) => outcome.success === success && now - outcome.at < span).length
        const { faults, faultsInARow, successes } = window.tally(now)
        assert.isAtLeast(successes, count(true, 900))
        assert.isAtMost(successes, count(true, 1_000))
        assert.isAtLeast(faults, count(false, 900))
        assert.isAtMost(faults, count(false, 1_000))
        assert.strictEqual(faultsInARow, all.length - 1 - all.findLastIndex((outcome) => outcome.success))
      }
    }
  )

  it("counts a clock that goes backwards as standing still", () => {
    const window = new OutcomeWindow.OutcomeWindow(1_000)
    window.fault(10_000)
    window.success(2_000)
    assert.strictEqual(OutcomeWindow.successRatio(window.tally(10_000)), 0.5)
    assert.strictEqual(OutcomeWindow.successRatio(window.tally(11_000)), 1)
  })
})
