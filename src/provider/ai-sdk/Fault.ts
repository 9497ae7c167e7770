/**
 * Finds out that an answer is none, although an AI SDK model took it for one: it failed on its way, or was cut off.
 *
 * What its server said is in the raw answer, which models pass on beside what they made of it.
 */
import type { LanguageModelV4FinishReason, LanguageModelV4GenerateResult } from "@ai-sdk/provider"
import { Predicate } from "effect"
import { AiError } from "effect/ai"
import * as ErrorReason from "../errors/ErrorReason.ts"
import * as FinishWord from "../errors/FinishWord.ts"
import type * as Shown from "../errors/Shown.ts"

/** What is wrong with a whole answer. */
export const ofResult = (
  { finishReason, response }: LanguageModelV4GenerateResult,
  shown: Shown.Shown
): AiError.AiErrorReason | undefined => {
  const body = response?.body
  const status = unfinishedStatus(body)
  if (status !== undefined) {
    const description = `the answer has the status ${JSON.stringify(status)}`
    return new AiError.InternalProviderError({ description })
  }
  return ofChunk(body, shown) ?? ofFinish(finishReason, shown)
}

/** The error that a whole answer, or an event of a streamed one, has beside its choices or in one of them. */
export const ofChunk = (body: unknown, shown: Shown.Shown): AiError.AiErrorReason | undefined => {
  const error = errorIn(body)
  return error === undefined ? undefined : said({ error }, shown)
}

/** Whether there is such an error. */
export const isIn = (body: unknown): boolean => errorIn(body) !== undefined

const errorIn = (body: unknown): unknown => {
  if (!Predicate.isObject(body)) return undefined
  const { choices, error } = body
  if (Predicate.isNotNullish(error)) return error
  const failed = Array.isArray(choices) ? choices.find(hasError) : undefined
  return hasError(failed) ? failed.error : undefined
}

/** What is wrong with an answer by how it ended. What nobody can tell from an end is a good one. */
export const ofFinish = (
  { raw, unified }: LanguageModelV4FinishReason,
  shown: Shown.Shown
): AiError.AiErrorReason | undefined => {
  if (raw !== undefined && FinishWord.isFailure(raw)) return said(FinishWord.failureOf(raw), shown)
  if (unified === "error") return said(FinishWord.failureOf(raw ?? unified), shown)
  return unified === "interrupted" || (unified === "other" && !FinishWord.isWord(raw)) ? cut() : undefined
}

/** The answer stopped before it said that it is finished. */
const cut = (): AiError.AiErrorReason =>
  new AiError.InternalProviderError({ description: "the answer ended before it was finished" })

/** Reads an error as that of any refusal. That the answer failed is certain, whatever it says. */
const said = (body: unknown, shown: Shown.Shown): AiError.AiErrorReason =>
  ErrorReason.of({ responseBody: JSON.stringify(body) }, shown)

const hasError = (choice: unknown): choice is { readonly error: unknown } =>
  Predicate.hasProperty(choice, "error") && Predicate.isNotNullish(choice.error)

/**
 * The status of a Response of OpenAI's that is not finished, if it is one: failed answers are told by the package itself, a
 * cancelled one and one that is not ready look like an answer without text.
 */
const unfinishedStatus = (body: unknown): string | undefined => {
  const isResponse = Predicate.hasProperty(body, "object") && body.object === "response"
  const status = isResponse && Predicate.hasProperty(body, "status") ? body.status : undefined
  return Predicate.isString(status) && unfinished.has(status) ? status : undefined
}

const unfinished = new Set(["failed", "cancelled", "queued", "in_progress"])
