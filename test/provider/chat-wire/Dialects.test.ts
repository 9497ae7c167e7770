import { assert, describe, it } from "@effect/vitest"
import { createServer } from "node:http"
import { Effect, Schema } from "effect"
import { Prompt, Tool } from "effect/ai"
import { ChatWire } from "holdfast/provider"
import * as Dialects from "../../../src/provider/chat-wire/Dialects.ts"
import * as RequestBody from "../../../src/provider/chat-wire/RequestBody.ts"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { completion } from "../../sockets/openaiWire.ts"
import { listening } from "../../sockets/listening.ts"

const settings = {
  maxOutputTokens: 9,
  topK: 1,
  seed: 2,
  presencePenalty: 0.1,
  frequencyPenalty: 0.2,
  stopSequences: ["x"]
} as const
const tool = Tool.make("T", { parameters: Schema.Struct({ x: Schema.String }) }).annotate(Tool.Strict, true)

const bodyOf = (dialect: Dialects.Dialect) =>
  RequestBody.of(
    {
      prompt: Prompt.make("hi"),
      tools: [tool],
      toolChoice: "required",
      responseFormat: { type: "json", objectName: "Kelp", schema: Schema.Struct({ x: Schema.String }) },
      // The body of a request says nothing of its span.
      span: undefined as never,
      incrementalPrompt: undefined,
      previousResponseId: undefined
    },
    settings,
    { name: "mine", model: "m", dialect: Dialects.resolve(undefined, dialect) },
    true
  )

describe("a dialect", () => {
  it("says nothing: all is sent, as most servers have it", () => {
    const { fields, leftOut } = bodyOf({})
    assert.deepStrictEqual(leftOut, [])
    assert.deepInclude(fields, {
      max_tokens: 9,
      top_k: 1,
      seed: 2,
      presence_penalty: 0.1,
      frequency_penalty: 0.2,
      stop: ["x"],
      tool_choice: "required",
      stream_options: { include_usage: true }
    })
    assert.nestedPropertyVal(fields, "tools[0].function.strict", true)
    assert.nestedPropertyVal(fields, "response_format.type", "json_schema")
  })

  it("maxTokens names the field", () => {
    const { fields } = bodyOf({ maxTokens: "max_completion_tokens" })
    assert.deepInclude(fields, { max_completion_tokens: 9 })
    assert.notProperty(fields, "max_tokens")
  })

  it("structuredOutput asks for any JSON, or for none", () => {
    assert.deepInclude(bodyOf({ structuredOutput: "object" }).fields, { response_format: { type: "json_object" } })
    assert.notProperty(bodyOf({ structuredOutput: "none" }).fields, "response_format")
  })

  it("streamUsage, strictTools, requiredTool", () => {
    const { fields } = bodyOf({ streamUsage: false, strictTools: false, requiredTool: "any" })
    assert.notProperty(fields, "stream_options")
    assert.notNestedProperty(fields, "tools[0].function.strict")
    assert.deepInclude(fields, { tool_choice: "any" })
  })

  it("lacks leaves settings out, and says which", () => {
    const lacks = ["topK", "seed", "presencePenalty", "frequencyPenalty", "stopSequences"] as const
    const { fields, leftOut } = bodyOf({ lacks })
    assert.sameMembers([...leftOut], [...lacks])
    for (const name of ["top_k", "seed", "presence_penalty", "frequency_penalty", "stop"])
      assert.notProperty(fields, name)
  })
})

describe("a known server", () => {
  it.each([
    ["api.openai.com", "openai"],
    ["kelp.openai.azure.com", "azure"],
    ["kelp.services.ai.azure.com", "azure"],
    ["api.mistral.ai", "mistral"],
    ["eu.api.mistral.ai", "mistral"],
    ["notapi.openai.com", undefined],
    ["api.openai.com.evil.test", undefined],
    ["127.0.0.1", undefined]
  ])("%s", (host, name) => assert.strictEqual(Dialects.ofHost(host)?.name, name))

  it("is found by its own host and models, and no two have the same", () => {
    const all = ChatWire.knownServers.map(({ host, model = "" }) => `${host} ${model}`)
    assert.strictEqual(new Set(all).size, all.length)
    for (const server of ChatWire.knownServers) assert.strictEqual(Dialects.ofHost(server.host, server.model), server)
  })

  it("speaks its dialect, and what is said of it wins", () => {
    const azure = Dialects.ofHost("kelp.openai.azure.com")?.dialect
    assert.deepInclude(Dialects.resolve(azure, { auth: undefined }), {
      auth: "api-key",
      maxTokens: "max_completion_tokens"
    })
    assert.strictEqual(Dialects.resolve(azure, { auth: "bearer" }).auth, "bearer")
  })
})

it.live("Azure is asked at its deployment, by api-version, with api-key and nothing else that is secret", () =>
  Effect.gen(function* () {
    const seen: Array<ReadonlyArray<unknown>> = []
    const port = yield* listening(
      createServer((asked, response) => {
        seen.push([asked.url, asked.headers["api-key"], asked.headers.authorization])
        asked.resume().on("end", () => response.end(completion("hi")))
      })
    )
    const provider = ChatWire.provider({
      baseUrl: `http://127.0.0.1:${port}/openai/deployments/kelp`,
      query: { "api-version": "2024-10-21" },
      apiKey: "0123456789abcdef",
      model: "gpt-5-mini",
      proxy: false,
      dialect: Dialects.ofHost("kelp.openai.azure.com")?.dialect,
      name: "azure"
    })
    yield* provider.generateText(yield* request("hi"))
    const url = "/openai/deployments/kelp/chat/completions?api-version=2024-10-21"
    assert.deepStrictEqual(seen, [[url, "0123456789abcdef", undefined]])
  }).pipe(withIds)
)
