import { assert, describe, it } from "@effect/vitest"
import { ByteSize, Effect, Exit, Fiber, Option, Schema, Scope, Stream } from "effect"
import { AiError, IdGenerator, Prompt, type Response, Tool } from "effect/ai"
import { TestClock } from "effect/testing"
import { Caller, CallTrail, Deadline, PolicyHealth, PolicyReason, ResponseHeaders } from "holdfast/core"
import { Retry, SingleFlight, Timeout } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { SeededScheduler } from "holdfast/testing"
import { failure, request, scripted, text, type Answer, type Parts } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const sharing = (script: ReadonlyArray<Answer>, options: SingleFlight.Options = {}) =>
  Effect.gen(function* () {
    const { provider, seen } = scripted(script)
    const shared = yield* SingleFlight.identical(options)(provider)
    return { provider: shared, seen, options: yield* request }
  })

const begun = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const overloaded = failure(new AiError.InternalProviderError({ description: "overloaded" }))

const deltas = (count: number, length = 1): Parts =>
  Array.from({ length: count }, (_, n) => ({ type: "text-delta", id: "t", delta: `${n}`.padEnd(length) }))

const jsonFormat = {
  responseFormat: { type: "json" as const, objectName: "answer", schema: Schema.Struct({ answer: Schema.String }) }
}

/** Reads a stream and keeps what it has read so far. */
const reading = <E, R>(stream: Stream.Stream<Response.StreamPartEncoded, E, R>) => {
  const read: Array<Response.StreamPartEncoded> = []
  return Effect.map(begun(Stream.runForEach(stream, (part) => Effect.sync(() => read.push(part)))), (fiber) => ({
    read,
    fiber
  }))
}

describe("SingleFlight", () => {
  it.effect("sends identical calls once and gives all of them the answer", () =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{ delay: 100 }])
      const calls = yield* Effect.replicateEffect(begun(provider.generateText(options)), 10)
      yield* TestClock.adjust(100)
      const answers = yield* Fiber.joinAll(calls)
      assert.deepStrictEqual(
        answers.map(([part]) => part),
        Array.from({ length: 10 }, () => ({ type: "text" as const, text: "ok" }))
      )
      assert.strictEqual(seen.calls, 1)
    }).pipe(ids)
  )

  it.effect("asks again once the answer is there", () =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{}])
      yield* provider.generateText(options)
      yield* provider.generateText(options)
      yield* Stream.runDrain(provider.streamText(options))
      yield* Stream.runDrain(provider.streamText(options))
      assert.deepStrictEqual(seen, { calls: 4, open: 0, mostOpen: 1 })
    }).pipe(ids)
  )

  it.effect.each([
    ["the prompt", { prompt: Prompt.make("other") }, {}],
    ["the tools", { tools: [Tool.make("look_up")] }, {}],
    ["the output format", jsonFormat, {}],
    ["the tenant", {}, { tenant: "other" }],
    ["the task", {}, { task: "other" }]
  ] as const)("keeps calls apart that differ in %s", ([, difference, caller]) =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{ delay: 100 }])
      const one = yield* begun(provider.generateText(options))
      const other = yield* begun(provider.generateText({ ...options, ...difference }).pipe(Caller.as(caller)))
      yield* TestClock.adjust(100)
      yield* Fiber.joinAll([one, other])
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("keeps calls apart whose settings in context differ", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 100 }])
      let temperature = 0
      const settings = Effect.sync(() => ({ temperature }))
      const shared = yield* SingleFlight.identical()({ ...provider, settings })
      const options = yield* request
      const cold = yield* begun(shared.generateText(options))
      temperature = 1
      const warm = yield* Effect.replicateEffect(begun(shared.generateText(options)), 2)
      yield* TestClock.adjust(100)
      yield* Fiber.joinAll([cold, ...warm])
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("fails all with the same failure, each with an error of its own", () =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{ parts: deltas(1), delay: 100, error: overloaded }])
      const calls = yield* Effect.replicateEffect(begun(Effect.flip(provider.generateText(options))), 3)
      const streams = yield* Effect.replicateEffect(
        begun(Effect.flip(Stream.runDrain(provider.streamText(options)))),
        3
      )
      yield* TestClock.adjust(100)
      const errors = yield* Fiber.joinAll([...calls, ...streams])
      assert.deepStrictEqual(
        errors.map(({ reason }) => reason),
        Array.from({ length: 6 }, () => overloaded.reason)
      )
      assert.strictEqual(new Set(errors).size, 5) // the first of each gets the provider's own
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  const acts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 99 }))).check(
    Schema.isMaxLength(24)
  )

  it.effect.prop(
    "keeps the request exactly as long as somebody waits for it, whoever comes and leaves",
    [acts, Schema.Boolean],
    ([program, stream]) =>
      Effect.gen(function* () {
        const { options, provider, seen } = yield* sharing([{ delay: 1_000 }])
        const call = stream ? Stream.runDrain(provider.streamText(options)) : provider.generateText(options)
        const inside: Array<Fiber.Fiber<unknown, unknown>> = []
        let calls = 0
        for (const act of program) {
          if (act < 55 || inside.length === 0) {
            if (inside.length === 0) calls++
            inside.push(yield* begun(call))
          } else {
            const [leaver] = inside.splice(act % inside.length, 1)
            if (leaver !== undefined) yield* Fiber.interrupt(leaver)
          }
          assert.deepStrictEqual([seen.calls, seen.open], [calls, Math.min(1, inside.length)])
        }
        yield* Fiber.interruptAll(inside)
        assert.strictEqual(seen.open, 0)
      }).pipe(ids)
  )

  it.effect("lets the last caller go only when the request has ended, and keeps nobody else", () =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{ delay: 1_000, closing: 50 }])
      const first = yield* begun(provider.generateText(options))
      const last = yield* begun(provider.generateText(options))
      yield* Fiber.interrupt(first)
      const leaving = yield* begun(Fiber.interrupt(last))
      yield* TestClock.adjust(49)
      assert.deepStrictEqual([leaving.pollUnsafe(), seen.open], [undefined, 1])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual([last.pollUnsafe() !== undefined, seen.open], [true, 0])
    }).pipe(ids)
  )

  it.effect("starts anew for who comes while an abandoned request is ending", () =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{ delay: 1_000, closing: 500 }, {}])
      const first = yield* begun(provider.generateText(options))
      const leaving = yield* begun(Fiber.interrupt(first))
      const [part] = yield* provider.generateText(options)
      assert.deepStrictEqual([part, seen.calls, seen.open], [{ type: "text", text: "ok" }, 2, 1])
      yield* TestClock.adjust(500)
      yield* Fiber.join(leaving)
      assert.strictEqual(seen.open, 0)
    }).pipe(ids)
  )

  it.effect("outlives the time limit of the caller who was first", () =>
    Effect.gen(function* () {
      const { provider: model, seen } = scripted([{ delay: 1_000, error: overloaded }, {}])
      const provider = yield* SingleFlight.identical()(yield* Retry.transient()(model))
      const options = yield* request
      const hurried = yield* Timeout.overall("500 millis")(provider)
      const first = yield* begun(
        Effect.flip(hurried.generateText(options)).pipe(Effect.provideService(Deadline.Current, 500))
      )
      const second = yield* begun(provider.generateText(options))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(Option.getOrThrow(PolicyReason.of(yield* Fiber.join(first)))._tag, "TimedOut")
      assert.strictEqual((yield* Fiber.join(second)).length, 2)
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("gives a reader who comes late the stream from its start", () =>
    Effect.gen(function* () {
      const parts = text("slowly")
      const { options, provider, seen } = yield* sharing([{ parts, delay: 100 }])
      const readers = yield* Effect.forEach(parts, () =>
        Effect.tap(reading(provider.streamText(options)), () => TestClock.adjust(100))
      )
      yield* TestClock.adjust(0)
      for (const { fiber, read } of readers) {
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(read, [...parts])
      }
      assert.deepStrictEqual(seen, { calls: 1, open: 0, mostOpen: 1 })
    }).pipe(ids)
  )

  it.effect("lets a slow reader read on alone while the others have ended", () =>
    Effect.gen(function* () {
      const parts = text("slowly")
      const { options, provider, seen } = yield* sharing([{ parts }])
      const slow = yield* begun(
        provider.streamText(options).pipe(
          Stream.tap(() => Effect.sleep("1 minute")),
          Stream.runCollect
        )
      )
      assert.deepStrictEqual(yield* Stream.runCollect(provider.streamText(options)), [...parts])
      assert.strictEqual(seen.open, 0)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* Fiber.join(slow), [...parts])
    }).pipe(ids)
  )

  it.effect("reads no faster than the fastest reader", () =>
    Effect.gen(function* () {
      let produced = 0
      const { provider } = scripted([{}])
      const streamText = () =>
        Stream.tap(Stream.fromIterable(deltas(100)).pipe(Stream.rechunk(1)), () => Effect.sync(() => produced++))
      const shared = yield* SingleFlight.identical()({ ...provider, streamText })
      const options = yield* request
      const read = (pace: number) =>
        begun(
          shared.streamText(options).pipe(
            Stream.tap(() => Effect.sleep(pace)),
            Stream.runDrain
          )
        )
      yield* read(1_000)
      yield* read(100)
      yield* TestClock.adjust(1_000)
      assert.isAtLeast(produced, 10)
      assert.isAtMost(produced, 12)
    }).pipe(ids)
  )

  // Each of these parts takes a bit more than 2,000 bytes.
  const long = deltas(20, 1_000)
  const bounded: SingleFlight.Options = { maxBuffer: ByteSize.bytes(10_000) }

  it.effect("lets nobody join any more when more has come than it may keep", () =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{ parts: long, delay: 100 }], bounded)
      const early = yield* reading(provider.streamText(options))
      yield* TestClock.adjust(400)
      const joining = yield* reading(provider.streamText(options))
      yield* TestClock.adjust(200)
      const late = yield* reading(provider.streamText(options))
      assert.strictEqual(seen.calls, 2)
      yield* TestClock.adjust(2_000)
      yield* Fiber.joinAll([early.fiber, joining.fiber, late.fiber])
      assert.deepStrictEqual([early.read, joining.read, late.read], [[...long], [...long], [...long]])
    }).pipe(ids)
  )

  it.effect("fails a reader too far behind instead of making the others wait", () =>
    Effect.gen(function* () {
      const { options, provider, seen } = yield* sharing([{ parts: long, delay: 100 }], bounded)
      const slow = yield* begun(
        provider.streamText(options).pipe(
          Stream.tap(() => Effect.sleep("10 seconds")),
          Stream.runDrain,
          Effect.flip
        )
      )
      const fast = yield* reading(provider.streamText(options))
      yield* TestClock.adjust(2_000)
      yield* Fiber.join(fast.fiber)
      assert.deepStrictEqual(fast.read, [...long])
      yield* TestClock.adjust("1 minute")
      const reason = PolicyReason.of(yield* Fiber.join(slow))
      assert.deepStrictEqual(reason, Option.some({ _tag: "FellBehind", limitBytes: 10_000 } as const))
      assert.deepStrictEqual([seen.calls, seen.open], [1, 0])
    }).pipe(ids)
  )

  it.effect("never fails a lone reader, however slow", () =>
    Effect.gen(function* () {
      const { options, provider } = yield* sharing([{ parts: long }], { maxBuffer: ByteSize.bytes(1) })
      const slow = yield* begun(
        provider.streamText(options).pipe(
          Stream.tap(() => Effect.sleep("1 minute")),
          Stream.runCollect
        )
      )
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* Fiber.join(slow), [...long])
    }).pipe(ids)
  )

  it.effect("interrupts what is under way when its scope closes", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 1_000 }])
      const scope = yield* Scope.make()
      const shared = yield* Scope.provide(SingleFlight.identical()(provider), scope)
      const options = yield* request
      const call = yield* begun(Effect.asVoid(shared.generateText(options)))
      const stream = yield* begun(Stream.runDrain(shared.streamText(options)))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(seen.open, 0)
      const exits = yield* Effect.all([Fiber.await(call), Fiber.await(stream)])
      assert.deepStrictEqual(
        exits.map((exit) => Exit.hasInterrupts(exit)),
        [true, true]
      )
    }).pipe(ids)
  )

  it.effect("says on the trail of who joined that it did, and counts it", () =>
    Effect.gen(function* () {
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const { options, provider } = yield* Effect.provideService(
        sharing([{ delay: 100 }]),
        PolicyHealth.Registry,
        registry
      )
      const recorders = [new CallTrail.Recorder(), new CallTrail.Recorder()]
      const calls = yield* Effect.forEach(recorders, (recorder) =>
        begun(Effect.provideService(provider.generateText(options), CallTrail.Current, recorder))
      )
      const health = yield* Effect.all(registry)
      assert.deepStrictEqual(health, [{ _tag: "SingleFlight", inFlight: 1, joined: 1, score: 100 }])
      yield* TestClock.adjust(100)
      yield* Fiber.joinAll(calls)
      assert.deepStrictEqual(
        recorders.map(({ trail }) => trail.decisions.map(({ decision }) => decision._tag)),
        [[], ["FlightJoined"]]
      )
    }).pipe(ids)
  )

  it.effect("tells each caller of the response's headers, late ones too", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 100 }])
      const headers = { "x-request-id": "r-1" }
      const shared = yield* SingleFlight.identical()({
        ...provider,
        generateText: (options) => Effect.andThen(ResponseHeaders.received(headers), provider.generateText(options))
      })
      const options = yield* request
      const heard: Array<[number, ResponseHeaders.Headers]> = []
      const call = (n: number) =>
        begun(
          Effect.provideService(shared.generateText(options), ResponseHeaders.Listener, (headers) => {
            heard.push([n, headers])
          })
        )
      const calls = [yield* call(1), yield* call(2)]
      assert.deepStrictEqual(heard, [
        [1, headers],
        [2, headers]
      ])
      yield* TestClock.adjust(100)
      yield* Fiber.joinAll(calls)
    }).pipe(ids)
  )

  it.effect("shares the runs of any effect by its key, never between tenants", () =>
    Effect.gen(function* () {
      let runs = 0
      const shared = yield* SingleFlight.make({
        key: (id: number) => `user ${id}`,
        run: (id) =>
          Effect.delay(
            Effect.sync(() => [id, ++runs]),
            "1 second"
          )
      })
      const calls = yield* begun(
        Effect.all([shared(1), shared(1), shared(2), shared(1).pipe(Caller.as({ tenant: "acme" }))], {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(calls), [
        [1, 1],
        [1, 1],
        [2, 2],
        [1, 3]
      ])
    })
  )

  it.effect("wakes its readers in every order of the fibers", () =>
    Effect.gen(function* () {
      const options = yield* request
      const program = Effect.gen(function* () {
        const { provider } = scripted([{ parts: text("shared"), delay: 1 }])
        const shared = yield* SingleFlight.identical()(provider)
        const read = Stream.runDrain(shared.streamText(options))
        yield* Effect.all([read, read, shared.generateText(options)], { concurrency: "unbounded" })
      }).pipe(Effect.scoped, ids)
      assert.deepStrictEqual(SeededScheduler.explore(program, { runs: 500 }).failures, [])
    })
  )

  it.effect("keeps no reader waiting that fell behind as it went to wait, wherever the fibers are preempted", () =>
    Effect.gen(function* () {
      const options = yield* request
      const parts: Parts = [...deltas(6), ...text("end").slice(-1)]
      const provider: ModelProvider.ModelProvider = {
        name: "model",
        model: "m",
        generateText: () => Effect.never,
        streamText: () => Stream.rechunk(Stream.fromIterable(parts), 1)
      }
      const program = Effect.gen(function* () {
        const shared = yield* SingleFlight.identical({ maxBuffer: ByteSize.bytes(1) })(provider)
        const read = Effect.exit(Stream.runDrain(shared.streamText(options)))
        yield* Effect.all([read, read], { concurrency: "unbounded" })
      }).pipe(Effect.scoped, ids)
      const hanging = SeededScheduler.points(program).filter(
        (preempt) => !Exit.isSuccess(SeededScheduler.run(program, { preempt, maxSteps: 10_000 }).exit)
      )
      assert.deepStrictEqual(hanging, [])
      assert.deepStrictEqual(SeededScheduler.explore(program, { runs: 500 }).failures, [])
    })
  )

  it("rejects a buffer that makes no sense", () => {
    assert.throws(() => SingleFlight.identical({ maxBuffer: 0 }), RangeError, "maxBuffer")
    assert.throws(() => SingleFlight.identical({ maxBuffer: -1 }), RangeError, "maxBuffer")
  })
})
