/** Turns tools, tool choice and structured output into what an AI SDK model is asked for. */
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4ProviderTool,
  LanguageModelV4ToolChoice,
  SharedV4ProviderOptions
} from "@ai-sdk/provider"
import { Context, Option, Schema } from "effect"
import { type LanguageModel, Tool } from "effect/ai"
import type { OfferedTools } from "./Response.ts"

/**
 * Gives a provider its own options for one tool: `tool.annotate(AiSdk.ToolOptions, { anthropic: { cacheControl } })`.
 *
 * Default: none.
 */
export const ToolOptions = Context.Reference<SharedV4ProviderOptions | undefined>(
  "holdfast/provider/AiSdk/ToolOptions",
  { defaultValue: () => undefined }
)

/** Names the tools and the choice among them; empty when the call has no tools. */
export const toTools = (
  options: Pick<LanguageModel.ProviderOptions, "tools" | "toolChoice">,
  transformer: LanguageModel.CodecTransformer
): Pick<LanguageModelV4CallOptions, "tools" | "toolChoice"> => {
  const { toolChoice } = options
  const tools =
    typeof toolChoice === "object" && "oneOf" in toolChoice
      ? options.tools.filter((tool) => toolChoice.oneOf.includes(tool.name))
      : options.tools
  if (tools.length === 0) return {}
  return { tools: tools.map((tool) => toTool(tool, transformer)), toolChoice: toToolChoice(toolChoice) }
}

const toTool = (
  tool: Tool.Any,
  transformer: LanguageModel.CodecTransformer
): LanguageModelV4FunctionTool | LanguageModelV4ProviderTool => {
  if (Tool.isProviderDefined(tool)) return { type: "provider", id: tool.id, name: tool.name, args: argsOf(tool.args) }
  const description = Tool.getDescription(tool)
  const strict = Tool.getStrictMode(tool)
  const providerOptions = Context.get(tool.annotations, ToolOptions)
  return {
    type: "function",
    name: tool.name,
    inputSchema: asObjectSchema(
      usesTransformer(tool) ? transformer(Schema.toEncoded(tool.parametersSchema)).jsonSchema : Tool.getJsonSchema(tool)
    ),
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
    ...(providerOptions === undefined ? {} : { providerOptions })
  }
}

/** A tool marked `Tool.Strict` is asked for in the provider's own dialect of JSON Schema, which strictness needs. */
const usesTransformer = (tool: Tool.Any): boolean =>
  Tool.getStrictMode(tool) === true && !(Tool.isDynamic(tool) && tool.jsonSchema !== undefined)

/** `failureMode` is how Effect handles the result; it shares the arguments' object but is not the provider's business. */
const argsOf = (args: unknown): Record<string, unknown> => {
  const { failureMode: _, ...rest } = Object.fromEntries(Object.entries(args ?? {}))
  return rest
}

/** Providers insist that a tool's parameters are an object, also when the tool accepts anything. */
const asObjectSchema = (schema: { readonly [key: string]: unknown }): Record<string, unknown> =>
  ["type", "anyOf", "oneOf", "allOf", "$ref"].some((key) => key in schema) ? schema : { ...schema, type: "object" }

const toToolChoice = (choice: LanguageModel.ToolChoice<string>): LanguageModelV4ToolChoice => {
  if (typeof choice === "string") return { type: choice }
  if ("tool" in choice) return { type: "tool", toolName: choice.tool }
  return { type: choice.mode ?? "auto" }
}

/**
 * Knows the tools of a call, and reads the parameters of calls to them: parsed, and for a strict tool back from the provider's dialect.
 *
 * Text that is not JSON is returned as the text it is, and parameters the schema refuses as they are: the layer above
 * validates them, and can tell the model what is wrong with them.
 */
export const offeredTools = (
  tools: ReadonlyArray<Tool.Any>,
  transformer: LanguageModel.CodecTransformer
): OfferedTools => {
  const names = new Set(tools.map((tool) => tool.name))
  const decoders = new Map(
    tools
      .filter(usesTransformer)
      .map((tool) => [
        tool.name,
        Schema.decodeUnknownOption(transformer(Schema.toEncoded(tool.parametersSchema)).codec)
      ])
  )
  return {
    has: (toolName) => names.has(toolName),
    readParams: (toolName, input) => {
      const params = parse(input)
      const decode = decoders.get(toolName)
      return decode === undefined ? params : Option.getOrElse(decode(params), () => params)
    }
  }
}

const parse = (input: string): unknown => {
  if (input.trim() === "") return {}
  try {
    return Tool.unsafeSecureJsonParse(input)
  } catch {
    return input
  }
}

/** Asks for text, or for JSON that matches the schema as the provider's dialect writes it. */
export const toResponseFormat = (
  format: LanguageModel.ProviderOptions["responseFormat"],
  transformer: LanguageModel.CodecTransformer
): Pick<LanguageModelV4CallOptions, "responseFormat"> =>
  format.type === "text"
    ? {}
    : {
        responseFormat: {
          type: "json",
          schema: transformer(format.schema).jsonSchema,
          name: format.objectName.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64)
        }
      }
