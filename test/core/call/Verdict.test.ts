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

  const limit = { key: "k", dimension: "requests", retryAfterMillis: 1 } as const
  const [here, nowhere] = [
    [true, true],
    [false, false]
  ] as const
  /** Whether another provider may answer after it, and whether this one was never asked. */
  const reasons: ReadonlyArray<readonly [PolicyReason.PolicyReason, readonly [doing: boolean, unasked: boolean]]> = [
    [{ _tag: "CircuitOpen", key: "k", retryAfterMillis: 1 }, here],
    [{ _tag: "DeadlineTooNear", neededMillis: 2, remainingMillis: 1 }, here],
    [{ _tag: "LargerThanLimit", key: "k", dimension: "tokens", needed: 2, limit: 1 }, here],
    [{ _tag: "NoProvider", names: ["a"] }, here],
    [{ _tag: "QueueFull", limit: 1, maxWaiting: 0 }, here],
    [{ _tag: "RateLimited", ...limit }, here],
    [{ _tag: "NotAcceptable", answers: 2 }, [true, false]],
    [{ _tag: "TimedOut", clock: "overall", afterMillis: 1 }, nowhere],
    [{ _tag: "TooSlow", tokensPerSecond: 1, atLeast: 2 }, [true, false]],
    [{ _tag: "SpendExhausted", key: "k", unit: "tokens", limit: 1, spent: 1, retryAfterMillis: 1 }, nowhere],
    [{ _tag: "FellBehind", limitBytes: 1 }, nowhere],
    [{ _tag: "Cancelled", jobId: "j", reason: "r" }, nowhere],
    [{ _tag: "NotAccepted", description: "d" }, nowhere],
    [{ _tag: "Custom", policy: "mine", description: "d", retryable: true, facts: {} }, nowhere]
  ]

  it.each(reasons)("of %j says whether another provider may answer", (reason, expected) => {
    const error = PolicyReason.toAiError("policy", reason)
    assert.deepStrictEqual([Verdict.isProvidersDoing(error), Verdict.isNotAsked(error)], expected)
  })

  it("is told of every reason", () =>
    assert.strictEqual(new Set(reasons.map(([{ _tag }]) => _tag)).size, PolicyReason.PolicyReason.members.length))

  it("lets no other provider answer for a tenant whose limit is used up", () => {
    const error = PolicyReason.toAiError("RateLimit", { _tag: "RateLimited", ...limit, limitOf: "tenant" })
    assert.deepStrictEqual([Verdict.isProvidersDoing(error), Verdict.isNotAsked(error)], [false, false])
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
