import { assert, describe, it } from "@effect/vitest"
import { AiError } from "effect/ai"
import { PolicyReason } from "holdfast/core"
import { InvalidLine } from "../../../../src/cli/batch/input/BatchRequest.ts"
import * as ResultLine from "../../../../src/cli/batch/output/ResultLine.ts"

const body = '{"choices":[],"trace_id":12345678901234567890}'

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8")

const answeredWith = (sent: string | Uint8Array) =>
  textOf(
    ResultLine.fromAnswered({
      customId: 'a\n"b"',
      line: 1,
      status: 201,
      requestId: "req-1",
      body: typeof sent === "string" ? Buffer.from(sent) : sent
    })
  )
const answered = answeredWith(body)

const kindOf = (text: string) => ResultLine.kindOf(Buffer.from(text))

const failed = (given: Omit<ResultLine.Failed, "customId" | "line" | "attempts">) =>
  JSON.parse(textOf(ResultLine.fromFailed({ customId: "a", line: 3, attempts: 6, ...given })))

describe("ResultLine", () => {
  it("writes an answer as OpenAI's batches do, in one line, the body byte for byte", () => {
    assert.match(answered, /^[^\n]+\n$/)
    assert.include(answered, `"body":${body}}`)
    assert.deepStrictEqual(JSON.parse(answered), {
      id: JSON.parse(answered).id,
      custom_id: 'a\n"b"',
      response: { status_code: 201, request_id: "req-1", body: JSON.parse(body) },
      error: null
    })
    assert.match(JSON.parse(answered).id, /^batch_req_[0-9a-f]{24}$/)
  })

  it("writes an answer of several lines in one, and one that is no UTF-8 as well as can be", () => {
    assert.include(answeredWith('\uFEFF{\r\n "a": "\\n"\n}'), '"body":{   "a": "\\n" }}')
    assert.include(answeredWith(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), '"body":{"\uFFFD":1}}')
  })

  it("gives different requests different ids", () => {
    const ids = ["\ud800", "\udfff", "\ufffd", null, null].map(
      (customId, line) =>
        JSON.parse(
          textOf(
            ResultLine.fromFailed({
              customId,
              line,
              attempts: 0,
              error: new InvalidLine({ line, customId, field: "", problem: "" })
            })
          )
        ).id
    )
    assert.strictEqual(new Set(ids).size, ids.length)
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
    const { error: none, holdfast, response } = failed({ error })
    assert.isNull(none)
    assert.deepStrictEqual(response, {
      status_code: 429,
      request_id: "req-2",
      body: { error: { code: "slow_down" } }
    })
    assert.deepStrictEqual(holdfast, {
      code: "RateLimitError",
      message: "Rate limit exceeded",
      line: 3,
      attempts: 6,
      policy: null
    })
  })

  it("writes what a policy decided", () => {
    const reason = { _tag: "TimedOut", clock: "attempt", afterMillis: 10 } as const
    const error = PolicyReason.toAiError("Timeout", reason)
    const written = failed({ error })
    assert.deepStrictEqual([written.response, written.holdfast.policy], [null, reason])
    assert.deepStrictEqual(written.error, {
      code: "InternalProviderError",
      message: "TimedOut: no complete answer within 10ms (attempt limit)"
    })
  })

  it("keeps an answer that was paid for and is none", () => {
    const reason = new AiError.InvalidOutputError({ description: "does not fit" })
    const error = AiError.make({ module: "test", method: "test", reason })
    const line = textOf(
      ResultLine.fromFailed({ customId: "a", line: 3, attempts: 1, error, answer: Buffer.from(body) })
    )
    assert.include(line, `"answer":${body}}}`)
    assert.deepStrictEqual(kindOf(line), { kind: "failure", customId: "a" })
  })

  it("writes a bad line with its number and no id", () => {
    const error = new InvalidLine({ line: 9, customId: null, field: "", problem: "is not a JSON object" })
    const written = JSON.parse(textOf(ResultLine.fromFailed({ customId: null, line: 9, error, attempts: 0 })))
    assert.deepStrictEqual(
      [written.custom_id, written.error.code, written.error.message],
      [null, "InvalidLine", "line 9: is not a JSON object"]
    )
  })

  it("takes no cut line for an answer, wherever it was cut", () => {
    const whole = answered.trimEnd()
    assert.deepStrictEqual(kindOf(whole), { kind: "answer", customId: 'a\n"b"' })
    for (let end = 1; end < whole.length; end++) {
      const cut = whole.slice(0, end)
      assert.isTrue(kindOf(cut).kind === "other" && ResultLine.isBeginning(Buffer.from(cut)), cut)
    }
  })

  it("knows an answer of its own, however long and deep it is", () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000)
    const long = JSON.stringify("x".repeat(5_000_000))
    for (const sent of [`{"a":${deep}}`, `{"a":${long}}`]) {
      assert.deepStrictEqual(kindOf(answeredWith(sent).trimEnd()), { kind: "answer", customId: 'a\n"b"' })
    }
    const cut = answeredWith(`{"a":${long}}`).slice(0, -5)
    assert.strictEqual(kindOf(cut).kind, "other")
  })

  it.each([
    ["", "other"],
    ["null", "other"],
    ['{"custom_id":"a"}', "other"],
    ['{"id":"p0","prompt":"hi"}', "other"],
    ['{"custom_id":"a","response":null,"error":{"code":"x"}}', "result"],
    ['{"custom_id":"a","response":{"status_code":400,"body":{"error":{}}},"error":{"code":"x"}}', "result"],
    ['{"custom_id":"a","response":{"status_code":400,"body":{"error":{}}},"error":null}', "result"],
    ['{"custom_id":"a","response":{"status_code":0,"request_id":"","body":{}},"error":null}', "result"]
  ])("takes %s for no answer", (text, kind) => {
    assert.strictEqual(kindOf(text).kind, kind)
  })
})
