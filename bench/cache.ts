/**
 * Measures what a cached answer costs: from memory, through Redis beside a bare GET of the same value on the same
 * connection, and what a miss adds to a call. Beside them the cache the AI SDK's pages show, a middleware with a `Map`.
 *
 * Prompt and answer are about 1 KB each. Times are medians over rounds in which every subject has its turn.
 */
import { NodeRedis } from "@effect/platform-node"
import { type LanguageModelMiddleware, wrapLanguageModel } from "ai"
import { Context, Effect, Layer, Stream } from "effect"
import { IdGenerator, type Response } from "effect/ai"
import { Persistence, Redis } from "effect/persistence"
import { ResponseCache } from "holdfast/policy"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import * as RedisServer from "../test/policy/redisServer.ts"
import { asking } from "../test/policy/scripted.ts"
import type { Row } from "./measure/table.ts"

const rounds = 9

/** The call the speed-up is measured against: 0.72 seconds, as in the documents cache speed-ups are compared by. */
const sourceMicros = 720_000

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN

const prompt = "Which of these findings explains the patient's condition? ".repeat(18)
const answer: Array<Response.PartEncoded> = [
  { type: "response-metadata", id: "r", modelId: "m", timestamp: "2026-11-21T00:00:00Z" },
  { type: "text", text: "The findings are best explained by the second one. ".repeat(20) },
  {
    type: "finish",
    reason: "stop",
    usage: { inputTokens: { total: 240 }, outputTokens: { total: 220 } },
    response: undefined
  }
]

/** A source that answers at once, so that only what is around it is measured. */
const source: ModelProvider.ModelProvider = {
  name: "bench",
  model: "m",
  settings: AiSdk.CurrentSettings,
  generateText: () => Effect.succeed(answer),
  streamText: () => Stream.empty
}

/** A request as a model makes it, for the n-th of many prompts. */
const request = (n: number) => asking(`${n} ${prompt}`)

type Subject = Effect.Effect<unknown, unknown, IdGenerator.IdGenerator>

/** The microseconds of one run of each subject; `times` runs make a round. */
const micros = Effect.fnUntraced(function* <Name extends string>(times: number, subjects: Record<Name, Subject>) {
  const all = new Map<string, Array<number>>()
  for (let round = -1; round < rounds; round++) {
    for (const [name, subject] of Object.entries<Subject>(subjects)) {
      const start = performance.now()
      for (let n = 0; n < times; n++) yield* subject
      const each = ((performance.now() - start) / times) * 1000
      if (round >= 0) all.set(name, [...(all.get(name) ?? []), each])
    }
  }
  return Object.fromEntries([...all].map(([name, values]) => [name, median(values)])) as Record<Name, number>
})

const hour = { timeToLive: "1 hour" } as const

type Model = Parameters<typeof wrapLanguageModel>[0]["model"]
type Middleware = LanguageModelMiddleware

/** As in https://ai-sdk.dev/docs/ai-sdk-core/middleware , "Caching". */
const peer = () => {
  const cache = new Map<string, unknown>()
  const middleware: Middleware = {
    wrapGenerate: async ({ doGenerate, params }) => {
      const key = JSON.stringify(params)
      const cached = cache.get(key)
      if (cached !== undefined) return cached as Awaited<ReturnType<typeof doGenerate>>
      const result = await doGenerate()
      cache.set(key, result)
      return result
    }
  }
  const model = {
    specificationVersion: "v4",
    provider: "bench",
    modelId: "m",
    supportedUrls: {},
    doGenerate: async () => ({
      content: [{ type: "text", text: "The findings are best explained by the second one. ".repeat(20) }],
      finishReason: { unified: "stop", raw: "stop" },
      usage: { inputTokens: { total: 240 }, outputTokens: { total: 220 } },
      warnings: []
    }),
    doStream: async () => Promise.reject(new Error("not asked for"))
  } as unknown as Model
  const wrapped = wrapLanguageModel({ model, middleware })
  return Effect.promise(() =>
    Promise.resolve(wrapped.doGenerate({ prompt: [{ role: "user", content: [{ type: "text", text: prompt }] }] }))
  )
}

const inMemory = Effect.gen(function* () {
  const options = yield* request(0)
  const cached = yield* ResponseCache.exact(hour)(source)
  const uncached = yield* ResponseCache.exact({ ...hour, capacity: 0 })(source)
  const times = yield* micros(5_000, {
    hit: cached.generateText(options),
    miss: uncached.generateText(options),
    call: source.generateText(options),
    peer: peer()
  })
  return [
    { figure: "hit in memory, µs", holdfast: times.hit, peer: times.peer, target: "≤ 20" },
    { figure: "a miss adds to a call, in memory, µs", holdfast: times.miss - times.call, target: "" },
    {
      figure: "hit in memory, times faster than 0.72 s",
      holdfast: Math.round(sourceMicros / times.hit),
      target: "≥ 1,265"
    }
  ]
})

const chunks = 1_000

const streams = Effect.gen(function* () {
  const options = yield* request(0)
  const parts: Array<Response.StreamPartEncoded> = [
    { type: "text-start", id: "t" },
    ...Array.from({ length: chunks }, () => ({ type: "text-delta", id: "t", delta: "found " }) as const),
    { type: "text-end", id: "t" },
    { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} }, response: undefined }
  ]
  const streaming = { ...source, streamText: () => Stream.fromArrays(...parts.map((part) => [part])) }
  const cached = yield* ResponseCache.exact(hour)(streaming)
  const uncached = yield* ResponseCache.exact({ ...hour, capacity: 0 })(streaming)
  const times = yield* micros(20, {
    call: Stream.runDrain(streaming.streamText()),
    miss: Stream.runDrain(uncached.streamText(options)),
    hit: Stream.runDrain(cached.streamText(options))
  })
  return [
    { figure: "recording a stream adds, µs a chunk", holdfast: (times.miss - times.call) / chunks, target: "" },
    { figure: "a stream from memory, µs a chunk", holdfast: times.hit / chunks, target: "" }
  ]
})

const throughRedis = Effect.gen(function* () {
  const server = yield* RedisServer.start
  const layer = Persistence.layerBackingRedis.pipe(Layer.provideMerge(NodeRedis.layer({ url: server.url })))
  const context = yield* Layer.build(layer)
  const redis = Context.get(context, Redis.Redis)
  const options = yield* request(0)
  // Without room in memory every hit goes to Redis.
  const policy = ResponseCache.shared({ ...hour, capacity: 0, storeId: "bench" })
  const cached = yield* Effect.provideContext(policy(source), context)
  yield* cached.generateText(options)
  const [key = ""] = yield* redis.send<Array<string>>("KEYS", "bench:*")
  const times = yield* micros(1_000, { get: redis.send("GET", key), hit: cached.generateText(options) })
  const value = yield* redis.send<string>("GET", key)
  let n = 1
  const missing = yield* Effect.forEach(Array.from({ length: 2_000 }), () => request(n++))
  let at = 0
  const misses = yield* micros(200, {
    miss: Effect.suspend(() => cached.generateText(missing[at++ % missing.length] ?? options))
  })
  return [
    { figure: `bare GET of the same ${value.length} bytes, µs`, holdfast: times.get, target: "" },
    { figure: "hit through Redis, µs", holdfast: times.hit, target: "" },
    { figure: "hit through Redis, times a bare GET", holdfast: times.hit / times.get, target: "≤ 2" },
    {
      figure: "hit through Redis, times faster than 0.72 s",
      holdfast: Math.round(sourceMicros / times.hit),
      target: "≥ 1,265"
    },
    { figure: "a miss adds to a call, Redis and lease, µs", holdfast: misses.miss, target: "" }
  ]
})

export const run: Effect.Effect<ReadonlyArray<Row>, unknown> = Effect.gen(function* () {
  return [...(yield* inMemory), ...(yield* streams), ...(yield* throughRedis)]
}).pipe(Effect.scoped, Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))
