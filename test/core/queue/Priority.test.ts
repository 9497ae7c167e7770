import { assert, describe, it } from "@effect/vitest"
import { Caller, Priority } from "holdfast/core"

// @ts-expect-error: there is no such level
const unheardOf: Priority.Priority = "urgent"

describe("Priority", () => {
  it("is a level or a finite number", () => {
    assert.deepStrictEqual(
      (["low", "normal", "high", "critical", 3, -0.5] as const).map(Priority.toNumber),
      [-10, 0, 10, 20, 3, -0.5]
    )
  })

  it("is rejected when it is neither, and no line could put it in order", () => {
    for (const priority of [NaN, Infinity, -Infinity, 2 ** 53, unheardOf]) {
      assert.throws(() => Caller.as({ priority }), RangeError, "priority")
    }
  })
})
