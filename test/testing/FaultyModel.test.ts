import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Clock, Duration, Effect, Exit, Fiber, Stream } from "effect"
import { type AiError, IdGenerator, type Response } from "effect/ai"
import { TestClock } from "effect/testing"
import { FaultyModel, LeakDetector, StreamShape } from "holdfast/testing"
import { request, textOf, withIds } from "../../src/testing/provider-contract/Stage.ts"

const tool = { id: "call-1", name: "Weather", params: { city: "Rome" } }
const everything: ReadonlyArray<FaultyModel.Content> = [
  { reasoning: "Where is Rome?" },
  { text: "I look it up." },
  { toolCall: tool }
]

type Form = "generateText" | "streamText"
const forms: ReadonlyArray<Form> = ["generateText", "streamText"]
type Parts = ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>

/** Calls the model in one of the two forms; the parts that came are those before the failure, if there was one. */
const call = (model: FaultyModel.FaultyModel, form: Form) =>
  Effect.gen(function* () {
    const options = yield* request("Hello")
    const came: Array<Parts[number]> = []
    const exit = yield* Effect.exit(
      form === "generateText"
        ? Effect.map(model.provider.generateText(options), (parts) => void came.push(...parts))
        : Stream.runForEach(model.provider.streamText(options), (part) => Effect.sync(() => void came.push(part)))
    ).pipe(withIds)
    return { came, exit }
  })

/** Calls it while so much time passes, and interrupts it if it has not ended by then. */
const play = (behaviour: FaultyModel.Behaviour, form: Form, limit: Duration.Input = "10 seconds") =>
  Effect.gen(function* () {
    const model = yield* FaultyModel.make({ script: [behaviour] })
    const fiber = yield* Effect.forkChild(call(model, form))
    yield* TestClock.adjust(limit)
    for (let turn = 0; turn < 50 && fiber.pollUnsafe() === undefined; turn++) yield* Effect.yieldNow
    const stalled = fiber.pollUnsafe() === undefined
    const seen = { open: model.seen.open }
    const result = stalled ? undefined : yield* Fiber.join(fiber)
    yield* Fiber.interrupt(fiber)
    return { model, stalled, seen, result, entry: model.seen.log[0] }
  })

const failureOf = (exit: Exit.Exit<unknown, AiError.AiError> | undefined): AiError.AiError => {
  assert(exit !== undefined && Exit.isFailure(exit), "it did not fail")
  const error = Cause.findErrorOption(exit.cause)
  assert(error._tag === "Some", Cause.pretty(exit.cause))
  return error.value
}

const points: ReadonlyArray<readonly [FaultyModel.PointInside, deltas: number]> = [
  ["content", 0],
  [{ after: 2 }, 2],
  [{ after: 0, in: "text" }, 3],
  [{ after: 1, in: "text" }, 4],
  [{ after: 2, in: "tool-call" }, 8],
  [{ after: 100 }, 9],
  ["finish", 9]
]
const isDelta = (part: Parts[number]) => part.type.endsWith("-delta")

describe("FaultyModel", () => {
  it.effect("answers at once, with a short text, when nothing is said", () =>
    Effect.gen(function* () {
      for (const form of forms) {
        const model = yield* FaultyModel.make()
        const { came, exit } = yield* call(model, form)
        assert(Exit.isSuccess(exit))
        assert.strictEqual(textOf(came), "Anchors hold what currents would carry away.")
      }
    })
  )

  it.effect("gives the same content streamed as whole, and the stream is well-formed", () =>
    Effect.gen(function* () {
      const whole = yield* play({ content: everything }, "generateText")
      const streamed = yield* play({ content: everything }, "streamText")
      const parts = streamed.result?.came ?? []
      assert.strictEqual(StreamShape.malformation(parts as ReadonlyArray<Response.StreamPartEncoded>), undefined)
      assert.deepStrictEqual(whole.result?.came.slice(1, -1), [
        { type: "reasoning", text: "Where is Rome?" },
        { type: "text", text: "I look it up." },
        { type: "tool-call", ...tool }
      ])
      const deltas = (type: string) =>
        parts.flatMap((part) => ("delta" in part && part.type === type ? [part.delta] : []))
      assert.strictEqual(deltas("reasoning-delta").join(""), "Where is Rome?")
      assert.strictEqual(deltas("text-delta").join(""), "I look it up.")
      assert.strictEqual(deltas("tool-params-delta").join(""), '{"city":"Rome"}')
      assert.deepStrictEqual(parts.at(-1), whole.result?.came.at(-1))
    })
  )

  it.effect("never splits a character", () =>
    Effect.gen(function* () {
      const { result } = yield* play({ content: [{ text: "🌊🌊🌊", chunks: 2 }] }, "streamText")
      const deltas = result?.came.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []))
      assert.deepStrictEqual(
        deltas?.map((delta) => delta.isWellFormed()),
        [true, true]
      )
    })
  )

  for (const form of forms) {
    for (const [at, deltas] of points) {
      const where = typeof at === "string" ? at : `${at.after} ${at.in ?? "chunks"}`
      for (const [is, tag, isRetryable] of [
        ["cut", "NetworkError", true],
        ["end", "InternalProviderError", true],
        ["malformed", "InvalidResponseError", false]
      ] as const) {
        it.effect(`${form}: ${is} at ${where}`, () =>
          Effect.gen(function* () {
            const { entry, model, result } = yield* play({ content: everything, fault: { is, at } }, form)
            const error = failureOf(result?.exit)
            assert.strictEqual(error.reason._tag, tag)
            assert.strictEqual(error.isRetryable, isRetryable)
            assert.strictEqual(result?.came.filter(isDelta).length, form === "streamText" ? deltas : 0)
            assert.deepStrictEqual([entry?.ended, entry?.error, model.seen.failed], ["failed", error, 1])
          })
        )
      }

      it.effect(`${form}: stall at ${where}`, () =>
        Effect.gen(function* () {
          const { model, seen, stalled } = yield* play(
            { content: everything, fault: { is: "stall", at } },
            form,
            "30 days"
          )
          assert.isTrue(stalled)
          assert.strictEqual(seen.open, 1)
          assert.deepStrictEqual([model.seen.open, model.seen.interrupted], [0, 1])
        })
      )
    }
  }

  for (const form of forms) {
    for (const [fault, ended] of [
      [{ is: "cut", at: "headers" }, "failed"],
      [{ is: "refuse", because: "overloaded" }, "failed"],
      [{ is: "die", at: "headers" }, "died"],
      [{ is: "stall", at: "headers" }, "interrupted"],
      [undefined, "completed"]
    ] as const) {
      it.effect(`${form}: ends at the moment it is told to, and notes it: ${JSON.stringify(fault)}`, () =>
        Effect.gen(function* () {
          yield* TestClock.adjust("1 minute")
          const { entry, model } = yield* play({ latency: { headers: "3 seconds" }, fault }, form)
          assert.strictEqual(entry?.ended, ended)
          const { calls, completed, failed, interrupted, mostOpen, open } = model.seen
          assert.deepStrictEqual([calls, open, mostOpen], [1, 0, 1])
          assert.deepStrictEqual(
            [completed, failed, interrupted],
            [
              ended === "completed" ? 1 : 0,
              ended === "failed" || ended === "died" ? 1 : 0,
              ended === "interrupted" ? 1 : 0
            ]
          )
          assert.deepStrictEqual(
            [entry?.number, entry?.method, entry?.startMillis, entry?.elapsedMillis],
            [1, form, 60_000, 0]
          )
          assert.strictEqual(entry?.endMillis, ended === "interrupted" ? 70_000 : 63_000)
          assert.strictEqual(textOf(entry?.request.prompt.content[0]?.content as never), "Hello")
        })
      )
    }

    it.effect(`${form}: dies with a defect`, () =>
      Effect.gen(function* () {
        const { result } = yield* play({ fault: { is: "die", at: { after: 1 } } }, form)
        assert(result !== undefined && Exit.isFailure(result.exit))
        assert.isTrue(Cause.hasDies(result.exit.cause))
      })
    )

    it.effect(`${form}: answers without content when there is none`, () =>
      Effect.gen(function* () {
        const { result } = yield* play({ content: [] }, form)
        assert.deepStrictEqual(
          result?.came.map((part) => part.type),
          ["response-metadata", "finish"]
        )
      })
    )

    it.effect(`${form}: goes on after a flood`, () =>
      Effect.gen(function* () {
        const flood = { at: { after: 1 }, count: 1_000 } as const
        const { result } = yield* play({ flood }, form)
        assert.strictEqual(textOf(result?.came ?? []), "Anchors hold what currents would carry away.")
        assert.strictEqual(result?.came.filter(isDelta).length, form === "streamText" ? 1_003 : 0)
      })
    )

    it.effect(`${form}: takes the time of a flood that is not seen`, () =>
      Effect.gen(function* () {
        const flood = { at: "content", count: 30, as: "comments", every: 100 } as const
        const { entry, result } = yield* play({ flood }, form)
        assert.strictEqual(entry?.endMillis, 3_000)
        assert.strictEqual(result?.came.filter(isDelta).length, form === "streamText" ? 3 : 0)
      })
    )
  }

  it.effect("sends each chunk when it is due, however slow the reader was with the one before", () =>
    Effect.gen(function* () {
      const latency = { headers: "1 second", content: "2 seconds", gap: "3 seconds" } as const
      const { provider } = yield* FaultyModel.make({ script: [{ latency, content: [{ text: "abcd", chunks: 4 }] }] })
      const options = yield* request("Hello")
      const times = (pause: Duration.Input) =>
        Effect.gen(function* () {
          const start = yield* Clock.currentTimeMillis
          const seen: Array<number> = []
          const reading = provider.streamText(options).pipe(
            Stream.filter((part) => part.type !== "text-start" && part.type !== "text-end"),
            Stream.runForEach(() =>
              Effect.andThen(
                Effect.map(Clock.currentTimeMillis, (now) => void seen.push((now - start) / 1_000)),
                Effect.sleep(pause)
              )
            ),
            withIds
          )
          yield* Effect.all([reading, TestClock.adjust("1 minute")], { concurrency: 2 })
          return seen
        })
      assert.deepStrictEqual(yield* times(0), [1, 3, 6, 9, 12, 15])
      assert.deepStrictEqual(yield* times("2 seconds"), [1, 3, 6, 9, 12, 15])
      assert.deepStrictEqual(yield* times("5 seconds"), [1, 6, 11, 16, 21, 26])
    })
  )

  it.effect("keeps a stalled stream alive with deltas that say nothing", () =>
    Effect.gen(function* () {
      for (const [as, deltas] of [
        ["empty deltas", 11],
        ["comments", 1]
      ] as const) {
        const fault = { is: "stall", at: { after: 1 }, keepAlive: { every: "1 second", as } } as const
        const { provider } = yield* FaultyModel.make({ script: [{ fault }] })
        const options = yield* request("Hello")
        let count = 0
        const fiber = yield* Stream.runForEach(provider.streamText(options), (part) =>
          Effect.sync(() => void (count += isDelta(part) ? 1 : 0))
        ).pipe(withIds, Effect.forkChild)
        yield* TestClock.adjust("10500 millis")
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(count, deltas)
      }
    })
  )

  it.effect(
    "ends a block that a connection closed in order left open, and makes no tool call of it, before it fails",
    () =>
      Effect.gen(function* () {
        const fault = { is: "end", at: { after: 1, in: "tool-call" } } as const
        const { result } = yield* play({ content: everything, fault }, "streamText")
        assert.deepStrictEqual(result?.came.at(-1), { type: "tool-params-end", id: tool.id })
        failureOf(result?.exit)
      })
  )

  it.effect("asks to wait as long as it is told, and says so where policies look", () =>
    Effect.gen(function* () {
      for (const form of forms) {
        for (const [because, tag] of [
          ["rate limited", "RateLimitError"],
          ["overloaded", "InternalProviderError"]
        ] as const) {
          const { result } = yield* play({ fault: { is: "refuse", because, retryAfter: "1.5 seconds" } }, form)
          const { reason } = failureOf(result?.exit)
          assert(reason._tag === tag)
          assert.deepInclude(reason.metadata["provider"], { retryAfterMillis: 1_500, requestId: "faulty-1" })
        }
      }
    })
  )

  it.effect("asks to wait in words where an answer has begun", () =>
    Effect.gen(function* () {
      for (const form of forms) {
        const fault = { is: "error", because: "rate limited", at: { after: 1 }, retryAfter: "1.5 seconds" } as const
        const { result } = yield* play({ fault }, form)
        const error = failureOf(result?.exit)
        assert.strictEqual(error.reason._tag, "RateLimitError")
        assert.deepStrictEqual(error.retryAfter, Duration.millis(1_500))
      }
    })
  )

  it.effect("follows its script, and stays with the last of it", () =>
    Effect.gen(function* () {
      const script = ["one", "two"].map((text) => ({ content: [{ text }] }))
      const model = yield* FaultyModel.make({ script })
      const texts: Array<string> = []
      for (const form of [...forms, ...forms]) texts.push(textOf((yield* call(model, form)).came))
      assert.deepStrictEqual(texts, ["one", "two", "two", "two"])
    })
  )

  it.effect("behaves as a function of the call and the time says", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const model = yield* FaultyModel.make({
        script: ({ elapsedMillis }) => (elapsedMillis < 30_000 ? { fault: { is: "cut", at: "headers" } } : {})
      })
      const isOk = Effect.map(call(model, "generateText"), ({ exit }) => Exit.isSuccess(exit))
      assert.isFalse(yield* isOk)
      yield* TestClock.adjust("29999 millis")
      assert.isFalse(yield* isOk)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(yield* isOk)
    })
  )

  it.effect("begins a call when it is run, each time, and counts those that are open together", () =>
    Effect.gen(function* () {
      const { provider, seen } = yield* FaultyModel.make({ script: [{ latency: { headers: "1 second" } }] })
      const options = yield* request("Hello")
      const once = provider.generateText(options).pipe(withIds)
      const stream = provider
        .streamText(options)
        .pipe(Stream.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))
      assert.strictEqual(seen.calls, 0)
      const all = yield* Effect.forkChild(
        Effect.all([once, once, Stream.runDrain(stream)], { concurrency: "unbounded", discard: true })
      )
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual([seen.calls, seen.open, seen.mostOpen], [3, 3, 3])
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(all)
      assert.deepStrictEqual([seen.calls, seen.open, seen.mostOpen, seen.completed], [3, 0, 3, 3])
    })
  )

  it.effect("counts a stream that is left early as interrupted", () =>
    Effect.gen(function* () {
      const { provider, seen } = yield* FaultyModel.make()
      yield* provider.streamText(yield* request("Hello")).pipe(Stream.take(2), Stream.runDrain, withIds)
      assert.deepStrictEqual([seen.interrupted, seen.completed, seen.open], [1, 0, 0])
    })
  )

  it.effect("loses nothing when somebody stops waiting for the next part and then asks again", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make({ script: [{ latency: { headers: "1 second" } }] })
      const pull = yield* Stream.toPull(
        provider
          .streamText(yield* request("Hello"))
          .pipe(Stream.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))
      )
      const fiber = yield* Effect.forkChild(pull)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(fiber)
      const [[first]] = yield* Effect.all([pull, TestClock.adjust("500 millis")], { concurrency: 2 })
      assert.strictEqual(first.type, "response-metadata")
    })
  )

  it.effect("leaves nothing behind, wherever it is interrupted", () =>
    LeakDetector.check(
      Effect.gen(function* () {
        const model = yield* FaultyModel.make({ script: FaultyModel.fromSeed(11) })
        for (let run = 0; run < 200; run++) {
          const fiber = yield* Effect.forkChild(call(model, forms[run % 2] ?? "streamText"))
          yield* TestClock.adjust(run % 50)
          yield* Fiber.interrupt(fiber)
        }
        assert.deepStrictEqual([model.seen.calls, model.seen.open], [200, 0])
        assert.isAbove(model.seen.interrupted, 20)
      }),
      { settle: "50 millis" }
    )
  )

  it.effect("keeps no more of its calls than it is told", () =>
    Effect.gen(function* () {
      const model = yield* FaultyModel.make({ remember: 3 })
      for (let run = 0; run < 5; run++) yield* call(model, "generateText")
      assert.deepStrictEqual(
        model.seen.log.map(({ number }) => number),
        [3, 4, 5]
      )
      assert.strictEqual(model.seen.completed, 5)
    })
  )

  it.each<readonly [FaultyModel.Options, string]>([
    [{ script: [] }, "script must have at least one behaviour, not 0"],
    [{ remember: -1 }, "FaultyModel option remember must be a whole number of at least 0, got -1"],
    [{ script: [{ latency: { gap: -1 } }] }, "latency.gap must not be negative, not -1"],
    [
      { script: [{ content: [{ text: "a", chunks: 0 }] }] },
      "content.chunks must be a whole number of at least 1, not 0"
    ],
    [
      { script: [{ flood: { at: "content", count: 0.5 } }] },
      "flood.count must be a whole number of at least 0, not 0.5"
    ],
    [{ script: [{ fault: { is: "cut", at: { after: -1 } } }] }, "fault.at.after must be a whole number of at least 0"],
    [
      { script: [{ fault: { is: "refuse", because: "overloaded", status: 200 } }] },
      "fault.status must be from 400 to 599"
    ],
    [
      { script: [{ fault: { is: "stall", at: "content", keepAlive: { every: 0 } } }] },
      "fault.keepAlive.every must be more than 0, not 0"
    ]
  ])("refuses %j", (options, message) => {
    assert.throws(() => FaultyModel.make(options), RangeError, message)
  })

  it.effect("dies when a function gives a behaviour that makes no sense", () =>
    Effect.gen(function* () {
      const model = yield* FaultyModel.make({ script: () => ({ latency: { headers: -1 } }) })
      const { exit } = yield* call(model, "generateText")
      assert(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual(model.seen.open, 0)
    })
  )
})

describe("FaultyModel by chance", () => {
  const drawn = (seed: number, choices?: FaultyModel.Choices) =>
    Array.from({ length: 1_000 }, (_, call) => FaultyModel.fromSeed(seed, choices)({ number: call + 1 }))

  it("is the same for the same seed and differs for another", () => {
    assert.deepStrictEqual(drawn(7), drawn(7))
    assert.notDeepEqual(drawn(7).slice(0, 10), drawn(8).slice(0, 10))
  })

  it("has each kind of fault at each point, floods, latency and every content, and half have no fault", () => {
    const all = drawn(1)
    const is = new Set(all.map(({ fault }) => fault?.is))
    assert.deepStrictEqual(is, new Set(["refuse", "cut", "error", "end", "malformed", "stall", undefined]))
    const at = new Set(all.map(({ fault }) => JSON.stringify(fault !== undefined && "at" in fault && fault.at)))
    assert.strictEqual(at.size, 8)
    assert.strictEqual(new Set(all.map(({ content }) => content?.map((block) => Object.keys(block)[0]).join())).size, 6)
    const share = (has: (behaviour: FaultyModel.Behaviour) => boolean) => all.filter(has).length / all.length
    assert.closeTo(
      share(({ fault }) => fault === undefined),
      0.5,
      0.05
    )
    assert.closeTo(
      share(({ flood }) => flood !== undefined),
      0.125,
      0.05
    )
    assert.closeTo(
      share(({ latency }) => latency !== undefined),
      0.5,
      0.05
    )
  })

  it("draws only the faults it may", () => {
    const faults = new Set(drawn(1, { faults: ["die"] }).map(({ fault }) => fault?.is))
    assert.deepStrictEqual(faults, new Set(["die", undefined]))
    assert.deepStrictEqual(new Set(drawn(1, { faults: [] }).map(({ fault }) => fault?.is)), new Set([undefined]))
  })

  it.effect.each<readonly [FaultyModel.Behaviour, (behaviour: FaultyModel.Behaviour) => boolean]>([
    [{}, () => true],
    [{ content: [] }, ({ content }) => content?.length === 0],
    [{ fault: { is: "stall", at: "headers" } }, ({ fault }) => fault?.is === "stall"],
    [
      { fault: { is: "error", because: "server error", at: "finish" } },
      ({ fault }) => fault?.is === "error" && fault.at === "finish"
    ]
  ])("is made as simple as %j", ([simplest, isSo]) =>
    Effect.gen(function* () {
      for (const seed of [1, 2, 3]) {
        const result = yield* Arbitrary.checkEffect(FaultyModel.behaviours(), (behaviour) => !isSo(behaviour), {
          seed,
          runs: 1_000
        })
        assert(result._tag === "Falsified")
        assert.deepStrictEqual(result.shrunkInput, simplest)
      }
    })
  )

  it.effect.prop(
    "gives streams that are well-formed as far as they come, and ends them as it says",
    [FaultyModel.behaviours()],
    ([behaviour]) =>
      Effect.gen(function* () {
        const streamed = yield* play(behaviour, "streamText", "1 hour")
        const whole = yield* play(behaviour, "generateText", "1 hour")
        const expected =
          behaviour.fault === undefined ? "completed" : behaviour.fault.is === "stall" ? "interrupted" : "failed"
        assert.deepStrictEqual([streamed.entry?.ended, whole.entry?.ended], [expected, expected])
        assert.strictEqual(streamed.entry?.error?.isRetryable, whole.entry?.error?.isRetryable)
        assert.strictEqual(streamed.entry?.error?.reason._tag, whole.entry?.error?.reason._tag)
        const took = ({ entry }: typeof whole) => (entry?.endMillis ?? 0) - (entry?.startMillis ?? 0)
        if (expected !== "interrupted") assert.strictEqual(took(streamed), took(whole))
        const parts = (streamed.result?.came ?? []) as ReadonlyArray<Response.StreamPartEncoded>
        const malformation = StreamShape.malformation(parts)
        if (expected === "completed") {
          assert.strictEqual(malformation, undefined)
          assert.strictEqual(textOf(parts), textOf(whole.result?.came ?? []))
        } else if (malformation !== undefined) {
          assert.match(malformation, / never ends$|^no finish part/)
        }
      }),
    { arbitrary: { runs: 300 } }
  )
})
