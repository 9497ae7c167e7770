/** Says what is wrong with the shape of a stream of response parts. */
import type { Response } from "effect/ai"

/**
 * Finds the first thing that makes a stream malformed; `undefined` when it is well-formed.
 *
 * Well-formed means: each block starts once, has its deltas in between and ends once, ids are not shared by open
 * blocks, and the last part is the only `finish`.
 *
 * **Example**
 *
 * ```ts run
 * import { StreamShape } from "holdfast/testing"
 *
 * const parts = [{ type: "text-start", id: "1" } as const, { type: "text-end", id: "1" } as const]
 * StreamShape.malformation(parts) // => "no finish part at the end"
 * StreamShape.malformation(parts.slice(0, 1)) // => "text 1 never ends"
 * ```
 */
export const malformation = (parts: ReadonlyArray<Response.StreamPartEncoded>): string | undefined => {
  const open = new Set<string>()
  for (const [index, part] of parts.entries()) {
    if (part.type === "finish") {
      if (index < parts.length - 1) return `${parts.length - 1 - index} part(s) after finish`
      continue
    }
    if (part.type === "error") return "an error part: failures must fail the stream"
    const [, kind, step] = /^(text|reasoning|tool-params)-(start|delta|end)$/.exec(part.type) ?? []
    if (kind === undefined || !("id" in part)) continue
    const block = `${kind} ${part.id}`
    if (step === "start" && open.has(block)) return `${block} starts twice`
    if (step !== "start" && !open.has(block))
      return `${block} has ${step === "end" ? "an end" : "a delta"} and no start`
    if (step === "start") open.add(block)
    if (step === "end") open.delete(block)
  }
  const [left] = open
  if (left !== undefined) return `${left} never ends`
  return parts.at(-1)?.type === "finish" ? undefined : "no finish part at the end"
}
