import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, flow, Layer, Schema, Stream } from "effect"
import { AiError, IdGenerator, type LanguageModel, type Response, Tool } from "effect/ai"
import { Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Attempt, Caller, CallTrail, Deadline, PolicyHealth } from "holdfast/core"
import { Model } from "holdfast/model"
import { Fallback, Race, ResponseCache, Retry, RetryBudget, SingleFlight } from "holdfast/policy"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import { cacheMark } from "./cacheMark.ts"
import { asking, failure, request, scripted, text } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
  response: undefined
}

/** A provider that answers each call by how many there were before it, unless told how. */
const counting = (
  answer: (call: number) => Array<Response.PartEncoded> = (call) => [{ type: "text", text: `answer ${call}` }, finish],
  over: Partial<ModelProvider.ModelProvider> = {}
) => {
  const seen = { calls: 0 }
  const provider: ModelProvider.ModelProvider = {
    name: "counting",
    model: "m",
    generateText: () => Effect.sync(() => answer(++seen.calls)),
    streamText: () => Stream.die("not asked for"),
    ...over
  }
  return { provider, seen }
}

const textOf = (parts: ReadonlyArray<Response.PartEncoded>) =>
  parts.map((part) => (part.type === "text" ? part.text : "")).join("")

const hour = { timeToLive: "1 hour" } as const

describe("ResponseCache", () => {
  it.effect("gives the answer an identical call had, without asking again", () =>
    Effect.gen(function* () {
      const { provider, seen } = counting()
      const cached = yield* ResponseCache.exact(hour)(provider)
      const first = yield* cached.generateText(yield* asking("hello"))
      yield* TestClock.adjust("10 minutes")
      const second = yield* cached.generateText(yield* asking("hello"))
      assert.deepStrictEqual([textOf(first), textOf(second), seen.calls], ["answer 1", "answer 1", 1])
      assert.deepStrictEqual(
        [cacheMark(first), cacheMark(second)],
        [undefined, { ageMillis: 600_000, tier: "memory", stale: false }]
      )
    }).pipe(Effect.scoped, ids)
  )

  it.effect("returns an answer of the model as the model gave it", () =>
    Effect.gen(function* () {
      const parts: Array<Response.PartEncoded> = [{ type: "text", text: "as it is" }, finish]
      const cached = yield* ResponseCache.exact(hour)(counting(() => parts).provider)
      assert.strictEqual(yield* cached.generateText(yield* asking("hello")), parts)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("asks again when the time to live has passed", () =>
    Effect.gen(function* () {
      const { provider, seen } = counting()
      const cached = yield* ResponseCache.exact(hour)(provider)
      yield* cached.generateText(yield* request)
      yield* TestClock.adjust("59 minutes")
      yield* cached.generateText(yield* request)
      assert.strictEqual(seen.calls, 1)
      yield* TestClock.adjust("1 minutes")
      assert.strictEqual(textOf(yield* cached.generateText(yield* request)), "answer 2")
    }).pipe(Effect.scoped, ids)
  )

  describe("what changes the answer is in the key:", () => {
    const weather = Tool.make("Weather", {
      description: "tells the weather",
      parameters: Schema.Struct({ city: Schema.String })
    })
    const offering = (tool: Tool.Any, toolChoice: LanguageModel.ToolChoice<string> = "auto") =>
      Effect.map(asking("hello"), (options) => ({ ...options, tools: [tool], toolChoice }))
    const wanting = (schema: Schema.Top, objectName = "o") =>
      Effect.map(asking("hello"), (options) => ({
        ...options,
        responseFormat: { type: "json" as const, objectName, schema }
      }))
    const file = (data: string | Uint8Array | URL) =>
      asking([{ role: "user", content: [{ type: "file", mediaType: "image/png", data }] }])

    it.effect.each([
      ["the prompt", asking("a"), asking("b")],
      ["the role", asking([{ role: "system", content: "a" }]), asking("a")],
      [
        "options of a message",
        asking([{ role: "user", content: "a" }]),
        asking([{ role: "user", content: "a", options: { openai: { imageDetail: "high" } } }])
      ],
      ["bytes of a file", file(new Uint8Array([1, 2, 3])), file(new Uint8Array([1, 2, 4]))],
      ["link to a file", file(new URL("http://a/1.png")), file(new URL("http://a/2.png"))],
      ["a tool", asking("hello"), offering(weather)],
      ["the tool's name", offering(Tool.make("Weather")), offering(Tool.make("Climate"))],
      [
        "the tool's description",
        offering(weather),
        offering(Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }) }))
      ],
      [
        "the tool's parameters",
        offering(Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }) })),
        offering(Tool.make("Weather", { parameters: Schema.Struct({ town: Schema.String }) }))
      ],
      ["the tool's strictness", offering(weather), offering(weather.annotate(Tool.Strict, true))],
      [
        "provider's options of the tool",
        offering(weather),
        offering(weather.annotate(AiSdk.ToolOptions, { anthropic: { cacheControl: { type: "ephemeral" } } }))
      ],
      ["the tool choice", offering(weather), offering(weather, "required")],
      ["the output format", asking("hello"), wanting(Schema.Struct({ a: Schema.String }))],
      [
        "the output's schema",
        wanting(Schema.Struct({ a: Schema.String })),
        wanting(Schema.Struct({ a: Schema.Finite }))
      ],
      [
        "the output's name",
        wanting(Schema.Struct({ a: Schema.String }), "x"),
        wanting(Schema.Struct({ a: Schema.String }), "y")
      ]
    ] as const)("%s", ([, one, other]) =>
      Effect.gen(function* () {
        const { provider, seen } = counting(() => [{ type: "text", text: `{"a":"1"}` }, finish])
        const cached = yield* ResponseCache.exact(hour)(provider)
        yield* cached.generateText(yield* one)
        yield* cached.generateText(yield* one)
        assert.strictEqual(seen.calls, 1, "the same call")
        yield* cached.generateText(yield* other)
        assert.strictEqual(seen.calls, 2, "the other call")
      }).pipe(Effect.scoped, ids)
    )

    it.effect.each([
      ["the tenant", Caller.as({ tenant: "acme" }), Caller.as({ tenant: "umbrella" })],
      ["the tenant, and nobody's is nobody else's", Caller.as({}), Caller.as({ tenant: "acme" })],
      ["the task", Caller.as({ task: "diagnosis" }), Caller.as({ task: "summary" })],
      ["settings in context", AiSdk.withSettings({ temperature: 0 }), AiSdk.withSettings({ temperature: 1 })]
    ] as const)("%s", ([, one, other]) =>
      Effect.gen(function* () {
        const { provider, seen } = counting(undefined, { settings: AiSdk.CurrentSettings })
        const cached = yield* ResponseCache.exact(hour)(provider)
        const options = yield* request
        yield* one(cached.generateText(options))
        yield* one(cached.generateText(options))
        assert.strictEqual(seen.calls, 1, "the same call")
        yield* other(cached.generateText(options))
        assert.strictEqual(seen.calls, 2, "the other call")
      }).pipe(Effect.scoped, ids)
    )

    it.effect("the provider and the model, of models that share a cache", () =>
      Effect.gen(function* () {
        const cache = yield* ResponseCache.make(hour)
        const small = counting()
        const large = counting(undefined, { model: "large" })
        const elsewhere = counting(undefined, { name: "elsewhere" })
        for (const { provider } of [small, large, elsewhere]) {
          yield* (yield* cache.policy(provider)).generateText(yield* request)
        }
        assert.deepStrictEqual([small.seen.calls, large.seen.calls, elsewhere.seen.calls], [1, 1, 1])
      }).pipe(Effect.scoped, ids)
    )
  })

  describe("what does not change the answer is not in the key:", () => {
    const bytes = (data: Uint8Array) =>
      asking([{ role: "user", content: [{ type: "file", mediaType: "image/png", data }] }])

    it.effect.each([
      ["the span", request, Effect.withSpan(request, "another")],
      ["the identity of a file", bytes(new Uint8Array([1, 2])), bytes(new Uint8Array([0, 1, 2]).subarray(1))],
      [
        "how a prompt is sent in increments",
        request,
        Effect.map(request, (options) => ({ ...options, previousResponseId: "r", incrementalPrompt: options.prompt }))
      ],
      [
        "the order of options",
        asking([{ role: "user", content: "a", options: { openai: { a: 1, b: 2 } } }]),
        asking([{ role: "user", content: "a", options: { openai: { b: 2, a: 1 } } }])
      ],
      [
        "a hint for the application",
        Effect.map(request, (options) => ({ ...options, tools: [Tool.make("T")] })),
        Effect.map(request, (options) => ({ ...options, tools: [Tool.make("T").annotate(Tool.Readonly, true)] }))
      ],
      ["the priority", request, request]
    ] as const)("%s", ([, one, other]) =>
      Effect.gen(function* () {
        const { provider, seen } = counting()
        const cached = yield* ResponseCache.exact(hour)(provider)
        yield* cached.generateText(yield* one)
        yield* cached.generateText(yield* other).pipe(Caller.as({ priority: "high" }))
        assert.strictEqual(seen.calls, 1)
      }).pipe(Effect.scoped, ids)
    )
  })

  it.effect("leaves a request alone that holds what has no content to compare", () =>
    Effect.gen(function* () {
      const { provider, seen } = counting(undefined, { settings: Effect.succeed({ fetch: () => 1 }) })
      const cached = yield* ResponseCache.exact(hour)(provider)
      yield* cached.generateText(yield* request)
      yield* cached.generateText(yield* request)
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  describe("never keeps", () => {
    const tool = Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }) })
    const calling = (name: string, params: unknown): Array<Response.PartEncoded> => [
      { type: "tool-call", id: "1", name, params },
      { ...finish, reason: "tool-calls" }
    ]
    const json = { type: "json", objectName: "o", schema: Schema.Struct({ a: Schema.Finite }) } as const

    it.effect.each([
      [
        "an answer that was cut",
        {},
        [
          { type: "text", text: "and so" },
          { ...finish, reason: "length" }
        ]
      ],
      [
        "an answer that was filtered",
        {},
        [
          { type: "text", text: "I can" },
          { ...finish, reason: "content-filter" }
        ]
      ],
      [
        "an answer that ended for a reason unknown",
        {},
        [
          { type: "text", text: "a" },
          { ...finish, reason: "unknown" }
        ]
      ],
      [
        "an answer that was paused",
        {},
        [
          { type: "text", text: "a" },
          { ...finish, reason: "pause" }
        ]
      ],
      ["an answer without an end", {}, [{ type: "text", text: "a" }]],
      ["an answer that says nothing", {}, [{ type: "text", text: "" }, finish]],
      ["text where JSON was asked for", { responseFormat: json }, [{ type: "text", text: "Sure!" }, finish]],
      ["JSON its schema does not read", { responseFormat: json }, [{ type: "text", text: `{"a":"x"}` }, finish]],
      ["a call of a tool that was not offered", { tools: [tool] }, calling("Climate", { city: "Oslo" })],
      ["a call with parameters the tool refuses", { tools: [tool] }, calling("Weather", { town: "Oslo" })]
    ] as ReadonlyArray<[string, Partial<LanguageModel.ProviderOptions>, Array<Response.PartEncoded>]>)(
      "%s",
      ([, options, answer]) =>
        Effect.gen(function* () {
          const { provider, seen } = counting(() => answer)
          const cached = yield* ResponseCache.exact(hour)(provider)
          const call = { ...(yield* request), ...options }
          yield* cached.generateText(call)
          yield* cached.generateText(call)
          assert.strictEqual(seen.calls, 2)
        }).pipe(Effect.scoped, ids)
    )

    it.effect("a failure", () =>
      Effect.gen(function* () {
        const { provider, seen } = scripted([
          { error: failure(new AiError.InternalProviderError({ description: "no" })) },
          {}
        ])
        const cached = yield* ResponseCache.exact(hour)(provider)
        yield* Effect.flip(cached.generateText(yield* request))
        yield* cached.generateText(yield* request)
        assert.strictEqual(seen.calls, 2)
      }).pipe(Effect.scoped, ids)
    )

    it.effect.each(["FellBack", "Degraded"] as const)("what another than this model answered: %s", (tag) =>
      Effect.gen(function* () {
        const { provider, seen } = counting()
        const substituted: ModelProvider.ModelProvider = {
          ...provider,
          generateText: (options) =>
            Effect.andThen(
              CallTrail.record(tag === "Degraded" ? { _tag: tag } : { _tag: tag, from: "a", to: "b" }),
              provider.generateText(options)
            )
        }
        const cached = yield* ResponseCache.exact(hour)(substituted)
        yield* cached.generateText(yield* request)
        yield* cached.generateText(yield* request)
        assert.strictEqual(seen.calls, 2)
      }).pipe(Effect.scoped, ids)
    )

    it.effect.each(["generateText", "streamText"] as const)(
      "what a fallback answered to calls that share it: %s",
      (way) =>
        Effect.gen(function* () {
          const error = failure(new AiError.InternalProviderError({ description: "no" }))
          const { provider, seen } = scripted([{ error, delay: 100 }, {}])
          const spare = scripted([{ parts: text("spare"), delay: 10 }])
          const chain = yield* Fallback.to({ ...spare.provider, model: "spare" })({
            ...provider,
            streamText: flow(provider.streamText, Stream.onStart(Effect.sleep(100)))
          })
          const shared = yield* SingleFlight.identical()(chain)
          const cached = yield* ResponseCache.exact(hour)(shared)
          const options = yield* request
          const call =
            way === "generateText" ? cached.generateText(options) : Stream.runDrain(cached.streamText(options))
          const fibers = yield* Effect.replicateEffect(Effect.forkChild(call), 2)
          yield* TestClock.adjust("1 second")
          yield* Fiber.joinAll(fibers)
          assert.deepStrictEqual([seen.calls, spare.seen.calls], [1, 1])
          const last = yield* Effect.forkChild(call)
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(last)
          assert.strictEqual(seen.calls, 2)
        }).pipe(Effect.scoped, ids)
    )

    it.effect("what another model answered that won a race", () =>
      Effect.gen(function* () {
        const { provider, seen } = scripted([{ delay: 100 }])
        const other = scripted([{}])
        const race = yield* Race.with([{ ...other.provider, model: "other" }])(provider)
        const cached = yield* ResponseCache.exact(hour)(race)
        yield* cached.generateText(yield* request)
        yield* cached.generateText(yield* request)
        assert.deepStrictEqual([seen.calls, other.seen.calls], [2, 2])
      }).pipe(Effect.scoped, ids)
    )

    it.effect("what was interrupted, and leaves nothing open", () =>
      Effect.gen(function* () {
        const { provider, seen } = scripted([{ delay: 1_000 }, {}])
        const cached = yield* ResponseCache.exact(hour)(provider)
        const fiber = yield* Effect.forkChild(cached.generateText(yield* request))
        yield* TestClock.adjust("500 millis")
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(seen.open, 0)
        yield* cached.generateText(yield* request)
        assert.strictEqual(seen.calls, 2)
      }).pipe(Effect.scoped, ids)
    )
  })

  it.effect("keeps answers that are as asked: JSON its schema reads, and calls of tools with good parameters", () =>
    Effect.gen(function* () {
      const options = yield* request
      const tool = Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }) })
      const calls = counting(() => [
        { type: "tool-call", id: "1", name: "Weather", params: { city: "Oslo" } },
        { ...finish, reason: "tool-calls" }
      ])
      const objects = counting(() => [{ type: "text", text: `{"a":1}` }, finish])
      const schema = Schema.Struct({ a: Schema.Finite })
      for (const [{ provider }, over] of [
        [calls, { tools: [tool] }],
        [objects, { responseFormat: { type: "json", objectName: "o", schema } }]
      ] as const) {
        const cached = yield* ResponseCache.exact(hour)(provider)
        yield* cached.generateText({ ...options, ...over })
        yield* cached.generateText({ ...options, ...over })
      }
      assert.deepStrictEqual([calls.seen.calls, objects.seen.calls], [1, 1])
    }).pipe(Effect.scoped, ids)
  )

  it.effect("does not repeat what was true of one response only: its headers and its trail", () =>
    Effect.gen(function* () {
      const metadata = { openai: { kept: true }, holdfast: { trail: { attempts: [] }, other: 1 } }
      const { provider } = counting(() => [
        { type: "text", text: "a" },
        { ...finish, response: { status: 200, headers: { "x-ratelimit-remaining-requests": "1" } }, metadata }
      ])
      const cached = yield* ResponseCache.exact(hour)(provider)
      yield* cached.generateText(yield* request)
      const last = (yield* cached.generateText(yield* request)).at(-1)
      assert.deepStrictEqual(last, {
        type: "finish",
        reason: "stop",
        usage: finish.usage,
        metadata: {
          openai: { kept: true },
          holdfast: { other: 1, cache: { ageMillis: 0, tier: "memory", stale: false } }
        }
      })
    }).pipe(Effect.scoped, ids)
  )
})

describe("streams in ResponseCache", () => {
  /** A stream that comes in these pieces. */
  const streaming = (pieces: ReadonlyArray<ReadonlyArray<Response.StreamPartEncoded>>, error?: AiError.AiError) => {
    const seen = { calls: 0, pulled: 0 }
    const provider: ModelProvider.ModelProvider = {
      ...counting().provider,
      streamText: () =>
        Stream.suspend(() => {
          seen.calls++
          return Stream.concat(Stream.fromArrays(...pieces), error === undefined ? Stream.empty : Stream.fail(error))
        })
    }
    return { provider, seen }
  }
  const hello = text("hello world")
  const pieces = [hello.slice(0, 2), hello.slice(2, 3), hello.slice(3)]
  const arraysOf = (parts: Stream.Stream<Response.StreamPartEncoded, AiError.AiError, IdGenerator.IdGenerator>) => {
    const arrays: Array<ReadonlyArray<Response.StreamPartEncoded>> = []
    return Effect.as(
      Stream.runForEachArray(parts, (array) => Effect.sync(() => arrays.push(array))),
      arrays
    )
  }

  it.effect("are given again in the pieces in which they came", () =>
    Effect.gen(function* () {
      const { provider, seen } = streaming(pieces)
      const cached = yield* ResponseCache.exact(hour)(provider)
      const first = yield* arraysOf(cached.streamText(yield* request))
      const second = yield* arraysOf(cached.streamText(yield* request))
      assert.strictEqual(seen.calls, 1)
      assert.deepStrictEqual(first, pieces)
      const last = hello.at(-1)
      assert.deepStrictEqual(second.flat().slice(0, -1), hello.slice(0, -1))
      assert.deepStrictEqual(
        second.map((array) => array.length),
        [2, 1, 2]
      )
      assert.strictEqual(last?.type, "finish")
      assert.deepStrictEqual(cacheMark(second.flat()), { ageMillis: 0, tier: "memory", stale: false })
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are given again as their reader asks, not faster", () =>
    Effect.gen(function* () {
      const cached = yield* ResponseCache.exact(hour)(streaming(pieces).provider)
      yield* Stream.runDrain(cached.streamText(yield* request))
      const one = yield* Stream.runCollect(Stream.take(cached.streamText(yield* request), 1))
      assert.deepStrictEqual(one, hello.slice(0, 1))
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are not kept when their reader leaves before the end", () =>
    Effect.gen(function* () {
      const { provider, seen } = streaming(pieces)
      const cached = yield* ResponseCache.exact(hour)(provider)
      yield* Stream.runDrain(Stream.take(cached.streamText(yield* request), 3))
      yield* Stream.runDrain(cached.streamText(yield* request))
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are not kept when they fail after their content", () =>
    Effect.gen(function* () {
      const error = failure(new AiError.InternalProviderError({ description: "cut" }))
      const { provider, seen } = streaming(pieces, error)
      const cached = yield* ResponseCache.exact(hour)(provider)
      for (let call = 0; call < 2; call++) yield* Effect.flip(Stream.runDrain(cached.streamText(yield* request)))
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are not kept when an error is among their parts", () =>
    Effect.gen(function* () {
      const { provider, seen } = streaming([
        hello.slice(0, 3),
        [{ type: "error", error: "overloaded" }],
        hello.slice(3)
      ])
      const cached = yield* ResponseCache.exact(hour)(provider)
      for (let call = 0; call < 2; call++) yield* Stream.runDrain(cached.streamText(yield* request))
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are passed on whole and not kept when they are too large", () =>
    Effect.gen(function* () {
      const { provider, seen } = streaming([text("x".repeat(5_000))])
      const cached = yield* ResponseCache.exact({ ...hour, maxEntryBytes: 4_000 })(provider)
      for (let call = 0; call < 2; call++) {
        assert.strictEqual((yield* arraysOf(cached.streamText(yield* request))).flat().length, 5)
      }
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("answer a call for the whole answer", () =>
    Effect.gen(function* () {
      const { provider } = streaming([
        [{ type: "reasoning-start", id: "1" }],
        [{ type: "reasoning-delta", id: "1", delta: "hm" }],
        [{ type: "text-start", id: "2", metadata: { p: { a: 1 } } }],
        [{ type: "reasoning-end", id: "1", metadata: { p: { signature: "s" } } }],
        [{ type: "text-delta", id: "2", delta: "hello " }],
        [{ type: "text-delta", id: "2", delta: "world" }],
        [{ type: "text-end", id: "2" }],
        [{ type: "tool-params-start", id: "3", name: "T" }],
        [{ type: "tool-params-end", id: "3" }],
        [{ type: "tool-call", id: "3", name: "T", params: {} }],
        [finish]
      ])
      const cached = yield* ResponseCache.exact(hour)(provider)
      const options = { ...(yield* request), tools: [Tool.make("T")] }
      yield* Stream.runDrain(cached.streamText(options))
      assert.deepStrictEqual((yield* cached.generateText(options)).slice(0, -1), [
        { type: "reasoning", text: "hm", metadata: { p: { signature: "s" } } },
        { type: "text", text: "hello world", metadata: { p: { a: 1 } } },
        { type: "tool-call", id: "3", name: "T", params: {} }
      ])
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are answered by a whole answer", () =>
    Effect.gen(function* () {
      const cached = yield* ResponseCache.exact(hour)(counting().provider)
      yield* cached.generateText(yield* request)
      const parts = yield* Stream.runCollect(cached.streamText(yield* request))
      assert.deepStrictEqual(parts.slice(0, -1), [
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta: "answer 1" },
        { type: "text-end", id: "0" }
      ])
      assert.strictEqual(parts.at(-1)?.type, "finish")
    }).pipe(Effect.scoped, ids)
  )
})

describe("the bounds of ResponseCache", () => {
  it.effect("drop the answer that was not used for longest", () =>
    Effect.gen(function* () {
      const { provider, seen } = counting()
      const cached = yield* ResponseCache.exact({ ...hour, capacity: 2 })(provider)
      const call = (prompt: string) => Effect.flatMap(asking(prompt), cached.generateText)
      yield* call("a")
      yield* call("b")
      yield* call("a")
      yield* call("c")
      yield* call("a")
      assert.strictEqual(seen.calls, 3)
      yield* call("b")
      assert.strictEqual(seen.calls, 4)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("hold for the bytes of all together", () =>
    Effect.gen(function* () {
      const cache = yield* ResponseCache.make({ ...hour, maxBytes: 2_000 })
      const { provider } = counting(() => [{ type: "text", text: "x".repeat(500) }, finish])
      const cached = yield* cache.policy(provider)
      for (let n = 0; n < 20; n++) {
        yield* cached.generateText(yield* asking(`${n}`))
        assert.isAtMost((yield* cache.stats).bytes, 2_000)
      }
      assert.strictEqual((yield* cache.stats).entries, 3)
      yield* cache.clear
      const { bytes, entries } = yield* cache.stats
      assert.deepStrictEqual([bytes, entries], [0, 0])
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are not those of calls that were under way when all were forgotten", () =>
    Effect.gen(function* () {
      const cache = yield* ResponseCache.make(hour)
      const { provider, seen } = scripted([{ delay: 100 }])
      const cached = yield* cache.policy(provider)
      const options = yield* request
      for (const call of [cached.generateText(options), Stream.runDrain(cached.streamText(options))]) {
        const fiber = yield* Effect.forkChild(Effect.asVoid(call), { startImmediately: true })
        yield* TestClock.adjust(50)
        yield* cache.clear
        yield* TestClock.adjust(1_000)
        yield* Fiber.join(fiber)
        assert.strictEqual((yield* cache.stats).entries, 0)
      }
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("pass an answer on that is too large, and do not keep it", () =>
    Effect.gen(function* () {
      const { provider, seen } = counting(() => [{ type: "text", text: "x".repeat(5_000) }, finish])
      const cached = yield* ResponseCache.exact({ ...hour, maxEntryBytes: 4_000 })(provider)
      yield* cached.generateText(yield* request)
      assert.strictEqual(textOf(yield* cached.generateText(yield* request)).length, 5_000)
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are kept by dropping what expired or was not used", () =>
    Effect.gen(function* () {
      const cache = yield* ResponseCache.make(hour)
      const cached = yield* cache.policy(counting().provider)
      const call = (prompt: string) => Effect.flatMap(asking(prompt), cached.generateText)
      yield* call("a")
      yield* call("b")
      yield* TestClock.adjust("20 minutes")
      yield* call("a")
      assert.strictEqual(yield* cache.evict({ unusedFor: "10 minutes" }), 1)
      assert.strictEqual(yield* cache.evict(), 0)
      yield* TestClock.adjust("40 minutes")
      assert.strictEqual(yield* cache.evict(), 1)
      const { bytes, entries } = yield* cache.stats
      assert.deepStrictEqual([bytes, entries], [0, 0])
    }).pipe(Effect.scoped, ids)
  )

  it("reject options that make no sense", () => {
    assert.throws(() => ResponseCache.exact({ timeToLive: 0 }), RangeError, "timeToLive")
    assert.throws(() => ResponseCache.exact({ timeToLive: "Infinity" }), RangeError, "timeToLive")
    assert.throws(() => ResponseCache.exact({ ...hour, staleFor: -1 }), RangeError, "staleFor")
    assert.throws(() => ResponseCache.exact({ ...hour, capacity: 1.5 }), RangeError, "capacity")
    assert.throws(() => ResponseCache.exact({ ...hour, maxBytes: -1 }), RangeError, "maxBytes")
    assert.throws(() => ResponseCache.shared({ ...hour, storeTimeout: 0 }), RangeError, "storeTimeout")
    assert.throws(() => ResponseCache.warm(-1), RangeError, "atLeast")
    const away = Layer.effect(Persistence.BackingPersistence, Effect.fail("away"))
    assert.throws(() => ResponseCache.whenReachable(away, { retryAfter: 0 }), RangeError, "retryAfter")
  })

  it.effect("reject a time without use that makes no sense", () =>
    Effect.gen(function* () {
      const cache = yield* ResponseCache.make(hour)
      assert.throws(() => cache.evict({ unusedFor: -1 }), RangeError, "unusedFor")
    }).pipe(Effect.scoped)
  )
})

describe("stale answers of ResponseCache", () => {
  const stale = { timeToLive: "1 minute", staleFor: "1 hour" } as const

  it.effect("are given at once and fetched anew once, however many ask", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{}, { delay: 500 }])
      const cached = yield* ResponseCache.exact(stale)(provider)
      yield* cached.generateText(yield* request)
      yield* TestClock.adjust("2 minutes")
      const options = yield* request
      const answers = yield* Effect.all(
        Array.from({ length: 20 }, () => cached.generateText(options)),
        { concurrency: "unbounded" }
      )
      for (const answer of answers) {
        assert.deepStrictEqual(cacheMark(answer), { ageMillis: 120_000, tier: "memory", stale: true })
      }
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.calls, 2)
      assert.deepStrictEqual(cacheMark(yield* cached.generateText(options)), {
        ageMillis: 500,
        tier: "memory",
        stale: false
      })
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are fetched anew once also when that takes long", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{}, { delay: 30_000 }])
      const cached = yield* ResponseCache.exact(stale)(provider)
      yield* cached.generateText(yield* request)
      yield* TestClock.adjust("2 minutes")
      for (let second = 0; second < 20; second++) {
        yield* cached.generateText(yield* request)
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are fetched anew by an attempt of their own, without the caller's deadline and trail", () =>
    Effect.gen(function* () {
      const origins: Array<string> = []
      const trails: Array<unknown> = []
      const deadlines: Array<number | undefined> = []
      const { provider } = counting()
      const cached = yield* ResponseCache.exact(stale)({
        ...provider,
        generateText: (options) =>
          Effect.gen(function* () {
            origins.push(yield* Attempt.CurrentOrigin)
            trails.push(yield* CallTrail.Current)
            deadlines.push(yield* Deadline.Current)
            return yield* provider.generateText(options)
          })
      })
      const trail = new CallTrail.Recorder()
      const call = cached
        .generateText(yield* request)
        .pipe(Effect.provideService(CallTrail.Current, trail), Effect.provideService(Deadline.Current, 1_000_000))
      yield* call
      yield* TestClock.adjust("2 minutes")
      yield* call
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(origins, ["call", "refresh"])
      assert.deepStrictEqual(deadlines, [1_000_000, undefined])
      assert.strictEqual(trails[0], trail)
      assert.notStrictEqual(trails[1], trail)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are fetched anew within the budget that all calls share for further attempts", () =>
    Effect.gen(function* () {
      const error = failure(new AiError.InternalProviderError({ description: "no" }))
      const { provider, seen } = scripted([{}, { error }])
      const policies = [
        RetryBudget.of({ ratio: 0, minPerSecond: 1, window: "1 second" }),
        ResponseCache.exact(stale),
        Retry.transient({ times: 5, base: 1 })
      ]
      const cached = yield* Model.compose({ provider, policies })
      yield* cached.generateText(yield* request)
      yield* TestClock.adjust("2 minutes")
      yield* cached.generateText(yield* request)
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(seen.calls, 3)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("stay when that fails, and it is tried again after a while", () =>
    Effect.gen(function* () {
      const error = failure(new AiError.InternalProviderError({ description: "no" }))
      const { provider, seen } = scripted([{}, { error }])
      const cache = yield* ResponseCache.make(stale)
      const cached = yield* cache.policy(provider)
      yield* cached.generateText(yield* request)
      yield* TestClock.adjust("2 minutes")
      for (let second = 0; second < 10; second++) {
        assert.strictEqual(textOf(yield* cached.generateText(yield* request)), "ok")
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual(seen.calls, 3)
      assert.strictEqual((yield* cache.stats).refreshFailures, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are not fetched anew by a call that keeps nothing", () =>
    Effect.gen(function* () {
      const { provider, seen } = counting()
      const cached = yield* ResponseCache.exact(stale)(provider)
      const call = cached.generateText(yield* request)
      yield* call
      yield* TestClock.adjust("2 minutes")
      const reading = { reads: true, stores: false, freshForMillis: 0 }
      assert.strictEqual(textOf(yield* Effect.provideService(call, ResponseCache.CurrentUse, reading)), "answer 1")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.calls, 1)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are not given once they are too old", () =>
    Effect.gen(function* () {
      const { provider } = counting()
      const cached = yield* ResponseCache.exact(stale)(provider)
      yield* cached.generateText(yield* request)
      yield* TestClock.adjust("61 minutes")
      assert.isUndefined(cacheMark(yield* cached.generateText(yield* request)))
    }).pipe(Effect.scoped, ids)
  )

  it.effect("are fetched by no more than so many at a time, and by none when the scope has closed", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{}, {}, {}, { delay: 60_000 }])
      yield* Effect.scoped(
        Effect.gen(function* () {
          const cached = yield* ResponseCache.exact({ ...stale, maxRefreshes: 2 })(provider)
          const all = yield* Effect.forEach(["a", "b", "c"], asking)
          for (const options of all) yield* cached.generateText(options)
          yield* TestClock.adjust("2 minutes")
          for (const options of all) yield* cached.generateText(options)
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual([seen.calls, seen.open], [5, 2])
        })
      )
      assert.strictEqual(seen.open, 0)
    }).pipe(ids)
  )

  it.effect("that were streams are fetched anew as streams", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{}, { parts: text("newer") }])
      const cached = yield* ResponseCache.exact(stale)(provider)
      yield* Stream.runDrain(cached.streamText(yield* request))
      yield* TestClock.adjust("2 minutes")
      yield* Stream.runDrain(cached.streamText(yield* request))
      yield* TestClock.adjust("1 second")
      const parts = yield* Stream.runCollect(cached.streamText(yield* request))
      assert.deepStrictEqual(parts.slice(0, -1), text("newer").slice(0, -1))
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )
})

describe("how a call uses ResponseCache", () => {
  it.effect("bypass neither reads nor keeps", () =>
    Effect.gen(function* () {
      const { provider } = counting()
      const cached = yield* ResponseCache.exact(hour)(provider)
      const call = cached.generateText(yield* request)
      yield* ResponseCache.bypass(call)
      assert.strictEqual(textOf(yield* call), "answer 2")
      assert.strictEqual(textOf(yield* ResponseCache.bypass(call)), "answer 3")
      assert.strictEqual(textOf(yield* call), "answer 2")
    }).pipe(Effect.scoped, ids)
  )

  it.effect("refresh asks anew and keeps the answer for others", () =>
    Effect.gen(function* () {
      const { provider } = counting()
      const cached = yield* ResponseCache.exact(hour)(provider)
      const call = cached.generateText(yield* request)
      yield* call
      yield* TestClock.adjust("1 second")
      assert.strictEqual(textOf(yield* ResponseCache.refresh(call)), "answer 2")
      assert.strictEqual(textOf(yield* call), "answer 2")
    }).pipe(Effect.scoped, ids)
  )

  it.effect("warm asks anew only when the answer would not live long enough", () =>
    Effect.gen(function* () {
      const { provider, seen } = counting()
      const cached = yield* ResponseCache.exact(hour)(provider)
      const warm = ResponseCache.warm("15 minutes")(cached.generateText(yield* request))
      yield* warm
      yield* TestClock.adjust("40 minutes")
      yield* warm
      assert.strictEqual(seen.calls, 1)
      yield* TestClock.adjust("10 minutes")
      yield* warm
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("is on the call's trail, and in the model's health", () =>
    Effect.gen(function* () {
      const health: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const cached = yield* Effect.provideService(
        ResponseCache.exact(hour)(counting().provider),
        PolicyHealth.Registry,
        health
      )
      const trail = new CallTrail.Recorder()
      const call = Effect.provideService(cached.generateText(yield* request), CallTrail.Current, trail)
      yield* call
      yield* TestClock.adjust("1 second")
      yield* call
      assert.deepStrictEqual(trail.trail.decisions, [
        { atMillis: 0, decision: { _tag: "CacheMissed" } },
        { atMillis: 1000, decision: { _tag: "CacheHit", ageMillis: 1000, tier: "memory", stale: false } }
      ])
      assert.deepStrictEqual(yield* Effect.all(health), [
        { _tag: "ResponseCache", score: 100, entries: 1, hits: 1, staleHits: 0, misses: 1, storeAvailable: true }
      ])
    }).pipe(Effect.scoped, ids)
  )
})
