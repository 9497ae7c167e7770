import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parse } from "../../../../src/cli/batch/input/BatchRequest.ts"

const line = (text: string) => ({ number: 7, bytes: Buffer.from(text), end: 0, terminated: true })

const read = (text: unknown, model?: string, endpoint?: string) =>
  parse(line(typeof text === "string" ? text : JSON.stringify(text)), { model, endpoint })

/** The id, the endpoint and the body of a line that is good. */
const good = (text: unknown, model?: string, endpoint?: string) => {
  const { body, customId, line: number, path } = Result.getOrThrow(read(text, model, endpoint))
  assert.strictEqual(number, 7)
  return [customId, path, Buffer.from(body).toString("utf8")]
}

const messages = [{ role: "user", content: "hello" }]
const batchLine = (over: object) => ({
  custom_id: "a",
  method: "POST",
  url: "/v1/chat/completions",
  body: { model: "m", messages },
  ...over
})

describe("BatchRequest", () => {
  it("takes the body of a batch line byte for byte", () => {
    const body =
      '{ "seed": 9007199254740993, "2":1,"1":1.0, "model":"m","messages":[{"role":"user","content":"h\\u0069"}] }'
    const text = `  {"custom_id":"a","body": ${body} ,"url":"/v1/chat/completions","method":"POST"}\r`
    assert.deepStrictEqual(good(text), ["a", "/chat/completions", body])
  })

  it("takes a body that is nested as deep as can be", () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000)
    const body = `{"model":"m","messages":[{"role":"user","content":"x"}],"deep":${deep}}`
    assert.strictEqual(good(`{"custom_id":"a","body":${body}}`)[2], body)
  })

  it("fills in the model where a line has none, and only there", () => {
    assert.strictEqual(good(batchLine({}), "other")[2], JSON.stringify({ model: "m", messages }))
    assert.strictEqual(
      good(batchLine({ body: { messages } }), "other")[2],
      JSON.stringify({ model: "other", messages })
    )
  })

  it("reads the short form, with everything else going into the body as it is", () => {
    assert.deepStrictEqual(
      good('{"id":"x","system":"be brief","prompt":"h\\u0069","model":"m","seed":9007199254740993,"max_tokens": 5}'),
      [
        "x",
        "/chat/completions",
        '{"model":"m","seed":9007199254740993,"max_tokens":5,' +
          '"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"h\\u0069"}]}'
      ]
    )
  })

  it("names a short line without id after its place", () => {
    assert.deepStrictEqual(good({ prompt: "hello" }, "m").slice(0, 1), ["line-7"])
    assert.deepStrictEqual(good({ prompt: "hello", custom_id: "c" }, "m").slice(0, 1), ["c"])
  })

  const forms: ReadonlyArray<readonly [what: string, line: unknown, id: string, path: string]> = [
    ["Mistral and Together", { custom_id: "a", body: { model: "m", messages } }, "a", "/chat/completions"],
    ["Azure", batchLine({ url: "/chat/completions" }), "a", "/chat/completions"],
    ["responses", batchLine({ url: "/v1/responses", body: { model: "m", input: "x" } }), "a", "/responses"],
    ["embeddings", batchLine({ url: "/v1/embeddings", body: { model: "m", input: ["x"] } }), "a", "/embeddings"],
    ["completions", batchLine({ url: "/v1/completions", body: { model: "m", prompt: "x" } }), "a", "/completions"],
    ["Anthropic", { custom_id: "a", params: { model: "m", max_tokens: 9, messages } }, "a", "/messages"],
    ["a body by itself", { model: "m", messages, metadata: { row_id: 1 } }, "line-7", "/chat/completions"]
  ]
  it.each(forms)("reads lines of %s", (_, text, id, path) => {
    const fields = text as { readonly body?: unknown; readonly params?: unknown }
    assert.deepStrictEqual(good(text), [id, path, JSON.stringify(fields.body ?? fields.params ?? text)])
  })

  it("sends lines that name no endpoint to the one that is given", () => {
    assert.deepStrictEqual(good({ model: "m", input: "x" }, undefined, "/v1/embeddings").slice(1), [
      "/embeddings",
      '{"model":"m","input":"x"}'
    ])
    assert.deepStrictEqual(good({ model: "m", prompt: "x" }, undefined, "/v1/responses").slice(1), [
      "/responses",
      '{"model":"m","input":"x"}'
    ])
  })

  const problems: ReadonlyArray<readonly [input: unknown, message: string]> = [
    ['{"custom_id":', "line 7: is not a JSON object"],
    ["[1, 2]", "line 7: is not a JSON object"],
    [{}, 'line 7: has no "body", "params", "prompt" or "messages"'],
    [
      { model: "m", input: "x" },
      "line 7: is a request that does not say where to: give --endpoint /v1/embeddings or /v1/responses"
    ],
    [{ body: {} }, "line 7: custom_id is missing"],
    [{ custom_id: "a", params: 1 }, "line 7: params must be an object"],
    [batchLine({ custom_id: 5 }), "line 7: custom_id must be a text that is not empty"],
    [batchLine({ custom_id: "" }), "line 7: custom_id must be a text that is not empty"],
    [batchLine({ method: "GET" }), 'line 7: method must be "POST"'],
    [
      batchLine({ url: "/v1/images" }),
      "line 7: url must be one of /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/completions, /v1/messages"
    ],
    [batchLine({ body: "hello" }), "line 7: body must be an object"],
    [batchLine({ body: { model: "m" } }), "line 7: body.messages is missing"],
    [batchLine({ body: { model: "m", messages: "hello" } }), "line 7: body.messages must be a list of messages"],
    [batchLine({ body: { model: "m", messages: [] } }), "line 7: body.messages must not be empty"],
    [batchLine({ body: { model: "m", messages: ["x"] } }), "line 7: body.messages.0 must be an object with a role"],
    [batchLine({ body: { model: 4, messages } }), "line 7: body.model must be the name of a model"],
    [batchLine({ body: { messages } }), "line 7: body.model is missing, and no --model was given"],
    [
      batchLine({ body: { model: "m", messages, stream: true } }),
      "line 7: body.stream must not be true: answers are written whole"
    ],
    [{ prompt: "" }, "line 7: prompt must be a text that is not empty"],
    [{ prompt: ["hello"], model: "m" }, "line 7: prompt must be a text that is not empty"],
    [{ prompt: "hello" }, "line 7: model is missing, and no --model was given"],
    [{ prompt: "hello", model: "m", system: 1 }, "line 7: system must be a text"],
    [{ prompt: "hello", model: "m", custom_id: 7 }, "line 7: custom_id must be a text that is not empty"],
    [{ prompt: "hello", model: "m", messages }, 'line 7: messages cannot be given together with "prompt"']
  ]
  it.each(problems)("says of %j what is wrong, where", (input, message) => {
    assert.strictEqual(
      Result.getOrElse(read(input), (invalid) => invalid.message),
      message
    )
  })

  it("keeps the id of a bad line that has one", () => {
    const idOf = (text: unknown) => Result.getOrThrow(Result.flip(read(text))).customId
    assert.deepStrictEqual([idOf(batchLine({ url: "/v1/images" })), idOf(batchLine({ custom_id: 7 }))], ["a", "7"])
  })
})
