/**
 * Knows the tools that a call offers: which of them, by which schema, and how the parameters of calls to them are read.
 */
import { Option, Predicate, Schema } from "effect"
import { type LanguageModel, Tool } from "effect/ai"

/** Knows the tools a call offered. */
export interface OfferedTools {
  readonly has: (toolName: string) => boolean
  /** Reads the parameters of a call to the named tool from the model's text. */
  readonly readParams: (toolName: string, input: string) => unknown
}

/** The same, and knows names that are not whole yet. */
export interface NamedTools extends OfferedTools {
  /** Whether the name of a tool begins so, or is that. */
  readonly isBegun: (toolName: string) => boolean
  /** Whether it is only the beginning of a tool's name. */
  readonly begins: (toolName: string) => boolean
}

/** The tools that a call offers: all, or those among which it lets the model choose. */
export const chosen = (
  options: Pick<LanguageModel.ProviderOptions, "tools" | "toolChoice">
): ReadonlyArray<Tool.Any> => {
  const { toolChoice, tools } = options
  return typeof toolChoice === "object" && "oneOf" in toolChoice
    ? tools.filter((tool) => toolChoice.oneOf.includes(tool.name))
    : tools
}

/** The JSON schema of a tool's parameters, which is that of an object: providers insist on it. */
export const parametersOf = (
  tool: Tool.Any,
  transformer: LanguageModel.CodecTransformer
): { readonly [key: string]: unknown } =>
  asObjectSchema(
    usesTransformer(tool) ? transformer(Schema.toEncoded(tool.parametersSchema)).jsonSchema : Tool.getJsonSchema(tool)
  )

/** A tool marked `Tool.Strict` is asked for in the provider's own dialect of JSON Schema, which strictness needs. */
const usesTransformer = (tool: Tool.Any): boolean =>
  Tool.getStrictMode(tool) === true && !(Tool.isDynamic(tool) && tool.jsonSchema !== undefined)

/** Also when the tool accepts anything. */
const asObjectSchema = (schema: { readonly [key: string]: unknown }): { readonly [key: string]: unknown } =>
  ["type", "anyOf", "oneOf", "allOf", "$ref"].some((key) => key in schema) ? schema : { ...schema, type: "object" }

/**
 * Knows the tools of a call, and reads the parameters of calls to them: parsed, and for a strict tool back from the provider's dialect.
 *
 * Text that is not JSON is returned as the text it is, and parameters the schema refuses as they are: the layer above
 * validates them, and can tell the model what is wrong with them.
 */
export const make = (tools: ReadonlyArray<Tool.Any>, transformer: LanguageModel.CodecTransformer): NamedTools => {
  if (tools.length === 0) return none
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
    isBegun: (toolName) => tools.some(({ name }) => name.startsWith(toolName)),
    begins: (toolName) => !names.has(toolName) && tools.some(({ name }) => name.startsWith(toolName)),
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
    const params = Tool.unsafeSecureJsonParse(input)
    return isWrittenObject(params) ? parse(params) : params
  } catch {
    return input
  }
}

/** Some servers write the parameters as JSON twice. */
const isWrittenObject = (params: unknown): params is string => Predicate.isString(params) && /^\s*\{/.test(params)

const none: NamedTools = {
  has: () => false,
  isBegun: () => false,
  begins: () => false,
  readParams: (_, input) => parse(input)
}

/** A name for structured output that every server takes. */
export const formatName = (objectName: string): string => objectName.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 64)
