/** Makes the response parts of a faulty model's answer: whole, or step by step as a well-formed stream. */
import { Array } from "effect"
import type { Response } from "effect/ai"
import { type Behaviour, type Block, blocksOf, defaults, finishReasonOf, textOf } from "./Behaviour.ts"
import * as PartCopy from "../../core/call/PartCopy.ts"

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
      ? // A script answers several calls.
        PartCopy.of({ type: "tool-call", ...content.toolCall })
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
  private open: OpenBlock | undefined

  constructor(origin: Origin) {
    this.origin = origin
  }

  delta({ content, index, kind }: Block, delta: string): Parts {
    const type = kind === "tool-call" ? "tool-params" : kind
    const id = "toolCall" in content ? content.toolCall.id : `${kind}-${index}`
    const part: StreamPart = { type: `${type}-delta`, id, delta }
    if (this.open?.index === index) {
      this.open.sent += delta
      return [part]
    }
    const name = "toolCall" in content ? content.toolCall.name : undefined
    const ends = this.end()
    this.open = { type, id, index, name, sent: delta }
    const start: StreamPart =
      name === undefined
        ? { type: kind === "text" ? "text-start" : "reasoning-start", id }
        : { type: "tool-params-start", id, name }
    return Array.appendAll(ends, [start, part])
  }

  /** A delta that says nothing: in the block that is open, or in one of its own. */
  nothing(): Parts {
    if (this.open !== undefined) return [{ type: `${this.open.type}-delta`, id: this.open.id, delta: "" }]
    const id = "nothing"
    this.open = { type: "text", id, index: undefined, name: undefined, sent: "" }
    return [
      { type: "text-start", id },
      { type: "text-delta", id, delta: "" }
    ]
  }

  finish(behaviour: Behaviour): Parts {
    return Array.append(this.end(), finish(behaviour, this.origin))
  }

  /** Ends the open block, if there is one, before its content is complete: no tool call is made of it. */
  endEarly(): ReadonlyArray<StreamPart> {
    const { open } = this
    this.open = undefined
    return open === undefined ? [] : [{ type: `${open.type}-end`, id: open.id }]
  }

  private end(): ReadonlyArray<StreamPart> {
    const { open } = this
    const ended = this.endEarly()
    if (open?.name === undefined) return ended
    return [...ended, { type: "tool-call", id: open.id, name: open.name, params: JSON.parse(open.sent) }]
  }
}

interface OpenBlock {
  readonly type: "text" | "reasoning" | "tool-params"
  readonly id: string
  readonly index: number | undefined
  /** Of the tool, for a tool call. */
  readonly name: string | undefined
  sent: string
}
