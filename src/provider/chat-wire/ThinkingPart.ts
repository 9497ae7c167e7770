/**
 * Thinking that stands as a part in a list of content, as Claude's gateways and Mistral have it.
 *
 * Its frame is the part without its text: whether the text is a string or a list, the signature, and what else the server says
 * of it. A server takes thinking back only in the frame that it came in, and refuses it when the signature is missing.
 */
import { Predicate } from "effect"
import type { Fields } from "./Extras.ts"

type Part = Readonly<Record<string, unknown>>

/** Whether a part of a list of content is thinking, or holds thinking that only its server can read. */
export const isThinking = (part: Part): boolean =>
  part["type"] === "thinking" || part["type"] === "redacted_thinking" || isSummary(part)

/** Databricks gives the thinking of Claude as items of a summary, each with its signature. */
const isSummary = (part: Part): boolean => part["type"] === "reasoning" && Array.isArray(part["summary"])

/** The blocks of a part: of a summary each item is one, written as thinking is in a list. */
export const blocksOf = (part: Part): ReadonlyArray<Part> => {
  const { summary, ...more } = part
  if (!isSummary(part) || !Array.isArray(summary)) return [part]
  return summary.map((item: unknown): Part => {
    if (!Predicate.isObject(item)) return { ...more, thinking: [item] }
    const { text, type: kind, ...sealed } = item as Part
    return { ...more, ...sealed, kind, thinking: Predicate.isString(text) ? [{ type: "text", text }] : [] }
  })
}

/** Fields that are not part of a frame: the text, and where a piece belongs in a stream. */
export const knownFields: ReadonlySet<string> = new Set(["thinking", "text", "index"])

/** The pieces of a part's text, and what else stands among them. */
export const piecesOf = ({ thinking }: Part): { readonly text: string; readonly others: ReadonlyArray<unknown> } => {
  if (Predicate.isString(thinking)) return { text: thinking, others: [] }
  if (!Array.isArray(thinking)) return { text: "", others: Predicate.isNotNullish(thinking) ? [thinking] : [] }
  const others: Array<unknown> = []
  let text = ""
  for (const piece of thinking) {
    const said: unknown = Predicate.isObject(piece) ? piece["text"] : piece
    if (Predicate.isString(said)) text += said
    else others.push(piece)
  }
  return { text, others }
}

/** A frame as far as it is known when its part begins. Redacted thinking has no text to have a place for. */
export const emptyFrame = (part: Part): Fields =>
  part["type"] === "redacted_thinking" ? {} : { thinking: Array.isArray(part["thinking"]) ? [] : "" }

/** Whether a piece begins another part. A signature is the last thing that is said of what it signs. */
export const isAnother = (before: Fields, next: Fields): boolean =>
  before["type"] !== next["type"] || isText(before["signature"]) || isText(before["data"])

/** Whether a piece without text says anything. */
export const isSealed = (frame: Fields): boolean => isText(frame["signature"]) || isText(frame["data"])

/** Puts a text into its frame. Without a frame it is written as Mistral has it. */
export const written = (frame: Part | undefined, text: string): Part => {
  if (frame === undefined) return { type: "thinking", thinking: [{ type: "text", text }] }
  if (frame["type"] === "redacted_thinking") return frame
  if (frame["type"] === "reasoning") {
    const { kind, thinking: _, type, ...sealed } = frame
    return { type, summary: [{ type: kind, ...(isText(frame["data"]) ? {} : { text }), ...sealed }] }
  }
  if (!Array.isArray(frame["thinking"])) return { ...frame, thinking: text }
  return { ...frame, thinking: text === "" ? [] : [{ type: "text", text }] }
}

const isText = (value: unknown): boolean => Predicate.isString(value) && value !== ""
