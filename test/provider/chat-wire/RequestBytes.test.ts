import { assert, describe, it } from "@effect/vitest"
import { Context, Option, Schema, Tracer } from "effect"
import { type LanguageModel, Prompt, Tool } from "effect/ai"
import type { WireBytes } from "holdfast/core"
import type { ChatWire } from "holdfast/provider"
import * as Dialects from "../../../src/provider/chat-wire/Dialects.ts"
import * as RequestBytes from "../../../src/provider/chat-wire/RequestBytes.ts"

const prompt = Prompt.make("hi")
const target = (dialect: Dialects.Dialect = {}) => ({
  name: "mine",
  model: 'o"urs',
  dialect: Dialects.resolve(undefined, dialect)
})

const sent = (body: string, streamed = true, dialect: Dialects.Dialect = {}) => {
  const request = { prompt, body: Buffer.from(body), spliceModel: true, spliceUsage: true }
  return written(request, {}, {}, streamed, dialect)
}

const plain = {
  prompt,
  tools: [],
  toolChoice: "auto",
  responseFormat: { type: "text" },
  previousResponseId: undefined,
  incrementalPrompt: undefined,
  span: new Tracer.NativeSpan({
    name: "test",
    parent: Option.none(),
    annotations: Context.empty(),
    links: [],
    startTime: 0n,
    kind: "client",
    sampled: false
  })
} as const

const written = (
  bytes: WireBytes.Request,
  call: Partial<LanguageModel.ProviderOptions> = {},
  settings: ChatWire.CallSettings = {},
  streamed = false,
  dialect: Dialects.Dialect = {}
) =>
  Buffer.from(RequestBytes.of(bytes, { ...plain, ...call }, settings, target(dialect), streamed).body).toString("utf8")

const asked = '"stream_options":{"include_usage":true}'

describe("what a caller has as bytes", () => {
  it.each([
    ['{"model":"a"}', `{"model":"o\\"urs",${asked}}`],
    ["{}", `{"model":"o\\"urs",${asked}}`],
    ['{"model":"a","stream_options":null}', `{"model":"o\\"urs",${asked}}`],
    ['{"stream_options":{ } ,"model":"a"}', '{"stream_options":{ "include_usage":true} ,"model":"o\\"urs"}'],
    [
      '{"model":"a","stream_options":{"x": 12345678901234567890 }}',
      '{"model":"o\\"urs","stream_options":{"x": 12345678901234567890 ,"include_usage":true}}'
    ],
    [
      '{"model":"a","stream_options":{"include_usage":false}}',
      '{"model":"o\\"urs","stream_options":{"include_usage":false}}'
    ],
    ['{"model":"a","stream_options":[1]}', '{"model":"o\\"urs","stream_options":[1]}'],
    ['{"metadata":{"model":"a"},"model":"b"}', `{"metadata":{"model":"a"},"model":"o\\"urs",${asked}}`]
  ])("%s goes out with what was asked for and nothing else changed", (body, wanted) => {
    assert.strictEqual(sent(body), wanted)
  })

  it("is not asked for usage when it is no stream, nor where the server does not know that", () => {
    assert.strictEqual(sent('{"model":"a"}', false), '{"model":"o\\"urs"}')
    assert.strictEqual(sent('{"model":"a"}', true, { streamUsage: false }), '{"model":"o\\"urs"}')
  })

  it.each([
    ['{"model":"a","model":"b"}', "model"],
    ['{"model":"a","stream_options":{},"stream_options":{}}', "stream_options"],
    ['{"stream_options":{"include_usage":false,"include_usage":true}}', "include_usage"],
    ["[]", "body"],
    ["", "body"]
  ])("%s is refused, for its %s", (body, parameter) => {
    try {
      assert.fail(sent(body))
    } catch (error) {
      assert.deepInclude(error, { _tag: "InvalidRequestError", parameter })
    }
  })
})

describe("what a policy changed is written into the bytes, and nothing else", () => {
  const tide = Tool.make("Tide", { parameters: Schema.Struct({ harbour: Schema.String }) })
  const wave = Tool.make("Wave", { parameters: Schema.Struct({}) })
  const body = '{ "seed":12345678901234567890,"temperature":1.0,"tools":[1],"response_format":0 ,"user":"u"}'
  const bytes = { prompt, body: Buffer.from(body) }
  const format = { type: "json", objectName: "o", schema: Schema.Struct({ a: Schema.String }) } as const
  const tools = '"tools":[{"type":"function","function":{"name":"Wave"'

  it("settings", () => {
    const settings = {
      temperature: 0,
      maxOutputTokens: 5,
      headers: { a: "b" },
      providerOptions: { mine: { user: "v" } }
    }
    assert.strictEqual(
      written(bytes, {}, settings),
      '{ "seed":12345678901234567890,"temperature":0,"tools":[1],"response_format":0 ,"user":"v","max_tokens":5}'
    )
    assert.strictEqual(written({ ...bytes, settings }, {}, settings), body)
    assert.strictEqual(written(bytes, {}, { headers: { a: "b" } }), body)
  })

  it("tools, and how to choose among them", () => {
    const given = { ...bytes, tools: [tide] }
    assert.strictEqual(written(given, { tools: [tide] }), body)
    assert.include(written(given, { tools: [wave] }), tools)
    assert.include(written(given, { tools: [tide, wave] }), '"name":"Tide"')
    assert.include(written(given, { tools: [] }), '"tool_choice":"none"')
    assert.include(written(bytes, { tools: [wave] }), tools)
    assert.strictEqual(written(bytes, { toolChoice: "none" }), body)
    assert.include(written(given, { tools: [tide], toolChoice: "required" }), '"tool_choice":"required"')
    const chosen = { ...given, toolChoice: { tool: "Tide" } } as const
    assert.strictEqual(written(chosen, { tools: [tide], toolChoice: { tool: "Tide" } }), body)
  })

  it("the format of the answer", () => {
    assert.strictEqual(written({ ...bytes, responseFormat: format }, { responseFormat: format }), body)
    assert.include(written({ ...bytes, responseFormat: format }), '"response_format":{"type":"text"}')
    assert.include(written(bytes, { responseFormat: format }), '"response_format":{"type":"json_schema"')
  })
})
