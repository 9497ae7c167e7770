/** Turns tools, tool choice and structured output into what an AI SDK model is asked for. */
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FunctionTool,
  LanguageModelV4ProviderTool,
  LanguageModelV4ToolChoice,
  SharedV4ProviderOptions
} from "@ai-sdk/provider"
import { Context } from "effect"
import { type LanguageModel, Tool } from "effect/ai"
import * as OfferedTools from "../tools/OfferedTools.ts"

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
  const tools = OfferedTools.chosen(options)
  if (tools.length === 0) return {}
  return { tools: tools.map((tool) => toTool(tool, transformer)), toolChoice: toToolChoice(options.toolChoice) }
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
    inputSchema: { ...OfferedTools.parametersOf(tool, transformer) },
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
    ...(providerOptions === undefined ? {} : { providerOptions })
  }
}

/** `failureMode` is how Effect handles the result; it shares the arguments' object but is not the provider's business. */
const argsOf = (args: unknown): Record<string, unknown> => {
  const { failureMode: _, ...rest } = Object.fromEntries(Object.entries(args ?? {}))
  return rest
}

const toToolChoice = (choice: LanguageModel.ToolChoice<string>): LanguageModelV4ToolChoice => {
  if (typeof choice === "string") return { type: choice }
  if ("tool" in choice) return { type: "tool", toolName: choice.tool }
  return { type: choice.mode ?? "auto" }
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
          name: OfferedTools.formatName(format.objectName)
        }
      }
