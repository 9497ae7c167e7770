import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Scheduler } from "effect"
import * as ReadAhead from "../../../src/core/stream/ReadAhead.ts"

const seventeen = Array.from({ length: 17 }, (_, part) => part)

/** Preempts a fiber once, when it has taken so many steps. */
const preemptingAfter = (steps: number): Scheduler.Scheduler => {
  const scheduler = new Scheduler.MixedScheduler()
  let taken = 0
  return {
    executionMode: scheduler.executionMode,
    shouldYield: () => ++taken === steps,
    makeDispatcher: () => scheduler.makeDispatcher()
  }
}

describe("ReadAhead", () => {
  it.effect("gives what comes in one turn together, and then how it ends", () =>
    Effect.gen(function* () {
      const ahead = yield* ReadAhead.make<number, "broke">()
      const reader = yield* Effect.forkChild(ahead.take, { startImmediately: true })
      ahead.put([1])
      ahead.put([2, 3])
      ahead.close(Effect.fail("broke"))
      ahead.close(Cause.done())
      assert.deepStrictEqual(yield* Fiber.join(reader), [1, 2, 3])
      assert.strictEqual(yield* Effect.flip(ahead.take), "broke")
    })
  )

  it.effect("wakes a reader who waits with its end", () =>
    Effect.gen(function* () {
      const ahead = yield* ReadAhead.make<number, "broke">()
      const reader = yield* Effect.forkChild(Effect.flip(ahead.take), { startImmediately: true })
      ahead.close(Effect.fail("broke"))
      assert.strictEqual(yield* Fiber.join(reader), "broke")
    })
  )

  it.effect("tells a reader who was preempted before it waited", () =>
    Effect.gen(function* () {
      const ahead = yield* ReadAhead.make<number>()
      const readers = [1, 2, 3, 4].map((steps) =>
        Effect.forkChild(Effect.provideService(ahead.take, Scheduler.Scheduler, preemptingAfter(steps)), {
          startImmediately: true
        })
      )
      for (const reader of readers) {
        const waiting = yield* reader
        ahead.put([1])
        assert.deepStrictEqual(yield* Fiber.join(waiting), [1])
      }
    })
  )

  it.effect("keeps what has come for a reader who stopped waiting for it", () =>
    Effect.gen(function* () {
      const ahead = yield* ReadAhead.make<number>()
      const reader = yield* Effect.forkChild(ahead.take, { startImmediately: true })
      ahead.put([1])
      yield* Fiber.interrupt(reader)
      assert.deepStrictEqual(yield* ahead.take, [1])
    })
  )

  it.effect("has room for 16 parts, and again when they have been taken", () =>
    Effect.gen(function* () {
      const ahead = yield* ReadAhead.make<number>()
      assert.isTrue(ahead.put(seventeen.slice(1)))
      yield* ahead.room
      assert.isFalse(ahead.put([17]))
      const writer = yield* Effect.forkChild(ahead.room, { startImmediately: true })
      assert.isUndefined(writer.pollUnsafe())
      assert.strictEqual((yield* ahead.take).length, 17)
      yield* Fiber.join(writer)
    })
  )
})
