/**
 * Sends one request through a provider with its bytes unchanged, and gives the bytes of the answer.
 */
import { Context, Effect, Option, Tracer } from "effect"
import { type AiError, IdGenerator, Prompt, type LanguageModel, type Response } from "effect/ai"
import * as CallContext from "../../../core/call/CallContext.ts"
import * as WireBytes from "../../../core/call/WireBytes.ts"
import type { ModelProvider } from "../../../core/call/ModelProvider.ts"
import { ChatWire } from "../../../provider/index.ts"
import type { BatchRequest } from "../input/BatchRequest.ts"

/** What came back for one request. */
export interface Answer {
  /** The server's own bytes, or the answer written anew where a policy or another provider made it. */
  readonly body: Uint8Array
  readonly status: number
  /** The server's name for the request. */
  readonly requestId: string | undefined
  /** The model that the answer names. */
  readonly model: string | undefined
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

/** Sends a request once. */
export const send = (
  provider: ModelProvider,
  request: BatchRequest,
  headers: { readonly [name: string]: string } | undefined
): Effect.Effect<Answer, AiError.AiError> =>
  Effect.suspend(() => {
    const prompt = Prompt.fromMessages([])
    inputTokens.set(prompt, request.tokens)
    const bytes = { prompt, body: request.body, path: request.path, headers }
    return provider
      .generateText({ ...call, prompt })
      .pipe(
        CallContext.fresh(),
        Effect.provideService(WireBytes.Current, bytes),
        Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator),
        Effect.map(answerOf)
      )
  })

/** Estimates what a request takes of limits in tokens, before it is sent. */
export const tokensOf = ({ prompt }: LanguageModel.ProviderOptions): number => inputTokens.get(prompt) ?? 0

const inputTokens = new WeakMap<Prompt.Prompt, number>()

/** All requests have one span, which nobody records: theirs are told as events. */
const span = new Tracer.NativeSpan({
  name: "holdfast batch",
  parent: Option.none(),
  annotations: Context.empty(),
  links: [],
  startTime: 0n,
  kind: "client",
  sampled: false
})

const call: Omit<LanguageModel.ProviderOptions, "prompt"> = {
  tools: [],
  toolChoice: "auto",
  responseFormat: { type: "text" },
  span,
  previousResponseId: undefined,
  incrementalPrompt: undefined
}

const answerOf = (parts: ReadonlyArray<Response.PartEncoded>): Answer => {
  let model: string | undefined
  let finish: Response.FinishPartEncoded | undefined
  for (const part of parts) {
    if (part.type === "response-metadata") model = part.modelId
    if (part.type === "finish") finish = part
  }
  const requestId = finish?.response?.headers["x-request-id"] ?? finish?.response?.headers["request-id"]
  return {
    body: ChatWire.answerBytes(parts),
    status: finish?.response?.status ?? 200,
    requestId: typeof requestId === "string" ? requestId : undefined,
    model,
    inputTokens: finish?.usage.inputTokens.total ?? 0,
    cachedTokens: finish?.usage.inputTokens.cacheRead ?? 0,
    outputTokens: finish?.usage.outputTokens.total ?? 0
  }
}
