import type { LanguageModelV4Content, LanguageModelV4GenerateResult, LanguageModelV4Usage } from "@ai-sdk/provider"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { LanguageModel, Prompt, Response } from "effect/ai"
import { toPrompt } from "../../../src/provider/ai-sdk/Prompt.ts"
import { fromResult } from "../../../src/provider/ai-sdk/Response.ts"

const usage: LanguageModelV4Usage = {
  inputTokens: { total: 10, noCache: 6, cacheRead: 3, cacheWrite: 1 },
  outputTokens: { total: 8, text: 5, reasoning: 3 },
  raw: { prompt_tokens: 10, cost: 0.25 }
}

const result = (over: Partial<LanguageModelV4GenerateResult> = {}): LanguageModelV4GenerateResult => ({
  content: [],
  finishReason: { unified: "stop", raw: "stop" },
  usage,
  warnings: [],
  ...over
})

const tools = {
  has: (name: string) => name === "Weather" || name === "search",
  readParams: (_: string, input: string) => JSON.parse(input)
}

const convert = (over: Partial<LanguageModelV4GenerateResult>, structured = false) =>
  fromResult(result(over), tools, structured)

const one = (content: LanguageModelV4Content) => convert({ content: [content] })[0]

const url = new URL("https://example.com/kelp.png")

const cases: ReadonlyArray<readonly [string, LanguageModelV4Content, Response.PartEncoded]> = [
  ["text", { type: "text", text: "Hi" }, { type: "text", text: "Hi" }],
  [
    "text with metadata, without what is not JSON",
    { type: "text", text: "Hi", providerMetadata: { openai: { itemId: "i", gone: undefined, logprobs: [null] } } },
    { type: "text", text: "Hi", metadata: { openai: { itemId: "i", logprobs: [null] } } }
  ],
  [
    "text with citations",
    {
      type: "text",
      text: "Hi",
      citations: [{ source: { type: "source", sourceType: "url", id: "s", url: url.href }, endIndex: 2 }]
    },
    {
      type: "text",
      text: "Hi",
      metadata: {
        aiSdk: {
          citations: [{ source: { type: "source", sourceType: "url", id: "s", url: url.href }, endIndex: 2 }]
        }
      }
    }
  ],
  [
    "reasoning",
    { type: "reasoning", text: "hm", providerMetadata: { anthropic: { signature: "s" } } },
    { type: "reasoning", text: "hm", metadata: { anthropic: { signature: "s" } } }
  ],
  [
    "a provider's own block",
    { type: "custom", kind: "openai.compaction", providerMetadata: { openai: { itemId: "i" } } },
    { type: "text", text: "", metadata: { openai: { itemId: "i" }, aiSdk: { custom: "openai.compaction" } } }
  ],
  [
    "a file in base64",
    { type: "file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
    { type: "file", mediaType: "image/png", data: "AQID" }
  ],
  [
    "a file in bytes",
    { type: "file", mediaType: "image/png", data: { type: "data", data: new Uint8Array([1, 2, 3]) } },
    { type: "file", mediaType: "image/png", data: "AQID" }
  ],
  [
    "a file that is a link",
    { type: "file", mediaType: "image/png", data: { type: "url", url } },
    { type: "source", sourceType: "url", id: url.href, url: url.href, title: "image/png" }
  ],
  [
    "a file of the reasoning",
    { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
    { type: "file", mediaType: "image/png", data: "AQID", metadata: { aiSdk: { reasoning: true } } }
  ],
  [
    "a source",
    { type: "source", sourceType: "url", id: "s1", url: url.href, title: "Kelp" },
    { type: "source", sourceType: "url", id: "s1", url: url.href, title: "Kelp" }
  ],
  [
    "a source without a title",
    { type: "source", sourceType: "url", id: "s1", url: url.href },
    { type: "source", sourceType: "url", id: "s1", url: url.href, title: url.href }
  ],
  [
    "a source whose address is no URL",
    { type: "source", sourceType: "url", id: "s1", url: "shelf 3" },
    { type: "source", sourceType: "document", id: "s1", mediaType: "text/uri-list", title: "shelf 3" }
  ],
  [
    "a document",
    {
      type: "source",
      sourceType: "document",
      id: "s1",
      mediaType: "application/pdf",
      title: "Tides",
      filename: "t.pdf",
      providerMetadata: { anthropic: { page: 3 } }
    },
    {
      type: "source",
      sourceType: "document",
      id: "s1",
      mediaType: "application/pdf",
      title: "Tides",
      fileName: "t.pdf",
      metadata: { anthropic: { page: 3 } }
    }
  ],
  [
    "a tool call",
    { type: "tool-call", toolCallId: "c1", toolName: "Weather", input: `{"city":"Rome"}` },
    { type: "tool-call", id: "c1", name: "Weather", params: { city: "Rome" } }
  ],
  [
    "a tool call that the provider executed",
    { type: "tool-call", toolCallId: "c1", toolName: "search", input: "{}", providerExecuted: true },
    { type: "tool-call", id: "c1", name: "search", params: {}, providerExecuted: true }
  ],
  [
    "a result of the provider's tool",
    { type: "tool-result", toolCallId: "c1", toolName: "search", result: { hits: 2 } },
    { type: "tool-result", id: "c1", name: "search", result: { hits: 2 }, isFailure: false, providerExecuted: true }
  ],
  [
    "a preliminary failure of the provider's tool",
    { type: "tool-result", toolCallId: "c1", toolName: "search", result: "no", isError: true, preliminary: true },
    {
      type: "tool-result",
      id: "c1",
      name: "search",
      result: "no",
      isFailure: true,
      providerExecuted: true,
      preliminary: true
    }
  ],
  [
    "a request for approval",
    { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" },
    { type: "tool-approval-request", approvalId: "a1", toolCallId: "c1" }
  ]
]

const decode = Schema.decodeUnknownEffect(Schema.Array(Response.Part()))

describe("content", () => {
  it.each(cases)("turns %s into a part", (_, content, expected) => {
    expect(one(content)).toEqual(expected)
  })

  it.effect.each(cases)("decodes as a part of effect/ai: %s", ([, content]) =>
    Effect.map(decode(convert({ content: [content] })), (parts) => expect(parts.length).toBe(2))
  )

  it.effect("of a tool that only the provider knows does not spoil the answer", () =>
    Effect.gen(function* () {
      const parts = convert({
        content: [
          {
            type: "tool-call",
            toolCallId: "c1",
            toolName: "mcp.find",
            input: "{}",
            providerExecuted: true,
            dynamic: true
          },
          { type: "tool-result", toolCallId: "c1", toolName: "mcp.find", result: 1, preliminary: true },
          { type: "tool-result", toolCallId: "c1", toolName: "mcp.find", result: 2 },
          { type: "text", text: "Found 2." }
        ]
      })
      const model = yield* LanguageModel.make({
        generateText: () => Effect.succeed(parts),
        streamText: () => Stream.empty
      })
      const { content, text } = yield* model.generateText({ prompt: "find" })
      expect([text, content.map((part) => part.type)]).toEqual(["Found 2.", ["text", "text", "text", "finish"]])
    })
  )

  it.effect("goes back to the model as it came, in the next turn", () => {
    const content: Array<LanguageModelV4Content> = [
      { type: "reasoning", text: "hm", providerMetadata: { anthropic: { signature: "s" } } },
      { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
      { type: "custom", kind: "openai.compaction", providerMetadata: { openai: { itemId: "i" } } },
      { type: "text", text: "Hi" },
      { type: "tool-call", toolCallId: "c1", toolName: "search", input: `{"q":"a"}`, providerExecuted: true },
      { type: "tool-result", toolCallId: "c1", toolName: "search", result: { hits: 2 } },
      {
        type: "tool-call",
        toolCallId: "c2",
        toolName: "mcp.find",
        input: `{"q":"b"}`,
        providerExecuted: true,
        dynamic: true,
        providerMetadata: { openai: { itemId: "m" } }
      },
      { type: "tool-result", toolCallId: "c2", toolName: "mcp.find", result: { hits: 3 }, dynamic: true }
    ]
    return Effect.map(decode(convert({ content })), (parts) => {
      expect(toPrompt(Prompt.fromResponseParts(parts))).toEqual([
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "hm", providerOptions: { anthropic: { signature: "s" } } },
            { type: "reasoning-file", mediaType: "image/png", data: { type: "data", data: "AQID" } },
            { type: "custom", kind: "openai.compaction", providerOptions: { openai: { itemId: "i" } } },
            { type: "text", text: "Hi" },
            { type: "tool-call", toolCallId: "c1", toolName: "search", input: { q: "a" }, providerExecuted: true },
            { type: "tool-result", toolCallId: "c1", toolName: "search", output: { type: "json", value: { hits: 2 } } },
            {
              type: "tool-call",
              toolCallId: "c2",
              toolName: "mcp.find",
              input: { q: "b" },
              providerExecuted: true,
              providerOptions: { openai: { itemId: "m" } }
            },
            {
              type: "tool-result",
              toolCallId: "c2",
              toolName: "mcp.find",
              output: { type: "json", value: { hits: 3 } }
            }
          ]
        }
      ])
    })
  })
})

describe("structured output", () => {
  const content: Array<LanguageModelV4Content> = [
    { type: "text", text: "Let me think" },
    { type: "reasoning", text: "hm" },
    { type: "text", text: `{"a":1}`, providerMetadata: { openai: { itemId: "i" } } }
  ]

  it("leaves out the drafts when the provider names the answer", () => {
    expect(convert({ content, structuredOutputText: `{"a":1}` }, true).slice(0, -1)).toEqual([
      { type: "reasoning", text: "hm" },
      { type: "text", text: `{"a":1}`, metadata: { openai: { itemId: "i" } } }
    ])
  })

  it("leaves text answers alone", () => {
    expect(convert({ content, structuredOutputText: `{"a":1}` }).length).toBe(4)
  })
})

it("metadata has no name that would change what its object is made of", () => {
  const openai = JSON.parse(`{"a":{"__proto__":{"b":1},"constructor":1}}`)
  const part = one({ type: "text", text: "Hi", providerMetadata: { openai } })
  expect(part).toEqual({ type: "text", text: "Hi", metadata: { openai: { a: { constructor: 1 } } } })
  expect(Schema.is(Schema.Json)(part?.metadata)).toBe(true)
})

describe("response metadata", () => {
  it("comes first, with id, model and time", () => {
    const timestamp = new Date("2026-11-20T10:00:00Z")
    expect(convert({ response: { id: "r1", modelId: "m1", timestamp } })[0]).toEqual({
      type: "response-metadata",
      id: "r1",
      modelId: "m1",
      timestamp: "2026-11-20T10:00:00.000Z"
    })
  })

  it.each([{ timestamp: new Date(Number.NaN) }, {}, { headers: { a: "b" } }])(
    "is left out when unknown: %j",
    (response) => {
      expect(convert({ response }).map((part) => part.type)).toEqual(["finish"])
    }
  )
})

describe("the finish part", () => {
  const finish = (over: Partial<LanguageModelV4GenerateResult> = {}) => {
    const part = convert(over).at(-1)
    if (part?.type !== "finish") throw new Error("no finish part")
    return part
  }

  it("counts tokens, cached and reasoning ones too, and keeps the provider's own count", () => {
    const part = finish()
    expect(part.usage).toEqual({
      inputTokens: { total: 10, uncached: 6, cacheRead: 3, cacheWrite: 1 },
      outputTokens: { total: 8, text: 5, reasoning: 3 }
    })
    expect(part.metadata?.["aiSdk"]).toEqual({ finishReason: "stop", usage: { prompt_tokens: 10, cost: 0.25 } })
  })

  it("leaves out counts that are unknown, below zero or no whole numbers", () => {
    const inputTokens = { total: Number.NaN, noCache: 1.5, cacheRead: undefined, cacheWrite: 0 }
    const outputTokens = { total: -1_000_000, text: -0.5, reasoning: 1 }
    const counted = finish({ usage: { ...usage, inputTokens, outputTokens } }).usage
    expect(counted).toEqual({ inputTokens: { cacheWrite: 0 }, outputTokens: { reasoning: 1 } })
  })

  it.each([
    ["stop", "end_turn", "stop"],
    ["length", "max_tokens", "length"],
    ["content-filter", "refusal", "content-filter"],
    ["tool-calls", "tool_use", "tool-calls"],
    ["error", undefined, "error"],
    ["other", "strange", "other"],
    ["interrupted", undefined, "unknown"],
    ["stop", "pause_turn", "pause"]
  ] as const)("turns %s (%s) into %s", (unified, raw, reason) => {
    expect(finish({ finishReason: { unified, raw } }).reason).toBe(reason)
  })

  it("carries the response's headers, except its cookies", () => {
    const headers = { "x-request-id": "r1", "set-cookie": "session=1" }
    expect(finish({ response: { headers } }).response).toEqual({ status: 200, headers: { "x-request-id": "r1" } })
  })

  it("carries nothing of usage and metadata that is nested too deeply to be written, and the rest", () => {
    const deep = JSON.parse(`${'{"in":'.repeat(50_000)}1${"}".repeat(50_000)}`)
    const { metadata } = finish({ usage: { ...usage, raw: { deep, cost: 1 } }, providerMetadata: { x: { deep } } })
    expect(metadata?.["aiSdk"]).toMatchObject({ usage: { cost: 1 } })
    expect(JSON.stringify(metadata).length).toBeLessThan(2_000)
  })

  it("carries the provider's metadata intact", () => {
    const raw = { choices: [{ index: 0, logprobs: null, message: { content: "Hi" } }], usage: { total: 3 } }
    expect(finish({ providerMetadata: { compatible: { raw } } }).metadata?.["compatible"]).toEqual({ raw })
  })
})
