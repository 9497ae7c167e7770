/**
 * Writes a call as the body of a chat-completions request.
 */
import { Predicate } from "effect"
import { AiError, type LanguageModel, Tool } from "effect/ai"
import type { CallSettings } from "../settings/CallSettings.ts"
import * as OfferedTools from "../tools/OfferedTools.ts"
import type * as Dialects from "./Dialects.ts"
import * as Messages from "./Messages.ts"

/** What requests to one model have in common. */
export interface Target {
  readonly name: string
  readonly model: string
  readonly dialect: Dialects.Resolved
}

/** The body before it is written, and the settings that the server does not know and that are left out. */
export interface Body {
  readonly fields: Messages.Json
  readonly leftOut: ReadonlyArray<string>
}

/** Converts a call. Throws an `AiErrorReason` for what the wire cannot say. */
export const of = (
  call: LanguageModel.ProviderOptions,
  settings: CallSettings,
  { dialect, model, name }: Target,
  streamed: boolean
): Body => {
  const { fields, leftOut } = settingsOf(settings, dialect)
  const usage = streamed && dialect.streamUsage ? { stream_options: { include_usage: true } } : {}
  return {
    leftOut,
    fields: {
      model,
      messages: Messages.of(call.prompt, { name, dialect }),
      ...(streamed ? { stream: true, ...usage } : {}),
      ...fields,
      ...toolsOf(call, dialect),
      ...formatOf(call.responseFormat, dialect),
      ...settings.providerOptions?.[name]
    }
  }
}

/** The fields of settings. */
export const settingsOf = (settings: CallSettings, dialect: Dialects.Resolved): Body => {
  const leftOut: Array<string> = []
  const fields: Record<string, unknown> = {}
  const put = (name: string, value: unknown) => {
    if (value !== undefined) fields[name] = value
  }
  const unlessLacking = (setting: (typeof dialect.lacks)[number], name: string) => {
    if (settings[setting] === undefined) return
    if (dialect.lacks.includes(setting)) leftOut.push(setting)
    else fields[name] = settings[setting]
  }
  put(dialect.maxTokens, settings.maxOutputTokens)
  put("temperature", settings.temperature)
  put("top_p", settings.topP)
  unlessLacking("topK", "top_k")
  unlessLacking("presencePenalty", "presence_penalty")
  unlessLacking("frequencyPenalty", "frequency_penalty")
  unlessLacking("stopSequences", "stop")
  unlessLacking("seed", "seed")
  if (settings.reasoning !== "provider-default") put("reasoning_effort", settings.reasoning)
  return { fields, leftOut }
}

/** The fields of the tools that a call offers. */
export const toolsOf = (call: LanguageModel.ProviderOptions, dialect: Dialects.Resolved): Messages.Json => {
  const tools = OfferedTools.chosen(call)
  if (tools.length === 0) return {}
  return { tools: tools.map((tool) => toolOf(tool, dialect)), tool_choice: choiceOf(call.toolChoice, dialect) }
}

const toolOf = (tool: Tool.Any, dialect: Dialects.Resolved): Messages.Json => {
  if (Tool.isProviderDefined(tool)) {
    throw new AiError.InvalidRequestError({
      parameter: "tools",
      constraint: "may hold functions only",
      description: `the provider-defined tool ${JSON.stringify(tool.name)} cannot be sent over chat completions`
    })
  }
  const description = Tool.getDescription(tool)
  const strict = Tool.getStrictMode(tool)
  return {
    type: "function",
    function: {
      name: tool.name,
      ...(description === undefined ? {} : { description }),
      parameters: OfferedTools.parametersOf(tool, dialect.codecTransformer),
      ...(strict === undefined || !dialect.strictTools ? {} : { strict })
    }
  }
}

const choiceOf = (choice: LanguageModel.ToolChoice<string>, dialect: Dialects.Resolved): unknown => {
  const word = (mode: "auto" | "none" | "required") => (mode === "required" ? dialect.requiredTool : mode)
  if (Predicate.isString(choice)) return word(choice)
  if ("tool" in choice) return { type: "function", function: { name: choice.tool } }
  return word(choice.mode ?? "auto")
}

/** The fields of the format that a call asks for. */
export const formatOf = (
  format: LanguageModel.ProviderOptions["responseFormat"],
  dialect: Dialects.Resolved
): Messages.Json => {
  if (format.type === "text" || dialect.structuredOutput === "none") return {}
  if (dialect.structuredOutput === "object") return { response_format: { type: "json_object" } }
  const schema = dialect.codecTransformer(format.schema).jsonSchema
  const json_schema = { name: OfferedTools.formatName(format.objectName), strict: true, schema }
  return { response_format: { type: "json_schema", json_schema } }
}
