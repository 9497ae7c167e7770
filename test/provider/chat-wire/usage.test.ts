/** What an answer cost, in whatever pieces its server says it, also when the answer failed: it is billed all the same. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { WireBytes } from "holdfast/core"
import { SpendBudget } from "holdfast/policy"
import { AiSdk, ChatWire, Fetch, type ModelProvider } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { read } from "./answers.ts"
import { type Answering, chunk, completion, events, type Fields, json, serving } from "./oddSaying.ts"

const usageIn = (...chunks: ReadonlyArray<Fields>) => {
  const lines = [...chunks, chunk({ content: "x" }, "stop")].map((each) => `data: ${JSON.stringify(each)}\n\n`)
  const finish = read([Buffer.from(lines.join(""))]).at(-1)
  assert(finish?.type === "finish")
  const { inputTokens, outputTokens } = finish.usage
  return [inputTokens.total, inputTokens.cacheRead, outputTokens.total, outputTokens.reasoning]
}

const of = (usage: unknown): Fields => ({ choices: [], usage })
const counts = (prompt: number, completion: number, more: Fields = {}) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  ...more
})

describe("usage that comes in several places", () => {
  const cached = counts(16_111, 2, { prompt_tokens_details: { cached_tokens: 15_872 } })
  it.each<readonly [string, ReadonlyArray<Fields>, ReadonlyArray<number | undefined>]>([
    ["details first, and then none", [of(cached), of(counts(16_111, 2))], [16_111, 15_872, 2, undefined]],
    [
      "details that are null",
      [of(cached), of(counts(16_111, 2, { prompt_tokens_details: null }))],
      [16_111, 15_872, 2, undefined]
    ],
    ["the rest at the end", [of(counts(100, 0)), of({ completion_tokens: 5 })], [100, undefined, 5, undefined]],
    ["zeros at the end", [of(counts(100, 5)), of(counts(0, 0))], [100, undefined, 5, undefined]],
    ["counts that grow", [of(counts(100, 1)), of(counts(100, 2)), of(counts(100, 3))], [100, undefined, 3, undefined]],
    [
      "other details later",
      [of(cached), of({ completion_tokens_details: { reasoning_tokens: 1 } })],
      [16_111, 15_872, 2, 1]
    ],
    [
      "Groq's own field, and the usual one",
      [{ ...chunk({}), x_groq: { usage: { prompt_tokens: 11 } } }, of({ completion_tokens: 3 })],
      [11, undefined, 3, undefined]
    ]
  ])("%s", (_, chunks, wanted) => assert.deepStrictEqual(usageIn(...chunks), wanted))

  it("counts reasoning that its server counts beside the rest, as its total tells", () => {
    const details = { completion_tokens_details: { reasoning_tokens: 386 } }
    assert.deepStrictEqual(usageIn(of({ ...counts(12, 1, details), total_tokens: 399 })), [12, undefined, 387, 386])
    assert.deepStrictEqual(usageIn(of(counts(12, 387, details))), [12, undefined, 387, 386])
  })

  const Count = Schema.Literals([0, 1, 7, 500])
  const Usage = Schema.Struct({
    prompt_tokens: Schema.optional(Count),
    completion_tokens: Schema.optional(Count),
    prompt_tokens_details: Schema.optional(Schema.Struct({ cached_tokens: Schema.optional(Count) })),
    completion_tokens_details: Schema.optional(Schema.Struct({ reasoning_tokens: Schema.optional(Count) }))
  })
  it.prop("loses no number", [Schema.Array(Usage)], ([said]) => {
    const last = (count: (usage: typeof Usage.Type) => number | undefined) =>
      said.reduce<number | undefined>((before, usage) => count(usage) || (before ?? count(usage)), undefined)
    assert.deepStrictEqual(usageIn(...said.map(of)), [
      last((usage) => usage.prompt_tokens),
      last((usage) => usage.prompt_tokens_details?.cached_tokens),
      last((usage) => usage.completion_tokens),
      last((usage) => usage.completion_tokens_details?.reasoning_tokens)
    ])
  })
})

describe("an answer that failed is booked by what it says it used", () => {
  const usage = counts(1_000, 500)
  const said = chunk({ content: "half" })
  const rows: ReadonlyArray<readonly [name: string, whole: Answering, streamed: Answering | undefined]> = [
    [
      "it ends with an error",
      json(completion({ content: "half" }, "error", { usage })),
      events(said, of(usage), chunk({}, "error"))
    ],
    [
      "its tool call cannot be read",
      json(completion({ content: null }, "MALFORMED_FUNCTION_CALL", { usage })),
      events(of(usage), chunk({}, "MALFORMED_FUNCTION_CALL"))
    ],
    ["it has no choices", json({ choices: [], usage }), events(of(usage), "data: [DONE]\n\n")],
    [
      "it has an error beside its usage",
      json({ error: { message: "overloaded", code: 502 }, usage }),
      events(said, of(usage), { error: { message: "overloaded", code: 502 } })
    ]
  ]
  const bookedBy = (provider: ModelProvider.ModelProvider, streamed: boolean) =>
    Effect.gen(function* () {
      const budget = yield* SpendBudget.make({ tokens: 1e9 })
      const limited = yield* budget.policy(provider)
      const asked = yield* request("hi")
      const call = streamed ? Stream.runDrain(limited.streamText(asked)) : Effect.asVoid(limited.generateText(asked))
      const bytes = { body: Buffer.from("{}"), prompt: asked.prompt }
      const isRaw = provider.model === "raw"
      yield* Effect.flip(isRaw ? Effect.provideService(call, WireBytes.Current, bytes) : call)
      return yield* budget.spent()
    }).pipe(Effect.scoped, withIds)
  const exactly = { tokens: 1_500, money: 0, estimatedTokens: 0 }
  for (const [name, whole, streamed] of rows) {
    it.live(`although ${name}`, () =>
      Effect.gen(function* () {
        const [wholePort, streamedPort] = [yield* serving(whole), yield* serving(streamed ?? whole)]
        const wire = (port: number) => ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m" })
        assert.deepStrictEqual(yield* bookedBy(wire(wholePort), false), exactly)
        assert.deepStrictEqual(yield* bookedBy(wire(streamedPort), true), exactly)
      })
    )
  }

  it.live("through raw bytes and the bridge too", () =>
    Effect.gen(function* () {
      const baseUrl = `http://127.0.0.1:${yield* serving(json(completion({ content: "half" }, "error", { usage })))}/v1`
      const vendor = createOpenAICompatible({ name: "m", baseURL: baseUrl, fetch: Fetch.fetch })
      assert.deepStrictEqual(yield* bookedBy(AiSdk.provider(vendor("m")), false), exactly)
      assert.deepStrictEqual(yield* bookedBy(AiSdk.provider(vendor("m")), true), exactly)
      assert.deepStrictEqual(yield* bookedBy(ChatWire.raw({ baseUrl, model: "raw" }), false), exactly)
    })
  )

  it.live("by an estimate when it was cut off, and not at all when it was refused", () =>
    Effect.gen(function* () {
      const provider = (answer: Answering) =>
        Effect.map(serving(answer), (port) => ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m" }))
      const cut = yield* bookedBy(yield* provider((response) => void response.end('{"choices":[{"mess')), false)
      assert.isAbove(cut.tokens, 0)
      assert.strictEqual(cut.estimatedTokens, cut.tokens)
      const refused = yield* provider(json({ error: { message: "overloaded", type: "server_error" } }))
      assert.strictEqual((yield* bookedBy(refused, false)).tokens, 0)
    })
  )
})
