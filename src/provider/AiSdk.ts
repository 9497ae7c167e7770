/**
 * Turns any AI SDK language model into a {@link ModelProvider}.
 *
 * More than forty provider packages publish models of the AI SDK's version 4 specification (`@ai-sdk/openai`,
 * `@ai-sdk/anthropic`, `@ai-sdk/openai-compatible`, …). One bridge serves them all.
 */
import type { LanguageModelV4, LanguageModelV4CallOptions, SharedV4Warning } from "@ai-sdk/provider"
import { Effect, Function, Stream } from "effect"
import { AiError, AnthropicStructuredOutput, LanguageModel, OpenAiStructuredOutput } from "effect/ai"
import { toAiError } from "./AiSdkError.ts"
import { toPrompt } from "./ai-sdk/Prompt.ts"
import { fromResult, type OfferedTools } from "./ai-sdk/Response.ts"
import { CurrentSettings, merge, type Settings, toCallOptions } from "./settings/CallSettings.ts"
import * as AiSdkStream from "./ai-sdk/Stream.ts"
import { offeredTools, toResponseFormat, toTools } from "./ai-sdk/Tools.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"

export { CurrentSettings, type Settings } from "./settings/CallSettings.ts"
export { ToolOptions } from "./ai-sdk/Tools.ts"

export interface Options {
  /** Who answers. Default: the model's provider up to the first dot, `"openai"` for `"openai.chat"`. */
  readonly name?: string | undefined
  /** How every call should be answered, unless the call says otherwise ({@link withSettings}). Default: none. */
  readonly settings?: Settings | undefined
  /**
   * Adapts schemas to the JSON Schema the provider accepts, for structured output and for tools marked `Tool.Strict`.
   *
   * Default: by provider. OpenAI's and Azure's dialect for theirs, Anthropic's wherever the provider's name has
   * "anthropic" in it, Effect's own for the rest.
   */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
}

/**
 * Makes a provider of an AI SDK model.
 *
 * Interrupting a call aborts its request; leaving a stream closes its connection. The AI SDK's own retries are not
 * involved: one call is one request. Warnings of the model ("temperature is not supported") are logged once each per
 * provider, and at most 100 of them.
 *
 * **Gotchas**
 *
 * - Links in a prompt are passed on as links. A provider that cannot fetch them itself refuses the call.
 * - With `@ai-sdk/openai-compatible`, set `supportsStructuredOutputs: true` if the server takes JSON schemas; without
 *   it the schema is not sent.
 *
 * **Example**
 *
 * ```ts run
 * import { createOpenAI } from "@ai-sdk/openai"
 * import { AiSdk } from "holdfast/provider"
 *
 * const openai = createOpenAI({ apiKey: "…" })
 * const provider = AiSdk.provider(openai("gpt-5-mini"), { settings: { maxOutputTokens: 1_000 } })
 * provider.name // => "openai"
 * provider.model // => "gpt-5-mini"
 * ```
 */
export const provider = (model: LanguageModelV4, options: Options = {}): ModelProvider => {
  const codecTransformer = options.codecTransformer ?? dialectOf(model.provider)
  const warn = warnOnce(model)
  const prepare = (call: LanguageModel.ProviderOptions, method: Method) =>
    Effect.flatMap(CurrentSettings, (settings) =>
      prepareRequest(call, merge(options.settings ?? {}, settings), codecTransformer, method)
    )
  return {
    name: options.name ?? model.provider.split(".")[0] ?? model.provider,
    model: model.modelId,
    codecTransformer,
    settings: Effect.map(CurrentSettings, (settings) => merge(options.settings ?? {}, settings)),
    generateText: Effect.fnUntraced(function* (call) {
      const { request, tools } = yield* prepare(call, "generateText")
      const result = yield* Effect.tryPromise({
        try: (abortSignal) => model.doGenerate({ ...request, abortSignal }),
        catch: (error) => toAiError(error, { method: "generateText" })
      })
      yield* warn(result.warnings)
      return fromResult(result, tools, call.responseFormat.type === "json")
    }),
    streamText: (call) =>
      prepare(call, "streamText").pipe(
        Effect.map(({ request, tools }) =>
          AiSdkStream.make({ open: (abortSignal) => model.doStream({ ...request, abortSignal }), tools, warn })
        ),
        Stream.unwrap
      )
  }
}

/**
 * Sets how the model calls inside an effect are answered. Wins over the provider's settings, and an inner
 * `withSettings` wins over an outer one, field by field.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { AiSdk } from "holdfast/provider"
 *
 * const seen = Effect.service(AiSdk.CurrentSettings) // where a model call would be
 * const program = seen.pipe(
 *   AiSdk.withSettings({ temperature: 0 }),
 *   AiSdk.withSettings({ temperature: 1, maxOutputTokens: 30 })
 * )
 * Effect.runSync(program) // => ({ temperature: 0, maxOutputTokens: 30 })
 * ```
 */
export const withSettings: {
  (settings: Settings): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, settings: Settings): Effect.Effect<A, E, R>
} = Function.dual(2, <A, E, R>(self: Effect.Effect<A, E, R>, settings: Settings): Effect.Effect<A, E, R> =>
  Effect.updateService(self, CurrentSettings, (current) => merge(current, settings))
)

/** Sets how the model calls behind a stream are answered, as {@link withSettings} does for effects. */
export const withStreamSettings: {
  (settings: Settings): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R>
  <A, E, R>(self: Stream.Stream<A, E, R>, settings: Settings): Stream.Stream<A, E, R>
} = Function.dual(2, <A, E, R>(self: Stream.Stream<A, E, R>, settings: Settings): Stream.Stream<A, E, R> =>
  Stream.updateService(self, CurrentSettings, (current) => merge(current, settings))
)

type Method = "generateText" | "streamText"

interface Prepared {
  readonly request: LanguageModelV4CallOptions
  readonly tools: OfferedTools
}

const prepareRequest = (
  call: LanguageModel.ProviderOptions,
  settings: Settings,
  transformer: LanguageModel.CodecTransformer,
  method: Method
): Effect.Effect<Prepared, AiError.AiError> =>
  Effect.try({
    try: () => ({
      request: {
        ...toCallOptions(settings),
        prompt: toPrompt(call.prompt),
        ...toTools(call, transformer),
        ...toResponseFormat(call.responseFormat, transformer)
      },
      tools: offeredTools(call.tools, transformer)
    }),
    catch: (error) =>
      AiError.make({
        module: "AiSdk",
        method,
        reason: new AiError.UnsupportedSchemaError({
          description: error instanceof Error ? error.message : String(error)
        })
      })
  })

const dialectOf = (provider: string): LanguageModel.CodecTransformer => {
  if (provider.includes("anthropic")) return AnthropicStructuredOutput.toCodecAnthropic
  if (/^(openai|azure(-openai)?)(\.|$)/.test(provider)) return OpenAiStructuredOutput.toCodecOpenAI
  return LanguageModel.defaultCodecTransformer
}

const warningsKept = 100

const warnOnce = (model: LanguageModelV4) => {
  const seen = new Set<string>()
  return (warnings: ReadonlyArray<SharedV4Warning>): Effect.Effect<void> =>
    Effect.forEach(
      warnings,
      (warning) => {
        const text = describe(warning)
        if (seen.has(text) || seen.size >= warningsKept) return Effect.void
        seen.add(text)
        return Effect.logWarning(`${model.provider} ${model.modelId}: ${text}`)
      },
      { discard: true }
    )
}

const describe = (warning: SharedV4Warning): string => {
  switch (warning.type) {
    case "other":
      return warning.message
    case "deprecated":
      return `${warning.setting} is deprecated: ${warning.message}`
    case "unsupported":
    case "compatibility": {
      const what = warning.type === "unsupported" ? "is not supported" : "works in compatibility mode only"
      return warning.details === undefined
        ? `${warning.feature} ${what}`
        : `${warning.feature} ${what}: ${warning.details}`
    }
  }
}
