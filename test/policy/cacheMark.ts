import type { Response } from "effect/ai"

/** What a cached answer says about itself; `undefined` for one that the model gave. */
export const cacheMark = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>) => {
  const last = parts.at(-1)
  const notes = last?.type === "finish" ? last.metadata?.["holdfast"] : undefined
  return notes !== null && typeof notes === "object" && "cache" in notes ? notes["cache"] : undefined
}
