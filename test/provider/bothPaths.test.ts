/** What a whole answer is, the same answer streamed is too: the same content or the same error, through each provider of servers. */
import { createServer } from "node:http"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import { Verdict } from "holdfast/core"
import { AiSdk, ChatWire, Fetch, type ModelProvider } from "holdfast/provider"
import { request, withIds } from "../../src/testing/provider-contract/Stage.ts"
import { Chance } from "../../src/testing/seed/Chance.ts"
import { listening } from "../sockets/listening.ts"
import { chunks, recorded, whole } from "./chat-wire/answers.ts"

type Way = (baseURL: string) => ModelProvider.ModelProvider

const ways: Readonly<Record<string, Way>> = {
  ChatWire: (baseUrl) => ChatWire.provider({ baseUrl, model: "m", proxy: false }),
  "AiSdk with Fetch": (baseURL) =>
    AiSdk.provider(createOpenAICompatible({ name: "m", baseURL, includeUsage: true, fetch: Fetch.fetch })("m")),
  "AiSdk with Node's fetch": (baseURL) =>
    AiSdk.provider(createOpenAICompatible({ name: "m", baseURL, includeUsage: true })("m")),
  "AiSdk of OpenAI's package": (baseURL) =>
    AiSdk.provider(createOpenAI({ baseURL, apiKey: "key", fetch: Fetch.fetch }).chat("m"))
}

/** What came of a call, in a line: its texts, tools and reason, or its error. */
const told = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>): string =>
  parts
    .flatMap((part) => {
      if (part.type === "text") return [part.text]
      if (part.type === "text-delta") return [part.delta]
      if (part.type === "tool-call") return [` ${part.name}(${JSON.stringify(part.params)})`]
      return part.type === "finish" ? [` (${part.reason})`] : []
    })
    .join("")

const failure = (error: AiError.AiError) => Effect.succeed<string>(error.reason._tag)

/** Who is to blame for it, and whether the same call may be made again. */
const verdict = (error: AiError.AiError) => {
  const { blame, retryable } = Verdict.of(error)
  return Effect.succeed(`${error.reason._tag}, ${blame}, ${retryable ? "again" : "not again"}`)
}

const both = (way: Way, answer: (streamed: boolean) => string, status = 200, failed = failure) =>
  Effect.gen(function* () {
    const server = createServer((asked, response) => {
      const body: Array<Buffer> = []
      asked.on("data", (bytes) => body.push(bytes))
      asked.on("end", () => {
        const streamed = Buffer.concat(body).includes('"stream":true')
        const type = streamed ? "text/event-stream" : "application/json"
        response.writeHead(status, { "content-type": type }).end(answer(streamed))
      })
    })
    const provider = way(`http://127.0.0.1:${yield* listening(server)}/v1`)
    const asked = yield* request("hi")
    return [
      yield* Effect.catch(Effect.map(provider.generateText(asked), told), failed),
      yield* Effect.catch(Effect.map(Stream.runCollect(provider.streamText(asked)), told), failed)
    ]
  }).pipe(withIds)

const events = (...all: ReadonlyArray<unknown>) =>
  `${all.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")}data: [DONE]\n\n`

// Their calls have no ids of their own, which the packages make in the one way and refuse in the other.
const withoutIds = new Set(["calls without ids", "calls that share an id"])

// OpenAI's package refuses an annotation that is not as OpenAI writes it.
const annotated = "usage with details, logprobs, unknown fields"

const answersFor = (way: string) =>
  recorded.filter(({ name }) => !withoutIds.has(name) && !(way === "AiSdk of OpenAI's package" && name === annotated))

const said = "half an answer"
const error = { code: 502, message: "Upstream idle timeout exceeded" }

/** How an answer may end, and what it is then. Of the choice, and beside it. */
const endings: ReadonlyArray<readonly [name: string, choice: object, beside: object, wanted: string]> = [
  ["stop", { finish_reason: "stop" }, {}, `${said} (stop)`],
  ["no end", { finish_reason: null }, {}, "InternalProviderError"],
  ["an empty end", { finish_reason: "" }, {}, "InternalProviderError"],
  ["null as a text", { finish_reason: "null" }, {}, "InternalProviderError"],
  ["error", { finish_reason: "error" }, {}, "InternalProviderError"],
  ["network_error", { finish_reason: "network_error" }, {}, "InternalProviderError"],
  ["MALFORMED_FUNCTION_CALL", { finish_reason: "MALFORMED_FUNCTION_CALL" }, {}, "InvalidOutputError"],
  [
    "a gateway's word for it",
    { finish_reason: "function_call_filter: MALFORMED_FUNCTION_CALL" },
    {},
    "InvalidOutputError"
  ],
  ["an error in the choice", { finish_reason: "error", error }, {}, "InternalProviderError"],
  ["an error in the choice, and stop", { finish_reason: "stop", error }, {}, "InternalProviderError"],
  ["an error beside choices", { finish_reason: "error" }, { error }, "InternalProviderError"],
  ["an error beside choices, and stop", { finish_reason: "stop" }, { error }, "InternalProviderError"],
  [
    "a limit beside choices",
    { finish_reason: "error" },
    { error: { code: "rate_limit_exceeded", message: "slow down" } },
    "RateLimitError"
  ],
  ["a word of its own", { finish_reason: "repetition" }, {}, `${said} (other)`]
]

/** What a server refuses a call with, and what that means: the same as docs/errors.md says. */
const refusals: ReadonlyArray<readonly [name: string, status: number, body: string, wanted: string]> = [
  [
    "no such model",
    404,
    '{"error":{"message":"The model `m` does not exist","type":"invalid_request_error","code":"model_not_found"}}',
    "InvalidRequestError, unusable, not again"
  ],
  [
    "a model that was retired",
    400,
    '{"error":{"message":"The model `m` has been decommissioned","code":"model_decommissioned"}}',
    "InvalidRequestError, unusable, not again"
  ],
  [
    "a retired model, in words",
    404,
    '{"error":{"message":"The model `m` has been deprecated, learn more here: https://x.test","code":404}}',
    "InvalidRequestError, unusable, not again"
  ],
  ["a page that is not there", 404, "<html>Not Found</html>", "InvalidRequestError, none, not again"],
  [
    "something else that is not there",
    404,
    '{"error":{"message":"Previous response \'resp_1\' not found."}}',
    "InvalidRequestError, none, not again"
  ],
  [
    "a proxy that wants credentials",
    407,
    "<html>Proxy Authentication Required</html>",
    "AuthenticationError, unusable, not again"
  ],
  ["a proxy that wants credentials, without a word", 407, "", "AuthenticationError, unusable, not again"],
  ["too many calls", 429, '{"error":{"message":"slow down"}}', "RateLimitError, busy, again"],
  ["an overloaded server", 529, "", "InternalProviderError, fault, again"]
]

/** Answers in which nothing is said. */
const empties: ReadonlyArray<readonly [message: object, finish: string, wanted: string]> = [
  [{ content: "" }, "stop", " (stop)"],
  [{ content: null }, "stop", " (stop)"],
  [{}, "stop", " (stop)"],
  [{ content: "", tool_calls: [] }, "stop", " (stop)"],
  [{ content: "" }, "length", " (length)"],
  [{ content: null }, "content_filter", " (content-filter)"],
  [{ content: null }, "MALFORMED_FUNCTION_CALL", "InvalidOutputError"],
  [{ content: "" }, "error", "InternalProviderError"]
]

describe.each(Object.keys(ways))("through %s", (name) => {
  const way = ways[name]
  if (way === undefined) return assert.fail(name)

  for (const answer of answersFor(name)) {
    it.live(`an answer says the same whole and streamed: ${answer.name}`, () =>
      Effect.gen(function* () {
        const streamed = events(...chunks(answer, new Chance(1)))
        const [one, other] = yield* both(way, (isStreamed) => (isStreamed ? streamed : JSON.stringify(whole(answer))))
        assert.strictEqual(one, other)
        assert.match(String(one), /\)$/)
      })
    )
  }

  for (const [ending, choice, beside, wanted] of endings) {
    it.live(`an answer that ends with ${ending} is the same whole and streamed`, () =>
      Effect.gen(function* () {
        const head = { id: "c", created: 1, model: "m" }
        const first = {
          ...head,
          choices: [{ index: 0, delta: { role: "assistant", content: said }, finish_reason: null }]
        }
        const last = { ...head, choices: [{ index: 0, delta: {}, ...choice }], ...beside }
        const all = {
          ...head,
          choices: [{ index: 0, message: { role: "assistant", content: said }, ...choice }],
          ...beside
        }
        const came = yield* both(way, (isStreamed) => (isStreamed ? events(first, last) : JSON.stringify(all)))
        assert.deepStrictEqual(came, [wanted, wanted])
      })
    )
  }

  it.live("an answer without content is what its end says, whole and streamed", () =>
    Effect.gen(function* () {
      const head = { id: "c", created: 1, model: "m" }
      for (const [message, finish_reason, wanted] of empties) {
        const delta = {
          ...head,
          choices: [{ index: 0, delta: { role: "assistant", ...message }, finish_reason: null }]
        }
        const last = { ...head, choices: [{ index: 0, delta: {}, finish_reason }] }
        const all = { ...head, choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason }] }
        const came = yield* both(way, (isStreamed) => (isStreamed ? events(delta, last) : JSON.stringify(all)))
        assert.deepStrictEqual(came, [wanted, wanted], JSON.stringify([message, finish_reason]))
      }
    })
  )

  it.live("a refusal means the same, whole and streamed", () =>
    Effect.gen(function* () {
      for (const [refusal, status, body, said] of refusals) {
        const wanted = status === 407 && name === "AiSdk with Node's fetch" ? "UnknownError, none, not again" : said
        assert.deepStrictEqual(yield* both(way, () => body, status, verdict), [wanted, wanted], refusal)
      }
    })
  )

  it.live("an answer without choices is none, whole and streamed", () =>
    Effect.gen(function* () {
      const none = { id: "c", created: 1, model: "m", choices: [] }
      const came = yield* both(way, (isStreamed) => (isStreamed ? events(none) : JSON.stringify(none)))
      for (const each of came) assert.include(["InternalProviderError", "InvalidResponseError"], each)
    })
  )
})

describe.each(["ChatWire", "AiSdk with Fetch", "AiSdk of OpenAI's package"])("through %s", (name) => {
  const way = ways[name]
  if (way === undefined) return assert.fail(name)

  for (const answer of answersFor(name)) {
    it.live(`a whole answer to a streamed call is read as the stream that was asked for: ${answer.name}`, () =>
      Effect.gen(function* () {
        const [one, other] = yield* both(way, () => JSON.stringify(whole(answer)))
        assert.strictEqual(one, other)
        assert.match(String(one), /\)$/)
      })
    )
  }

  it.live.each([
    ["a page", "<html>login</html>", "InvalidResponseError"],
    ["a quota", '{"error":{"message":"no","code":"insufficient_quota"}}', "QuotaExhaustedError"],
    ["a limit", '{"error":{"message":"no","code":"rate_limit_exceeded"}}', "RateLimitError"],
    ["something else", '{"hello":"you"}', "InvalidResponseError"],
    ["an answer that is cut behind a brace", '{"choices":[{"message":{"content":"a"}', "InternalProviderError"],
    ["an answer that is wrong", '{"choices":[{"message" "a"}]}', "InvalidResponseError"]
  ])("what is no answer is the same error, whole and streamed: %s", ([, body = "", wanted]) =>
    Effect.gen(function* () {
      const came = yield* both(way, () => body)
      for (const each of came) assert.match(String(each), new RegExp(`^(${wanted})$`))
    })
  )
})
