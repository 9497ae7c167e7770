import { assert, it } from "@effect/vitest"
import * as FinishWord from "../../../src/provider/errors/FinishWord.ts"

it.each([
  ["content_filter: PROHIBITED_CONTENT", "content-filter"],
  ["SAFETY", "content-filter"],
  ["RECITATION", "content-filter"],
  ["PROHIBITED_CONTENT", "content-filter"],
  ["refusal", "content-filter"],
  ["guardrail_intervened", "content-filter"],
  ["MAX_TOKENS", "length"],
  ["max_output_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["toolUse", "tool-calls"],
  ["tool_call", "tool-calls"],
  ["STOP", "stop"],
  ["end_turn", "stop"],
  ["constructor", "other"],
  ["repetition", "other"]
])("%s means %s", (word, meaning) => {
  assert.isFalse(FinishWord.isFailure(word))
  assert.strictEqual(FinishWord.meaningOf(word), meaning)
})

it.each([
  "server_error",
  "timeout",
  "failed",
  "overloaded",
  "cancelled",
  "rate_limit",
  "ABORT",
  "error",
  "error: boom"
])("%s says that the answer failed", (word) => assert.isTrue(FinishWord.isFailure(word)))
