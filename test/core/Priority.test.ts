import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Caller, Priority } from "holdfast/core"

// @ts-expect-error: there is no such level
const unheardOf: Priority.Priority = "urgent"

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

  it.effect("is rejected when it is neither, and no line could put it in order", () =>
    Effect.gen(function* () {
      for (const priority of [NaN, unheardOf]) {
        const exit = yield* Effect.exit(Effect.void.pipe(Caller.as({ priority })))
        assert(Exit.isFailure(exit))
        assert.instanceOf(Cause.squash(exit.cause), RangeError)
      }
    })
  )
})
