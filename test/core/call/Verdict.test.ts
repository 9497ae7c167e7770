import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { AiError } from "effect/ai"
import { PolicyReason } from "holdfast/core"
import * as Failure from "../../../src/core/call/Failure.ts"
import * as Verdict from "../../../src/core/call/Verdict.ts"

const errorOf = (reason: AiError.AiErrorReason) => AiError.make({ module: "m", method: "f", reason })

const overloaded = errorOf(
  new AiError.InternalProviderError({ description: "529", metadata: { provider: { retryAfterMillis: 3_000 } } })
)

describe("Verdict", () => {
  it.each([
    ["fault", true, overloaded],
    ["busy", true, errorOf(new AiError.RateLimitError({}))],
    ["unusable", false, errorOf(new AiError.QuotaExhaustedError({}))],
    ["unusable", false, errorOf(new AiError.AuthenticationError({ kind: "InvalidKey" }))],
    ["none", false, errorOf(new AiError.InvalidRequestError({ description: "bad" }))],
    ["fault", true, PolicyReason.toAiError("Timeout", { _tag: "TimedOut", clock: "idle", afterMillis: 1 })],
    ["none", false, PolicyReason.toAiError("Timeout", { _tag: "TimedOut", clock: "overall", afterMillis: 1 })],
    ["none", true, PolicyReason.toAiError("Bulkhead", { _tag: "QueueFull", limit: 1, maxWaiting: 0 })]
  ] as const)("of an error of a call: %s, retryable %s", (blame, retryable, error) => {
    const verdict = Verdict.of(error)
    assert.deepStrictEqual([verdict.blame, verdict.retryable], [blame, retryable])
  })

  it("reads the wait that was asked for with any error, and none of one of several providers", () => {
    assert.deepStrictEqual(Verdict.of(overloaded).retryAfter, Duration.seconds(3))
    const limited = errorOf(new AiError.RateLimitError({ retryAfter: Duration.seconds(4) }))
    assert.deepStrictEqual(Verdict.of(limited).retryAfter, Duration.seconds(4))
    assert.deepStrictEqual(Verdict.of(Failure.ofOneOfSeveral(limited)), {
      blame: "none",
      retryable: true,
      retryAfter: undefined
    })
  })

  it("is what a policy of an application's own says: whom it blames, and the wait; nobody and none where it does not", () => {
    const custom = { _tag: "Custom", policy: "mine", description: "no", retryable: true, facts: {} } as const
    const verdictOf = (said: object) => Verdict.of(PolicyReason.toAiError("mine", { ...custom, ...said }))
    for (const blame of ["fault", "unusable", "busy", "none"] as const) {
      assert.deepStrictEqual(verdictOf({ blame, retryAfterMillis: 2_500 }), {
        blame,
        retryable: true,
        retryAfter: Duration.millis(2_500)
      })
    }
    assert.deepStrictEqual(verdictOf({}), { blame: "none", retryable: true, retryAfter: undefined })
  })

  it("takes a wait of more than a day for a mistake, and for none", () => {
    for (const wait of [Duration.millis(86_400_001), Duration.days(1_000), Duration.infinity]) {
      assert.isUndefined(Verdict.of(errorOf(new AiError.RateLimitError({ retryAfter: wait }))).retryAfter)
      assert.isUndefined(Verdict.by(() => ({ blame: "fault", retryAfter: wait }))("error").retryAfter)
    }
    const day = Duration.days(1)
    assert.deepStrictEqual(Verdict.of(errorOf(new AiError.RateLimitError({ retryAfter: day }))).retryAfter, day)
  })

  it("completes what an application says: what is unwell or busy may be tried again, unless it says otherwise", () => {
    const verdictOf = Verdict.by((facts: Verdict.Classification) => facts)
    const retryable = (facts: Verdict.Classification) => verdictOf(facts).retryable
    assert.deepStrictEqual(
      (["fault", "busy", "unusable", "none"] as const).map((blame) => retryable({ blame })),
      [true, true, false, false]
    )
    assert.isFalse(retryable({ blame: "fault", retryable: false }))
    assert.deepStrictEqual(verdictOf({ blame: "busy", retryAfter: "2 seconds" }).retryAfter, Duration.seconds(2))
  })
})
