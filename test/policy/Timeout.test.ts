import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, Scheduler, Stream } from "effect"
import { IdGenerator, type Response } from "effect/ai"
import { TestClock } from "effect/testing"
import { CallTrail, Deadline, PolicyReason, ResponseHeaders } from "holdfast/core"
import { Retry, Timeout } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { FaultyModel, SeededScheduler } from "holdfast/testing"
import { request, scripted, text } from "./scripted.ts"

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

  it.effect.each(["generateText", "streamText"] as const)("says on the trail of %s which clock it was", (method) =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 60_000 }])
      const limited = yield* Timeout.perAttempt({ firstToken: "5 seconds", attempt: "7 seconds" })(provider)
      const options = yield* request
      const recorder = new CallTrail.Recorder()
      const call =
        method === "generateText" ? limited.generateText(options) : Stream.runDrain(limited.streamText(options))
      const fiber = yield* Effect.asVoid(call).pipe(
        Effect.flip,
        Effect.provideService(CallTrail.Current, recorder),
        Effect.forkChild
      )
      yield* TestClock.adjust("7 seconds")
      yield* Fiber.join(fiber)
      const [clock, afterMillis] =
        method === "generateText" ? (["attempt", 7_000] as const) : (["firstToken", 5_000] as const)
      assert.deepStrictEqual(
        recorder.trail.decisions.map(({ decision }) => decision),
        [{ _tag: "TimedOut", clock, afterMillis }]
      )
    }).pipe(ids)
  )

  it.effect("interrupted at any step leaves nothing open", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 12; steps++) {
        const { provider, seen } = scripted([{ delay: 10_000 }])
        const limited = yield* Timeout.overall("9 seconds")(yield* Timeout.perAttempt("5 seconds")(provider))
        const fiber = yield* Effect.forkChild(limited.generateText(yield* request), { startImmediately: true })
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(seen.open, 0, `${steps}`)
      }
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

  it.effect("does not fail an answer that is complete, although its stream is not closed in time", () =>
    Effect.gen(function* () {
      const provider = {
        ...scripted([{}]).provider,
        streamText: () => Stream.concat(Stream.make(...text("x")), Stream.never)
      }
      const limited = yield* Timeout.perAttempt({ attempt: "9 seconds", idle: "3 seconds" })(provider)
      const fiber = yield* Effect.forkChild(Stream.runCollect(limited.streamText(yield* request)))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), text("x"))
    }).pipe(ids)
  )

  it.effect("ends a stream also when fractions of milliseconds do not add up", () =>
    Effect.gen(function* () {
      const options = yield* request
      const fault = { is: "stall", at: { after: 1 }, keepAlive: { every: 1_500 } } as const
      const from = (start: number) =>
        Effect.gen(function* () {
          const { provider } = yield* FaultyModel.make({ script: [{ fault }] })
          const limited = yield* Timeout.perAttempt({ idle: "3 seconds" })(provider)
          yield* Effect.sleep(start)
          return yield* Effect.flip(Stream.runDrain(limited.streamText(options)))
        }).pipe(Effect.scoped, ids)
      for (let start = 0; start < 500; start += 1.358409) {
        const { exit } = SeededScheduler.run(from(start), { maxSteps: 1_000 })
        assert.isTrue(Exit.isSuccess(exit), `from ${start}: ${exit}`)
      }
    })
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

/** What a stream does after a wait, in order: bring headers, or a part. */
type Step = readonly [afterMillis: number, brings: "headers" | Response.StreamPartEncoded]

const delta = (content: string): Response.StreamPartEncoded => ({ type: "text-delta", id: "t", delta: content })
const [metadata, start, , end, finish] = text("")
assert(metadata !== undefined && start !== undefined && end !== undefined && finish !== undefined)

/** A provider whose streams take these steps, and how many of them are open. */
const stepping = (steps: ReadonlyArray<Step>) => {
  const seen = { open: 0 }
  const opened = Effect.acquireRelease(
    Effect.sync(() => seen.open++),
    () => Effect.sync(() => seen.open--)
  )
  const provider: ModelProvider.ModelProvider = {
    name: "stepping",
    model: "m",
    generateText: () => Effect.never,
    streamText: () =>
      Stream.unwrap(
        Effect.as(
          opened,
          Stream.fromIterable(steps).pipe(
            Stream.mapEffect(([after, brings]) =>
              Effect.delay(
                brings === "headers" ? Effect.as(ResponseHeaders.received({}), []) : Effect.succeed([brings]),
                after
              )
            ),
            Stream.flattenIterable
          )
        )
      )
  }
  return { provider, seen }
}

/** Reads a limited stream to its end, and says how it ended and when, in milliseconds. */
const outcome = (limits: Timeout.AttemptLimits, steps: ReadonlyArray<Step>, readerMillis = 0) =>
  Effect.gen(function* () {
    const { provider, seen } = stepping(steps)
    const limited = yield* Timeout.perAttempt(limits)(provider)
    const options = yield* request
    const passed: Array<string> = []
    let endedAt = 0
    const fiber = yield* limited.streamText(options).pipe(
      Stream.runForEach((part) =>
        Effect.delay(
          Effect.sync(() => passed.push(part.type)),
          readerMillis
        )
      ),
      Effect.exit,
      Effect.tap(() => Effect.clockWith((clock) => Effect.sync(() => (endedAt = clock.currentTimeMillisUnsafe())))),
      Effect.forkChild
    )
    yield* TestClock.adjust("1 hour")
    const exit = yield* Fiber.join(fiber)
    assert.strictEqual(seen.open, 0)
    const reason = Exit.isFailure(exit)
      ? Option.getOrThrow(PolicyReason.of(Option.getOrThrow(Exit.findErrorOption(exit))))
      : undefined
    return { reason, endedAt, passed: passed.length }
  }).pipe(ids)

const slow: ReadonlyArray<Step> = [
  [1_000, "headers"],
  [1_000, metadata],
  [0, start],
  [3_000, delta("")],
  [1_000, delta("one")],
  [4_000, delta("")],
  [4_000, delta("two")],
  [0, end],
  [100, finish]
]

describe("Timeout of an attempt's stream", () => {
  it.effect.each([
    ["headers", { headers: "999 millis" }, 999, 0],
    ["firstToken", { firstToken: "5999 millis" }, 5_999, 3],
    ["idle", { idle: "7999 millis" }, 6_000 + 7_999, 5],
    ["attempt", { attempt: "14001 millis" }, 14_001, 7],
    ["idle", { headers: "1 minute", firstToken: "1 minute", idle: "5 seconds", attempt: "1 minute" }, 11_000, 5]
  ] as const)("ends it by the clock of its %s", ([clock, limits, at, passed]) =>
    Effect.gen(function* () {
      const ended = yield* outcome(limits, slow)
      assert.include(ended.reason, { _tag: "TimedOut", clock })
      assert.deepStrictEqual([ended.endedAt, ended.passed], [at, passed])
    })
  )

  it.effect("lets it pass when each clock has just enough", () =>
    Effect.gen(function* () {
      const limits = { headers: 1_001, firstToken: 6_001, idle: 8_001, attempt: 14_101 }
      assert.deepStrictEqual(yield* outcome(limits, slow), { reason: undefined, endedAt: 14_100, passed: 8 })
    })
  )

  it.effect("takes the first part for the headers when nobody tells of them", () =>
    Effect.gen(function* () {
      const { endedAt, reason } = yield* outcome({ headers: "2 seconds" }, slow.slice(1).with(0, [2_500, metadata]))
      assert.include(reason, { clock: "headers" })
      assert.strictEqual(endedAt, 2_000)
    })
  )

  it.effect("does not hold a slow reader against the provider", () =>
    Effect.gen(function* () {
      const { reason } = yield* outcome({ firstToken: "7 seconds", idle: "9 seconds" }, slow, 60_000)
      assert.strictEqual(reason, undefined)
    })
  )

  it.effect("ends one that brings too few tokens a second", () =>
    Effect.gen(function* () {
      const trickle = Array.from({ length: 100 }, (): Step => [1_000, delta("12345678")])
      const ended = yield* outcome({ tokensPerSecond: 3 }, [[0, start], ...trickle])
      assert.include(ended.reason, { _tag: "TooSlow", atLeast: 3 })
      assert.strictEqual(ended.endedAt, 6_000)
      const fast = yield* outcome({ tokensPerSecond: 1.9 }, [[0, start], ...trickle, [0, end], [0, finish]])
      assert.strictEqual(fast.reason, undefined)
    })
  )

  it.effect("ends one that stalls below its speed without an idle limit", () =>
    Effect.gen(function* () {
      const ended = yield* outcome({ tokensPerSecond: 1 }, [
        [0, delta("x".repeat(80))],
        [100_000, finish]
      ])
      assert.strictEqual(ended.endedAt, 20_000)
    })
  )

  it.effect("ends one that had no time to begin", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 1_000 }])
      const limited = yield* Timeout.perAttempt({ attempt: Duration.nanos(1n) })(provider)
      const options = yield* request
      // Whoever makes the stream may have to yield at any of its steps.
      for (let steps = 3; steps <= 60; steps++) {
        const fiber = yield* Effect.flip(Stream.runDrain(limited.streamText(options))).pipe(
          Effect.provideService(Scheduler.MaxOpsBeforeYield, steps),
          Effect.forkChild
        )
        for (let turn = 0; turn < 1_000 && fiber.pollUnsafe() === undefined; turn++) yield* Effect.yieldNow
        const end = fiber.pollUnsafe()
        assert(end !== undefined && Exit.isSuccess(end), `${steps} steps`)
        assert.strictEqual(Option.getOrThrow(PolicyReason.of(end.value))._tag, "TimedOut")
        assert.strictEqual(seen.open, 0)
      }
    }).pipe(ids)
  )

  it.effect("says nothing of a limit that passes while a slow reader has what came in time", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 100 }])
      const recorder = new CallTrail.Recorder()
      const limited = yield* Timeout.overall("5 seconds")(provider)
      const reading = limited.streamText(yield* request).pipe(
        Stream.rechunk(1),
        Stream.runForEach(() => Effect.sleep("4 seconds")),
        Effect.provideService(CallTrail.Current, recorder)
      )
      const fiber = yield* Effect.forkChild(reading)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(recorder.trail.decisions, [])
    }).pipe(ids)
  )

  it("rejects limits that make no sense", () => {
    assert.throws(() => Timeout.perAttempt({ idle: 0 }), RangeError, "idle")
    assert.throws(() => Timeout.perAttempt({ tokensPerSecond: -1 }), RangeError, "tokensPerSecond")
    assert.throws(() => Timeout.overall(0), RangeError, "overall")
  })
})

describe("Timeout of any effect", () => {
  it.effect("fails at the limit, when the effect has been interrupted and has ended", () =>
    Effect.gen(function* () {
      let isOpen = true
      const slow = Effect.onExit(Effect.never, () =>
        Effect.andThen(
          Effect.sleep("1 second"),
          Effect.sync(() => (isOpen = false))
        )
      )
      const fiber = yield* Effect.forkChild(Effect.flip(Timeout.effect("5 seconds")(slow)))
      yield* TestClock.adjust("5999 millis")
      assert.deepStrictEqual([fiber.pollUnsafe(), isOpen], [undefined, true])
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "TimedOut", clock: "overall", afterMillis: 5_000 })
      assert.isFalse(isOpen)
      assert.strictEqual(yield* Timeout.effect("5 seconds")(Effect.succeed(1)), 1)
    })
  )

  it.effect("tells what is inside how much time is left, which then begins nothing that cannot end in time", () =>
    Effect.gen(function* () {
      const limited = Timeout.effect("5 seconds")
      assert.strictEqual(yield* Deadline.remainingMillis.pipe(Timeout.effect("1 minute"), limited), 5_000)
      let attempts = 0
      const later = Retry.effect({ classify: () => ({ blame: "fault", retryAfter: "6 seconds" }) })
      const work = Effect.suspend(() => Effect.fail(`attempt ${++attempts}`)).pipe(later, limited)
      assert.strictEqual(yield* Effect.flip(work), "attempt 1")
    })
  )
})

describe("Timeout of the whole call", () => {
  it.effect("tells what is left of it to everything inside, and the nearest of several", () =>
    Effect.gen(function* () {
      const left: Array<number> = []
      const note = Effect.map(Deadline.remainingMillis, (millis) => void left.push(millis))
      const provider: ModelProvider.ModelProvider = {
        name: "noting",
        model: "m",
        generateText: () => Effect.as(note, []),
        streamText: () => Stream.fromEffectDrain(note)
      }
      const limited = yield* Timeout.overall("9 seconds")(yield* Timeout.overall("20 seconds")(provider))
      const options = yield* request
      yield* limited.generateText(options)
      yield* Stream.runDrain(limited.streamText(options))
      yield* note
      assert.deepStrictEqual(left, [9_000, 9_000, Infinity])
    }).pipe(ids)
  )

  it.effect("leaves no time for a retry that would begin too late", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([
        { delay: 5_000, error: PolicyReason.toAiError("x", { _tag: "CircuitOpen", key: "k", retryAfterMillis: 5_000 }) }
      ])
      const stack = yield* Timeout.overall("9 seconds")(yield* Retry.transient()(provider))
      const fiber = yield* Effect.forkChild(Effect.flip(stack.generateText(yield* request)))
      yield* TestClock.adjust("5 seconds")
      const reason = PolicyReason.of(yield* Fiber.join(fiber))
      assert.deepStrictEqual([Option.getOrThrow(reason)._tag, seen.calls], ["CircuitOpen", 1])
    }).pipe(ids)
  )
})
