/**
 * Describes one kept answer: when it is worth keeping, and how it is given again, as a whole or as a stream.
 *
 * An answer is kept as it came. One that came whole can be given as a stream and the other way round, so both ways of
 * asking share an entry.
 */
import { Exit, Predicate, Schema } from "effect"
import { Response } from "effect/ai"
import * as FinishMark from "../../core/call/FinishMark.ts"
import * as PartCopy from "../../core/call/PartCopy.ts"
import * as StreamParts from "../../core/stream/StreamParts.ts"
import * as WellFormed from "../../core/stream/WellFormed.ts"
import * as WholeParts from "../../core/stream/WholeParts.ts"

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
 * Makes an entry of a complete answer, of which a whole one is copied; `undefined` when it is not one to give again.
 *
 * Kept is what ended by itself (`stop`) or with tool calls, and says something. What was cut, filtered, paused, ended for
 * a reason unknown or holds an error is not kept.
 */
export const make = (answer: CacheEntry["answer"], storedAtMillis: number): CacheEntry | undefined => {
  if (!isWorthKeeping(answer)) return undefined
  const kept: CacheEntry["answer"] =
    answer._tag === "Whole"
      ? { _tag: "Whole", parts: answer.parts.map(withoutTraces).map(PartCopy.of) }
      : { _tag: "Streamed", chunks: answer.chunks.map((chunk) => chunk.map(withoutTraces)) }
  const bytes = lengthOf(kept)
  return bytes === undefined ? undefined : { storedAtMillis, answer: kept, bytes }
}

/** Whether an answer is whole, ended well and says something. */
const isWorthKeeping = (answer: CacheEntry["answer"]): boolean => {
  if (answer._tag === "Streamed" && answer.chunks.some((chunk) => chunk.some(({ type }) => type === "error"))) {
    return false
  }
  const parts = answer._tag === "Whole" ? answer.parts : WholeParts.of(answer.chunks.flat())
  const last = parts.at(-1)
  if (last?.type !== "finish" || (last.reason !== "stop" && last.reason !== "tool-calls")) return false
  return parts.some(saysSomething)
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
  const parts = (answer._tag === "Whole" ? answer.parts : WholeParts.of(answer.chunks.flat())).map(PartCopy.of)
  const last = parts.at(-1)
  if (last?.type === "finish") parts[parts.length - 1] = marked(last, found)
  return parts
}

/** Gives an entry as the pieces of a stream, which are to be copied for their reader. */
export const chunksOf = ({ answer }: CacheEntry, found: Found): ReadonlyArray<Chunk> => {
  const chunks = answer._tag === "Streamed" ? [...answer.chunks] : [StreamParts.ofParts(answer.parts)]
  const last = chunks.at(-1) ?? []
  chunks[chunks.length - 1] = last.map((part) => (part.type === "finish" ? marked(part, found) : part))
  return chunks
}

const version = 1

/** Writes an entry as data for a shared store or a file. */
export const encode = ({ answer, storedAtMillis }: CacheEntry): object => ({ version, storedAtMillis, answer })

/**
 * Reads what {@link encode} wrote; `undefined` for anything else, whatever it is, and for an answer that is not worth keeping
 * or has more than `maxBytes`: it is measured here.
 */
export const decode = (value: unknown, maxBytes: number): CacheEntry | undefined => {
  if (!Predicate.hasProperty(value, "version") || value.version !== version) return undefined
  if (!Predicate.hasProperty(value, "storedAtMillis") || !Predicate.hasProperty(value, "answer")) return undefined
  const { answer, storedAtMillis } = value
  if (!Predicate.isNumber(storedAtMillis) || !Number.isFinite(storedAtMillis) || !isShallow(answer)) return undefined
  const bytes = JSON.stringify(answer).length
  if (bytes > maxBytes || !isAnswer(answer) || !isWorthKeeping(answer)) return undefined
  return { storedAtMillis, bytes, answer }
}

/** Deeper than the data of answers goes, and so flat that nothing that walks over it runs out of stack. */
const mostLevels = 200

const isShallow = (value: unknown, left = mostLevels): boolean =>
  !Predicate.isObjectOrArray(value) || (left > 0 && Object.values(value).every((item) => isShallow(item, left - 1)))

const isAnswer = (value: unknown): value is CacheEntry["answer"] => {
  if (!Predicate.hasProperty(value, "_tag")) return false
  if (value._tag === "Whole") return Predicate.hasProperty(value, "parts") && areParts(value.parts)
  if (value._tag !== "Streamed" || !Predicate.hasProperty(value, "chunks") || !areChunks(value.chunks)) return false
  return WellFormed.holds(value.chunks.flat())
}

const partsFrom = Schema.decodeUnknownExit(Schema.Array(Response.Part()))
const areParts = (value: unknown): value is ReadonlyArray<Response.PartEncoded> => Exit.isSuccess(partsFrom(value))

const chunksFrom = Schema.decodeUnknownExit(Schema.Array(Schema.NonEmptyArray(Response.StreamPart())))
const areChunks = (value: unknown): value is ReadonlyArray<Chunk> => Exit.isSuccess(chunksFrom(value))

/** About what one part of a stream adds to {@link CacheEntry.bytes}, cheap for those that come by the thousand. */
export const sizeOf = (part: Response.StreamPartEncoded): number =>
  "delta" in part ? part.delta.length + 40 : part.type === "file" ? part.data.length : 80

const saysSomething = (part: Response.PartEncoded): boolean =>
  part.type === "text" ? part.text.length > 0 : part.type === "tool-call" || part.type === "file"

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
