/**
 * Writes what Holdfast has to say about an answer into its `finish` part's metadata, under `holdfast`.
 */
import type { Schema } from "effect"
import type { Response } from "effect/ai"

/** Adds facts to those that are there. */
export const add = (part: Response.FinishPartEncoded, marks: object): Response.FinishPartEncoded => {
  // Marks are plain data by their types, of which the types of metadata, written for any JSON, cannot be told.
  const holdfast = Object.assign({}, part.metadata?.["holdfast"], marks) as Schema.MutableJson
  return { ...part, metadata: { ...part.metadata, holdfast } }
}
