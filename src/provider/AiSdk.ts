/**
 * Turns any AI SDK language model into a {@link ModelProvider}.
 *
 * More than forty provider packages publish models of the AI SDK's version 4 specification (`@ai-sdk/openai`,
 * `@ai-sdk/anthropic`, `@ai-sdk/openai-compatible`, …). One bridge serves them all.
 */
import type { LanguageModelV4, LanguageModelV4CallOptions, SharedV4Warning } from "@ai-sdk/provider"
import { Effect, Redacted, Stream } from "effect"
import { AiError, AnthropicStructuredOutput, LanguageModel, OpenAiStructuredOutput } from "effect/ai"
import * as OptionCheck from "../core/OptionCheck.ts"
import { toAiError } from "./AiSdkError.ts"
import { toPrompt } from "./ai-sdk/Prompt.ts"
import * as Fault from "./ai-sdk/Fault.ts"
import { counted, fromResult } from "./ai-sdk/Response.ts"
import { toCallOptions } from "./ai-sdk/CallOptions.ts"
import * as Shown from "./errors/Shown.ts"
import * as HeaderNames from "./http/ResponseHeaderNames.ts"
import type { Mask } from "./http/Secrets.ts"
import * as CallSettings from "./settings/CallSettings.ts"
import * as AiSdkStream from "./ai-sdk/Stream.ts"
import { toResponseFormat, toTools } from "./ai-sdk/Tools.ts"
import * as OfferedTools from "./tools/OfferedTools.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import * as CallError from "../core/call/CallError.ts"

export { CurrentSettings, type CallSettings } from "./settings/CallSettings.ts"
export { ToolOptions } from "./ai-sdk/Tools.ts"

export interface Options {
  /** Who answers. Default: the model's provider up to the first dot, `"openai"` for `"openai.chat"`. */
  readonly name?: string | undefined
  /** How every call should be answered, unless the call says otherwise ({@link withSettings}). Default: none. */
  readonly settings?: CallSettings.CallSettings | undefined
  /**
   * Adapts schemas to the JSON Schema the provider accepts, for structured output and for tools marked `Tool.Strict`.
   *
   * Default: by provider. OpenAI's and Azure's dialect for theirs, Anthropic's wherever the provider's name has
   * "anthropic" in it, Effect's own for the rest.
   */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
  /**
   * Keys, passwords and whatever else must show nowhere: they are masked by their value in errors, warnings and response
   * headers. Values of fewer than six characters are not. Default: none, and only what looks like a key is masked, for the
   * model does not say what it was given. Values of secret headers in the settings are always masked.
   */
  readonly secrets?: ReadonlyArray<Redacted.Redacted | string> | undefined
  /** Response headers to pass on besides those that are known to be useful and harmless. Default: none. */
  readonly keepHeaders?: ReadonlyArray<string> | undefined
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
  const check = OptionCheck.of("AiSdk")
  check.fields(options, fields)
  if (options.name !== undefined) check.text("name", options.name)
  if (options.settings !== undefined) CallSettings.checked(options.settings, check, "settings.")
  if (options.codecTransformer !== undefined) check.callback("codecTransformer", options.codecTransformer)
  const given = secretsOf(options, check)
  if (options.keepHeaders !== undefined) check.list("keepHeaders", options.keepHeaders)
  const keepHeaders = new Set(options.keepHeaders?.map((name) => name.toLowerCase()))
  const codecTransformer = options.codecTransformer ?? dialectOf(model.provider)
  const warn = warnOnce(model, given)
  const isKept = (header: string): boolean => HeaderNames.isPassed(header) || keepHeaders.has(header)
  const prepare = (call: LanguageModel.ProviderOptions, method: Method) =>
    Effect.flatMap(CallSettings.CurrentSettings, (inner) => {
      const settings = CallSettings.merge(options.settings ?? {}, inner)
      const shown = { mask: Shown.withHeaders(given, settings.headers), isKept, prompt: call.prompt }
      return prepareRequest(call, settings, codecTransformer, { method, shown })
    })
  return {
    name: options.name ?? model.provider.split(".")[0] ?? model.provider,
    model: model.modelId,
    codecTransformer,
    settings: Effect.map(CallSettings.CurrentSettings, (settings) =>
      CallSettings.merge(options.settings ?? {}, settings)
    ),
    generateText: Effect.fnUntraced(function* (call) {
      const { context, request, tools } = yield* prepare(call, "generateText")
      const result = yield* Effect.tryPromise({
        try: (abortSignal) => model.doGenerate({ ...request, abortSignal }),
        catch: (error) => toAiError(error, context)
      })
      yield* warn(result.warnings)
      const reason = Fault.ofResult(result, context.shown)
      if (reason !== undefined) {
        return yield* counted(CallError.make({ module: "AiSdk", method: "generateText", reason }), result.usage)
      }
      return fromResult(result, tools, call.responseFormat.type === "json", context.shown)
    }),
    streamText: (call) =>
      prepare(call, "streamText").pipe(
        Effect.map(({ context, request, tools }) =>
          AiSdkStream.make({
            open: (abortSignal) => model.doStream({ ...request, abortSignal, includeRawChunks: true }),
            tools,
            warn,
            shown: context.shown
          })
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
export const withSettings = CallSettings.withSettings

/** Sets how the model calls behind a stream are answered, as {@link withSettings} does for effects. */
export const withStreamSettings = CallSettings.withStreamSettings

type Method = "generateText" | "streamText"

interface Prepared {
  readonly request: LanguageModelV4CallOptions
  readonly tools: OfferedTools.OfferedTools
  readonly context: CallContext
}

interface CallContext {
  readonly method: Method
  readonly shown: Shown.Shown
}

const prepareRequest = (
  call: LanguageModel.ProviderOptions,
  settings: CallSettings.CallSettings,
  transformer: LanguageModel.CodecTransformer,
  context: CallContext
): Effect.Effect<Prepared, AiError.AiError> =>
  Effect.try({
    try: () => ({
      request: {
        ...toCallOptions(settings),
        prompt: toPrompt(call.prompt),
        ...toTools(call, transformer),
        ...toResponseFormat(call.responseFormat, transformer)
      },
      tools: OfferedTools.make(call.tools, transformer),
      context
    }),
    catch: (error) =>
      CallError.make({
        module: "AiSdk",
        method: context.method,
        reason: new AiError.UnsupportedSchemaError({
          description: error instanceof Error ? error.message : String(error)
        })
      })
  })

const fields: OptionCheck.Fields<Options> = {
  name: true,
  settings: true,
  codecTransformer: true,
  secrets: true,
  keepHeaders: true
}

const secretsOf = ({ secrets = [] }: Options, check: OptionCheck.OptionCheck): Mask => {
  check.list("secrets", secrets)
  for (const secret of secrets) if (!Redacted.isRedacted(secret)) check.text("secrets", secret)
  return Shown.maskOfGiven(secrets)
}

const dialectOf = (provider: string): LanguageModel.CodecTransformer => {
  if (provider.includes("anthropic")) return AnthropicStructuredOutput.toCodecAnthropic
  if (/^(openai|azure(-openai)?)(\.|$)/.test(provider)) return OpenAiStructuredOutput.toCodecOpenAI
  return LanguageModel.defaultCodecTransformer
}

const warningsKept = 100

const warnOnce = (model: LanguageModelV4, mask: Mask) => {
  const seen = new Set<string>()
  return (warnings: ReadonlyArray<SharedV4Warning>): Effect.Effect<void> =>
    Effect.forEach(
      warnings,
      (warning) => {
        const text = mask(describe(warning))
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
