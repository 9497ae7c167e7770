import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { parse } from "../../src/cli/BatchRequest.ts"

const line = (text: string) => ({ number: 7, text, end: 0, terminated: true })

const read = (text: unknown, model?: string) =>
  parse(line(typeof text === "string" ? text : JSON.stringify(text)), model)

const messages = [{ role: "user", content: "hello" }]
const batchLine = (over: object) => ({
  custom_id: "a",
  method: "POST",
  url: "/v1/chat/completions",
  body: { model: "m", messages },
  ...over
})

describe("BatchRequest", () => {
  it("takes the body of a batch line as it is", () => {
    const body = { model: "m", messages, temperature: 0.5, tools: [{ any: null }], metadata: { deep: [1, "two"] } }
    assert.deepStrictEqual(read(batchLine({ body })), Result.succeed({ customId: "a", line: 7, body }))
  })

  it("fills in the model where a line has none, and only there", () => {
    const given = Result.map(read(batchLine({}), "other"), ({ body }) => body["model"])
    const filled = Result.map(read(batchLine({ body: { messages } }), "other"), ({ body }) => body["model"])
    assert.deepStrictEqual([given, filled], [Result.succeed("m"), Result.succeed("other")])
  })

  it("reads the short form, with everything else going into the body", () => {
    assert.deepStrictEqual(
      read({ id: "x", system: "be brief", prompt: "hello", model: "m", max_tokens: 5 }),
      Result.succeed({
        customId: "x",
        line: 7,
        body: { model: "m", max_tokens: 5, messages: [{ role: "system", content: "be brief" }, ...messages] }
      })
    )
  })

  it("names a short line without id after its place", () => {
    assert.deepStrictEqual(
      read({ prompt: "hello" }, "m"),
      Result.succeed({ customId: "line-7", line: 7, body: { model: "m", messages } })
    )
  })

  const problems: ReadonlyArray<readonly [input: unknown, message: string]> = [
    ['{"custom_id":', "line 7: is not a JSON object"],
    ["[1, 2]", "line 7: is not a JSON object"],
    [{}, "line 7: custom_id is missing"],
    [batchLine({ custom_id: 5 }), "line 7: custom_id must be a text that is not empty"],
    [batchLine({ custom_id: "" }), "line 7: custom_id must be a text that is not empty"],
    [batchLine({ method: "GET" }), 'line 7: method must be "POST"'],
    [batchLine({ url: "/v1/embeddings" }), 'line 7: url must be "/v1/chat/completions", the only one supported'],
    [batchLine({ body: undefined }), "line 7: body is missing"],
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
    [{ prompt: "hello", model: "m", custom_id: "x" }, 'line 7: custom_id is called "id" next to "prompt"'],
    [{ prompt: "hello", model: "m", messages }, 'line 7: messages cannot be given together with "prompt"']
  ]
  it.each(problems)("says of %j what is wrong, where", (input, message) => {
    assert.strictEqual(
      Result.getOrElse(read(input), (invalid) => invalid.message),
      message
    )
  })

  it("keeps the id of a bad line that has one", () => {
    const invalid = Result.flip(read(batchLine({ url: "/v1/embeddings" })))
    assert.strictEqual(Result.getOrThrow(invalid).customId, "a")
  })
})
