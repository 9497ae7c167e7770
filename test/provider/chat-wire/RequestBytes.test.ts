import { assert, describe, it } from "@effect/vitest"
import { Prompt } from "effect/ai"
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
  return Buffer.from(RequestBytes.of(request, target(dialect), streamed)).toString("utf8")
}

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
