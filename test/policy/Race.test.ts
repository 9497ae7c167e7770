import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, Schema, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { CallTrail, Deadline, PolicyReason } from "holdfast/core"
import { Race, RetryBudget } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { failure, request, scripted, text, type Answer } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

/** Providers that answer as given, the first raced against the others. */
const racing = (answers: ReadonlyArray<Answer>, options: Race.Options = {}) =>
  Effect.gen(function* () {
    const made = answers.map((answer, n) => {
      const { provider, seen } = scripted([answer])
      return { provider: { ...provider, name: `p${n}` }, seen }
    })
    const [first, ...others] = made.map(({ provider }) => provider)
    if (first === undefined) return yield* Effect.die("nobody races")
    const next = yield* Race.with(others, options)(first)
    return {
      next,
      options: yield* request,
      calls: () => made.map(({ seen }) => seen.calls),
      open: () => made.reduce((sum, { seen }) => sum + seen.open, 0)
    }
  })

const begun = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const after = <A, E, R>(millis: number, call: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const recorder = new CallTrail.Recorder()
    const fiber = yield* begun(Effect.exit(Effect.provideService(call, CallTrail.Current, recorder)))
    yield* TestClock.adjust(millis)
    return { exit: yield* Fiber.join(fiber), trail: recorder.trail }
  })

const overloaded = failure(new AiError.InternalProviderError({ description: "overloaded" }))
const limited = (seconds: number) => failure(new AiError.RateLimitError({ retryAfter: Duration.seconds(seconds) }))
const quota = failure(new AiError.QuotaExhaustedError({}))

describe("Race", () => {
  it.effect("takes the fastest answer, when the others have ended", () =>
    Effect.gen(function* () {
      const { next, open, options } = yield* racing([
        { delay: 1_000, closing: 30 },
        { delay: 50, parts: text("fast") },
        { delay: 500, closing: 10 }
      ])
      const fiber = yield* begun(next.generateText(options))
      yield* TestClock.adjust(79)
      assert.deepStrictEqual([fiber.pollUnsafe(), open()], [undefined, 1])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual((yield* Fiber.join(fiber))[0], { type: "text", text: "fast" })
      assert.strictEqual(open(), 0)
    }).pipe(ids)
  )

  it.effect("says on the trail who won and what the others did", () =>
    Effect.gen(function* () {
      const { next, options } = yield* racing([{ delay: 1_000 }, { delay: 50 }, { delay: 20, error: overloaded }])
      const { trail } = yield* after(50, next.generateText(options))
      assert.deepStrictEqual(
        trail.decisions.map(({ decision }) => decision),
        [{ _tag: "AttemptWon", policy: "Race", provider: "p1", model: "m" }]
      )
      assert.deepStrictEqual(
        trail.attempts.map(({ origin, outcome, provider }) => [provider, origin, outcome._tag]),
        [
          ["p2", "race", "Failed"],
          ["p1", "race", "Succeeded"]
        ]
      )
    }).pipe(ids)
  )

  it.effect("passes on the stream with the first content, whole, when the others are closed", () =>
    Effect.gen(function* () {
      const { next, open, options } = yield* racing([
        { delay: 1_000, closing: 30 },
        { delay: 10, parts: text("fast") }
      ])
      const seen: Array<number> = []
      const read = next.streamText(options).pipe(
        Stream.tap(() => Effect.sync(() => seen.push(open()))),
        Stream.runCollect
      )
      const { exit } = yield* after(1_000, read)
      assert.deepStrictEqual(yield* exit, [...text("fast")])
      assert.strictEqual(Math.max(...seen), 1)
      assert.strictEqual(open(), 0)
    }).pipe(ids)
  )

  it.effect("passes over failures and empty answers", () =>
    Effect.gen(function* () {
      const { next, options } = yield* racing([
        { delay: 10, error: overloaded },
        { delay: 20, parts: text("") },
        { delay: 30, parts: text("here") }
      ])
      assert.deepStrictEqual((yield* (yield* after(30, next.generateText(options))).exit)[0], {
        type: "text",
        text: "here"
      })
      const { exit } = yield* after(1_000, Stream.runCollect(next.streamText(options)))
      assert.deepStrictEqual(yield* exit, [...text("here")])
    }).pipe(ids)
  )

  it.effect("does not take an answer that the provider blocked", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 10 }])
      const blocking: ModelProvider.ModelProvider = {
        ...provider,
        generateText: () =>
          Effect.succeed([
            { type: "text", text: "I can" },
            {
              type: "finish",
              reason: "content-filter",
              usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
              response: undefined
            }
          ])
      }
      const next = yield* Race.with([provider])(blocking)
      const { exit } = yield* after(10, next.generateText(yield* request))
      assert.deepStrictEqual((yield* exit)[0], { type: "text", text: "ok" })
    }).pipe(ids)
  )

  it.effect("judges complete streams when told what is acceptable", () =>
    Effect.gen(function* () {
      const acceptable = (parts: Race.Parts) =>
        parts.some((part) => part.type === "text-delta" && part.delta.startsWith("{"))
      const { next, open, options } = yield* racing(
        [
          { delay: 10, parts: text("Sure!") },
          { delay: 20, parts: text("{}") }
        ],
        { acceptable }
      )
      const seen: Array<number> = []
      const read = next.streamText(options).pipe(
        Stream.tap(() => Effect.sync(() => seen.push(open()))),
        Stream.runCollect
      )
      const { exit } = yield* after(100, read)
      assert.deepStrictEqual([yield* exit, open()], [[...text("{}")], 0])
      assert.strictEqual(Math.max(...seen), 1)
    }).pipe(ids)
  )

  it.effect.each([
    [
      "the first when trying again cannot help",
      [quota, failure(new AiError.InvalidUserInputError({ description: "x" }))],
      0
    ],
    ["one after which trying again can help", [quota, overloaded], 1],
    ["the one that asks for the longest wait", [overloaded, limited(1), limited(9), quota], 2]
  ] as const)("ends with the most useful failure: %s", ([, errors, expected]) =>
    Effect.gen(function* () {
      const { next, options } = yield* racing(errors.map((error) => ({ error })))
      assert.strictEqual(yield* Effect.flip(next.generateText(options)), errors[expected])
      assert.strictEqual(yield* Effect.flip(Stream.runDrain(next.streamText(options))), errors[expected])
    }).pipe(ids)
  )

  it.effect("says so when no answer was acceptable", () =>
    Effect.gen(function* () {
      const { next, options } = yield* racing([{ parts: text("") }, { parts: text("") }], {
        acceptable: () => false
      })
      const errors = [
        yield* Effect.flip(next.generateText(options)),
        yield* Effect.flip(Stream.runDrain(next.streamText(options)))
      ]
      for (const error of errors) {
        assert.deepStrictEqual(PolicyReason.of(error), Option.some({ _tag: "NotAcceptable", answers: 2 } as const))
      }
    }).pipe(ids)
  )

  it.effect("starts the others one after the other, and at once when nothing runs", () =>
    Effect.gen(function* () {
      const { calls, next, options } = yield* racing(
        [{ delay: 150, error: overloaded }, { delay: 500, error: overloaded }, { delay: 10 }, {}],
        { stagger: 100 }
      )
      const fiber = yield* begun(next.generateText(options))
      yield* TestClock.adjust(99)
      assert.deepStrictEqual(calls(), [1, 0, 0, 0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls(), [1, 1, 0, 0])
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(calls(), [1, 1, 1, 0])
      yield* TestClock.adjust(10)
      yield* Fiber.join(fiber)
      const hurried = yield* racing([{ error: overloaded }, {}], { stagger: "1 hour" })
      yield* hurried.next.generateText(hurried.options)
      assert.deepStrictEqual(
        [calls(), hurried.calls()],
        [
          [1, 1, 1, 0],
          [1, 1]
        ]
      )
    }).pipe(ids)
  )

  it.effect("asks nobody else when the call's time is over", () =>
    Effect.gen(function* () {
      const { calls, next, options } = yield* racing([{ delay: 3_000, parts: text("late") }, {}, {}], {
        stagger: "1 second"
      })
      const call = Effect.provideService(next.generateText(options), Deadline.Current, 1_000)
      const { exit } = yield* after(3_000, call)
      assert.deepStrictEqual([(yield* exit)[0], calls()], [{ type: "text", text: "late" }, [1, 0, 0]])
    }).pipe(ids)
  )

  it.effect("asks nobody else when one answers at once", () =>
    Effect.gen(function* () {
      const first = yield* racing([{}, {}])
      yield* first.next.generateText(first.options)
      const second = yield* racing([{ delay: 10 }, {}, {}])
      yield* second.next.generateText(second.options)
      assert.deepStrictEqual(
        [first.calls(), second.calls()],
        [
          [1, 0],
          [1, 1, 0]
        ]
      )
    }).pipe(ids)
  )

  it.effect("asks no more providers than the budget of the call allows", () =>
    Effect.gen(function* () {
      const { calls, next, options } = yield* racing([{ delay: 30 }, { delay: 20 }, { delay: 10 }])
      const bounded = yield* RetryBudget.of({ maxAttempts: 2 })(next)
      yield* after(30, bounded.generateText(options))
      assert.deepStrictEqual(calls(), [1, 1, 0])
    }).pipe(ids)
  )

  const Delays = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(4)
  )
  const Millis = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))

  it.effect.prop(
    "leaves nothing behind, whenever it is interrupted",
    [Delays, Millis, Millis, Schema.Boolean],
    ([delays, stagger, millis, stream]) =>
      Effect.gen(function* () {
        const answers = delays.map((delay) => (delay % 3 === 0 ? { delay, error: overloaded } : { delay, closing: 5 }))
        const { calls, next, open, options } = yield* racing(answers, { stagger })
        const call = stream ? Stream.runDrain(next.streamText(options)) : Effect.asVoid(next.generateText(options))
        const fiber = yield* begun(call)
        yield* TestClock.adjust(millis)
        const leaving = yield* begun(Fiber.interrupt(fiber))
        yield* TestClock.adjust(50) // finalizers of 5 ms, of at most 4 attempts, some after one another
        yield* Fiber.join(leaving)
        const before = calls()
        assert.strictEqual(open(), 0)
        yield* TestClock.adjust(1_000)
        assert.deepStrictEqual(calls(), before)
      }).pipe(ids)
  )

  it.effect("races any effects", () =>
    Effect.gen(function* () {
      const slow = Effect.delay(Effect.succeed(1), 100)
      const fiber = yield* begun(
        slow.pipe(
          Race.effect([Effect.delay(Effect.succeed(2), 10), Effect.delay(Effect.succeed(3), 20)], {
            acceptable: (n) => n > 2
          })
        )
      )
      yield* TestClock.adjust(20)
      assert.strictEqual(yield* Fiber.join(fiber), 3)
      const none = yield* Effect.flip(
        Effect.succeed(1).pipe(Race.effect([Effect.succeed(2)], { acceptable: () => false }))
      )
      assert.deepInclude(none, { _tag: "NotAcceptable", answers: 2 })
      const failed: Effect.Effect<number, string> = Effect.fail("first")
      const error = yield* Effect.flip(failed.pipe(Race.effect<number, string, never>([Effect.fail("second")])))
      assert.strictEqual(error, "first")
    })
  )

  it("rejects a stagger that makes no sense", () => {
    assert.throws(() => Race.with([], { stagger: Infinity }), RangeError, "stagger")
  })
})
