/**
 * Turns any `effect/ai` language model into a {@link ModelProvider}, so that policies stack on layers others publish.
 *
 * Tools are offered to the model but not run here: their calls come back as parts, and are resolved once, on top.
 */
import { Effect, Option, Schema, Stream } from "effect"
import { AiError, LanguageModel, Model, Response, type Tool, type Toolkit } from "effect/ai"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as StreamParts from "../core/stream/StreamParts.ts"
import { toAiError } from "./AiSdkError.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import * as WellFormed from "../core/stream/WellFormed.ts"
import * as CallError from "../core/call/CallError.ts"

export interface Options {
  /** Who answers. Default: what the layer says (`Model.ProviderName`), else `"effect"`. */
  readonly name?: string | undefined
  /** Which model answers. Default: what the layer says (`Model.ModelName`), else `"unknown"`. */
  readonly model?: string | undefined
  /**
   * How structured output is written on the way up. The service reads its own model's dialect; the value is written
   * again in this one, which the layer above reads. Default: Effect's own, the schema's plain encoding.
   */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
  /**
   * Reads what in context changes the service's answers, such as a `Config` of its provider's package: caches and single
   * flights then tell such calls apart. Default: nothing does.
   */
  readonly settings?: Effect.Effect<unknown> | undefined
}

/** Makes a provider of the language model in context. */
export const provider = (options: Options = {}): Effect.Effect<ModelProvider, never, LanguageModel.LanguageModel> =>
  Effect.gen(function* () {
    const service = yield* LanguageModel.LanguageModel
    const name = yield* Effect.serviceOption(Model.ProviderName)
    const model = yield* Effect.serviceOption(Model.ModelName)
    return fromService(service, {
      ...options,
      name: options.name ?? Option.getOrUndefined(name),
      model: options.model ?? Option.getOrUndefined(model)
    })
  })

/**
 * Makes a provider of a language model service.
 *
 * **Gotchas**
 *
 * - The service opens its own span below the one of the layer above.
 * - A service cannot stream structured output. Asked to, the whole object is generated and then sent as one stream.
 */
export const fromService = (service: LanguageModel.LanguageModel, options: Options = {}): ModelProvider => {
  const check = OptionCheck.of("EffectAi")
  check.fields(options, fields)
  if (options.name !== undefined) check.text("name", options.name)
  if (options.model !== undefined) check.text("model", options.model)
  if (options.codecTransformer !== undefined) check.callback("codecTransformer", options.codecTransformer)
  if (options.settings !== undefined && !Effect.isEffect(options.settings)) {
    check.reject("settings", "an Effect", options.settings)
  }
  const codecTransformer = options.codecTransformer ?? LanguageModel.defaultCodecTransformer
  const generateText: ModelProvider["generateText"] = (call) =>
    call.responseFormat.type === "json"
      ? generateObject(service, call, call.responseFormat, codecTransformer)
      : Effect.flatMap(service.generateText(toRequest(call)), ({ content }) => encodeParts(content))
  const streamText: ModelProvider["streamText"] = (call) =>
    call.responseFormat.type === "json"
      ? Stream.fromIterableEffect(Effect.map(generateText(call), StreamParts.ofParts))
      : service
          .streamText(toRequest(call))
          .pipe(Stream.mapEffect(encodeStreamPart), (parts) => WellFormed.enforce(parts, "EffectAi"))
  return {
    name: options.name ?? "effect",
    model: options.model ?? "unknown",
    codecTransformer,
    settings: options.settings,
    generateText,
    streamText
  }
}

/** A tool whose schemas need no services of ours: the layer above, which decodes with them, has them in context. */
type OfferedTool = Tool.Tool<
  string,
  {
    readonly parameters: Schema.Codec<unknown>
    readonly success: Schema.Codec<unknown>
    readonly failure: Schema.Codec<unknown>
    readonly failureMode: Tool.FailureMode
  }
>

/** Offers the tools without resolving or validating their calls. Both are done once, on top. */
const toRequest = (call: LanguageModel.ProviderOptions) => ({
  prompt: call.prompt,
  toolkit: offer(call.tools),
  toolChoice: call.toolChoice,
  disableToolCallResolution: true as const,
  toolCallValidation: "deferred" as const
})

const offer = (tools: ReadonlyArray<Tool.Any>): Toolkit.WithHandler<Record<string, OfferedTool>> => ({
  tools: Object.fromEntries(tools.map((tool) => [tool.name, tool as OfferedTool])),
  handle: (name) => Effect.die(`the tool "${name}" is resolved above the provider`)
})

type Answer = ReadonlyArray<Response.Part<Record<string, OfferedTool>, "deferred">>

const PartArray = Schema.mutable(Schema.Array(Response.Part()))

const encodeParts = (parts: Answer): Effect.Effect<Array<Response.PartEncoded>, AiError.AiError> =>
  Schema.encodeEffect(PartArray)(parts.map(withEncodedResult)).pipe(Effect.mapError(invalid("generateText")))

const encodeStreamPart = (
  part: Response.StreamPart<Record<string, OfferedTool>, "deferred">
): Effect.Effect<Response.StreamPartEncoded, AiError.AiError> =>
  part.type === "error"
    ? Effect.fail(
        AiError.isAiError(part.error)
          ? part.error
          : CallError.make({
              module: "EffectAi",
              method: "streamText",
              reason: toAiError(part.error, { method: "streamText" }).reason
            })
      )
    : Schema.encodeEffect(Response.StreamPart())(withEncodedResult(part)).pipe(Effect.mapError(invalid("streamText")))

/** The schema for any tool's result knows no encoding for it; the service has already encoded it. */
const withEncodedResult = <Part extends { readonly type: string }>(part: Part): Part =>
  part.type === "tool-result" && "encodedResult" in part ? { ...part, result: part.encodedResult } : part

const generateObject = Effect.fnUntraced(function* (
  service: LanguageModel.LanguageModel,
  call: LanguageModel.ProviderOptions,
  format: Extract<LanguageModel.ProviderOptions["responseFormat"], { readonly type: "json" }>,
  transformer: LanguageModel.CodecTransformer
) {
  const schema = format.schema as Schema.Codec<unknown, Record<string, unknown>>
  const { codec } = yield* Effect.try({ try: () => transformer(schema), catch: unsupported })
  const response = yield* service.generateObject({ ...toRequest(call), schema, objectName: format.objectName })
  const text = yield* Schema.encodeEffect(Schema.fromJsonString(codec))(response.value).pipe(
    Effect.mapError(invalid("generateObject"))
  )
  const parts = yield* encodeParts(response.content)
  const last = parts.findLastIndex((part) => part.type === "text")
  return parts.flatMap((part, index): Array<Response.PartEncoded> => {
    if (part.type !== "text") return [part]
    return index === last ? [{ ...part, text }] : []
  })
})

const invalid = (method: string) => (error: Schema.SchemaError) =>
  CallError.make({ module: "EffectAi", method, reason: AiError.InvalidOutputError.fromSchemaError(error) })

const unsupported = (error: unknown) =>
  CallError.make({
    module: "EffectAi",
    method: "generateObject",
    reason: new AiError.UnsupportedSchemaError({ description: error instanceof Error ? error.message : String(error) })
  })

const fields: OptionCheck.Fields<Options> = { name: true, model: true, codecTransformer: true, settings: true }
