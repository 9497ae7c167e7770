/**
 * Writes down the stacks of an error when it is made.
 *
 * Until somebody reads it, the stack of an error holds the functions that it went through, and with them all that these hold:
 * here the bytes of an answer. Whoever keeps the error would keep those.
 */
import { Predicate } from "effect"
import type { AiError } from "effect/ai"

export const of = (error: AiError.AiError): AiError.AiError => {
  let at: unknown = error
  for (let depth = 0; depth < 8 && Predicate.isError(at) && Predicate.isString(at.stack); depth++) at = at.cause
  return error
}
