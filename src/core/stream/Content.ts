/**
 * Tells what a model says from what only frames it: starts, ends, metadata, keep-alives and empty deltas.
 */
import type { Response } from "effect/ai"

/**
 * Whether a part of a stream brings something of the answer.
 *
 * What brings nothing does not end the wait for the first token, and does not count as progress. The answer's end does,
 * since nothing is left to wait for, and so does the start of a tool's parameters, which names the tool.
 */
export const isContent = (part: Response.StreamPartEncoded): boolean => {
  switch (part.type) {
    case "response-metadata":
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
    case "tool-params-end":
      return false
    case "text-delta":
    case "reasoning-delta":
    case "tool-params-delta":
      return part.delta.length > 0
    default:
      return true
  }
}
