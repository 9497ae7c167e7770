import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { delay } from "../../../src/policy/retry/Delay.ts"

describe("the wait before another attempt", () => {
  const milliseconds = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))

  it.prop(
    "waits at least Retry-After, and beyond it at most what the back-off allows",
    [
      milliseconds,
      milliseconds,
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })),
      Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
    ],
    ([retryAfter, base, retries, draw]) => {
      const settings = { times: 10, baseMillis: base, capMillis: 30_000, maxRetryAfterMillis: 120_000 }
      const wait = delay(settings, { retryable: true, retryAfter: Duration.millis(retryAfter) }, retries, draw)
      assert(typeof wait === "number")
      assert.isAtLeast(wait, retryAfter)
      assert.isAtMost(wait, retryAfter + Math.min(30_000, base * 2 ** retries))
    }
  )

  it("goes on for as many times as it may, also without a wait", () => {
    const settings = { times: 5_000, baseMillis: 0, capMillis: 10_000, maxRetryAfterMillis: 120_000 }
    assert.strictEqual(delay(settings, { retryable: true, retryAfter: undefined }, 4_000, 0.5), 0)
  })
})
