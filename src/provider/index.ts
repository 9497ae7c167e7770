/**
 * Provider: how a model is reached. Each way is a file that makes a `ModelProvider`, the seam in `core/call/`.
 *
 * Another way is another file here, and has to pass `ProviderContract` of `testing/`. What a provider's error means is in
 * `errors/ErrorTable.ts`, how long it asks to wait in `RetryAfter.ts`. A header that tells a limit or a wait is named in
 * `core/call/LimitHeaders.ts`, by which `http/ResponseHeaderNames.ts` lets it through; what it says of rate limits is read by who
 * keeps them: `policy/rate-limit/Headers.ts`.
 *
 * `chat-wire/` is the inside of `ChatWire`. Where an odd answer is read: its fields in `chat-wire/AnswerReader.ts`, its tool calls in
 * `chat-wire/ToolCalls.ts`, the word for its end in `chat-wire/Finish.ts`. What a server wants to be sent in another way is in
 * `chat-wire/Dialects.ts`. `http/`, `settings/` and `tools/` are shared.
 */
export * as AiSdk from "./AiSdk.ts"
export * as AiSdkError from "./AiSdkError.ts"
export * as ChatWire from "./ChatWire.ts"
export * as EffectAi from "./EffectAi.ts"
export * as Fetch from "./Fetch.ts"
export * as ModelProvider from "../core/call/ModelProvider.ts"
export * as ProviderPool from "./ProviderPool.ts"
export * as RetryAfter from "./RetryAfter.ts"
