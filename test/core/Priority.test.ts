import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Caller, Priority } from "holdfast/core"

describe("Priority", () => {
  it("is a level or any number", () => {
    assert.deepStrictEqual((["low", "normal", "high", "critical", 3, Infinity] as const).map(Priority.toNumber), [
      -10,
      0,
      10,
      20,
      3,
      Infinity
    ])
  })

  it.effect("is rejected when it is no number, which no line could put in order", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.void.pipe(Caller.as({ priority: NaN })))
      assert(Exit.isFailure(exit))
      assert.instanceOf(Cause.squash(exit.cause), RangeError)
    })
  )
})
