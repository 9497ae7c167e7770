import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible, type OpenAICompatibleProviderSettings } from "@ai-sdk/openai-compatible"
import { LLMock } from "@copilotkit/aimock"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Logger, Schema, Stream } from "effect"
import { IdGenerator, LanguageModel, Tool, Toolkit } from "effect/ai"
import { AiSdk } from "holdfast/provider"
import { WireTap } from "holdfast/testing"
import { request } from "../../src/testing/provider-contract/Stage.ts"
import { server } from "../contracts/aimock.ts"

const apiKey = "not-a-secret"

const compatible = (origin: string, options: Partial<OpenAICompatibleProviderSettings> = {}) =>
  createOpenAICompatible({ name: "mine", baseURL: `${origin}/v1`, apiKey, ...options })("model-x")

const tapped = Effect.flatMap(server, WireTap.make)

/** A language model on OpenAI's format whose server gives the same answer to everything. */
const replying = (response: Parameters<LLMock["on"]>[1]) =>
  Effect.gen(function* () {
    const mock = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent" }).on({}, response)
        await mock.start()
        return mock
      }),
      (mock) => Effect.promise(() => mock.stop())
    )
    const tap = yield* WireTap.make(mock.url)
    const model = createOpenAI({ baseURL: `${tap.origin}/v1`, apiKey }).chat("gpt-4o")
    return { tap, model: yield* LanguageModel.make({ ...AiSdk.provider(model) }) }
  })

const withIds = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const body = (tap: WireTap.WireTap) => Effect.map(tap.take, (exchange) => exchange.body)

describe("a provider's name and model", () => {
  it.each([
    [createOpenAI({ apiKey })("gpt-5-mini"), undefined, "openai", "gpt-5-mini"],
    [createAnthropic({ apiKey })("claude-sonnet-4-5"), undefined, "anthropic", "claude-sonnet-4-5"],
    [compatible("http://127.0.0.1:1"), undefined, "mine", "model-x"],
    [compatible("http://127.0.0.1:1"), "ours", "ours", "model-x"]
  ] as const)("are taken from the model", (model, name, expectedName, expectedModel) => {
    const provider = AiSdk.provider(model, { name })
    expect([provider.name, provider.model]).toEqual([expectedName, expectedModel])
  })
})

describe("settings", () => {
  it.effect("are told to whom keys answers: the provider's and the call's together", () =>
    Effect.gen(function* () {
      const { settings = Effect.undefined } = AiSdk.provider(compatible("http://127.0.0.1:1"), {
        settings: { temperature: 0.5, seed: 1 }
      })
      expect(yield* settings).toEqual({ temperature: 0.5, seed: 1 })
      expect(yield* AiSdk.withSettings(settings, { temperature: 0 })).toEqual({ temperature: 0, seed: 1 })
    })
  )

  it.effect("are sent with every call, and a call's own win field by field", () =>
    Effect.gen(function* () {
      const tap = yield* tapped
      const provider = AiSdk.provider(compatible(tap.origin), {
        settings: {
          temperature: 0.5,
          maxOutputTokens: 100,
          stopSequences: ["END"],
          headers: { "x-a": "1", "x-b": "1" },
          providerOptions: { mine: { user: "u-1", service_tier: "flex" } }
        }
      })
      const call = yield* request("contract: plain")
      yield* provider.generateText(call)
      expect(yield* body(tap)).toMatchObject({
        temperature: 0.5,
        max_tokens: 100,
        stop: ["END"],
        user: "u-1",
        service_tier: "flex"
      })
      yield* provider
        .generateText(call)
        .pipe(
          AiSdk.withSettings({ temperature: 0, seed: undefined, providerOptions: { mine: { user: "u-2" } } }),
          AiSdk.withSettings({ temperature: 1, maxOutputTokens: 7 })
        )
      expect(yield* body(tap)).toMatchObject({ temperature: 0, max_tokens: 7, user: "u-2", service_tier: "flex" })
    }).pipe(withIds)
  )

  it.effect("reach the request as headers too", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const origin = yield* server
      const model = compatible(origin, {
        fetch: (url, init) => {
          const headers = new Headers(init?.headers)
          seen.push(["x-a", "x-b", "x-c"].map((name) => headers.get(name)))
          return fetch(url, init)
        }
      })
      const provider = AiSdk.provider(model, { settings: { headers: { "x-a": "1", "x-b": "1" } } })
      const call = yield* request("contract: plain")
      yield* AiSdk.withSettings(provider.generateText(call), { headers: { "x-b": "2", "x-c": "2" } })
      expect(seen).toEqual([["1", "2", "2"]])
    }).pipe(withIds)
  )

  it.effect("reach streams, and calls made by a language model on top", () =>
    Effect.gen(function* () {
      const tap = yield* tapped
      const model = yield* LanguageModel.make({ ...AiSdk.provider(compatible(tap.origin)) })
      yield* model
        .streamText({ prompt: "contract: plain" })
        .pipe(AiSdk.withStreamSettings({ seed: 4 }), Stream.runDrain)
      expect(yield* body(tap)).toMatchObject({ stream: true, seed: 4 })
      yield* model.streamText({ prompt: "contract: plain" }).pipe(Stream.runDrain, AiSdk.withSettings({ seed: 5 }))
      expect(yield* body(tap)).toMatchObject({ stream: true, seed: 5 })
    })
  )

  it.effect("can replace the request's body and bring the raw answer back", () =>
    Effect.gen(function* () {
      const tap = yield* tapped
      const raw = {
        model: "exact",
        messages: [{ role: "user", content: "contract: plain" }],
        logit_bias: { "50256": -100 }
      }
      const model = compatible(tap.origin, {
        transformRequestBody: ({ raw: exact, ...usual }) => exact ?? usual,
        metadataExtractor: {
          extractMetadata: ({ parsedBody }) =>
            Promise.resolve({ mine: { raw: JSON.parse(JSON.stringify(parsedBody)) } }),
          createStreamExtractor: () => ({ processChunk: () => {}, buildMetadata: () => undefined })
        }
      })
      const call = yield* request("ignored")
      const parts = yield* AiSdk.withSettings(AiSdk.provider(model).generateText(call), {
        providerOptions: { mine: { raw } }
      })
      expect(yield* body(tap)).toEqual(raw)
      const finish = parts.at(-1)
      expect(finish?.type === "finish" && finish.metadata?.["mine"]).toMatchObject({
        raw: {
          object: "chat.completion",
          model: "exact",
          choices: [{ message: { role: "assistant", content: "Anchors hold what currents would carry away." } }]
        }
      })
    }).pipe(withIds)
  )
})

describe("warnings of a model", () => {
  const warningsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      yield* Effect.provide(effect, Logger.layer([logger]))
      return logged
    })

  it.effect("are logged once, however often it is called", () =>
    Effect.gen(function* () {
      const provider = AiSdk.provider(compatible(yield* server), { settings: { topK: 3 } })
      const call = yield* request("contract: plain")
      const logged = yield* warningsOf(
        Effect.all([
          provider.generateText(call),
          provider.generateText(call),
          Stream.runDrain(provider.streamText(call))
        ])
      )
      expect(logged).toEqual(["mine.chat model-x: topK is not supported"])
    }).pipe(withIds)
  )
})

describe("structured output", () => {
  const Person = Schema.Struct({ name: Schema.String, nick: Schema.optionalKey(Schema.String) })

  it.effect.each([
    ["OpenAI", (origin: string) => createOpenAI({ baseURL: `${origin}/v1`, apiKey }).chat("gpt-4o"), ["name", "nick"]],
    ["any other provider", (origin: string) => compatible(origin, { supportsStructuredOutputs: true }), ["name"]]
  ] as const)("asks %s in its own dialect of JSON Schema", ([, model, required]) =>
    Effect.gen(function* () {
      const tap = yield* tapped
      const provider = AiSdk.provider(model(tap.origin))
      const responseFormat = { type: "json", objectName: "person", schema: Person } as const
      yield* Effect.flatMap(request("contract: object", { responseFormat }), provider.generateText)
      expect(yield* body(tap)).toMatchObject({
        response_format: { type: "json_schema", json_schema: { name: "person", schema: { required } } }
      })
    }).pipe(withIds)
  )

  it.effect("reads the answer in the dialect it was asked in", () =>
    Effect.gen(function* () {
      const { model } = yield* replying({ content: `{"name":"Ada","nick":null}` })
      const { value } = yield* model.generateObject({ prompt: "who?", schema: Person })
      expect(value).toEqual({ name: "Ada" })
    })
  )

  it.effect("that the provider cannot express fails before anything is sent", () =>
    Effect.gen(function* () {
      const { model, tap } = yield* replying({ content: "{}" })
      const error = yield* Effect.flip(
        model.generateObject({ prompt: "who?", schema: Schema.Record(Schema.String, Person) })
      )
      expect([error.reason._tag, yield* tap.count]).toEqual(["UnsupportedSchemaError", 0])
    })
  )
})

describe("tools", () => {
  const Weather = Tool.make("Weather", {
    parameters: Schema.Struct({ city: Schema.String, days: Schema.optionalKey(Schema.Finite) }),
    success: Schema.String
  }).annotate(Tool.Strict, true)
  const toolkit = Toolkit.make(Weather)

  it.effect("that are strict get the parameters they asked for, not the provider's dialect of them", () =>
    Effect.gen(function* () {
      const { model, tap } = yield* replying({
        toolCalls: [{ name: "Weather", arguments: { city: "Rome", days: null } }]
      })
      const given: Array<unknown> = []
      const handlers = toolkit.toLayer({ Weather: (params) => Effect.sync(() => String(given.push(params))) })
      yield* model.generateText({ prompt: "weather?", toolkit }).pipe(Effect.provide(handlers))
      yield* model.streamText({ prompt: "weather?", toolkit }).pipe(Stream.runDrain, Effect.provide(handlers))
      expect(given).toEqual([{ city: "Rome" }, { city: "Rome" }])
      expect(yield* body(tap)).toMatchObject({
        tools: [{ function: { strict: true, parameters: { required: ["city", "days"] } } }]
      })
    })
  )

  it.effect("called with text that is not JSON fail as a tool call the model got wrong", () =>
    Effect.gen(function* () {
      const { model } = yield* replying({ toolCalls: [{ name: "Weather", arguments: `{"city":"Ro` }] })
      const handlers = toolkit.toLayer({ Weather: () => Effect.succeed("sun") })
      const error = yield* model
        .generateText({ prompt: "weather?", toolkit })
        .pipe(Effect.provide(handlers), Effect.flip)
      expect(error.reason._tag).toBe("ToolParameterValidationError")
    })
  )
})
