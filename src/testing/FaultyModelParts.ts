/** Makes the response parts of a faulty model's answer: whole, or step by step as a well-formed stream. */
import type { Array } from "effect"
import type { Response } from "effect/ai"
import { type Behaviour, type Block, blocksOf, defaults, finishReasonOf, textOf } from "./FaultyModelBehaviour.ts"

/** What the parts say about where they come from. */
export interface Origin {
  readonly id: string
  readonly modelId: string
  readonly headers: Readonly<Record<string, string>>
}

type StreamPart = Response.StreamPartEncoded
type Parts = Array.NonEmptyReadonlyArray<StreamPart>

export const metadata = ({ id, modelId }: Origin): Response.ResponseMetadataPartEncoded => ({
  type: "response-metadata",
  id,
  modelId
})

/** The whole answer of a call that is not streamed. */
export const whole = (behaviour: Behaviour, origin: Origin): Array<Response.PartEncoded> => [
  metadata(origin),
  ...blocksOf(behaviour).map(({ content }): Response.PartEncoded =>
    "toolCall" in content
      ? { type: "tool-call", ...content.toolCall }
      : { type: "text" in content ? "text" : "reasoning", text: textOf(content) }
  ),
  finish(behaviour, origin)
]

const finish = (behaviour: Behaviour, { headers }: Origin): Response.FinishPartEncoded => {
  const { inputTokens, outputTokens } = behaviour.usage ?? defaults.usage
  return {
    type: "finish",
    reason: finishReasonOf(behaviour),
    usage: {
      inputTokens: { uncached: inputTokens, total: inputTokens, cacheRead: 0 },
      outputTokens: { total: outputTokens, text: outputTokens, reasoning: 0 }
    },
    response: { status: 200, headers: { ...headers } }
  }
}

/** The parts of one streamed answer. Blocks begin with their first delta and end when something else begins. */
export class Streamed {
  private readonly origin: Origin
  private open: { readonly type: "text" | "reasoning" | "tool-params"; readonly id: string; block?: Block } | undefined

  constructor(origin: Origin) {
    this.origin = origin
  }

  delta(block: Block, delta: string): Parts {
    const { content, index, kind } = block
    const type = kind === "tool-call" ? "tool-params" : kind
    const id = "toolCall" in content ? content.toolCall.id : `${kind}-${index}`
    const part: StreamPart = { type: `${type}-delta`, id, delta }
    if (this.open?.block?.index === index) return [part]
    const start: StreamPart =
      "toolCall" in content
        ? { type: "tool-params-start", id, name: content.toolCall.name }
        : { type: kind === "text" ? "text-start" : "reasoning-start", id }
    const begun = this.closing(start, part)
    this.open = { type, id, block }
    return begun
  }

  /** A delta that says nothing: in the block that is open, or in one of its own. */
  nothing(): Parts {
    if (this.open !== undefined) return [{ type: `${this.open.type}-delta`, id: this.open.id, delta: "" }]
    const id = "nothing"
    this.open = { type: "text", id }
    return [
      { type: "text-start", id },
      { type: "text-delta", id, delta: "" }
    ]
  }

  finish(behaviour: Behaviour): Parts {
    return this.closing(finish(behaviour, this.origin))
  }

  /** Puts the end of the open block, if there is one, before other parts. */
  private closing(first: StreamPart, ...more: ReadonlyArray<StreamPart>): Parts {
    const { open } = this
    this.open = undefined
    if (open === undefined) return [first, ...more]
    const ended: StreamPart = { type: `${open.type}-end`, id: open.id }
    const content = open.block?.content
    return content !== undefined && "toolCall" in content
      ? [ended, { type: "tool-call", ...content.toolCall }, first, ...more]
      : [ended, first, ...more]
  }
}
