/**
 * Carries provider options and metadata across the bridge as plain JSON.
 *
 * What Effect's parts have no field for (raw finish reason and usage, citations, reasoning files, provider-specific
 * blocks) rides under the key `aiSdk` next to the provider's own keys, and is put back when the part is sent again.
 */
import type { SharedV4ProviderMetadata, SharedV4ProviderOptions } from "@ai-sdk/provider"
import { Predicate, type Schema } from "effect"

/** What a part says beyond Effect's fields. Never sent to a provider. */
export interface Notes {
  /** The block's kind, for a provider-specific block that is neither text, file nor tool: `"openai.compaction"`. */
  readonly custom?: string | undefined
  /** A call or result of a tool that only the provider knows, as it is sent back in the next turn. */
  readonly providerTool?: unknown
  /** True for a file that belongs to the model's reasoning, not to its answer. */
  readonly reasoning?: boolean | undefined
  /** The sources that support a text block. */
  readonly citations?: ReadonlyArray<unknown> | undefined
  /** The provider's own word for why it stopped. */
  readonly finishReason?: string | undefined
  /** The provider's own usage object. */
  readonly usage?: unknown
}

const notesKey = "aiSdk"

/** Reads the notes of a prompt part or response part; empty when there are none. */
export const notesOf = (options: { readonly [provider: string]: unknown } | undefined): Notes => {
  const notes = options?.[notesKey]
  return Predicate.isObject(notes) ? notes : {}
}

/** Takes a provider's metadata over unchanged, dropping only what is not JSON, and adds the notes if there are any. */
export const fromProviderMetadata = (
  metadata: SharedV4ProviderMetadata | undefined,
  notes: Notes = {}
): { readonly metadata?: Record<string, Schema.Json> } => {
  const own = toJsonObject(notes)
  const all = { ...toJsonObject(metadata ?? {}), ...(Object.keys(own).length === 0 ? {} : { [notesKey]: own }) }
  return Object.keys(all).length === 0 ? {} : { metadata: all }
}

/** Gives a provider its options: every key that holds an object, without our notes. */
export const toProviderOptions = (
  options: { readonly [provider: string]: Schema.Json | null } | undefined
): { readonly providerOptions?: SharedV4ProviderOptions } => {
  const providerOptions: SharedV4ProviderOptions = {}
  for (const [provider, value] of Object.entries(options ?? {})) {
    if (provider !== notesKey && isJsonObject(value)) providerOptions[provider] = { ...value }
  }
  return Object.keys(providerOptions).length === 0 ? {} : { providerOptions }
}

/** Values nested more deeply than this become `null`: whoever reads them later would run out of stack. */
const mostDepth = 64

/** Makes any value JSON the way `JSON.stringify` would, without the string: `undefined` becomes `null`. */
export const toJson = (value: unknown, depth = 0): Schema.Json => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      return Number.isFinite(value) ? value : null
    case "bigint":
      return String(value)
    case "object":
      if (value === null || depth > mostDepth) return null
      if (Array.isArray(value)) return value.map((item) => toJson(item, depth + 1))
      if ("toJSON" in value && typeof value.toJSON === "function") return toJson(value.toJSON(), depth + 1)
      return toJsonObject(value, depth + 1)
    default:
      return null
  }
}

const toJsonObject = (value: object, depth = 0): Record<string, Schema.Json> => {
  const json: Record<string, Schema.Json> = {}
  for (const [key, field] of Object.entries(value)) {
    // That name would become what the object is made of.
    if (key !== "__proto__" && field !== undefined && typeof field !== "function" && typeof field !== "symbol")
      json[key] = toJson(field, depth)
  }
  return json
}

const isJsonObject = (value: Schema.Json | null): value is Schema.JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)
