/**
 * Reads the words with which servers say why an answer ended: whether it ended at all, whether it failed, and
 * what they mean.
 */
import { Predicate } from "effect"
import type { Response } from "effect/ai"

/** Whether a `finish_reason` says that the answer ended. Some servers write "null" for none. */
export const isWord = (word: unknown): word is string => Predicate.isString(word) && !noWords.has(word.toLowerCase())

const noWords = new Set(["", "null", "none", "undefined"])

/** Whether the answer failed on its way: half of it is no answer, and a call of a tool that nobody can read is none. */
export const isFailure = (word: string): boolean => failed.has(word.toLowerCase()) || slips.test(word)

const failed = new Set([
  "error",
  "network_error",
  "server_error",
  "internal_error",
  "internal_server_error",
  "upstream_error",
  "insufficient_system_resource",
  "overloaded",
  "overloaded_error",
  "unavailable",
  "service_unavailable",
  "rate_limit",
  "rate_limited",
  "rate_limit_exceeded",
  "timeout",
  "timed_out",
  "failed",
  "failure",
  "cancelled",
  "canceled",
  "abort",
  "aborted"
])

/** Google's words for a call of a tool that the model got wrong; gateways write something in front of them. */
const slips = /malformed_function_call|malformed_response|unexpected_tool_call/i

/** Says of an answer that ended with such a word, in the form of an error body, why it is none. `more`: other words. */
export const failureOf = (word: string, more?: unknown): unknown => {
  const message = `the answer ended with finish_reason ${JSON.stringify(word.slice(0, 64))}`
  return { error: { type: "server_error", code: word.toLowerCase(), message, reason: more } }
}

/** What the words of servers for the end of an answer mean. Those that are not here mean something else. */
const reasons: Readonly<Record<string, Response.FinishReason>> = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  end_turn: "stop",
  stop_sequence: "stop",
  complete: "stop",
  completed: "stop",
  length: "length",
  max_tokens: "length",
  max_output_tokens: "length",
  max_new_tokens: "length",
  max_length: "length",
  length_limit: "length",
  model_length: "length",
  model_context_window_exceeded: "length",
  context_length_exceeded: "length",
  tool_call: "tool-calls",
  tool_calls: "tool-calls",
  tooluse: "tool-calls",
  tool_use: "tool-calls",
  function_call: "tool-calls",
  content_filter: "content-filter",
  content_filtered: "content-filter",
  contentfilter: "content-filter",
  sensitive: "content-filter",
  safety: "content-filter",
  recitation: "content-filter",
  prohibited_content: "content-filter",
  blocklist: "content-filter",
  spii: "content-filter",
  image_safety: "content-filter",
  refusal: "content-filter",
  guardrail_intervened: "content-filter"
}

/** What a word means by itself. Gateways write one in front of another: `content_filter: PROHIBITED_CONTENT`. */
export const meaningOf = (word: string): Response.FinishReason => {
  const [known = ""] = word.toLowerCase().split(/\s*:/, 1)
  return (Object.hasOwn(reasons, known) ? reasons[known] : undefined) ?? "other"
}
