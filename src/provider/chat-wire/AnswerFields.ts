/**
 * Says the parts of an answer in the fields of the wire, whole or streamed: the way back of `AnswerReader.ts`.
 *
 * What `AnswerReader.ts` kept in the metadata is written again where it stood, unless the part it belongs to says otherwise by now.
 */
import { DateTime, Option, Predicate } from "effect"
import type { Response } from "effect/ai"
import type { TextField } from "./TextBlocks.ts"
import * as Finish from "./Finish.ts"
import type { Json } from "./Messages.ts"
import * as Notes from "./Notes.ts"
import { isJson } from "./ToolParams.ts"

/** What the answer says of itself: its id, model and time, as far as they are known. */
export const headOf = ({ id, modelId, timestamp }: Response.ResponseMetadataPartEncoded): Json => {
  const time = timestamp === undefined ? Option.none() : DateTime.make(timestamp)
  return {
    ...(id === undefined ? {} : { id }),
    ...(Option.isNone(time) ? {} : { created: Math.floor(time.value.epochMilliseconds / 1_000) }),
    ...(modelId === undefined ? {} : { model: modelId })
  }
}

/** The field that a block of text stands in: the one that it came in, or the usual one. */
export const fieldOf = (kind: "text" | "reasoning", metadata: unknown): TextField => {
  const field = Notes.fieldIn(metadata)
  if (kind === "text") return field === "refusal" ? field : "content"
  return field === "reasoning" || field === "thinking" ? field : "reasoning_content"
}

/** A call of a tool; none for one that the provider ran itself, of which the wire has no word. */
export const callOf = ({
  id,
  metadata,
  name,
  params,
  providerExecuted
}: Response.ToolCallPartEncoded): Json | undefined =>
  providerExecuted === true
    ? undefined
    : { id, type: "function", function: { name, arguments: argumentsOf(params) }, ...Notes.callIn(metadata) }

/** The parameters of a call as the text that they are on the wire. A text that could not be read as JSON is given as it came. */
export const argumentsOf = (params: unknown): string =>
  Predicate.isString(params) && params.trim() !== "" && !isJson(params) ? params : (JSON.stringify(params) ?? "{}")

export const imageOf = (url: string): Json => ({ type: "image_url", image_url: { url } })

export const fileUrlOf = ({ data, mediaType }: Response.FilePartEncoded): string => `data:${mediaType};base64,${data}`

/** A source that the answer cites. Images that came as links are sources, too. */
export const sourceOf = (
  part: Response.DocumentSourcePartEncoded | Response.UrlSourcePartEncoded
): { readonly image: string } | { readonly annotation: Json } | undefined => {
  if (part.sourceType !== "url") return undefined
  const { title, url } = part
  return title === "image" ? { image: url } : { annotation: { type: "url_citation", url_citation: { url, title } } }
}

/** What the server said besides, as it was kept. */
export interface Kept {
  readonly finishReason: unknown
  readonly usage: unknown
  readonly answer: Json
  readonly choice: Json
  readonly message: Json
  /** The answer of a raw call, whose parts do not say what is in it. */
  readonly body: string | undefined
}

export const keptOf = ({ metadata }: Response.FinishPartEncoded): Kept => {
  const kept: unknown = metadata?.["chatWire"]
  const field = (name: string): unknown => (Predicate.hasProperty(kept, name) ? kept[name] : undefined)
  const fields = (name: string): Json => {
    const value = field(name)
    return Predicate.isObject(value) ? value : {}
  }
  const body = field("body")
  return {
    finishReason: field("finishReason"),
    usage: field("usage"),
    answer: fields("answer"),
    choice: fields("choice"),
    message: fields("message"),
    body: Predicate.isString(body) ? body : undefined
  }
}

/** What there was in an answer that its end depends on. */
export interface Seen {
  readonly calledTools: boolean
  readonly isRefusal: boolean
}

/** The word for how the answer ended: the server's own, as long as it means the same. */
export const wordOf = ({ reason }: Response.FinishPartEncoded, { finishReason }: Kept, seen: Seen): string => {
  if (!Predicate.isString(finishReason)) return words[reason]
  const meant = seen.isRefusal ? "content-filter" : Finish.reasonOf(finishReason, seen.calledTools)
  return meant === reason ? finishReason : words[reason]
}

const words: { readonly [reason in Response.FinishReason]: string } = {
  stop: "stop",
  length: "length",
  "tool-calls": "tool_calls",
  "content-filter": "content_filter",
  error: "error",
  pause: "other",
  other: "other",
  unknown: "other"
}

/** What the answer cost: the server's own count, as long as it says the same. None when nothing was counted. */
export const usageOf = ({ usage }: Response.FinishPartEncoded, kept: Kept): unknown => {
  if (kept.usage !== undefined && JSON.stringify(Finish.usageOf(kept.usage)) === JSON.stringify(usage))
    return kept.usage
  const { inputTokens: input, outputTokens: output } = usage
  if (input.total === undefined && output.total === undefined) return undefined
  const ofPrompt = { cached_tokens: input.cacheRead, cache_write_tokens: input.cacheWrite }
  const ofCompletion = { reasoning_tokens: output.reasoning }
  return {
    prompt_tokens: input.total ?? 0,
    completion_tokens: output.total ?? 0,
    total_tokens: (input.total ?? 0) + (output.total ?? 0),
    ...(isCounted(ofPrompt) ? { prompt_tokens_details: ofPrompt } : {}),
    ...(isCounted(ofCompletion) ? { completion_tokens_details: ofCompletion } : {})
  }
}

const isCounted = (counts: { readonly [name: string]: number | null | undefined }): boolean =>
  Object.values(counts).some((count) => Predicate.isNotNullish(count))

/** Writes fields in their usual order, and others behind them. */
export const withMore = (fields: Json, more: Json): Json => ({ ...fields, ...more, ...fields })
