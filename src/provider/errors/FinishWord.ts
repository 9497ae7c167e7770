/**
 * Reads the words with which servers say why an answer ended: whether it ended at all, and whether it failed.
 */
import { Predicate } from "effect"

/** Whether a `finish_reason` says that the answer ended. Some servers write "null" for none. */
export const isWord = (word: unknown): word is string => Predicate.isString(word) && !noWords.has(word.toLowerCase())

const noWords = new Set(["", "null", "none", "undefined"])

/** Whether the answer failed on its way: half of it is no answer, and a call of a tool that nobody can read is none. */
export const isFailure = (word: string): boolean => failed.has(word.toLowerCase()) || slips.test(word)

const failed = new Set(["error", "network_error", "insufficient_system_resource", "abort", "aborted"])

/** Google's words for a call of a tool that the model got wrong; gateways write something in front of them. */
const slips = /malformed_function_call|malformed_response|unexpected_tool_call/i

/** Says of an answer that ended with such a word, in the form of an error body, why it is none. `more`: other words. */
export const failureOf = (word: string, more?: unknown): unknown => {
  const message = `the answer ended with finish_reason ${JSON.stringify(word.slice(0, 64))}`
  return { error: { type: "server_error", code: word.toLowerCase(), message, reason: more } }
}
