/**
 * Whatever a store or a snapshot holds under the key of a call, the call is answered: with what is there, where that is an
 * answer to it, and by the model where it is not.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Predicate, Schema, Stream } from "effect"
import { LanguageModel, type Response, Tool, Toolkit } from "effect/ai"
import { Persistence, Redis } from "effect/persistence"
import type { ModelProvider } from "holdfast/provider"
import { ResponseCache } from "holdfast/policy"
import * as RedisServer from "../redisServer.ts"
import { scripted } from "../scripted.ts"

const inMemory = { timeToLive: "1 hour" } as const
const hour = { ...inMemory, storeTimeout: "5 seconds" } as const
const quiet = Logger.layer([])

const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
const finish = { type: "finish", reason: "stop", usage }
const start = { type: "text-start", id: "t" }
const end = { type: "text-end", id: "t" }
const delta = (text: unknown) => ({ type: "text-delta", id: "t", delta: text })

// What is too old is looked at no further.
const today = Date.now()

const stored = (answer: unknown, storedAtMillis: unknown = today) => ({
  version: 1,
  storedAtMillis,
  bytes: 10,
  answer
})
const whole = (...parts: ReadonlyArray<unknown>) => stored({ _tag: "Whole", parts })
const streamed = (...parts: ReadonlyArray<unknown>) => stored({ _tag: "Streamed", chunks: [parts] })

const deep = (levels: number) => {
  let value: unknown = 1
  for (let level = 0; level < levels; level++) value = [value]
  return value
}

/** What no call may be given. */
const refused: ReadonlyArray<readonly [what: string, value: unknown]> = [
  ["a text without a text", whole({ type: "text" }, finish)],
  ["a text that is a number", whole({ type: "text", text: 1 }, finish)],
  ["a finish without usage", whole({ type: "text", text: "x" }, { type: "finish", reason: "stop" })],
  ["a finish with a reason of its own", whole({ type: "text", text: "x" }, { ...finish, reason: "done" })],
  ["an answer that was cut", whole({ type: "text", text: "x" }, { ...finish, reason: "length" })],
  ["nothing that says anything", whole(finish)],
  ["no parts", whole()],
  ["parts that are no list", stored({ _tag: "Whole", parts: { length: 1 } })],
  ["a part of no kind", whole({ type: "wisdom", text: "x" }, finish)],
  ["a part of a stream in a whole answer", whole(start, delta("x"), end, finish)],
  ["a call of a tool that was not offered", whole({ type: "tool-call", id: "1", name: "rm", params: {} }, finish)],
  [
    "a call that the provider is said to have made",
    whole({ type: "tool-call", id: "1", name: "rm", params: {}, providerExecuted: true }, finish)
  ],
  [
    "the result of a tool that was not offered",
    whole(
      { type: "text", text: "x" },
      { type: "tool-result", id: "1", name: "rm", result: 1, isFailure: false },
      finish
    )
  ],
  ["a time that is none", whole({ type: "response-metadata", timestamp: "soon" }, { type: "text", text: "x" }, finish)],
  ["metadata of 300 levels", whole({ type: "text", text: "x", metadata: { a: deep(300) } }, finish)],
  ["metadata of 100,000 levels", whole({ type: "text", text: "x", metadata: { a: deep(100_000) } }, finish)],
  ["an answer that is larger than it says", whole({ type: "text", text: "x".repeat(2_000_000) }, finish)],
  ["a stream whose text was never begun", streamed(delta("x"), end, finish)],
  ["a stream whose text was never ended", streamed(start, delta("x"), finish)],
  ["a stream whose text is a number", streamed(start, delta(1), end, finish)],
  ["a stream with an error in it", streamed(start, delta("x"), end, { type: "error", error: "no" }, finish)],
  ["a stream that finishes twice", streamed(finish, start, delta("x"), end, finish)],
  ["a date that is none", stored({ _tag: "Whole", parts: [{ type: "text", text: "x" }, finish] }, "today")],
  ["another version", { ...whole({ type: "text", text: "x" }, finish), version: 2 }],
  ["a number", 5],
  ["a text", "text"],
  ["null", null],
  ["a list", [1]]
]

/** As a store would have it under a key: an entry names its own, and what names another is looked at no further. */
const under = (key: string, value: unknown): unknown => (Predicate.isObject(value) ? { key, ...value } : value)

/** A store that holds the same under every key, until something else is put there. */
const holding = (value: unknown) => {
  const kept = new Map<string, object>()
  const store: Persistence.BackingPersistenceStore = {
    get: (key) => Effect.sync(() => kept.get(key) ?? (under(key, value) as object)),
    getMany: () => Effect.die("not asked"),
    set: (key, value) => Effect.sync(() => void kept.set(key, value)),
    setMany: () => Effect.die("not asked"),
    remove: (key) => Effect.sync(() => void kept.delete(key)),
    clear: Effect.sync(() => kept.clear())
  }
  return Layer.succeed(Persistence.BackingPersistence, { make: () => Effect.succeed(store) })
}

const asked = (provider: ModelProvider.ModelProvider, isStreamed: boolean, prompt = "hello") =>
  Effect.flatMap(LanguageModel.make(provider), (model) =>
    isStreamed
      ? Stream.runFold(
          model.streamText({ prompt }),
          () => "",
          (text, part) => (part.type === "text-delta" ? text + part.delta : text)
        )
      : Effect.map(model.generateText({ prompt }), ({ text }) => text)
  )

/** Asks three times, the last time in another process, and gives the answers. */
const askedThrice = Effect.fnUntraced(function* (isStreamed: boolean) {
  const { provider, seen } = scripted([{}])
  const one = yield* ResponseCache.makeShared(hour)
  const first = yield* one.policy(provider)
  const other = yield* Effect.flatMap(ResponseCache.makeShared(hour), ({ policy }) => policy(provider))
  const answers = [yield* asked(first, isStreamed), yield* asked(first, isStreamed), yield* asked(other, isStreamed)]
  return { answers, calls: seen.calls, isThere: (yield* one.stats).storeAvailable }
}, Effect.scoped)

describe("ResponseCache, of what a store holds,", () => {
  it.live.each([
    ["a whole answer", whole({ type: "text", text: "x" }, finish)],
    ["a stream", streamed(start, delta("x"), end, finish)],
    ["metadata of 100 levels", whole({ type: "text", text: "x", metadata: { a: deep(100) } }, finish)]
  ])("gives %s", ([, value]) =>
    Effect.gen(function* () {
      for (const isStreamed of [false, true]) {
        const { answers, calls } = yield* Effect.provide(askedThrice(isStreamed), holding(value))
        assert.deepStrictEqual([answers, calls], [["x", "x", "x"], 0])
      }
    }).pipe(Effect.provide(quiet))
  )

  it.live.each(refused)("takes %s for a miss, and puts an answer in its place", ([, value]) =>
    Effect.gen(function* () {
      for (const isStreamed of [false, true]) {
        const { answers, calls, isThere } = yield* Effect.provide(askedThrice(isStreamed), holding(value))
        assert.deepStrictEqual([answers, calls, isThere], [["ok", "ok", "ok"], 1, true])
      }
    }).pipe(Effect.provide(quiet))
  )

  const Text = Schema.Literals(["x", "", "\u00e9"])
  const Odd = Schema.Union([Text, Schema.Json])
  const Part = Schema.Union([
    Schema.Struct({ type: Schema.Literal("text"), text: Text }),
    Schema.Literals(["start", "delta", "end", "finish"]),
    Schema.Struct({
      type: Schema.Literals([
        "text",
        "finish",
        "file",
        "source",
        "response-metadata",
        "tool-call",
        "tool-result",
        "error"
      ]),
      id: Odd,
      name: Text,
      text: Odd,
      usage: Odd,
      reason: Schema.Literals(["stop", "tool-calls", "length"])
    }),
    Schema.Json
  ])
  const named: Record<string, unknown> = { start, delta: delta("x"), end, finish }
  const Parts = Schema.Array(Part).check(Schema.isMaxLength(4))
  const partsOf = (parts: typeof Parts.Type) => parts.map((part) => (typeof part === "string" ? named[part] : part))

  it.live.prop(
    "gives an answer or a miss, whatever JSON is there",
    [Parts, Schema.Json, Schema.Literals(["Whole", "Streamed", "entry", "anything"]), Schema.Boolean],
    ([parts, json, kind, isStreamed]) => {
      const value = {
        Whole: whole(...partsOf(parts), finish),
        Streamed: streamed(...partsOf(parts), finish),
        entry: stored(json),
        anything: json
      }[kind]
      return Effect.gen(function* () {
        const { answers, isThere } = yield* Effect.provide(askedThrice(isStreamed), holding(value))
        assert.deepStrictEqual([new Set(answers).size, isThere], [1, true])
      }).pipe(Effect.provide(quiet))
    },
    { arbitrary: { runs: 40 } }
  )

  const Answer = Schema.Struct({ word: Schema.String })
  const Exclaimed = Schema.Struct({
    word: Schema.String.check(Schema.makeFilter((word: string) => word.endsWith("!")))
  })

  it.effect("asks the schema of each call, and keeps in its place what the stricter one accepts", () =>
    Effect.gen(function* () {
      let calls = 0
      const provider: ModelProvider.ModelProvider = {
        name: "scripted",
        model: "m",
        generateText: () =>
          Effect.sync((): Array<Response.PartEncoded> => {
            const word = calls++ === 0 ? "no" : "yes!"
            return [
              { type: "text", text: JSON.stringify({ word }) },
              { type: "finish", reason: "stop", usage, response: undefined }
            ]
          }),
        streamText: () => Stream.empty
      }
      const cached = yield* ResponseCache.exact(inMemory)(provider)
      const model = yield* LanguageModel.make(cached)
      const words: Array<string> = []
      for (const schema of [Answer, Exclaimed, Answer, Exclaimed]) {
        words.push((yield* model.generateObject({ prompt: "hello", schema })).value.word)
      }
      assert.deepStrictEqual([words, calls], [["no", "yes!", "yes!", "yes!"], 2])
    }).pipe(Effect.scoped)
  )

  it.effect("asks the tools of each call", () =>
    Effect.gen(function* () {
      const find = (isStrict: boolean) => {
        const id = isStrict
          ? Schema.String.check(Schema.makeFilter((id: string) => id.startsWith("k-")))
          : Schema.String
        return Toolkit.make(Tool.make("find", { parameters: Schema.Struct({ id }) }))
      }
      const handled = (isStrict: boolean) =>
        Effect.provide(find(isStrict), find(isStrict).toLayer({ find: () => Effect.void }))
      let calls = 0
      const provider: ModelProvider.ModelProvider = {
        name: "scripted",
        model: "m",
        generateText: () =>
          Effect.sync((): Array<Response.PartEncoded> => [
            { type: "tool-call", id: "1", name: "find", params: { id: calls++ === 0 ? "7" : "k-7" } },
            { type: "finish", reason: "tool-calls", usage, response: undefined }
          ]),
        streamText: () => Stream.empty
      }
      const model = yield* LanguageModel.make(yield* ResponseCache.exact(inMemory)(provider))
      const ids: Array<unknown> = []
      for (const isStrict of [false, false, true, true]) {
        const { toolCalls } = yield* model.generateText({ prompt: "hello", toolkit: handled(isStrict) })
        ids.push(toolCalls[0]?.params)
      }
      assert.deepStrictEqual([ids, calls], [[{ id: "7" }, { id: "7" }, { id: "k-7" }, { id: "k-7" }], 2])
    }).pipe(Effect.scoped)
  )
})

describe.skipIf(RedisServer.isLeftOut)("ResponseCache, of what Redis holds, (needs redis-server)", () => {
  it.live("answers each call, and stays with the store, whatever its keys hold", () =>
    Effect.gen(function* () {
      const { url } = yield* RedisServer.start
      const connected = Layer.provideMerge(Persistence.layerBackingRedis, RedisServer.connection(url))
      yield* Effect.gen(function* () {
        const redis = yield* Redis.Redis
        const { client } = yield* NodeRedis.NodeRedis
        const { provider } = scripted([{}])
        const fresh = Effect.flatMap(ResponseCache.makeShared({ ...hour, leaseFor: "1 second" }), (cache) =>
          Effect.map(cache.policy(provider), (cached) => ({ cache, cached }))
        )
        yield* asked((yield* fresh).cached, false)
        // The lease of the call may still be there.
        const keys = yield* redis.send<Array<string>>("KEYS", "*")
        const key = keys.find((each) => !each.includes("lease:")) ?? ""
        const bytes = Array.from({ length: 10 }, (_, seed) =>
          Buffer.from(Uint8Array.from({ length: 40 }, (_, at) => (seed * 7_919 + at * 104_729 + at * at * seed) % 256))
        )
        const { key: own } = JSON.parse((yield* Effect.promise(() => client.get(key))) ?? "")
        const texts = refused.slice(0, 8).map(([, value]) => JSON.stringify(under(own, value)))
        const levels = `{"key":"${own}","version":1,"storedAtMillis":${today},"answer":${"[".repeat(100_000)}${"]".repeat(100_000)}}`
        const values = [...bytes, ...texts, levels, "", "{", '{"version":1', "NaN", "x".repeat(5_000_000)]
        const puts: Array<Effect.Effect<unknown>> = values.map((value) => Effect.promise(() => client.set(key, value)))
        puts.push(Effect.promise(() => client.rPush(key, "a list")))
        puts.push(Effect.promise(() => client.hSet(key, "a", "hash")))
        for (const put of puts) {
          yield* Effect.promise(() => client.del(key))
          yield* put
          const one = yield* fresh
          const other = yield* fresh
          const answers = [yield* asked(one.cached, false), yield* asked(other.cached, true)]
          assert.deepStrictEqual([answers, (yield* one.cache.stats).storeAvailable], [["ok", "ok"], true])
          assert.strictEqual((yield* other.cache.stats).hits, 1)
        }
      }).pipe(Effect.provide(connected))
    }).pipe(Effect.scoped, Effect.provide(quiet))
  )
})
