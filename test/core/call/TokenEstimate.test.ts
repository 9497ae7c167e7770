import { assert, describe, it } from "@effect/vitest"
import { Prompt } from "effect/ai"
import * as Estimate from "../../../src/core/call/TokenEstimate.ts"

const estimate = (...content: ReadonlyArray<Prompt.Message>) =>
  Estimate.inputTokens({ prompt: Prompt.fromMessages(content) })

const user = (...content: ReadonlyArray<Prompt.UserMessagePart>) => Prompt.makeMessage("user", { content })

describe("the estimate of a call's tokens", () => {
  it("is a quarter of the characters of all messages, rounded up", () => {
    const system = Prompt.makeMessage("system", { content: "12345678" })
    const question = user(Prompt.makePart("text", { text: "12345" }))
    assert.deepStrictEqual([estimate(), estimate(system), estimate(system, question)], [0, 2, 4])
  })

  it("counts tool calls and results as they are written, and 1,000 for a file", () => {
    const call = Prompt.makePart("tool-call", { id: "1", name: "f", params: { a: 1 }, providerExecuted: false })
    const result = Prompt.makePart("tool-result", {
      id: "1",
      name: "f",
      result: "12345678",
      isFailure: false,
      providerExecuted: false
    })
    const image = Prompt.makePart("file", { mediaType: "image/png", data: new Uint8Array(1e6) })
    assert.strictEqual(estimate(Prompt.makeMessage("assistant", { content: [call] })), Math.ceil('{"a":1}'.length / 4))
    assert.strictEqual(estimate(Prompt.makeMessage("tool", { content: [result] })), 2)
    assert.strictEqual(estimate(user(image)), 1_000)
  })

  it("leaves what is not plain data to the provider", () => {
    const call = Prompt.makePart("tool-call", { id: "1", name: "f", params: { a: 1n }, providerExecuted: false })
    assert.strictEqual(estimate(Prompt.makeMessage("assistant", { content: [call] })), 0)
  })

  it("expects of an answer what the last ones took", () => {
    const answers = new Estimate.AnswerLength()
    assert.strictEqual(answers.tokens, 500)
    for (let n = 0; n < 100; n++) answers.observe(50)
    assert.strictEqual(answers.tokens, 51)
  })
})
