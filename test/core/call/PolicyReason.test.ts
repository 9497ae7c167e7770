import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { AiError } from "effect/ai"
import { PolicyReason, Usage } from "holdfast/core"

describe("PolicyReason", () => {
  it.effect.prop(
    "is read back from its error, also after the error was encoded and decoded",
    [PolicyReason.PolicyReason],
    ([reason]) =>
      Effect.gen(function* () {
        const error = PolicyReason.toAiError("Policy", reason)
        assert.deepStrictEqual(PolicyReason.of(error), Option.some(reason))
        const encoded = yield* Schema.encodeEffect(AiError.AiError)(error)
        const decoded = yield* Schema.decodeEffect(AiError.AiError)(encoded)
        assert.deepStrictEqual(PolicyReason.of(decoded), Option.some(reason))
      })
  )

  it("is none for what the provider said", () => {
    const error = AiError.make({ module: "m", method: "generateText", reason: new AiError.RateLimitError({}) })
    assert.deepStrictEqual(PolicyReason.of(error), Option.none())
    assert.deepStrictEqual(PolicyReason.of("text"), Option.none())
  })

  it("is retryable exactly when another attempt can succeed", () => {
    const retryable = (reason: PolicyReason.PolicyReason) => PolicyReason.toAiError("Policy", reason).isRetryable
    assert.deepStrictEqual(
      [
        retryable({ _tag: "TimedOut", clock: "attempt", afterMillis: 1 }),
        retryable({ _tag: "TimedOut", clock: "overall", afterMillis: 1 }),
        retryable({ _tag: "QueueFull", limit: 1, maxWaiting: 1 }),
        retryable({ _tag: "Cancelled", jobId: "job-1", reason: "user left" }),
        retryable({ _tag: "NotAccepted", description: "closed" }),
        ...[true, false].map((said) =>
          retryable({ _tag: "Custom", policy: "mine", description: "no", retryable: said, facts: {} })
        )
      ],
      [true, false, true, false, false, true, false]
    )
  })
})

describe("Usage", () => {
  it("adds up what the finish parts report", () => {
    const usage = Usage.fromParts([
      {
        type: "finish",
        reason: "stop",
        usage: { inputTokens: { total: 10, cacheRead: 4 }, outputTokens: { total: 5, reasoning: 2 } },
        response: undefined
      }
    ])
    assert.deepStrictEqual(Usage.add(usage, usage), {
      inputTokens: 20,
      cachedInputTokens: 8,
      outputTokens: 10,
      reasoningTokens: 4
    })
  })
})
