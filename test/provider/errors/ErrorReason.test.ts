import { assert, describe, it } from "@effect/vitest"
import { AiError } from "effect/ai"
import { Verdict } from "holdfast/core"
import * as ErrorReason from "../../../src/provider/errors/ErrorReason.ts"

const refusal = (statusCode: number, body: unknown) =>
  ErrorReason.of({ statusCode, responseHeaders: {}, responseBody: JSON.stringify(body) })

describe("what somebody else wrote does not decide what an error means", () => {
  it.each(["insufficient funds", "throw new Error('api key expired')", "your monthly limit"])(
    "a model's words in a failed parse: %s",
    (wrote) => {
      const message = `error parsing tool call: raw='{"content":"${wrote}"}]', err=invalid character`
      assert.strictEqual(refusal(500, { error: { message, type: "api_error" } })._tag, "InternalProviderError")
    }
  )

  it.each(["credit balance is too low", "no api key", "limit: 0", "it's a monthly limit"])(
    "a user's words in a refused value: %s",
    (words) => {
      const message = `Invalid value: '${words}'. Supported values are: 'a' and 'b'.`
      const reason = refusal(400, { error: { message, type: "invalid_request_error", code: "invalid_value" } })
      assert.strictEqual(reason._tag, "InvalidRequestError")
    }
  )

  const wordings = [
    "credit balance is too low",
    "your credit balance is too low",
    "insufficient funds",
    "no api key",
    "api key expired",
    "invalid api key",
    "output blocked by content filtering policy",
    "rate limit"
  ]

  it.each(wordings)("a user's words without quotes, behind the provider's: %s", (words) => {
    const message = `Invalid value: ${words}`
    for (const code of ["invalid_value", undefined])
      assert.strictEqual(refusal(400, { error: { message, code } })._tag, "InvalidRequestError", code)
  })

  it.each(wordings)("a user's words beside a code that says otherwise, or one that we do not know: %s", (message) => {
    for (const code of ["invalid_value", "string_below_min_length"])
      assert.strictEqual(refusal(400, { error: { message, code } })._tag, "InvalidRequestError", code)
    for (const code of ["server_error", "engine_stalled"])
      assert.strictEqual(refusal(500, { error: { message, code } })._tag, "InternalProviderError", code)
  })

  it.each(["your credit balance is too low", "no api key", "api key expired", "invalid api key"])(
    "any words at a status that says that the provider failed: %s",
    (message) => {
      assert.strictEqual(refusal(500, { error: { message } })._tag, "InternalProviderError")
      assert.notStrictEqual(refusal(400, { error: { message } })._tag, "InvalidRequestError")
    }
  )

  it("words in quotes where there is neither a status nor a code", () => {
    const said = (message: string) => ErrorReason.of({ responseBody: JSON.stringify({ error: { message } }) })._tag
    assert.strictEqual(said("cannot parse 'rate limit'"), "InternalProviderError")
    assert.strictEqual(said("you are over your rate limit"), "RateLimitError")
  })

  it("the provider's own words still do", () => {
    const quota = refusal(400, { error: { message: "Your credit balance is too low to access the API" } })
    assert.strictEqual(quota._tag, "QuotaExhaustedError")
  })
})

describe("whom an error keeps others from", () => {
  const verdict = (status: number, body: unknown, headers = {}) => {
    const said = { statusCode: status, responseHeaders: headers, responseBody: JSON.stringify(body) }
    const error = AiError.make({ module: "m", method: "f", reason: ErrorReason.of(said) })
    const { blame, retryable } = Verdict.of(error)
    return [error.reason._tag, blame, retryable, Verdict.isProvidersDoing(error)]
  }
  const gone = ["InvalidRequestError", "unusable", false, true]

  it.each([
    [404, "model_not_found", "The model `gpt-3` does not exist or you do not have access to it."],
    [400, "model_decommissioned", "The model `mixtral-8x7b-32768` has been decommissioned."],
    [404, "DeploymentNotFound", "The API deployment for this resource does not exist."],
    [404, "not_found_error", "model: claude-1"],
    [404, "404", "The model `gpt-4-32k` has been deprecated, learn more here: https://x.test"],
    [404, "NOT_FOUND", "models/gemini-1.0-pro is not found for API version v1beta"],
    [404, "404", "No endpoints found for openai/gpt-3."],
    [410, "gone", "The model is retired: this model kelp-1 was discontinued"]
  ])(
    "a model that is not there, or not any more, is asked for nowhere else than at the next provider: %s %s",
    (...row) => {
      const [status, code, message] = row
      assert.deepStrictEqual(verdict(status, { error: { code, message } }), gone)
    }
  )

  it("words about a model alone, and a path that is not there, keep nobody else from the provider", () => {
    const none = ["InvalidRequestError", "none", false, false]
    assert.deepStrictEqual(verdict(400, { error: { message: "The model in your prompt does not exist" } }), none)
    assert.deepStrictEqual(verdict(404, { error: { message: "Previous response 'resp_1' not found." } }), none)
    assert.deepStrictEqual(verdict(404, "Not Found"), none)
  })

  it("a proxy that wants credentials refuses every call, and says that it is the proxy", () => {
    assert.deepStrictEqual(verdict(407, "no"), ["AuthenticationError", "unusable", false, true])
    assert.match(ErrorReason.of({ statusCode: 407, responseHeaders: {}, responseBody: "" }).message, /a proxy wants/)
  })

  it("a provider that is overloaded and wants no further attempt is not well, and the next one is asked", () => {
    const body = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }
    const no = { "x-should-retry": "false" }
    assert.deepStrictEqual(verdict(529, body), ["InternalProviderError", "fault", true, true])
    assert.deepStrictEqual(verdict(529, body, no), ["UnknownError", "fault", false, true])
    assert.deepStrictEqual(verdict(400, { error: { code: "tool_use_failed" } }, no).slice(1), ["none", false, false])
  })
})

it("a filter's verdict inside of a completion is one", () => {
  const filtered = { error: { code: "content_filter", message: "Response content blocked by label 'x'." } }
  const choices = [{ index: 0, finish_reason: "content_filter", content_filter_results: filtered }]
  assert.strictEqual(refusal(400, { object: "chat.completion", choices })._tag, "ContentPolicyError")
})

it("an answer that is nested 100,000 deep is read without running out of stack", () => {
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
  const error = Object.assign(new Error("no"), { text: deep, responseBody: deep })
  assert.isString(ErrorReason.of(error)._tag)
})

it("tells a cut answer from a wrong one in time that grows with its length only", () => {
  const cut = (text: string) => ErrorReason.of(Object.assign(new Error("no"), { name: "AI_JSONParseError", text }))._tag
  assert.strictEqual(cut(`["a", "${'\\"'.repeat(1_000_000)}`), "InternalProviderError")
  assert.strictEqual(cut(`["a" "b"]`), "InvalidResponseError")
})

it("shows nothing of an answer that cannot be read, in whatever words somebody quotes it", () => {
  const text = "the kelp forest grows in the cold sea of the north"
  const { message } = ErrorReason.of(Object.assign(new Error(`this is no JSON: ${text}`), { text }))
  assert.include(message, "this is no JSON: <left out>")
  assert.notInclude(message, "kelp")
})

it("reads at most so many places of an error, however it branches", () => {
  const branch = (depth: number): ReadonlyArray<unknown> =>
    Array.from({ length: 8 }, (_, at) => (depth === 0 ? `message ${at}` : branch(depth - 1)))
  const codeBehind = (depth: number) => {
    const reason = refusal(400, { error: { errors: branch(depth), code: "kelp" } })
    return "metadata" in reason ? reason.metadata["provider"] : undefined
  }
  assert.propertyVal(codeBehind(1), "code", "kelp")
  assert.notProperty(codeBehind(3), "code")
})

it.each(["name", "code", "message"])("reads an error whose %s cannot be made a text", (key) => {
  const odd = [{ toString: 1 }]
  assert.strictEqual(ErrorReason.of(Object.assign(new Error("no"), { [key]: odd }))._tag, "UnknownError")
  assert.isString(ErrorReason.of({ cause: { [key]: odd } })._tag)
})
