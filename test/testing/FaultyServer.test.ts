import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import { TestClock } from "effect/testing"
import { AiSdk, Fetch, type ModelProvider } from "holdfast/provider"
import { FaultyModel, FaultyServer, LeakDetector, StreamShape } from "holdfast/testing"
import { finishOf, request, withIds } from "../../src/testing/provider-contract/Stage.ts"

type Form = "generateText" | "streamText"
type Parts = ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>
const forms: ReadonlyArray<Form> = ["generateText", "streamText"]

const providerAt = (origin: string): ModelProvider.ModelProvider =>
  AiSdk.provider(createOpenAICompatible({ name: "faulty", baseURL: `${origin}/v1`, apiKey: "none" })("faulty-1"))

/** Calls a provider; the parts are those that came before the failure, if there was one. */
const call = (provider: ModelProvider.ModelProvider, form: Form) =>
  Effect.gen(function* () {
    const options = yield* request("Hello")
    const came: Array<Parts[number]> = []
    const exit = yield* Effect.exit(
      form === "generateText"
        ? Effect.map(provider.generateText(options), (parts) => void came.push(...parts))
        : Stream.runForEach(provider.streamText(options), (part) => Effect.sync(() => void came.push(part)))
    ).pipe(withIds)
    return { came, exit }
  })

/** What a caller can tell of an outcome, but for words that describe a lost connection. */
const told = ({ came, exit }: { readonly came: Parts; readonly exit: Exit.Exit<void, AiError.AiError> }) => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  const finish = finishOf(came)
  const joined = (of: "text" | "reasoning") =>
    came
      .map((part) => (part.type === of ? part.text : part.type === `${of}-delta` && "delta" in part ? part.delta : ""))
      .join("")
  return {
    reason: error?.reason._tag,
    isRetryable: error?.isRetryable,
    retryAfter: error?.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter),
    metadata: error !== undefined && "metadata" in error.reason ? provider(error.reason.metadata) : undefined,
    status: error !== undefined && "http" in error.reason ? error.reason.http?.response?.status : undefined,
    body: error !== undefined && "http" in error.reason ? error.reason.http?.body : undefined,
    text: joined("text"),
    reasoning: joined("reasoning"),
    toolParams: came.flatMap((part) => (part.type === "tool-params-delta" ? [part.delta] : [])).join(""),
    toolCalls: came.flatMap((part) => (part.type === "tool-call" ? [[part.id, part.name, part.params]] : [])),
    finish: finish === undefined ? undefined : [finish.reason, finish.usage],
    requestId: finish?.response?.headers?.["x-request-id"]
  }
}
const provider = (metadata: unknown): unknown =>
  typeof metadata === "object" && metadata !== null && "provider" in metadata ? metadata.provider : undefined

const content: ReadonlyArray<FaultyModel.Content> = [
  { reasoning: "Where is Rome?" },
  { text: "I look it up — 海藻.", chunks: 4 },
  { toolCall: { id: "call-1", name: "Weather", params: { city: "Rome" } } }
]
const inside: ReadonlyArray<FaultyModel.PointInside> = [
  "content",
  { after: 1 },
  { after: 2, in: "text" },
  { after: 1, in: "tool-call" },
  "finish"
]
const causes: ReadonlyArray<FaultyModel.Because> = [
  "rate limited",
  "quota exhausted",
  "overloaded",
  "server error",
  "unauthorized",
  "forbidden",
  "invalid request",
  "unknown model",
  "content policy"
]
const faults: ReadonlyArray<FaultyModel.Fault> = [
  ...causes.flatMap((because): ReadonlyArray<FaultyModel.Fault> => [
    { is: "refuse", because },
    { is: "refuse", because, retryAfter: "1500 millis" },
    { is: "error", at: { after: 2 }, because },
    { is: "error", at: "content", because, retryAfter: "2 seconds" }
  ]),
  { is: "refuse", because: "overloaded", status: 529 },
  { is: "cut", at: "headers" },
  ...inside.flatMap((at): ReadonlyArray<FaultyModel.Fault> => [
    { is: "cut", at },
    { is: "end", at },
    { is: "malformed", at }
  ])
]

describe("FaultyServer behind AiSdk tells what FaultyModel tells", () => {
  const behaviours: ReadonlyArray<FaultyModel.Behaviour> = [
    {},
    { content },
    { content: [] },
    { content: [{ text: "cut by the" }], finishReason: "length", usage: { inputTokens: 7, outputTokens: 3 } },
    { content, flood: { at: { after: 2 }, count: 50 } },
    { content, flood: { at: { after: 1, in: "tool-call" }, count: 50, as: "comments" } },
    ...faults.map((fault) => ({ content, fault }))
  ]
  for (const form of forms) {
    it.live.each(behaviours)(`${form}: %j`, (behaviour) =>
      Effect.gen(function* () {
        const script = [behaviour]
        const server = yield* FaultyServer.make({ script })
        const model = yield* FaultyModel.make({ script })
        const real = yield* call(providerAt(server.origin), form)
        const played = yield* call(model.provider, form)
        assert.deepStrictEqual(told(real), told(played))
        const shape = (parts: Parts) => StreamShape.malformation(parts as ReadonlyArray<Response.StreamPartEncoded>)
        if (form === "streamText" && behaviour.fault === undefined) {
          assert.deepStrictEqual([shape(real.came), shape(played.came)], [undefined, undefined])
        }
        yield* server.awaitIdle
        const end = (seen: FaultyModel.Seen<unknown>) => [seen.calls, seen.completed, seen.failed, seen.interrupted]
        assert.deepStrictEqual(end(server.seen), end(model.seen))
      })
    )
  }
})

const post = (origin: string, path = "/v1/chat/completions", method = "POST") =>
  Effect.promise(() => Fetch.fetch(`${origin}${path}`, { method, ...(method === "POST" ? { body: "{}" } : {}) }))

/** Reads a streamed answer until it has something in it, and leaves. */
const readUntil = (origin: string, wanted: RegExp) =>
  Effect.promise(async () => {
    const response = await Fetch.fetch(`${origin}/v1/chat/completions`, { method: "POST", body: `{"stream":true}` })
    let text = ""
    for await (const piece of response.body ?? []) {
      text += Buffer.from(piece).toString()
      if (wanted.test(text) || text.length > 10_000) break
    }
    return text
  })

/** Waits, for at most two seconds of real time, until something is so. */
const until = (isSo: () => boolean) =>
  Effect.gen(function* () {
    for (let turn = 0; turn < 2_000 && !isSo(); turn++) yield* Effect.sleep(1)
    assert.isTrue(isSo(), "it did not come to that")
  })

const nowMillis = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1_000_000)

describe("FaultyServer", () => {
  for (const form of forms) {
    for (const at of ["headers", ...inside] as const) {
      it.live(`${form}, stalled at ${JSON.stringify(at)}: sees its client leave within 50 ms`, () =>
        Effect.gen(function* () {
          const fault: FaultyModel.Fault = { is: "stall", at }
          const { origin, seen } = yield* FaultyServer.make({ script: [{ content, fault }] })
          const fiber = yield* Effect.forkChild(call(providerAt(origin), form))
          yield* until(() => seen.open === 1)
          yield* Effect.sleep("20 millis")
          assert.strictEqual(seen.open, 1)
          const left = yield* nowMillis
          yield* Fiber.interrupt(fiber)
          // 25 turns of a millisecond or two, and not 50 ms: a busy machine may take that time for itself.
          for (let turn = 0; turn < 25 && seen.open > 0; turn++) yield* Effect.sleep(1)
          assert.deepStrictEqual([seen.interrupted, seen.log[0]?.ended], [1, "interrupted"])
          assert.isAtLeast(seen.log[0]?.endMillis ?? 0, left)
          yield* until(() => seen.openConnections === 0)
        })
      )
    }
  }

  it.effect("lives by the real clock in a test with a virtual one", () =>
    Effect.gen(function* () {
      const { origin, seen } = yield* FaultyServer.make({ script: [{ latency: { headers: 20 } }] })
      const { exit } = yield* call(providerAt(origin), "generateText")
      assert.isTrue(Exit.isSuccess(exit))
      assert.isAtLeast((seen.log[0]?.endMillis ?? 0) - (seen.log[0]?.startMillis ?? 0), 19)
    })
  )

  it.live("takes the time it is told to", () =>
    Effect.gen(function* () {
      // So long before the content that a busy machine has brought the headers by then.
      const latency = { headers: 30, content: 500, gap: 10 }
      const { origin, seen } = yield* FaultyServer.make({ script: [{ latency, content: [{ text: "abc" }] }] })
      const times: Array<readonly [string, number]> = []
      const options = yield* request("Hello")
      yield* providerAt(origin)
        .streamText(options)
        .pipe(
          Stream.runForEach((part) => Effect.map(nowMillis, (now) => void times.push([part.type, now]))),
          withIds
        )
      const start = seen.log[0]?.startMillis ?? 0
      const first = (type: string) => (times.find(([found]) => found === type)?.[1] ?? 0) - start
      assert.isAtLeast(first("response-metadata"), 29)
      assert.isAtLeast(first("text-delta"), 529)
      assert.isAtLeast(first("finish"), 559)
      assert.isBelow(first("response-metadata"), 529)
    })
  )

  it.live("keeps a stalled stream alive with comments, which a client does not tell", () =>
    Effect.gen(function* () {
      for (const [as, body] of [
        ["comments", /^data: .*\n\n(: ping\n\n){3}/],
        ["empty deltas", /^data: .*\n\n(data: .*"delta":\{"content":""\}.*\n\n){3}/]
      ] as const) {
        const fault: FaultyModel.Fault = { is: "stall", at: "content", keepAlive: { every: 5, as } }
        const { awaitIdle, origin } = yield* FaultyServer.make({ script: [{ fault }] })
        const text = yield* readUntil(origin, body)
        yield* awaitIdle
        assert.match(text, body)
      }
    })
  )

  it.live("sends no more than its client reads", () =>
    Effect.gen(function* () {
      const { awaitIdle, origin, seen } = yield* FaultyServer.make({
        script: [{ flood: { at: "content", count: 100_000 } }] // about 17 MB
      })
      const url = `${origin}/v1/chat/completions`
      const response = yield* Effect.promise(() => Fetch.fetch(url, { method: "POST", body: `{"stream":true}` }))
      yield* Effect.sleep("1 second")
      assert.strictEqual(seen.open, 1)
      const text = yield* Effect.promise(() => response.text())
      yield* awaitIdle
      assert.deepStrictEqual([text.match(/"content":""/g)?.length, seen.completed], [100_001, 1])
    })
  )

  it.live("stops in the middle when its client leaves, and keeps no fiber for it", () =>
    Effect.gen(function* () {
      const detector = yield* LeakDetector.make
      const flood = { at: "content", count: 10_000_000 } as const
      const script = [{ flood }, { fault: { is: "stall", at: "headers" } }, { latency: { headers: "1 hour" } }] as const
      const { awaitIdle, origin, seen } = yield* detector.watch(FaultyServer.make({ script }))
      const idle = yield* detector.liveFibers
      const options = yield* request("Hello")
      const parts = yield* providerAt(origin).streamText(options).pipe(Stream.take(1), Stream.runCollect, withIds)
      assert.strictEqual(parts.length, 1)
      yield* awaitIdle
      for (const form of forms) {
        const fiber = yield* Effect.forkChild(call(providerAt(origin), form))
        yield* until(() => seen.open === 1)
        assert.strictEqual(yield* detector.liveFibers, idle + 1)
        yield* Fiber.interrupt(fiber)
        yield* awaitIdle
      }
      assert.deepStrictEqual([seen.interrupted, yield* detector.liveFibers], [3, idle])
    })
  )

  it.live("lets connections be used again", () =>
    Effect.gen(function* () {
      const { origin, seen } = yield* FaultyServer.make()
      for (let run = 0; run < 10; run++) yield* call(providerAt(origin), "generateText")
      assert.deepStrictEqual([seen.calls, seen.completed], [10, 10])
      assert.isBelow(seen.connections, 5) // a new one each time would make 10
    })
  )

  it.live("shows what was asked, and by whom the script may decide", () =>
    Effect.gen(function* () {
      const { origin, seen } = yield* FaultyServer.make({
        script: ({ request: { body } }) => ({
          content: [{ text: JSON.stringify(body).includes("Hello") ? "yes" : "no" }]
        })
      })
      const { came } = yield* call(providerAt(origin), "streamText")
      assert.strictEqual(told({ came, exit: Exit.void }).text, "yes")
      const [entry] = seen.log
      assert.deepStrictEqual([entry?.request.path, entry?.method], ["/v1/chat/completions", "streamText"])
      assert.strictEqual(entry?.request.headers.authorization, "Bearer none")
    })
  )

  it.live("has only the one address", () =>
    Effect.gen(function* () {
      const { origin, seen } = yield* FaultyServer.make()
      assert.strictEqual((yield* post(origin, "/v1/models", "GET")).status, 404)
      assert.strictEqual((yield* post(origin, "/v1/embeddings")).status, 404)
      assert.strictEqual(seen.calls, 0)
    })
  )

  it.live("leaves nothing behind, with clients in the middle of everything", () => {
    const behaviours = FaultyModel.fromSeed(3)
    const program = Effect.gen(function* () {
      const { origin, seen } = yield* FaultyServer.make({ script: behaviours })
      for (let run = 0; run < 20; run++)
        yield* Effect.forkScoped(call(providerAt(origin), forms[run % 2] ?? "streamText"))
      yield* until(() => seen.calls === 20)
      yield* Effect.sleep("20 millis")
      assert.isAbove(seen.open, 0)
    })
    return LeakDetector.check(Effect.scoped(program))
  })
})

describe("FaultyServer.bucket", () => {
  it.live("lets a burst through, refuses what is too much, and says how it stands", () =>
    Effect.gen(function* () {
      const bucket = FaultyServer.bucket({ perSecond: 1, burst: 3 })
      const { origin, seen } = yield* FaultyServer.make({ script: bucket.script })
      const answers = yield* Effect.all(
        Array.from({ length: 5 }, () => post(origin)),
        { concurrency: 5 }
      )
      const ok = answers.filter(({ status }) => status === 200)
      const refused = answers.filter(({ status }) => status === 429)
      assert.deepStrictEqual([ok.length, refused.length], [3, 2])
      assert.deepStrictEqual(ok.map(({ headers }) => headers.get("x-ratelimit-remaining-requests")).toSorted(), [
        "0",
        "1",
        "2"
      ])
      assert.deepStrictEqual(
        refused.map(({ headers }) => headers.get("retry-after")),
        ["1", "1"]
      )
      assert.match(refused[0]?.headers.get("x-ratelimit-reset-requests") ?? "", /^(29\d\d|3000)ms$/)
      assert.deepStrictEqual({ ...bucket.seen }, { admitted: 3, refused: 2 })
      assert.deepStrictEqual([seen.completed, seen.failed], [3, 2])
      assert.strictEqual(
        FaultyServer.mostWithin(
          seen.log.map(({ startMillis }) => startMillis),
          "1 second"
        ),
        5
      )
    })
  )

  it.effect("fills up by the clock, at the rate of the moment, and no further than the burst", () =>
    Effect.gen(function* () {
      const bucket = FaultyServer.bucket({ perSecond: 10, burst: 4 })
      const model = yield* FaultyModel.make({ script: bucket.script })
      const admitted = Effect.gen(function* () {
        const before = bucket.seen.admitted
        for (let run = 0; run < 20; run++) yield* call(model.provider, "generateText")
        return bucket.seen.admitted - before
      })
      assert.strictEqual(yield* admitted, 4)
      yield* TestClock.adjust("200 millis")
      assert.strictEqual(yield* admitted, 2)
      yield* TestClock.adjust("200 millis")
      yield* bucket.setRate(1) // what was gained until now was gained at the old rate
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* admitted, 3)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* admitted, 4)
    })
  )

  it("refuses rates and bursts that make no sense", () => {
    assert.throws(
      () => FaultyServer.bucket({ perSecond: -1 }),
      RangeError,
      "Bucket option perSecond must be a finite number of at least 0, got -1"
    )
    assert.throws(
      () => FaultyServer.bucket({ perSecond: 1, burst: 0 }),
      RangeError,
      "Bucket option burst must be a finite number of at least 1, got 0"
    )
  })
})

describe("FaultyServer.mostWithin", () => {
  it("counts the moments of the fullest window, whose end is not part of it", () => {
    assert.strictEqual(FaultyServer.mostWithin([], "20 millis"), 0)
    assert.strictEqual(FaultyServer.mostWithin([0, 20, 40], "20 millis"), 1)
    assert.strictEqual(FaultyServer.mostWithin([0, 1, 30, 31, 32, 60], "20 millis"), 3)
  })
})
