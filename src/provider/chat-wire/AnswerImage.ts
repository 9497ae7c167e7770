/**
 * Reads an image of an answer: its data, or a link to it.
 */
import type { Response } from "effect/ai"
import * as Faults from "./Faults.ts"

/** Throws {@link Faults.Unreadable} for what is neither. */
export const of = (url: string): Response.StreamPartEncoded => {
  const [, mediaType, data] = /^data:([\w.+-]+\/[\w.+-]+)[^,]{0,200}?;base64,/.exec(url.slice(0, 512)) ?? []
  if (mediaType !== undefined && data === undefined) {
    return { type: "file", mediaType, data: url.slice(url.indexOf(",") + 1) }
  }
  if (URL.canParse(url)) return { type: "source", sourceType: "url", id: url, url, title: "image" }
  throw new Faults.Unreadable({ because: "an image of the answer is neither data nor a link" })
}
