import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { AdaptiveLimit } from "holdfast/policy"

describe("AdaptiveLimit", () => {
  it.effect("lets calls through that take no time the clock can tell", () =>
    Effect.gen(function* () {
      const limited = yield* AdaptiveLimit.effect(() => "none", { initial: 3, max: 5, window: "1 second" })
      const together = Effect.all(
        Array.from({ length: 5 }, () => limited(Effect.yieldNow)),
        {
          concurrency: "unbounded",
          discard: true
        }
      )
      for (let round = 0; round < 10; round++) {
        yield* together
        yield* TestClock.adjust("1 second")
      }
      const fiber = yield* Effect.forkChild(together)
      yield* TestClock.adjust("1 second")
      assert.isDefined(fiber.pollUnsafe())
    })
  )
})
