import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { PolicyReason } from "holdfast/core"
import { Retry, Timeout } from "holdfast/policy"
import { request, scripted } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

describe("Timeout", () => {
  it.effect("ends a call at its limit with the clock's name, and leaves nothing open", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 10_000 }])
      const limited = yield* Timeout.overall("9 seconds")(provider)
      const fiber = yield* Effect.forkChild(Effect.flip(limited.generateText(yield* request)))
      yield* TestClock.adjust("9 seconds")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        PolicyReason.of(error),
        Option.some({ _tag: "TimedOut", clock: "overall", afterMillis: 9000 } as const)
      )
      assert.deepStrictEqual([error.isRetryable, seen.open], [false, 0])
    }).pipe(ids)
  )

  it.effect("leaves a call alone that ends in time", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 8_000 }])
      const limited = yield* Timeout.overall("9 seconds")(provider)
      const fiber = yield* Effect.forkChild(limited.generateText(yield* request))
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).length, 2)
    }).pipe(ids)
  )

  it.effect("limits a stream as a whole, however often it gives something", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 3_000 }])
      const limited = yield* Timeout.perAttempt("9 seconds")(provider)
      const passed: Array<string> = []
      const fiber = yield* limited.streamText(yield* request).pipe(
        Stream.runForEach((part) => Effect.sync(() => passed.push(part.type))),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("8999 millis")
      assert.deepStrictEqual(passed, ["response-metadata", "text-start"])
      yield* TestClock.adjust("1 millis")
      const reason = PolicyReason.of(yield* Fiber.join(fiber))
      assert.deepStrictEqual(reason, Option.some({ _tag: "TimedOut", clock: "attempt", afterMillis: 9000 } as const))
      assert.strictEqual(seen.open, 0)
    }).pipe(ids)
  )

  it.effect("of an attempt is retried, inside of Retry", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 60_000 }, {}])
      const stack = yield* Retry.transient()(yield* Timeout.perAttempt("5 seconds")(provider))
      const fiber = yield* Effect.forkChild(stack.generateText(yield* request))
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )
})
