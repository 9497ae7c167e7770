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
export const isFailure = (word: string): boolean => codeOf(word) !== undefined

/** Words for an answer that failed, and the code of the error that each is. The word itself where the code says no more. */
export const failures: Readonly<Record<string, string>> = {
  rate_limit: "rate_limit_exceeded",
  rate_limited: "rate_limit_exceeded",
  rate_limit_exceeded: "rate_limit_exceeded",
  too_many_requests: "rate_limit_exceeded",
  insufficient_quota: "insufficient_quota",
  quota_exceeded: "insufficient_quota",
  insufficient_balance: "insufficient_balance",
  error: "error",
  network_error: "network_error",
  server_error: "server_error",
  internal_error: "internal_error",
  internal_server_error: "internal_server_error",
  upstream_error: "upstream_error",
  model_error: "model_error",
  unknown_error: "unknown_error",
  // DeepSeek: the answer was cut because its machines have too much to do.
  insufficient_system_resource: "overloaded",
  overloaded: "overloaded",
  overloaded_error: "overloaded_error",
  engine_overloaded: "overloaded",
  unavailable: "unavailable",
  service_unavailable: "service_unavailable",
  timeout: "timeout",
  timed_out: "timed_out",
  failed: "failed",
  failure: "failure",
  cancelled: "cancelled",
  canceled: "canceled",
  user_cancel: "cancelled",
  interrupted: "interrupted",
  abort: "abort",
  aborted: "aborted"
}

/** The code of the error that a word is, if it is one. */
const codeOf = (word: string): string | undefined => {
  const known = leading(word.toLowerCase())
  return Object.hasOwn(failures, known) ? failures[known] : slips.exec(word)?.[0].toLowerCase()
}

/** Gateways write one word in front of another: `content_filter: PROHIBITED_CONTENT`. */
const leading = (word: string): string => (word.includes(":") ? word.slice(0, word.indexOf(":")).trimEnd() : word)

/** Google's words for a call of a tool that the model got wrong; gateways write something in front of them. */
const slips = /malformed_function_call|malformed_response|unexpected_tool_call/i

/** Says of an answer that ended with such a word, in the form of an error body, why it is none. `more`: other words. */
export const failureOf = (word: string, more?: unknown): unknown => {
  // A longer one may be anything, and half of it is no word.
  const message = `the answer ended with finish_reason ${word.length <= 64 ? JSON.stringify(word) : "that says more"}`
  return { error: { type: "server_error", code: codeOf(word) ?? word, message, reason: more } }
}

/** What the words of servers for the end of an answer mean. Those that are not here mean something else. */
export const meanings: Readonly<Record<string, Response.FinishReason>> = {
  stop: "stop",
  eos: "stop",
  eos_token: "stop",
  end_turn: "stop",
  stop_sequence: "stop",
  stop_token: "stop",
  complete: "stop",
  completed: "stop",
  length: "length",
  max_tokens: "length",
  max_output_tokens: "length",
  max_new_tokens: "length",
  max_length: "length",
  max_completion_tokens: "length",
  context_length: "length",
  error_limit: "length",
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
  error_toxic: "content-filter",
  image_safety: "content-filter",
  refusal: "content-filter",
  guardrail_intervened: "content-filter"
}

/** What a word means by itself. */
export const meaningOf = (word: string): Response.FinishReason => {
  const known = leading(word.toLowerCase())
  return (Object.hasOwn(meanings, known) ? meanings[known] : undefined) ?? "other"
}
