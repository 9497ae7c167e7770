import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import { AiError } from "effect/ai"
import { PolicyReason } from "holdfast/core"
import { InvalidLine } from "../../src/cli/BatchRequest.ts"
import * as ResultLine from "../../src/cli/ResultLine.ts"

const answered = ResultLine.fromAnswered({ customId: 'a\n"b"', requestId: "req-1", body: { choices: [] } })

describe("ResultLine", () => {
  it("writes an answer as OpenAI's batches do, in one line", () => {
    assert.match(answered, /^[^\n]+\n$/)
    assert.deepStrictEqual(JSON.parse(answered), {
      id: JSON.parse(answered).id,
      custom_id: 'a\n"b"',
      response: { status_code: 200, request_id: "req-1", body: { choices: [] } },
      error: null
    })
    assert.match(JSON.parse(answered).id, /^batch_req_[0-9a-f]{24}$/)
  })

  it("writes what the provider said next to the typed reason", () => {
    const error = AiError.make({
      module: "AiSdk",
      method: "generateText",
      reason: new AiError.RateLimitError({
        http: {
          response: { status: 429, headers: { "x-request-id": "req-2" } },
          body: '{"error":{"code":"slow_down"}}'
        }
      })
    })
    const { error: written, response } = JSON.parse(
      ResultLine.fromFailed({ customId: "a", line: 3, error, attempts: 6 })
    )
    assert.deepStrictEqual(response, {
      status_code: 429,
      request_id: "req-2",
      body: { error: { code: "slow_down" } }
    })
    assert.deepStrictEqual(written, {
      code: "RateLimitError",
      message: "Rate limit exceeded",
      line: 3,
      attempts: 6,
      status: 429,
      policy: null
    })
  })

  it("writes what a policy decided", () => {
    const reason = { _tag: "TimedOut", clock: "attempt", afterMillis: 10 } as const
    const error = PolicyReason.toAiError("Timeout", reason)
    const written = JSON.parse(ResultLine.fromFailed({ customId: "a", line: 3, error, attempts: 6 }))
    assert.deepStrictEqual([written.response, written.error.policy], [null, reason])
  })

  it("writes a bad line with its number and no id", () => {
    const error = new InvalidLine({ line: 9, customId: null, field: "", problem: "is not a JSON object" })
    const written = JSON.parse(ResultLine.fromFailed({ customId: null, line: 9, error, attempts: 0 }))
    assert.deepStrictEqual(
      [written.custom_id, written.error.code, written.error.message],
      [null, "InvalidLine", "line 9: is not a JSON object"]
    )
  })

  it("takes no cut line for an answer, wherever it was cut", () => {
    const whole = answered.trimEnd()
    assert.deepStrictEqual(ResultLine.answeredId(whole), Option.some('a\n"b"'))
    for (let end = 0; end < whole.length; end++) {
      const cut = whole.slice(0, end)
      assert.isTrue(Option.isNone(ResultLine.answeredId(cut)) && ResultLine.isBeginning(cut), cut)
    }
  })

  it.each([
    "",
    "null",
    '{"custom_id":"a"}',
    '{"custom_id":"a","response":null,"error":{"code":"x"}}',
    '{"custom_id":"a","response":{"status_code":400,"body":{"error":{}}},"error":{"code":"x"}}'
  ])("takes %s for no answer", (text) => {
    assert.isTrue(Option.isNone(ResultLine.answeredId(text)))
  })
})
