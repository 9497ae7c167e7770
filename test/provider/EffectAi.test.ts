import { describe, expect, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Schema, Stream } from "effect"
import {
  IdGenerator,
  LanguageModel,
  Model,
  OpenAiStructuredOutput,
  Prompt,
  type Response,
  Tool,
  Toolkit
} from "effect/ai"
import { EffectAi } from "holdfast/provider"
import { StreamShape } from "holdfast/testing"
import { request } from "../../src/testing/provider-contract/Stage.ts"

const withIds = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const finish = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 1, uncached: 1 }, outputTokens: { total: 2, reasoning: 1 } },
  response: { status: 200, headers: { a: "b" } },
  metadata: { openai: { raw: { choices: [{ index: 0, logprobs: null }] } } }
} satisfies Response.FinishPartEncoded

/** A service such as others publish, that answers with these parts and notes what it was asked. */
const serviceOf = (
  parts: ReadonlyArray<Response.PartEncoded>,
  streamed: ReadonlyArray<Response.StreamPartEncoded> = [],
  codecTransformer?: LanguageModel.CodecTransformer
) => {
  const asked: Array<LanguageModel.ProviderOptions> = []
  return Effect.map(
    LanguageModel.make({
      generateText: (options) => Effect.sync(() => (asked.push(options), [...parts])),
      streamText: (options) => Stream.suspend(() => (asked.push(options), Stream.fromIterable(streamed))),
      codecTransformer
    }),
    (service) => ({ asked, service })
  )
}

const Weather = Tool.make("Weather", {
  parameters: Schema.Struct({ city: Schema.FiniteFromString }),
  success: Schema.Struct({ at: Schema.DateTimeUtcFromString })
})
const Search = Tool.providerDefined({
  id: "openai.web_search",
  customName: "search",
  providerName: "web_search",
  parameters: Schema.Struct({ query: Schema.String }),
  success: Schema.Struct({ at: Schema.DateTimeUtcFromString })
})()

const metadata = { openai: { itemId: "i" } }

const whole: ReadonlyArray<Response.PartEncoded> = [
  { type: "response-metadata", id: "r", modelId: "m", timestamp: "2026-11-20T10:00:00.000Z", metadata: {} },
  { type: "reasoning", text: "hm", metadata },
  { type: "text", text: "Hi", metadata },
  { type: "file", mediaType: "image/png", data: "AQID", metadata: {} },
  { type: "source", sourceType: "url", id: "s", url: "https://a.b/", title: "A", metadata: {} },
  {
    type: "source",
    sourceType: "document",
    id: "s",
    mediaType: "application/pdf",
    title: "A",
    fileName: "a.pdf",
    metadata: {}
  },
  { type: "tool-call", id: "c1", name: "Weather", params: { city: "12" }, providerExecuted: false, metadata: {} },
  { type: "tool-call", id: "c2", name: "search", params: { query: "kelp" }, providerExecuted: true, metadata: {} },
  {
    type: "tool-result",
    id: "c2",
    name: "search",
    result: { at: "2026-11-20T10:00:00.000Z" },
    isFailure: false,
    providerExecuted: true,
    preliminary: false,
    metadata
  },
  { type: "tool-approval-request", approvalId: "a", toolCallId: "c2", metadata: {} },
  finish
]

const streamed: ReadonlyArray<Response.StreamPartEncoded> = [
  { type: "reasoning-start", id: "1", metadata: {} },
  { type: "reasoning-delta", id: "1", delta: "hm", metadata },
  { type: "reasoning-end", id: "1", metadata: {} },
  { type: "text-start", id: "2", metadata: {} },
  { type: "text-delta", id: "2", delta: "Hi", metadata: {} },
  { type: "text-end", id: "2", metadata: {} },
  { type: "tool-params-start", id: "c1", name: "Weather", providerExecuted: false, metadata: {} },
  { type: "tool-params-delta", id: "c1", delta: `{"city":"12"}`, metadata: {} },
  { type: "tool-params-end", id: "c1", metadata: {} },
  ...whole.filter((part) => part.type !== "text" && part.type !== "reasoning")
]

const tools = [Weather, Search]

describe("what changes a service's answers", () => {
  it.effect("is read as the option says", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf(whole)
      const { settings = Effect.undefined } = EffectAi.fromService(service, { settings: Effect.succeed({ seed: 1 }) })
      expect(yield* settings).toEqual({ seed: 1 })
      expect(EffectAi.fromService(service).settings).toBeUndefined()
    })
  )
})

describe("a service's answer", () => {
  it.effect("comes back as the plain data it was made of, with no tool resolved", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf(whole)
      const call = yield* request("Hello", { tools, toolChoice: "auto" })
      expect(yield* withIds(EffectAi.fromService(service).generateText(call))).toEqual(whole)
    })
  )

  it.effect("is streamed as the plain data it was made of, with no tool resolved", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf([], streamed)
      const call = yield* request("Hello", { tools, toolChoice: "auto" })
      expect(yield* withIds(Stream.runCollect(EffectAi.fromService(service).streamText(call)))).toEqual(streamed)
    })
  )

  it.effect("with a tool call the model got wrong is left to the layer above", () =>
    Effect.gen(function* () {
      const wrong = {
        type: "tool-call",
        id: "c",
        name: "Weather",
        params: { town: 1 },
        providerExecuted: false,
        metadata: {}
      } as const
      const unknown = { ...wrong, name: "Nothing" }
      const { service } = yield* serviceOf([wrong, unknown, finish])
      const call = yield* request("Hello", { tools, toolChoice: "auto" })
      expect(yield* withIds(EffectAi.fromService(service).generateText(call))).toEqual([wrong, unknown, finish])
    })
  )

  it.effect("is resolved once when a language model stands on top", () =>
    Effect.gen(function* () {
      const call: Response.PartEncoded = { type: "tool-call", id: "c1", name: "Weather", params: { city: "12" } }
      const { service } = yield* serviceOf([call, finish])
      const toolkit = Toolkit.make(Weather)
      const ran: Array<number> = []
      const handlers = toolkit.toLayer({
        Weather: ({ city }) => Effect.sync(() => (ran.push(city), { at: DateTime.makeUnsafe(0) }))
      })
      const top = yield* LanguageModel.make({ ...EffectAi.fromService(service) })
      const response = yield* top.generateText({ prompt: "Hello", toolkit }).pipe(Effect.provide(handlers))
      expect([ran, response.toolResults.length]).toEqual([[12], 1])
    })
  )
})

describe("a service's stream", () => {
  it.effect("is made well-formed", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf([], [{ type: "text-delta", id: "1", delta: "Hi" }, finish])
      const parts = yield* withIds(Stream.runCollect(EffectAi.fromService(service).streamText(yield* request("Hello"))))
      expect(StreamShape.malformation(parts)).toBeUndefined()
    })
  )

  it.effect.each([
    ["an error part", [{ type: "error", error: { type: "overloaded_error", message: "busy" } }, finish]],
    ["no finish part", [{ type: "text-start", id: "1" }]]
  ] as const)("fails at %s", ([, parts]) =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf([], parts)
      const stream = EffectAi.fromService(service).streamText(yield* request("Hello"))
      const error = yield* Effect.flip(withIds(Stream.runDrain(stream)))
      expect([error.module, error.reason._tag, error.isRetryable]).toEqual(["EffectAi", "InternalProviderError", true])
    })
  )
})

describe("a service", () => {
  it.effect("is asked what the provider was asked", () =>
    Effect.gen(function* () {
      const { asked, service } = yield* serviceOf([finish])
      const toolChoice = { mode: "required", oneOf: ["Weather"] } as const
      const prompt: Prompt.RawInput = [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hello" }
      ]
      yield* withIds(EffectAi.fromService(service).generateText(yield* request(prompt, { tools, toolChoice })))
      expect(asked.map((options) => [options.prompt.content, options.tools, options.toolChoice])).toEqual([
        [Prompt.make(prompt).content, [Weather], toolChoice]
      ])
    })
  )
})

describe("structured output", () => {
  const Person = Schema.Struct({ name: Schema.String, nick: Schema.optionalKey(Schema.String) })
  const responseFormat = { type: "json", objectName: "person", schema: Person } as const
  const openai = OpenAiStructuredOutput.toCodecOpenAI
  const answer: ReadonlyArray<Response.PartEncoded> = [
    { type: "text", text: `{"name":"Ada",` },
    { type: "text", text: `"nick":null}` },
    finish
  ]

  it.effect("of a service that speaks a dialect of its own comes back in the schema's plain form", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf(answer, [], openai)
      const provider = EffectAi.fromService(service)
      const parts = yield* withIds(provider.generateText(yield* request("who?", { responseFormat })))
      expect(parts.flatMap((part) => (part.type === "text" ? [part.text] : []))).toEqual([`{"name":"Ada"}`])
      const top = yield* LanguageModel.make({ ...provider })
      expect((yield* top.generateObject({ prompt: "who?", schema: Person })).value).toEqual({ name: "Ada" })
    })
  )

  it.effect("can be written in another dialect, for a provider that stands in for one that speaks it", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf(answer, [], openai)
      const provider = EffectAi.fromService(service, { codecTransformer: openai })
      const parts = yield* withIds(provider.generateText(yield* request("who?", { responseFormat })))
      expect(parts.flatMap((part) => (part.type === "text" ? [JSON.parse(part.text)] : []))).toEqual([
        { name: "Ada", nick: null }
      ])
    })
  )

  it.effect("is streamed as one well-formed stream", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf(answer, [], openai)
      const call = yield* request("who?", { responseFormat })
      const parts = yield* withIds(Stream.runCollect(EffectAi.fromService(service).streamText(call)))
      expect(StreamShape.malformation(parts)).toBeUndefined()
      expect(parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []))).toEqual([`{"name":"Ada"}`])
    })
  )

  it.effect("that does not match the schema fails as such", () =>
    Effect.gen(function* () {
      const { service } = yield* serviceOf([{ type: "text", text: "Ada" }, finish])
      const call = yield* request("who?", { responseFormat })
      const error = yield* Effect.flip(withIds(EffectAi.fromService(service).generateText(call)))
      expect(error.reason._tag).toBe("StructuredOutputError")
    })
  )
})

describe("a provider's name and model", () => {
  const layer = Layer.effect(
    LanguageModel.LanguageModel,
    Effect.map(serviceOf([finish]), ({ service }) => service)
  )
  const named = EffectAi.provider().pipe(Effect.map(({ model, name }) => [name, model]))

  it.effect("are those of the layer's model", () =>
    Effect.map(Effect.provide(named, Model.make("acme", "acme-1", layer)), (names) =>
      expect(names).toEqual(["acme", "acme-1"])
    )
  )

  it.effect("have defaults when the layer says nothing", () =>
    Effect.map(Effect.provide(named, layer), (names) => expect(names).toEqual(["effect", "unknown"]))
  )

  it.effect("can be given", () =>
    Effect.gen(function* () {
      const provider = yield* EffectAi.provider({ name: "a", model: "b" })
      expect([provider.name, provider.model]).toEqual(["a", "b"])
    }).pipe(Effect.provide(layer))
  )
})
