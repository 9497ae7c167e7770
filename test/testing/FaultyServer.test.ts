import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import { FaultyModel, FaultyServer, LeakDetector, StreamShape } from "holdfast/testing"
import { finishOf, request, withIds } from "../../src/testing/ProviderContractStage.ts"

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
