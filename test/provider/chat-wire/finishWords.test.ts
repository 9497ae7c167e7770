/** Every word for the end of an answer, known or not: the same whole and streamed, a reason or a typed error. */
import { assert, describe, it } from "@effect/vitest"
import { Prompt } from "effect/ai"
import { Chance } from "../../../src/testing/seed/Chance.ts"
import * as WireError from "../../../src/provider/chat-wire/WireError.ts"
import * as FinishWord from "../../../src/provider/errors/FinishWord.ts"
import { read, stream } from "./answers.ts"

const context = {
  method: "generateText",
  url: "http://kelp.test",
  mask: (text: string) => text,
  prompt: Prompt.empty
} as const

const outcome = (body: string): string => {
  try {
    const last = read([Buffer.from(body)]).at(-1)
    return last?.type === "finish" ? last.reason : "no end"
  } catch (error) {
    const { reason } = WireError.of(error, context)
    return `${reason._tag}${reason.isRetryable ? ", again" : ""}`
  }
}

const said = { role: "assistant", content: "Kelp." }

/** What becomes of an answer with a text that ends with a word, which both ways must agree on. */
const both = (finish_reason: string): string => {
  const whole = outcome(JSON.stringify({ choices: [{ index: 0, message: said, finish_reason }] }))
  const chunks = [
    { choices: [{ index: 0, delta: said, finish_reason: null }] },
    { choices: [{ index: 0, delta: {}, finish_reason }] }
  ]
  assert.strictEqual(outcome(stream(chunks, new Chance(1))), whole, finish_reason)
  return whole
}

describe("a word", () => {
  it.each([
    ["rate_limit", "RateLimitError, again"],
    ["rate_limited", "RateLimitError, again"],
    ["too_many_requests", "RateLimitError, again"],
    ["insufficient_quota", "QuotaExhaustedError"],
    ["quota_exceeded", "QuotaExhaustedError"],
    ["insufficient_system_resource", "InternalProviderError, again"],
    ["timeout", "InternalProviderError, again"],
    ["abort", "InternalProviderError, again"],
    ["interrupted", "InternalProviderError, again"],
    ["error: rate limit of somebody", "InternalProviderError, again"],
    ["MALFORMED_FUNCTION_CALL", "InvalidOutputError, again"],
    ["content_filter", "content-filter"],
    ["ERROR_TOXIC", "content-filter"],
    ["max_completion_tokens", "length"],
    ["tool_calls", "stop"],
    ["kelp", "other"],
    ["constructor", "other"]
  ])("%s: %s", (word, wanted) => {
    // An answer that says it calls tools and has a text instead is that text.
    assert.strictEqual(both(word), wanted)
  })

  it("that fails is a typed error, and one that means something is that, in any case and with more behind it", () => {
    const forms = (word: string) => [word, word.toUpperCase(), `${word}: MORE`, `${word} : more`]
    for (const word of Object.keys(FinishWord.failures)) {
      assert.notProperty(FinishWord.meanings, word)
      for (const form of forms(word)) assert.match(both(form), /Error/, form)
    }
    for (const [word, meaning] of Object.entries(FinishWord.meanings)) {
      const wanted = meaning === "tool-calls" ? "stop" : meaning
      for (const form of forms(word)) assert.strictEqual(both(form), wanted, form)
    }
  })
})
