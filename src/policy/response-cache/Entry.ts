/**
 * Describes one kept answer: when it is worth keeping, and how it is given again, as a whole or as a stream.
 *
 * An answer is kept as it came. One that came whole can be given as a stream and the other way round, so both ways of
 * asking share an entry.
 */
import { Exit, Predicate, Schema } from "effect"
import { LanguageModel, type Response, type Tool } from "effect/ai"
import * as FinishMark from "../../core/call/FinishMark.ts"
import * as StreamParts from "../../core/stream/StreamParts.ts"

export type Chunk = ReadonlyArray<Response.StreamPartEncoded>

export interface CacheEntry {
  /** When the answer was complete: milliseconds since 1970 by `Clock`. */
  readonly storedAtMillis: number
  readonly answer:
    | { readonly _tag: "Whole"; readonly parts: ReadonlyArray<Response.PartEncoded> }
    /** The pieces in which the stream came. */
    | { readonly _tag: "Streamed"; readonly chunks: ReadonlyArray<Chunk> }
  /** Its length as JSON. */
  readonly bytes: number
}

/** How an entry was found; what a cached answer's `finish` part carries in `metadata.holdfast.cache`. */
export interface Found {
  readonly ageMillis: number
  readonly tier: "memory" | "shared"
  /** Its time to live had passed. */
  readonly stale: boolean
}

/**
 * Makes an entry of a complete answer; `undefined` when it is not one to give again.
 *
 * Kept is what ended by itself (`stop`) or with tool calls, says something, and is what was asked for: JSON that its
 * schema reads, calls of tools that were offered, with parameters they accept. What was cut, filtered, paused, ended for
 * a reason unknown or holds an error is not kept.
 */
export const make = (
  answer: CacheEntry["answer"],
  request: LanguageModel.ProviderOptions,
  transformer: LanguageModel.CodecTransformer | undefined,
  storedAtMillis: number
): CacheEntry | undefined => {
  if (answer._tag === "Streamed" && answer.chunks.some((chunk) => chunk.some(({ type }) => type === "error"))) {
    return undefined
  }
  const parts = answer._tag === "Whole" ? answer.parts : toParts(answer.chunks)
  const last = parts.at(-1)
  if (last?.type !== "finish" || (last.reason !== "stop" && last.reason !== "tool-calls")) return undefined
  if (!parts.some(saysSomething) || !isAsAsked(parts, request, transformer)) return undefined
  const kept: CacheEntry["answer"] =
    answer._tag === "Whole"
      ? { _tag: "Whole", parts: answer.parts.map(withoutTraces) }
      : { _tag: "Streamed", chunks: answer.chunks.map((chunk) => chunk.map(withoutTraces)) }
  const bytes = lengthOf(kept)
  return bytes === undefined ? undefined : { storedAtMillis, answer: kept, bytes }
}

const lengthOf = (answer: CacheEntry["answer"]): number | undefined => {
  try {
    return JSON.stringify(answer).length
  } catch {
    return undefined // a provider's answer that is not plain data
  }
}

/** Gives an entry as a whole answer. */
export const partsOf = ({ answer }: CacheEntry, found: Found): Array<Response.PartEncoded> => {
  const parts = answer._tag === "Whole" ? [...answer.parts] : toParts(answer.chunks)
  const last = parts.at(-1)
  if (last?.type === "finish") parts[parts.length - 1] = marked(last, found)
  return parts
}

/** Gives an entry as the pieces of a stream. */
export const chunksOf = ({ answer }: CacheEntry, found: Found): ReadonlyArray<Chunk> => {
  const chunks = answer._tag === "Streamed" ? [...answer.chunks] : [StreamParts.ofParts(answer.parts)]
  const last = chunks.at(-1) ?? []
  chunks[chunks.length - 1] = last.map((part) => (part.type === "finish" ? marked(part, found) : part))
  return chunks
}

const version = 1

/** Writes an entry as data for a shared store or a file. */
export const encode = ({ answer, bytes, storedAtMillis }: CacheEntry): object => ({
  version,
  storedAtMillis,
  bytes,
  answer
})

/** Reads what {@link encode} wrote; `undefined` for anything else. */
export const decode = (value: unknown): CacheEntry | undefined => {
  if (!Predicate.hasProperty(value, "version") || value.version !== version) return undefined
  if (!Predicate.hasProperty(value, "storedAtMillis") || !Predicate.hasProperty(value, "bytes")) return undefined
  const { bytes, storedAtMillis } = value
  if (!Predicate.isNumber(storedAtMillis) || !Number.isFinite(storedAtMillis)) return undefined
  if (!Predicate.isNumber(bytes) || !Number.isSafeInteger(bytes) || bytes < 0) return undefined
  const answer = Predicate.hasProperty(value, "answer") ? value.answer : undefined
  return isAnswer(answer) ? { storedAtMillis, bytes, answer } : undefined
}

const isAnswer = (value: unknown): value is CacheEntry["answer"] => {
  if (!Predicate.hasProperty(value, "_tag")) return false
  const chunks: unknown =
    value._tag === "Streamed"
      ? Predicate.hasProperty(value, "chunks") && value.chunks
      : value._tag === "Whole" && Predicate.hasProperty(value, "parts") && [value.parts]
  if (!Array.isArray(chunks) || !chunks.every((chunk) => Array.isArray(chunk) && chunk.length > 0)) return false
  const parts: ReadonlyArray<unknown> = chunks.flat()
  return parts.every(isPart) && parts.at(-1)?.type === "finish"
}

const isPart = (value: unknown): value is { readonly type: string } =>
  Predicate.hasProperty(value, "type") && Predicate.isString(value.type)

/** About what one part of a stream adds to {@link CacheEntry.bytes}, cheap for those that come by the thousand. */
export const sizeOf = (part: Response.StreamPartEncoded): number =>
  "delta" in part ? part.delta.length + 40 : part.type === "file" ? part.data.length : 80

const saysSomething = (part: Response.PartEncoded): boolean =>
  part.type === "text" ? part.text.length > 0 : part.type === "tool-call" || part.type === "file"

const isAsAsked = (
  parts: ReadonlyArray<Response.PartEncoded>,
  { responseFormat, tools }: LanguageModel.ProviderOptions,
  transformer: LanguageModel.CodecTransformer = LanguageModel.defaultCodecTransformer
): boolean => {
  if (responseFormat.type === "json") {
    const text = parts.map((part) => (part.type === "text" ? part.text : "")).join("")
    return reads(Schema.fromJsonString(transformer(responseFormat.schema).codec), text)
  }
  return parts.every((part) => {
    if (part.type !== "tool-call" || part.providerExecuted === true) return true
    const tool = tools.find(({ name }: Tool.Any) => name === part.name)
    return tool !== undefined && reads(tool.parametersSchema, part.params)
  })
}

/** Whether a schema accepts a value. One that needs services of the application's cannot be asked here, and is trusted. */
const reads = (schema: Schema.Constraint, value: unknown): boolean => {
  const exit = Schema.decodeUnknownExit(schema as Schema.Codec<unknown>)(value)
  return Exit.isSuccess(exit) || !Exit.hasFails(exit)
}

type Finish = Response.FinishPartEncoded

/** What was said of one request, its headers and its trail, is not true of the next. */
const withoutTraces = <Part extends Response.PartEncoded | Response.StreamPartEncoded>(part: Part): Part =>
  part.type === "finish" ? (cleaned(part) as Part) : part

const cleaned = (part: Finish): Finish => {
  const { metadata = {}, response: _response, ...finish } = part
  const { holdfast, ...others } = metadata
  if (!Predicate.isObject(holdfast)) return { ...finish, metadata }
  const { cache: _cache, trail: _trail, ...notes } = holdfast as Readonly<Record<string, Schema.Json>>
  return { ...finish, metadata: Object.keys(notes).length === 0 ? others : { ...others, holdfast: notes } }
}

const marked = (finish: Finish, found: Found): Finish => FinishMark.add(finish, { cache: { ...found } })

const toParts = (chunks: ReadonlyArray<Chunk>): Array<Response.PartEncoded> => {
  const parts: Array<Response.PartEncoded> = []
  const open = new Map<string, { at: number; text: string; metadata: Response.ProviderMetadata | undefined }>()
  for (const part of chunks.flat()) {
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
        open.set(part.id, { at: parts.length, text: "", metadata: part.metadata })
        // Its place is where it began; its text is put there when it ends.
        parts.push({ type: part.type === "text-start" ? "text" : "reasoning", text: "" })
        break
      case "text-delta":
      case "reasoning-delta":
      case "text-end":
      case "reasoning-end": {
        const block = open.get(part.id)
        if (block === undefined) break
        if (part.metadata !== undefined) block.metadata = { ...block.metadata, ...part.metadata }
        if ("delta" in part) {
          block.text += part.delta
          break
        }
        parts[block.at] = {
          type: part.type === "text-end" ? "text" : "reasoning",
          text: block.text,
          ...(block.metadata === undefined ? {} : { metadata: block.metadata })
        }
        open.delete(part.id)
        break
      }
      case "tool-params-start":
      case "tool-params-delta":
      case "tool-params-end":
      case "error":
        break
      default:
        parts.push(part)
    }
  }
  return parts
}
