/** Puts the parts of a stream together to those of a whole answer. */
import type { Response } from "effect/ai"

/** Each block of text or reasoning becomes one part, where it began; what frames the parameters of tools goes. */
export const of = (streamed: Iterable<Response.StreamPartEncoded>): Array<Response.PartEncoded> => {
  const parts: Array<Response.PartEncoded> = []
  const open = new Map<string, { at: number; text: string; metadata: Response.ProviderMetadata | undefined }>()
  for (const part of streamed) {
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
