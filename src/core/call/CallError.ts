/**
 * Makes the errors that model calls end with, which show the same words everywhere.
 */
import { Option, Predicate } from "effect"
import { AiError } from "effect/ai"
import * as ShownError from "../ShownError.ts"
import * as PolicyReason from "./PolicyReason.ts"

/** Makes the error of a call. */
export const make = (params: Parameters<typeof AiError.make>[0]): AiError.AiError => shown(AiError.make(params))

/** Has an error show its words everywhere, whoever made it. */
export const shown = (error: AiError.AiError): AiError.AiError => {
  const decided = PolicyReason.of(error)
  if (Option.isSome(decided)) return PolicyReason.worded(error, decided.value)
  if (!ShownError.isShown(error.reason)) ShownError.show(error.reason, wordsOf(error.reason))
  return ShownError.show(error, { name: error._tag })
}

/** Limits and quotas have no place for what their provider says of them. */
const wordsOf = (reason: AiError.AiErrorReason): ShownError.Words => {
  const name = reason._tag
  if (name !== "RateLimitError" && name !== "QuotaExhaustedError") return { name }
  const said = reason.metadata["provider"]
  return Predicate.hasProperty(said, "message") && Predicate.isString(said.message) && said.message !== ""
    ? { name, message: `${reason.message}${reason.message.endsWith(".") ? "" : "."} ${said.message}` }
    : { name }
}
