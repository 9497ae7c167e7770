import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { PolicyReason } from "holdfast/core"
import { Bulkhead } from "holdfast/policy"
import { request, scripted } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

describe("Bulkhead", () => {
  it.effect("keeps calls and streams together within the limit", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 100 }])
      const limited = yield* Bulkhead.limit({ concurrency: 3 })(provider)
      const options = yield* request
      const calls = Array.from({ length: 10 }, (_, n) =>
        n % 2 === 0 ? limited.generateText(options) : Stream.runDrain(limited.streamText(options))
      )
      const fiber = yield* Effect.forkChild(Effect.all(calls, { concurrency: "unbounded" }))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, { calls: 10, open: 0, mostOpen: 3 })
    }).pipe(ids)
  )

  it.effect("refuses one call more than may wait, and takes the next when one has left", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 100 }])
      const limited = yield* Bulkhead.limit({ concurrency: 1, maxWaiting: 1 })(provider)
      const options = yield* request
      const running = yield* Effect.forkChild(limited.generateText(options))
      const waiting = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust(0)
      const error = yield* Effect.flip(limited.generateText(options))
      assert.deepStrictEqual(
        PolicyReason.of(error),
        Option.some({ _tag: "QueueFull", limit: 1, maxWaiting: 1 } as const)
      )
      yield* Fiber.interrupt(waiting)
      const next = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
      yield* Fiber.join(next)
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("has the permit back when a call fails, is interrupted, or its reader leaves", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 1_000 }])
      const limited = yield* Bulkhead.limit({ concurrency: 1, maxWaiting: 0 })(provider)
      const options = yield* request
      const first = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(first)
      const reading = yield* Effect.forkChild(limited.streamText(options).pipe(Stream.take(1), Stream.runDrain))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reading)
      const last = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(last)
      assert.deepStrictEqual([seen.calls, seen.open], [3, 0])
    }).pipe(ids)
  )

  it.effect("shares its permits between any effects it wraps", () =>
    Effect.gen(function* () {
      const within = yield* Bulkhead.effect({ concurrency: 1, maxWaiting: 0 })
      const slow = yield* Effect.forkChild(within(Effect.sleep("1 second")))
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* Effect.flip(within(Effect.void)))._tag, "QueueFull")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(slow)
      assert.strictEqual(yield* within(Effect.succeed("in")), "in")
    })
  )

  it("rejects limits that make no sense", () => {
    assert.throws(() => Bulkhead.limit({ concurrency: 0 }), RangeError, "concurrency")
    assert.throws(() => Bulkhead.limit({ concurrency: 1, maxWaiting: -1 }), RangeError, "maxWaiting")
  })
})
