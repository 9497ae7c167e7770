/**
 * Reaches a chat completions endpoint such that a batch line's `body` goes out, and the answer comes back, unchanged.
 *
 * The AI SDK's OpenAI-compatible package does the sending and reads errors and usage; what it would make of prompts and
 * answers is put aside for the JSON itself.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Agent, request, type Dispatcher } from "@effect/platform-node/Undici"
import { Effect, Redacted, Schema } from "effect"
import type { Scope } from "effect"
import { LanguageModel } from "effect/ai"
import type { AiError } from "effect/ai"
import * as AiSdk from "../provider/AiSdk.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"

export interface Options {
  /** Where the API is, up to and including `/v1`. */
  readonly baseUrl: string
  /** Sent as `Authorization: Bearer …`. Default: no such header. */
  readonly apiKey?: Redacted.Redacted<string> | undefined
}

/** What came back for one request. */
export interface Answer {
  /** The provider's JSON. */
  readonly body: Schema.Json
  /** The provider's name for the request, from the `x-request-id` header. */
  readonly requestId: string | undefined
  readonly inputTokens: number
  readonly outputTokens: number
}

/**
 * Makes the provider that {@link send} needs, with connections of its own that are closed with the scope.
 *
 * It sets no time limit: that is the `Timeout` policy's, and an answer may take longer than the five minutes after which
 * Node's `fetch` would give up.
 */
export const provider = (options: Options): Effect.Effect<ModelProvider, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Agent({ headersTimeout: 0, bodyTimeout: 0 })),
      (agent) => Effect.promise(() => agent.destroy())
    ),
    (agent) => finishOnly(AiSdk.provider(sdkModel(options, agent)))
  )

/** Sends one body as it is and gives the provider's answer. What the answer says is not looked at. */
export const send = (body: Schema.JsonObject): Effect.Effect<Answer, AiError.AiError, LanguageModel.LanguageModel> =>
  LanguageModel.generateText({ prompt: [] }).pipe(
    AiSdk.withSettings({ providerOptions: { [name]: { [verbatim]: body } } }),
    Effect.map(({ content, usage }) => {
      const finish = content.find((part) => part.type === "finish")
      const carried = decodeCarried(finish?.metadata[name])
      const requestId = finish?.response?.headers["x-request-id"]
      return {
        body: carried._tag === "Some" ? carried.value[verbatim] : null,
        requestId: typeof requestId === "string" ? requestId : undefined,
        inputTokens: usage.inputTokens.total ?? 0,
        outputTokens: usage.outputTokens.total ?? 0
      }
    })
  )

const name = "batch"
const verbatim = "verbatim"

const decodeCarried = Schema.decodeUnknownOption(Schema.Struct({ [verbatim]: Schema.Json }))

const isJson = Schema.is(Schema.Json)

const sdkModel = ({ apiKey, baseUrl }: Options, dispatcher: Agent) =>
  createOpenAICompatible({
    name,
    baseURL: baseUrl,
    ...(apiKey === undefined ? {} : { apiKey: Redacted.value(apiKey) }),
    fetch: post(dispatcher),
    transformRequestBody: ({ [verbatim]: body }) => ({ ...body, stream: undefined }),
    metadataExtractor: {
      extractMetadata: ({ parsedBody }) =>
        Promise.resolve(isJson(parsedBody) ? { [name]: { [verbatim]: parsedBody } } : undefined),
      createStreamExtractor: () => ({ processChunk: () => undefined, buildMetadata: () => undefined })
    }
  }).chatModel("batch")

// Leaves out the content: it is in the JSON, and may hold calls of tools that this process does not have.
const finishOnly = (next: ModelProvider): ModelProvider => ({
  ...next,
  generateText: (options) =>
    Effect.map(next.generateText(options), (parts) => parts.filter((part) => part.type === "finish"))
})

// Does what the AI SDK needs of `fetch`, which is to post a text, at half the cost: what `fetch` makes of a request
// besides is freed by full garbage collections only.
const post =
  (dispatcher: Agent): typeof globalThis.fetch =>
  (url, { body, headers, signal } = {}) =>
    request(String(url), {
      method: "POST",
      headers: Object.fromEntries(new Headers(headers)),
      body: String(body),
      signal: signal ?? null,
      dispatcher
    })
      .then((response) => response.body.text().then((text) => toResponse(response, text)))
      .catch((cause: unknown) => {
        throw cause instanceof Error && cause.name === "AbortError" ? cause : new TypeError("fetch failed", { cause })
      })

const toResponse = ({ headers, statusCode }: Dispatcher.ResponseData, text: string): Response =>
  new Response(text, {
    status: statusCode,
    headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)])
  })
