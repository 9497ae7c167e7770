/**
 * Says whether a kept answer is one to a given request: JSON that the request's schema reads, and calls and results of tools
 * that it offers, with parameters and results that these accept.
 *
 * Two requests with the same key can have schemas that differ in what JSON Schema cannot say, and what a store holds need
 * not be what was put there. So every hit is asked. Which schemas and tools accepted an entry is remembered with the entry,
 * which makes that cheap.
 */
import { Exit, Schema } from "effect"
import { LanguageModel, type Response, Tool } from "effect/ai"
import type { CacheEntry } from "./Entry.ts"
import * as WholeParts from "../../core/stream/WholeParts.ts"

type ToolPart = Response.ToolCallPartEncoded | Response.ToolResultPartEncoded

interface Known {
  /** The parts that name a tool. */
  readonly toolParts: ReadonlyArray<ToolPart>
  /** The schemas and tools that accepted the entry. */
  readonly by: WeakSet<object>
}

const known = new WeakMap<CacheEntry, Known>()

/** Whether an entry answers a request. */
export const isFor = (
  entry: CacheEntry,
  { responseFormat, tools }: LanguageModel.ProviderOptions,
  transformer: LanguageModel.CodecTransformer = LanguageModel.defaultCodecTransformer
): boolean => {
  const { by, toolParts } = knownOf(entry)
  if (responseFormat.type === "json" && !by.has(responseFormat.schema)) {
    const text = wholeOf(entry).map((part) => (part.type === "text" ? part.text : ""))
    if (!reads(Schema.fromJsonString(transformer(responseFormat.schema).codec), text.join(""))) return false
    by.add(responseFormat.schema)
  }
  if (toolParts.length === 0) return true
  const asked = new Map(toolParts.map((part) => [part.name, tools.find(({ name }) => name === part.name)]))
  const accepts = (part: ToolPart): boolean => {
    const tool = asked.get(part.name)
    return tool !== undefined && (by.has(tool) || takes(tool, part))
  }
  if (!toolParts.every(accepts)) return false
  for (const tool of asked.values()) if (tool !== undefined) by.add(tool)
  return true
}

const knownOf = (entry: CacheEntry): Known => {
  const present = known.get(entry)
  if (present !== undefined) return present
  const toolParts = wholeOf(entry).filter((part) => part.type === "tool-call" || part.type === "tool-result")
  const made: Known = { toolParts, by: new WeakSet() }
  known.set(entry, made)
  return made
}

const wholeOf = ({ answer }: CacheEntry): ReadonlyArray<Response.PartEncoded> =>
  answer._tag === "Whole" ? answer.parts : WholeParts.of(answer.chunks.flat())

const takes = (tool: Tool.Any, part: ToolPart): boolean => {
  if (part.type === "tool-call") return reads(tool.parametersSchema, part.params)
  return reads(part.isFailure ? Tool.failureResultSchema(tool) : tool.successSchema, part.result)
}

/** Whether a schema accepts a value. One that needs services of the application's cannot be asked here, and is trusted. */
const reads = (schema: Schema.Constraint, value: unknown): boolean => {
  const exit = Schema.decodeUnknownExit(schema as Schema.Codec<unknown>)(value)
  return Exit.isSuccess(exit) || !Exit.hasFails(exit)
}
