import * as Sdk from "@ai-sdk/provider"
import { assert, describe, it, layer } from "@effect/vitest"
import { DateTime, Duration, Effect, Schema } from "effect"
import { AiError } from "effect/ai"
import { AiSdkError } from "holdfast/provider"
import { event, question, type Reply, Wire } from "./AiSdkErrorWire.ts"
import { type Recorded, recorded } from "./recorded-errors.ts"

const replyOf =
  ({ body, headers, status, stream }: Recorded): Reply =>
  (_, response) => {
    if (stream === undefined || typeof body === "string") {
      response.writeHead(status, { "content-type": "application/json", ...headers })
      response.end(typeof body === "string" ? body : JSON.stringify(body))
      return
    }
    response.writeHead(status, { "content-type": "text/event-stream", ...headers })
    for (const data of stream.before ?? []) response.write(event(data))
    response.end(event(body, stream.event))
  }

const json =
  (status: number, body: object, headers: Record<string, string> = {}): Reply =>
  (_, response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers })
    response.end(JSON.stringify(body))
  }

const facts = ({ reason }: AiError.AiError) => ({
  reason: reason._tag,
  retryable: reason.isRetryable,
  ...("retryAfter" in reason && reason.retryAfter ? { retryAfterMillis: Duration.toMillis(reason.retryAfter) } : {}),
  ...("kind" in reason ? { kind: reason.kind } : {}),
  ...("parameter" in reason && reason.parameter !== undefined ? { parameter: reason.parameter } : {})
})

const thrown = (error: unknown) => AiSdkError.toAiError(error, { method: "generateText" })
const provider = ({ reason }: AiError.AiError) => ("metadata" in reason ? reason.metadata["provider"] : undefined)
const http = ({ reason }: AiError.AiError) => ("http" in reason ? reason.http : undefined)

layer(Wire.layer)("an answer of a real provider", (it) => {
  for (const record of recorded) {
    it.effect(record.name, () =>
      Effect.gen(function* () {
        const wire = yield* Wire
        const error = yield* wire.failureOf(record.via, record.stream !== undefined, replyOf(record))
        assert.deepStrictEqual(facts(error), record.becomes, error.message)
      })
    )
  }

  it("is one of a table worth the name", () => {
    assert.isAtLeast(recorded.length, 45)
    assert.isAtLeast(recorded.filter((record) => record.stream !== undefined).length, 8)
    assert.strictEqual(new Set(recorded.map((record) => record.name)).size, recorded.length)
    for (const record of recorded) assert.match(record.source, /^https:\/\//)
  })
})

layer(Wire.layer)("what an error keeps", (it) => {
  const refusal = {
    error: { message: "Rate limit reached", type: "tokens", param: "input", code: "rate_limit_exceeded" }
  }

  it.effect("is the provider's code, type, parameter, request id and wait", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const headers = { "x-request-id": "req_1", "retry-after-ms": "250", "x-should-retry": "true" }
      const error = yield* wire.failureOf("chat", false, json(429, refusal, headers))
      assert.strictEqual(error.module, "AiSdk")
      assert.strictEqual(error.method, "generateText")
      assert.deepStrictEqual(provider(error), {
        status: 429,
        code: "rate_limit_exceeded",
        type: "tokens",
        parameter: "input",
        requestId: "req_1",
        message: "Rate limit reached",
        retryAfterMillis: 250,
        shouldRetry: true
      })
    })
  )

  it.effect("is the wait also where its reason has no field for it", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const error = yield* wire.failureOf("chat", false, json(503, {}, { "retry-after": "7" }))
      assert.strictEqual(error.reason._tag, "InternalProviderError")
      assert.propertyVal(provider(error), "retryAfterMillis", 7_000)
    })
  )

  it.effect("is the answer, without secret headers", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const headers = { "set-cookie": "session=1", "x-api-key": "k", "x-ratelimit-remaining-tokens": "3" }
      const kept = http(yield* wire.failureOf("compatible", true, json(429, refusal, headers)))
      assert.strictEqual(kept?.response?.status, 429)
      assert.strictEqual(kept?.body, JSON.stringify(refusal))
      assert.notProperty(kept?.response?.headers, "set-cookie")
      assert.notProperty(kept?.response?.headers, "x-api-key")
      assert.strictEqual(kept?.response?.headers["x-ratelimit-remaining-tokens"], "3")
    })
  )

  it.effect("is at most 4,096 characters of the body, and never the question", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const long = { error: { message: "no", code: "unsupported_value", echo: "x".repeat(10_000) } }
      const error = yield* wire.failureOf("anthropic", false, json(400, long))
      assert.isBelow(http(error)?.body?.length ?? 0, 4_200)
      assert.match(http(error)?.body ?? "", /more characters\)$/)
      assert.notInclude(JSON.stringify(yield* Schema.encodeEffect(AiError.AiError)(error)), question)
    })
  )

  it.effect("does not include a key that the provider repeats", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const key = "sk-proj-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
      const body = { error: { message: `Incorrect API key provided: ${key}.`, code: "invalid_api_key" } }
      const error = yield* wire.failureOf("chat", false, json(401, body))
      const encoded = JSON.stringify(yield* Schema.encodeEffect(AiError.AiError)(error))
      assert.include(encoded, "Incorrect API key provided: <masked>.")
      assert.notInclude(encoded, key)
    })
  )

  it.effect("says when an Anthropic usage limit ends", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const message =
        "You have reached your specified API usage limits. You will regain access on 2026-04-01 at 00:00 UTC."
      const body = { type: "error", error: { type: "invalid_request_error", message } }
      const { reason } = yield* wire.failureOf("anthropic", false, json(400, body))
      assert(reason._tag === "QuotaExhaustedError" && reason.resetAt !== undefined)
      assert.strictEqual(DateTime.formatIso(reason.resetAt), "2026-04-01T00:00:00.000Z")
    })
  )

  it.effect("names the parameter Anthropic puts at the head of its message", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const message = "max_tokens: 8193 > 8192, which is the maximum allowed number of output tokens"
      const body = { type: "error", error: { type: "invalid_request_error", message } }
      const error = yield* wire.failureOf("anthropic", false, json(400, body))
      assert.deepStrictEqual(facts(error), { reason: "InvalidRequestError", retryable: false, parameter: "max_tokens" })
    })
  )
})

layer(Wire.layer)("the status alone", (it) => {
  const statuses: ReadonlyArray<readonly [status: number, reason: AiError.AiErrorReason["_tag"], retryable: boolean]> =
    [
      [400, "InvalidRequestError", false],
      [401, "AuthenticationError", false],
      [402, "QuotaExhaustedError", false],
      [403, "AuthenticationError", false],
      [404, "InvalidRequestError", false],
      [408, "InternalProviderError", true],
      [409, "InternalProviderError", true],
      [413, "InvalidRequestError", false],
      [422, "InvalidRequestError", false],
      [425, "InternalProviderError", true],
      [429, "RateLimitError", true],
      [500, "InternalProviderError", true],
      [502, "InternalProviderError", true],
      [529, "InternalProviderError", true]
    ]
  for (const [status, reason, retryable] of statuses) {
    it.effect(`${status} is ${reason}, ${retryable ? "retryable" : "final"}`, () =>
      Effect.gen(function* () {
        const wire = yield* Wire
        const error = yield* wire.failureOf("compatible", false, json(status, {}))
        assert.deepInclude(facts(error), { reason, retryable })
      })
    )
    it.effect(`${status} with x-should-retry is what the header says`, () =>
      Effect.gen(function* () {
        const wire = yield* Wire
        const yes = yield* wire.failureOf("compatible", false, json(status, {}, { "x-should-retry": "true" }))
        const no = yield* wire.failureOf("compatible", false, json(status, {}, { "x-should-retry": "false" }))
        assert.deepStrictEqual([yes.isRetryable, no.isRetryable], [true, false])
      })
    )
  }

  it.effect("is not decided by what a message repeats, where a code says what is wrong", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      for (const said of ["Invalid value: credit balance is too low", "Your credit balance is too low"]) {
        const body = { error: { message: said, type: "invalid_request_error", code: "invalid_value" } }
        for (const via of ["chat", "compatible"] as const)
          assert.strictEqual(
            (yield* wire.failureOf(via, false, json(400, body))).reason._tag,
            "InvalidRequestError",
            via
          )
      }
    })
  )

  it.effect("does not turn a quota into something to retry", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const headers = { "x-should-retry": "true", "retry-after": "1" }
      for (const code of [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded"
      ]) {
        const body = { error: { message: "You exceeded your current quota", type: "insufficient_quota", code } }
        const error = yield* wire.failureOf("chat", false, json(429, body, headers))
        assert.deepStrictEqual(facts(error), { reason: "QuotaExhaustedError", retryable: false }, code)
      }
    })
  )

  it.effect("does not end what a code says will pass, unless the provider says so", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      for (const [code, reason] of [
        ["slow_down", "RateLimitError"],
        ["server_is_overloaded", "InternalProviderError"]
      ] as const) {
        const body = { error: { message: "later", type: "x", code } }
        assert.deepStrictEqual(facts(yield* wire.failureOf("chat", false, json(400, body))), {
          reason,
          retryable: true
        })
        const no = yield* wire.failureOf("chat", false, json(503, body, { "x-should-retry": "false" }))
        assert.isFalse(no.isRetryable)
      }
    })
  )
})

describe("failures that are not an answer", () => {
  const local: ReadonlyArray<readonly [error: unknown, becomes: ReturnType<typeof facts>]> = [
    [
      new Sdk.LoadAPIKeyError({ message: "OpenAI API key is missing." }),
      { reason: "AuthenticationError", retryable: false, kind: "MissingKey" }
    ],
    [
      new Sdk.NoSuchModelError({ modelId: "gpt-0", modelType: "languageModel" }),
      { reason: "InvalidRequestError", retryable: false, parameter: "model" }
    ],
    [
      new Sdk.UnsupportedFunctionalityError({ functionality: "audio output" }),
      { reason: "InvalidRequestError", retryable: false }
    ],
    [
      new Sdk.TooManyEmbeddingValuesForCallError({
        provider: "p",
        modelId: "m",
        maxEmbeddingsPerCall: 1,
        values: [1, 2]
      }),
      { reason: "InvalidRequestError", retryable: false }
    ],
    [
      new Sdk.InvalidPromptError({ prompt: [], message: "no messages" }),
      { reason: "InvalidUserInputError", retryable: false }
    ],
    [new Sdk.NoContentGeneratedError(), { reason: "InvalidOutputError", retryable: true }],
    [new Sdk.InvalidResponseDataError({ data: { a: 1 } }), { reason: "InvalidResponseError", retryable: false }],
    [
      new Sdk.TypeValidationError({ value: { choices: [{ message: "rate limit" }] }, cause: new Error("no") }),
      { reason: "InvalidResponseError", retryable: false }
    ],
    [
      new Sdk.TypeValidationError({ value: { error: "Server overloaded" }, cause: new Error("no") }),
      { reason: "InternalProviderError", retryable: true }
    ],
    ["overloaded_error", { reason: "InternalProviderError", retryable: true }],
    ['{"error":{"code":"insufficient_quota","message":"no"}}', { reason: "QuotaExhaustedError", retryable: false }],
    [
      { type: "authentication_error", message: "no" },
      { reason: "AuthenticationError", retryable: false, kind: "InvalidKey" }
    ],
    [new Error("Too many requests"), { reason: "RateLimitError", retryable: true }],
    [new Error("undefined is not a function"), { reason: "UnknownError", retryable: false }],
    [new DOMException("This operation was aborted", "AbortError"), { reason: "UnknownError", retryable: false }],
    [new DOMException("timed out", "TimeoutError"), { reason: "NetworkError", retryable: true }],
    [undefined, { reason: "InternalProviderError", retryable: true }]
  ]
  for (const [error, becomes] of local) {
    it(`${error instanceof Error ? `${error.name}: ${error.message.slice(0, 40)}` : JSON.stringify(error)}`, () => {
      assert.deepStrictEqual(facts(thrown(error)), becomes)
    })
  }

  it("an AiError is returned as it is", () => {
    const error = AiError.make({ module: "m", method: "n", reason: new AiError.RateLimitError({}) })
    assert.strictEqual(thrown(error), error)
  })

  it("an AWS service exception, by its name and status", () => {
    const error = Object.assign(new Error("slow"), {
      name: "ThrottlingException",
      $metadata: { httpStatusCode: 429, requestId: "r" }
    })
    assert.deepStrictEqual(facts(thrown(error)), { reason: "RateLimitError", retryable: true })
  })

  it.prop("anything at all becomes an AiError that can be encoded", [Schema.Json], ([value]) => {
    for (const error of [
      value,
      { error: value },
      new Error("boom", { cause: value }),
      { message: value, cause: value }
    ]) {
      const encoded = Schema.encodeSync(AiError.AiError)(thrown(error))
      assert.strictEqual(encoded._tag, "AiError")
    }
  })

  it("a chain of causes without end is read to its depth only", () => {
    const error: Error & { cause?: unknown } = new Error("round")
    error.cause = error
    assert.strictEqual(thrown(error).reason._tag, "UnknownError")
  })
})
