/** Writes answers in the format of OpenAI's chat completions: whole as JSON, streamed as server-sent events. */
import { type Behaviour, type Block, blocksOf, defaults, finishReasonOf, textOf } from "../faults/Behaviour.ts"

/** One server-sent event. */
export const event = (data: object | string): string =>
  `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`

/** What a client's parser drops without a word: a comment among events, white space around JSON. */
export const comment = { streamed: ": ping\n\n", whole: "\n" } as const

/** What goes into every chunk of one answer. */
export interface Origin {
  readonly id: string
  readonly model: string
  readonly created: number
}

/** The whole answer of a call that is not streamed. */
export const whole = (behaviour: Behaviour, origin: Origin): string => {
  const blocks = blocksOf(behaviour)
  const text = (kind: Block["kind"]) =>
    blocks.flatMap((block) => (block.kind === kind ? [textOf(block.content)] : [])).join("")
  const reasoning = text("reasoning")
  const calls = blocks.flatMap(({ content }) => ("toolCall" in content ? [functionCall(content.toolCall)] : []))
  const message = {
    role: "assistant",
    content: text("text"),
    ...(reasoning === "" ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls })
  }
  return JSON.stringify({
    ...origin,
    object: "chat.completion",
    choices: [{ index: 0, message, finish_reason: finishReason(behaviour) }],
    usage: usage(behaviour)
  })
}

const functionCall = ({
  id,
  name,
  params
}: {
  readonly id: string
  readonly name: string
  readonly params: object
}) => ({
  id,
  type: "function",
  function: { name, arguments: JSON.stringify(params) }
})

/** The first chunk of a streamed answer, which says who speaks and nothing else. */
export const opening = (origin: Origin): string => chunk(origin, { role: "assistant", content: "" })

export const nothing = (origin: Origin): string => chunk(origin, { content: "" })

/** A chunk of content; `isFirst` of its block, where a tool call says its name. */
export const delta = (origin: Origin, { content, index, kind }: Block, text: string, isFirst: boolean): string => {
  if (kind !== "tool-call") return chunk(origin, { [kind === "text" ? "content" : "reasoning_content"]: text })
  const head =
    isFirst && "toolCall" in content
      ? { id: content.toolCall.id, type: "function", function: { name: content.toolCall.name, arguments: text } }
      : { function: { arguments: text } }
  return chunk(origin, { tool_calls: [{ index, ...head }] })
}

/** The end of a streamed answer: why it ended, what it cost, and the marker. */
export const closing = (behaviour: Behaviour, origin: Origin): string =>
  chunk(origin, {}, finishReason(behaviour)) +
  event({ ...origin, object: "chat.completion.chunk", choices: [], usage: usage(behaviour) }) +
  event("[DONE]")

const chunk = (origin: Origin, content: object, reason: string | null = null): string =>
  event({
    ...origin,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta: content, finish_reason: reason }]
  })

const finishReason = (behaviour: Behaviour): string => finishReasonOf(behaviour).replace("-", "_")

const usage = ({ usage: { inputTokens, outputTokens } = defaults.usage }: Behaviour) => ({
  prompt_tokens: inputTokens,
  completion_tokens: outputTokens,
  total_tokens: inputTokens + outputTokens
})
