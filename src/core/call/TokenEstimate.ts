/**
 * Estimates the tokens of a prompt before it is sent, and of an answer that was cut off.
 */
import { Predicate } from "effect"
import type { LanguageModel, Prompt, Response } from "effect/ai"

/** Four characters of English are about one token: https://help.openai.com/en/articles/4936856 . */
export const charactersPerToken = 4

/** What an image or another file counts as; providers count by size and detail, from some hundred to some thousand. */
const tokensPerFile = 1_000

/** Tokens of a prompt: a quarter of the characters of all texts, tool calls and results, and 1,000 for each file. */
export const inputTokens = ({ prompt }: Pick<LanguageModel.ProviderOptions, "prompt">): number => {
  let characters = 0
  for (const { content } of prompt.content) {
    if (typeof content === "string") characters += content.length
    else for (const part of content) characters += charactersOf(part)
  }
  return Math.ceil(characters / charactersPerToken)
}

/** Characters of a part that comes whole: a text, the parameters of a tool call, or a file, which counts as in a prompt. */
export const charactersOfAnswer = (part: Response.PartEncoded | Response.StreamPartEncoded): number => {
  if (part.type === "text" || part.type === "reasoning") return part.text.length
  if (part.type === "file") return tokensPerFile * charactersPerToken
  return part.type === "tool-call" ? lengthOf(part.params) : 0
}

const charactersOf = (part: Exclude<Prompt.Message["content"], string>[number]): number => {
  if ("text" in part) return part.text.length
  switch (part.type) {
    case "file":
      return tokensPerFile * charactersPerToken
    case "tool-call":
      return lengthOf(part.params)
    case "tool-result":
      return lengthOf(part.result)
    default:
      return 0
  }
}

const lengthOf = (value: unknown): number => {
  try {
    return Predicate.isString(value) ? value.length : (JSON.stringify(value)?.length ?? 0)
  } catch {
    return 0 // not plain data; what is to be said about that the provider says
  }
}

/** What a first answer is expected to take. */
const firstAnswer = 500

/** Expects of an answer what the last ones took on average. */
export class AnswerLength {
  private mean = firstAnswer

  get tokens(): number {
    return Math.ceil(this.mean)
  }

  observe(outputTokens: number): void {
    // What a provider says it used may be no number of tokens.
    if (!(outputTokens >= 0 && outputTokens < Infinity)) return
    this.mean += (outputTokens - this.mean) / 10
  }
}
