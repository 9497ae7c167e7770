import { assert, describe, it } from "@effect/vitest"
import { LimitLearner } from "../../../src/policy/adaptive-limit/LimitLearner.ts"

describe("the rounds in which AdaptiveLimit learns", () => {
  it("last until twice as many calls have ended as fly together: the fastest do not speak for all", () => {
    const learner = new LimitLearner({ min: 1, max: 200, tolerance: 1.5, windowMillis: 1_000 }, 30)
    const round = learner.started(30, 0)
    for (let n = 0; n < 59; n++) learner.answered("answer", round, 100, 2_000)
    assert.strictEqual(learner.started(30, 2_000), round)
    learner.answered("answer", round, 100, 2_000)
    assert.strictEqual(learner.started(30, 2_000), round + 1)
  })

  it("last for 10 calls, and as long as the window, at least", () => {
    const learner = new LimitLearner({ min: 1, max: 200, tolerance: 1.5, windowMillis: 1_000 }, 1)
    const round = learner.started(1, 0)
    for (let n = 0; n < 9; n++) learner.answered("answer", round, 10, 1_000)
    learner.answered("answer", round, 10, 999)
    assert.strictEqual(learner.started(1, 999), round)
    learner.answered("answer", round, 10, 1_000)
    assert.strictEqual(learner.started(1, 1_000), round + 1)
  })
})
