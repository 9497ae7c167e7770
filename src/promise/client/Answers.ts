/**
 * Makes of the parts of an answer what callers read.
 */
import { Prompt, type Response } from "effect/ai"
import type { CallTrail } from "../../core/call/CallTrail.ts"
import * as Usage from "../../core/call/Usage.ts"
import type { Answer, FinishReason, Message, Part, ToolCall } from "../Call.ts"
import type { Result } from "./ToolRuns.ts"

/** One question to a model, and what it and its tools said. */
export interface Step {
  readonly content: ReadonlyArray<Response.AnyPart>
  readonly results: ReadonlyArray<Result>
}

/** A part as a reader of a stream gets it; nothing of what only frames an answer. */
export const partOf = (part: Response.AnyPart): Part | undefined => {
  switch (part.type) {
    case "text":
      return part.text === "" ? undefined : { type: "text", text: part.text }
    case "text-delta":
      return part.delta === "" ? undefined : { type: "text", text: part.delta }
    case "reasoning":
      return part.text === "" ? undefined : { type: "reasoning", text: part.text }
    case "reasoning-delta":
      return part.delta === "" ? undefined : { type: "reasoning", text: part.delta }
    case "tool-call":
      return { type: "tool-call", id: part.id, name: part.name, params: part.params }
    case "tool-result":
      return {
        type: "tool-result",
        id: part.id,
        name: part.name,
        result: part.encodedResult,
        isFailure: part.isFailure
      }
    case "file":
      return { type: "file", mediaType: part.mediaType, data: part.data }
    case "source":
      return part.sourceType === "url"
        ? { type: "source", id: part.id, title: part.title, url: String(part.url) }
        : { type: "source", id: part.id, title: part.title }
    default:
      return undefined
  }
}

/** The whole answer of one or more steps. */
export const of = (steps: ReadonlyArray<Step>): Answer => {
  const parts = steps.flatMap(({ content, results }) => [...joined(content), ...results])
  const said = joined(steps.at(-1)?.content ?? [])
  const finishes = steps.flatMap(({ content }) => content.filter((part) => part.type === "finish"))
  const metadata = steps.at(-1)?.content.find((part) => part.type === "response-metadata")
  const trail = trailOf(finishes)
  return {
    text: said.map((part) => (part.type === "text" ? part.text : "")).join(""),
    parts,
    usage: finishes.map(usageOf).reduce(Usage.add, Usage.empty),
    response: {
      ...(metadata?.id === undefined ? {} : { id: metadata.id }),
      ...(metadata?.modelId === undefined ? {} : { model: metadata.modelId })
    },
    trail,
    toolCalls: steps.flatMap(toolCallsOf),
    finishReason: (finishes.at(-1)?.reason ?? "unknown") satisfies FinishReason,
    ...(trail.cost === undefined ? {} : { cost: trail.cost.money }),
    messages: messagesOf(steps)
  }
}

/** Texts that arrived in pieces as wholes. */
const joined = (content: ReadonlyArray<Response.AnyPart>): ReadonlyArray<Part> => {
  const whole: Array<Part> = []
  let open = ""
  for (const each of content) {
    const part = partOf(each)
    if (part === undefined) continue
    const last = whole.at(-1)
    const block = "id" in each ? `${part.type} ${each.id}` : ""
    if (block !== "" && block === open && last !== undefined && "text" in last && "text" in part) {
      whole[whole.length - 1] = { type: last.type, text: last.text + part.text }
    } else whole.push(part)
    open = block
  }
  return whole
}

const usageOf = ({ usage: { inputTokens, outputTokens } }: Response.FinishPart): Usage.Usage => ({
  inputTokens: inputTokens.total ?? 0,
  cachedInputTokens: inputTokens.cacheRead ?? 0,
  outputTokens: outputTokens.total ?? 0,
  reasoningTokens: outputTokens.reasoning ?? 0
})

const trailOf = (finishes: ReadonlyArray<Response.FinishPart>): CallTrail => {
  const trails = finishes.flatMap(({ metadata }) => {
    // The model wrote it there in this process, for this answer.
    const mark = metadata?.["holdfast"] as { readonly trail?: CallTrail } | undefined
    return mark?.trail === undefined ? [] : [mark.trail]
  })
  const [only = none] = trails
  return trails.length < 2 ? only : trails.reduce(together)
}

const none: CallTrail = { attempts: [], decisions: [], leftOut: 0 }

const together = (one: CallTrail, other: CallTrail): CallTrail => {
  const usage = one.usage && other.usage ? Usage.add(one.usage, other.usage) : (one.usage ?? other.usage)
  const cost =
    one.cost && other.cost
      ? { money: one.cost.money + other.cost.money, estimated: one.cost.estimated || other.cost.estimated }
      : (one.cost ?? other.cost)
  return {
    attempts: [...one.attempts, ...other.attempts],
    decisions: [...one.decisions, ...other.decisions],
    leftOut: one.leftOut + other.leftOut,
    ...(usage && { usage }),
    ...(cost && { cost })
  }
}

const toolCallsOf = ({ content, results }: Step): ReadonlyArray<ToolCall> => {
  const parts = [...joined(content), ...results]
  return parts.flatMap((part) => {
    if (part.type !== "tool-call") return []
    const { id, name, params } = part
    const ran = parts.find((other) => other.type === "tool-result" && other.id === id)
    return [{ id, name, params, ...(ran?.type === "tool-result" && { result: ran.result, isFailure: ran.isFailure }) }]
  })
}

/** What a conversation goes on with. */
const messagesOf = (steps: ReadonlyArray<Step>): ReadonlyArray<Message> =>
  steps.flatMap(({ content, results }): ReadonlyArray<Message> => [
    ...Prompt.fromResponseParts(content).content.map(({ content, role }) => ({ role, content }) as Message),
    ...(results.length === 0 ? [] : [{ role: "tool", content: results } as const])
  ])
