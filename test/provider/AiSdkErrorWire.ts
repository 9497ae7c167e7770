/** Calls real AI SDK models against a real server that answers, cuts or spoils as told, and classifies the failure. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import type { LanguageModelV4, LanguageModelV4CallOptions } from "@ai-sdk/provider"
import { Context, Effect, Layer } from "effect"
import type { AiError } from "effect/ai"
import { AiSdkError } from "holdfast/provider"
import { listening } from "../sockets/listening.ts"
import type { Recorded } from "./recorded-errors.ts"

export type Via = Recorded["via"]
export type Reply = (request: IncomingMessage, response: ServerResponse) => void

export class Wire extends Context.Service<
  Wire,
  {
    /** Where the server sends `reply`. */
    readonly url: (reply: Reply) => string
    readonly failureOf: (via: Via, stream: boolean, reply: Reply) => Effect.Effect<AiError.AiError>
  }
>()("holdfast/test/provider/AiSdkErrorWire/Wire") {
  static readonly layer = Layer.effect(
    Wire,
    Effect.gen(function* () {
      const replies: Array<Reply> = []
      const server = createServer((request, response) => {
        request.resume()
        replies[Number(request.url?.split("/")[1])]?.(request, response)
      })
      const port = yield* listening(server)
      const url = (reply: Reply) => `http://127.0.0.1:${port}/${replies.push(reply) - 1}`
      return { url, failureOf: (via, stream, reply) => failureOf(model(via, url(reply)), stream) }
    })
  )
}

export const model = (via: Via, baseURL: string, apiKey = "key-of-the-test"): LanguageModelV4 => {
  switch (via) {
    case "chat":
      return createOpenAI({ baseURL, apiKey }).chat("gpt-5-mini")
    case "responses":
      return createOpenAI({ baseURL, apiKey }).responses("gpt-5-mini")
    case "compatible":
      return createOpenAICompatible({ baseURL, apiKey, name: "compatible" })("some-model")
    case "anthropic":
      return createAnthropic({ baseURL, apiKey })("claude-sonnet-5")
  }
}

/** What every call asks, so that a test can look for it where it must not be. */
export const question = "Why is the sky blue?"

const request: LanguageModelV4CallOptions = { prompt: [{ role: "user", content: [{ type: "text", text: question }] }] }

/** Calls a model and classifies its failure, thrown or sent as a part. Dies when the call succeeds. */
export const failureOf = (model: LanguageModelV4, stream: boolean): Effect.Effect<AiError.AiError> =>
  Effect.tryPromise({
    try: async (): Promise<unknown> => (stream ? readAll(model) : model.doGenerate(request)),
    catch: (error) => AiSdkError.toAiError(error, { method: stream ? "streamText" : "generateText" })
  }).pipe(
    Effect.flip,
    Effect.catch((answer) => Effect.die(new Error(`answered: ${JSON.stringify(answer)}`)))
  )

const readAll = async (model: LanguageModelV4) => {
  const parts: Array<unknown> = []
  for await (const part of (await model.doStream(request)).stream) {
    if (part.type === "error") throw part.error
    parts.push(part)
  }
  return parts
}

/** One server-sent event. */
export const event = (data: object, name?: string): string =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`
