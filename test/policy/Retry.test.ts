import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import type { Verdict } from "holdfast/core"
import { Retry } from "holdfast/policy"
import { failure, request, scripted, text, type Answer } from "./scripted.ts"

const overloaded = failure(new AiError.InternalProviderError({ description: "overloaded" }))
const limited = (seconds: number) => failure(new AiError.RateLimitError({ retryAfter: Duration.seconds(seconds) }))
const quota = failure(new AiError.QuotaExhaustedError({}))

const with_ = (script: ReadonlyArray<Answer>, options: Retry.Options = {}) =>
  Effect.gen(function* () {
    const { provider, seen } = scripted(script)
    const retried = yield* Retry.transient(options)(provider)
    return { retried, seen, options: yield* request }
  })

const afterAll = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(fiber)
  })

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

describe("Retry", () => {
  it.effect("tries again what is transient, and returns the answer unchanged", () =>
    Effect.gen(function* () {
      const { options, retried, seen } = yield* with_([{ error: overloaded }, { error: limited(1) }, {}])
      const parts = yield* afterAll(retried.generateText(options))
      assert.deepStrictEqual([parts[0], seen.calls], [{ type: "text", text: "ok" }, 3])
    }).pipe(ids)
  )

  it.effect("sends once what succeeds at once, and what cannot succeed", () =>
    Effect.gen(function* () {
      const good = yield* with_([{}])
      yield* good.retried.generateText(good.options)
      const bad = yield* with_([{ error: quota }])
      assert.strictEqual(yield* Effect.flip(bad.retried.generateText(bad.options)), quota)
      assert.deepStrictEqual([good.seen.calls, bad.seen.calls], [1, 1])
    }).pipe(ids)
  )

  it.effect("gives the last error when the attempts are used up", () =>
    Effect.gen(function* () {
      const { options, retried, seen } = yield* with_([{ error: limited(1) }, { error: overloaded }], { times: 2 })
      assert.strictEqual(yield* Effect.flip(afterAll(retried.generateText(options))), overloaded)
      assert.strictEqual(seen.calls, 3)
    }).pipe(ids)
  )

  const busy = new AiError.InternalProviderError({
    description: "overloaded",
    metadata: { provider: { retryAfterMillis: 5_000 } }
  })

  it.effect.each([
    ["a rate limit", limited(5)],
    ["another error", failure(busy)]
  ] as const)("never comes back before the time asked for with %s", ([, error]) =>
    Effect.gen(function* () {
      const { options, retried, seen } = yield* with_([{ error }, {}])
      const fiber = yield* Effect.forkChild(retried.generateText(options))
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(seen.calls, 1)
      yield* TestClock.adjust("201 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("fails at once when Retry-After is longer than it may wait", () =>
    Effect.gen(function* () {
      const error = limited(61)
      const { options, retried, seen } = yield* with_([{ error }])
      assert.strictEqual(yield* Effect.flip(retried.generateText(options)), error)
      assert.strictEqual(seen.calls, 1)
    }).pipe(ids)
  )

  it.effect("interrupted in a back-off sends nothing more", () =>
    Effect.gen(function* () {
      const { options, retried, seen } = yield* with_([{ error: overloaded }])
      const fiber = yield* Effect.forkChild(retried.generateText(options))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(seen, { calls: 1, open: 0, mostOpen: 1 })
    }).pipe(ids)
  )

  it.effect("retries a stream that has given no content, and leaves no trace of the failed attempt", () =>
    Effect.gen(function* () {
      const started = text("lost").slice(0, 2)
      const { options, retried, seen } = yield* with_([{ parts: started, error: overloaded }, { parts: text("kept") }])
      const parts = yield* afterAll(Stream.runCollect(retried.streamText(options)))
      assert.deepStrictEqual([parts, seen.calls], [text("kept"), 2])
    }).pipe(ids)
  )

  it.effect("never retries a stream whose text has been passed on", () =>
    Effect.gen(function* () {
      const { options, retried, seen } = yield* with_([{ parts: text("half").slice(0, 3), error: overloaded }, {}])
      const passed: Array<string> = []
      const error = yield* retried.streamText(options).pipe(
        Stream.runForEach((part) => Effect.sync(() => passed.push(part.type))),
        Effect.flip
      )
      assert.deepStrictEqual(
        [error, passed, seen.calls],
        [overloaded, ["response-metadata", "text-start", "text-delta"], 1]
      )
    }).pipe(ids)
  )

  describe("of any effect", () => {
    const classify = (error: string): Verdict.Classification => ({
      blame: error === "no" ? "none" : "busy",
      retryAfter: error === "later" ? "5 seconds" : undefined
    })
    const failing = (...errors: ReadonlyArray<string>) => {
      const at: Array<number> = []
      const effect = Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const error = errors[at.push(now) - 1]
        return error === undefined ? Effect.succeed("done") : Effect.fail(error)
      })
      return { at, effect }
    }

    it.effect("tries again what its errors are said to be worth, never earlier than they ask for", () =>
      Effect.gen(function* () {
        const { at, effect } = failing("busy", "later")
        assert.strictEqual(yield* afterAll(Retry.effect({ classify })(effect)), "done")
        assert.strictEqual(at.length, 3)
        assert.isAtLeast((at[2] ?? 0) - (at[1] ?? 0), 5_000)
      })
    )

    it.effect("gives up on what cannot succeed, and when the attempts are used up", () =>
      Effect.gen(function* () {
        const hopeless = failing("no", "no")
        assert.strictEqual(yield* Effect.flip(Retry.effect({ classify })(hopeless.effect)), "no")
        const busy = failing("busy", "busy", "busy", "busy")
        assert.strictEqual(yield* afterAll(Effect.flip(Retry.effect({ classify, times: 2 })(busy.effect))), "busy")
        assert.deepStrictEqual([hopeless.at.length, busy.at.length], [1, 3])
      })
    )

    it.effect("adds up when nested, and never multiplies", () =>
      Effect.gen(function* () {
        const busy = failing(...Array.from({ length: 20 }, () => "busy"))
        const twice = () => Retry.effect({ classify, times: 2 })
        yield* afterAll(Effect.flip(busy.effect.pipe(twice(), twice())))
        assert.strictEqual(busy.at.length, 5)
      })
    )
  })

  it("rejects options that make no sense", () => {
    assert.throws(() => Retry.transient({ times: -1 }), RangeError, "times")
    assert.throws(() => Retry.transient({ base: "-1 seconds" }), RangeError, "base")
    assert.throws(() => Retry.transient({ base: Infinity }), RangeError, "base")
    assert.throws(() => Retry.transient({ cap: -1 }), RangeError, "cap")
    assert.throws(
      () => Retry.effect({ classify: () => ({ blame: "fault" }), maxRetryAfter: -1 }),
      RangeError,
      "maxRetryAfter"
    )
  })
})
