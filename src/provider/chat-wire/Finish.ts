/**
 * Translates the words of servers for how an answer ended, and reads what it cost.
 *
 * Which field they stand in is `AnswerReader.ts`'s to know.
 */
import { Predicate } from "effect"
import type { Response } from "effect/ai"
import * as Usage from "../../core/call/Usage.ts"
import * as FinishWord from "../errors/FinishWord.ts"

/**
 * A server that ends with "stop" after it called tools means that it waits for them; one that ends with "tool_calls" and
 * called none does not.
 */
export const reasonOf = (word: string, calledTools: boolean): Response.FinishReason => {
  const reason = FinishWord.meaningOf(word)
  return reason === "stop" || reason === "tool-calls" ? (calledTools ? "tool-calls" : "stop") : reason
}

/** Counts by their names, and what some of them are made of. Nobody else has these objects. */
export type Counted = Record<string, unknown>

/**
 * Adds a later usage to an earlier one, field by field: the later count is the one of more of the answer, but one that is left
 * out, and a zero, take nothing back. What is there already is not looked through: an answer may say its usage in each chunk.
 */
export const add = (all: Counted, later: Fields): void => {
  for (const name in later) {
    const value = later[name]
    const known = Object.hasOwn(all, name) ? all[name] : undefined
    if (name === "__proto__" || !Predicate.isNotNullish(value) || (value === 0 && Predicate.isNumber(known))) continue
    if (!Predicate.isObject(value)) all[name] = value
    else if (Predicate.isObject(known)) addDetails(known, value)
    else all[name] = { ...value }
  }
}

/** What counts are made of has no parts of its own. */
const addDetails = (all: Counted, later: Fields): void => {
  for (const name in later) {
    const value = later[name]
    if (name === "__proto__" || !Predicate.isNotNullish(value) || (value === 0 && Object.hasOwn(all, name))) continue
    all[name] = value
  }
}

/** Reads the counts that are whole numbers. Others would make Effect refuse the whole answer. */
export const usageOf = (usage: unknown): Response.FinishPartEncoded["usage"] => {
  const input = count(usage, "prompt_tokens") ?? count(usage, "input_tokens")
  const promptDetails = field(usage, "prompt_tokens_details")
  const cached = count(promptDetails, "cached_tokens") ?? count(usage, "prompt_cache_hit_tokens")
  const reasoning = count(field(usage, "completion_tokens_details"), "reasoning_tokens")
  const output = outputOf(usage, input, reasoning)
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

/** Some servers count reasoning beside the rest of what they wrote, which their total tells. */
const outputOf = (usage: unknown, input = 0, reasoning = 0): number | undefined => {
  const said = count(usage, "completion_tokens") ?? count(usage, "output_tokens")
  const isBeside = said !== undefined && count(usage, "total_tokens") === input + said + reasoning
  return isBeside ? said + reasoning : said
}

type Fields = Readonly<Record<string, unknown>>
type Counts = { [name: string]: number }

const field = (value: unknown, name: string): unknown => (Predicate.hasProperty(value, name) ? value[name] : undefined)

const count = (value: unknown, name: string): number | undefined => {
  const found = field(value, name)
  return Usage.isCount(found) ? found : undefined
}

const minus = (all: number | undefined, part: number | undefined): number | undefined =>
  all === undefined ? undefined : Math.max(0, all - (part ?? 0))

/** Leaves out what is not known. */
const put = (into: Counts, name: string, value: number | undefined): void => {
  if (value !== undefined) into[name] = value
}
