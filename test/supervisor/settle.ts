import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

/** Lets everything that can run do so: starts, wake-ups and interruptions are tasks of the scheduler. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 20 })

/** Runs an effect while time passes, millisecond by millisecond, until it has ended. */
export const whileTimePasses = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(1)
    return yield* Fiber.join(fiber)
  })
