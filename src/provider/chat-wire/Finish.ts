/**
 * Translates the words of servers for how an answer ended, and reads what it cost.
 *
 * Which field they stand in is `AnswerReader.ts`'s to know.
 */
import { Predicate } from "effect"
import type { Response } from "effect/ai"

/** What the words of servers for the end of an answer mean. Those that are not here mean something else. */
const reasons: Readonly<Record<string, Response.FinishReason>> = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  end_turn: "stop",
  stop_sequence: "stop",
  length: "length",
  max_tokens: "length",
  model_length: "length",
  tool_calls: "tool-calls",
  tool_use: "tool-calls",
  function_call: "tool-calls",
  content_filter: "content-filter",
  sensitive: "content-filter"
}

/**
 * A server that ends with "stop" after it called tools means that it waits for them; one that ends with "tool_calls" and
 * called none does not.
 */
export const reasonOf = (word: string, calledTools: boolean): Response.FinishReason => {
  const reason = meaningOf(word)
  return reason === "stop" || reason === "tool-calls" ? (calledTools ? "tool-calls" : "stop") : reason
}

/** What a word means by itself. */
export const meaningOf = (word: string): Response.FinishReason => {
  const known = word.toLowerCase()
  return (Object.hasOwn(reasons, known) ? reasons[known] : undefined) ?? "other"
}

/** Whether there is a count in it. */
export const isCount = (usage: unknown): boolean =>
  ["prompt_tokens", "input_tokens", "completion_tokens", "output_tokens"].some(
    (name) => count(usage, name) !== undefined
  )

/** Reads the counts that are whole numbers. Others would make Effect refuse the whole answer. */
export const usageOf = (usage: unknown): Response.FinishPartEncoded["usage"] => {
  const input = count(usage, "prompt_tokens") ?? count(usage, "input_tokens")
  const output = count(usage, "completion_tokens") ?? count(usage, "output_tokens")
  const promptDetails = field(usage, "prompt_tokens_details")
  const cached = count(promptDetails, "cached_tokens") ?? count(usage, "prompt_cache_hit_tokens")
  const reasoning = count(field(usage, "completion_tokens_details"), "reasoning_tokens")
  const counted: { inputTokens: Counts; outputTokens: Counts } = { inputTokens: {}, outputTokens: {} }
  put(counted.inputTokens, "uncached", minus(input, cached))
  put(counted.inputTokens, "total", input)
  put(counted.inputTokens, "cacheRead", cached)
  put(counted.inputTokens, "cacheWrite", count(promptDetails, "cache_write_tokens"))
  put(counted.outputTokens, "total", output)
  put(counted.outputTokens, "text", minus(output, reasoning))
  put(counted.outputTokens, "reasoning", reasoning)
  return counted
}

type Counts = { [name: string]: number }

const field = (value: unknown, name: string): unknown => (Predicate.hasProperty(value, name) ? value[name] : undefined)

const count = (value: unknown, name: string): number | undefined => {
  const found = field(value, name)
  return Predicate.isNumber(found) && Number.isSafeInteger(found) && found >= 0 ? found : undefined
}

const minus = (all: number | undefined, part: number | undefined): number | undefined =>
  all === undefined ? undefined : Math.max(0, all - (part ?? 0))

/** Leaves out what is not known. */
const put = (into: Counts, name: string, value: number | undefined): void => {
  if (value !== undefined) into[name] = value
}
