/**
 * Names a model call by everything that changes its answer: two calls with the same key may have the same answer.
 *
 * The key is canonical JSON, with the keys of objects in order, of the provider and model, the request, the settings in
 * context (`ModelProvider.settings`), and for whom the call is made: what belongs to one tenant is never given to
 * another.
 */
import { Effect, Predicate, type Schema } from "effect"
import { type LanguageModel, Tool } from "effect/ai"
import { Base64 } from "effect/encoding"
import * as Caller from "../core/Caller.ts"
import type { ModelProvider } from "../provider/ModelProvider.ts"

/** The key of a call in the present fiber; `undefined` when the request holds what cannot be written as JSON. */
export const keyOf = (
  provider: ModelProvider,
  request: LanguageModel.ProviderOptions
): Effect.Effect<string | undefined> =>
  Effect.flatMap(Caller.Current, (caller) =>
    provider.settings === undefined
      ? Effect.sync(() => write(provider, request, caller, undefined))
      : Effect.map(provider.settings, (settings) => write(provider, request, caller, settings))
  )

const write = (
  { model, name }: ModelProvider,
  { previousResponseId, prompt, responseFormat, toolChoice, tools }: LanguageModel.ProviderOptions,
  { task, tenant }: Caller.Caller,
  settings: unknown
): string | undefined => {
  try {
    return JSON.stringify(
      [
        [name, model, tenant, task, settings],
        prompt.content,
        tools.map(describeTool),
        toolChoice,
        responseFormat.type === "json" ? [responseFormat.objectName, schemaOf(responseFormat.schema)] : "text",
        previousResponseId
      ],
      canonical
    )
  } catch {
    return undefined
  }
}

const describeTool = (tool: Tool.Any): unknown =>
  Tool.isProviderDefined(tool)
    ? [tool.id, tool.name, tool.args]
    : [tool.name, tool.description, jsonSchemaOf(tool, () => Tool.getJsonSchema(tool))]

const schemaOf = (schema: Schema.Top): unknown => jsonSchemaOf(schema, () => Tool.getJsonSchemaFromSchema(schema))

// Writing a schema out takes longer than everything else in a call; tools and schemas are made once.
const jsonSchemas = new WeakMap<object, unknown>()

const jsonSchemaOf = (source: object, make: () => unknown): unknown => {
  let schema = jsonSchemas.get(source)
  if (schema === undefined) jsonSchemas.set(source, (schema = make()))
  return schema
}

const canonical = (_: string, value: unknown): unknown => {
  if (Predicate.isBigInt(value)) return `${value}n`
  if (!Predicate.isObject(value) || Array.isArray(value)) return value
  if (value instanceof Uint8Array) return Base64.encode(value)
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}
