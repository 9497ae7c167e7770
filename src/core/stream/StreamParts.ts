/**
 * Gives a whole answer as the parts of a stream.
 */
import type { Response } from "effect/ai"

/** The parts of a stream that say what the parts of a whole answer do: each text, or reasoning, as one block. */
export const ofParts = (parts: ReadonlyArray<Response.PartEncoded>): Array<Response.StreamPartEncoded> =>
  parts.flatMap((part, index): Array<Response.StreamPartEncoded> => {
    if (part.type !== "text" && part.type !== "reasoning") return [part]
    const id = String(index)
    return [
      { type: `${part.type}-start`, id },
      { type: `${part.type}-delta`, id, delta: part.text },
      { type: `${part.type}-end`, id, ...(part.metadata === undefined ? {} : { metadata: part.metadata }) }
    ]
  })
