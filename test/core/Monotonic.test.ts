import { expect, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Monotonic from "../../src/core/Monotonic.ts"

it.effect("goes on with the test clock, in milliseconds", () =>
  Effect.gen(function* () {
    const start = yield* Monotonic.millis
    yield* TestClock.adjust("1.5 seconds")
    expect((yield* Monotonic.millis) - start).toBe(1500)
  })
)

it.effect("does not follow a wall clock that is set back", () =>
  Effect.gen(function* () {
    const real = yield* Clock.Clock
    const setBack: Clock.Clock = Object.create(real, {
      currentTimeMillisUnsafe: { value: () => real.currentTimeMillisUnsafe() - 3_600_000 }
    })
    expect(Monotonic.millisUnsafe(setBack)).toBe(Monotonic.millisUnsafe(real))
  })
)
