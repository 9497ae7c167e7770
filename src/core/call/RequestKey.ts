/**
 * Names a model call by everything that changes its answer: two calls with the same key may have the same answer.
 *
 * In the key: the provider and model, the prompt with the content of its files, the tools and the choice among them, the
 * output's schema as the provider is asked for it, the settings in context (`ModelProvider.settings`), and for whom the
 * call is made, tenant and task. Not in the key: spans, priorities, deadlines, and how a prompt is sent in increments.
 *
 * The key is the SHA-256 of that, written so that the order of an object's keys does not matter, and that texts which differ
 * only in lone surrogates do.
 */
import { hash } from "node:crypto"
import { Effect, Predicate, type Schema } from "effect"
import { LanguageModel, Tool } from "effect/ai"
import * as PlainData from "../PlainData.ts"
import * as Caller from "./Caller.ts"
import * as Key from "./Key.ts"
import type { ModelProvider } from "./ModelProvider.ts"

/** The key of a call in the present fiber; `undefined` when the request holds what has no content to compare. */
export const keyOf = (
  provider: ModelProvider,
  request: LanguageModel.ProviderOptions
): Effect.Effect<string | undefined> => {
  const { settings } = provider
  return Effect.withFiber((fiber) => {
    const caller = fiber.getRef(Caller.Current)
    return settings === undefined
      ? Effect.succeed(write(provider, request, caller, undefined))
      : Effect.map(settings, (now) => write(provider, request, caller, now))
  })
}

const write = (
  { codecTransformer = LanguageModel.defaultCodecTransformer, model, name }: ModelProvider,
  { prompt, responseFormat, toolChoice, tools }: LanguageModel.ProviderOptions,
  { task, tenant }: Caller.Caller,
  settings: unknown
): string | undefined => {
  try {
    let text = canonical([name, model, tenant ?? null, task ?? null, settings]) + canonical(prompt.content)
    if (tools.length > 0) {
      text += canonical(toolChoice)
      for (const tool of tools) text += describeTool(tool)
    }
    if (responseFormat.type === "json") {
      text += `json${canonical(responseFormat.objectName)}${describeSchema(responseFormat.schema, codecTransformer)}`
    }
    return Key.hashOf(text)
  } catch {
    // What has no canonical form, and a schema that the provider itself will refuse.
    return undefined
  }
}

/** Tools and schemas do not change, and to write one out takes longer than everything else in a key. */
const toolTexts = new WeakMap<Tool.Any, string>()
const schemaTexts = new WeakMap<LanguageModel.CodecTransformer, WeakMap<Schema.Top, string>>()

const describeTool = (tool: Tool.Any): string => {
  let text = toolTexts.get(tool)
  if (text === undefined) {
    text = canonical(
      Tool.isProviderDefined(tool)
        ? [tool.id, tool.name, tool.args]
        : [tool.name, Tool.getDescription(tool), Tool.getJsonSchema(tool), Tool.getStrictMode(tool), notesOf(tool)]
    )
    toolTexts.set(tool, text)
  }
  return text
}

/** What a tool is annotated with for its provider. Effect's own annotations are hints to applications. */
const notesOf = ({ annotations }: Tool.Any): unknown =>
  Object.fromEntries([...annotations.mapUnsafe].filter(([key]) => !key.startsWith("effect/ai/Tool/")))

const describeSchema = (schema: Schema.Top, transformer: LanguageModel.CodecTransformer): string => {
  let texts = schemaTexts.get(transformer)
  if (texts === undefined) schemaTexts.set(transformer, (texts = new WeakMap()))
  let text = texts.get(schema)
  if (text === undefined) texts.set(schema, (text = canonical(transformer(schema).jsonSchema)))
  return text
}

/**
 * Writes a value so that different values differ: as JSON with the keys of objects in order, but strings with their
 * length before them in place of quotes, which is quicker, and bytes as their hash. Throws on what has no content of its
 * own to write, such as functions, `Map` and `Set`.
 */
const canonical = (value: unknown): string => {
  switch (typeof value) {
    case "string":
      return `${value.length}"${value}`
    case "number":
    case "boolean":
      return String(value)
    case "bigint":
      return `${value}n`
    case "undefined":
      return "null"
    case "object":
      return value === null ? "null" : canonicalObject(value)
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`)
  }
}

const canonicalObject = (value: object): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (ArrayBuffer.isView(value)) {
    return `bytes(${hash("sha256", new Uint8Array(value.buffer, value.byteOffset, value.byteLength), "base64url")})`
  }
  if (Predicate.hasProperty(value, "toJSON") && Predicate.isFunction(value.toJSON)) return canonical(value.toJSON())
  const keys = Object.keys(value)
  if (keys.length === 0 && !PlainData.isPlain(value))
    throw new TypeError("an object without fields has no canonical form")
  if (keys.length > 1) keys.sort()
  let text = "{"
  for (const key of keys) {
    const field = (value as Record<string, unknown>)[key]
    if (field !== undefined) text += `${key.length}"${key}${canonical(field)},`
  }
  return `${text}}`
}
