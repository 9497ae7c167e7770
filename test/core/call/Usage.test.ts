import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Usage } from "holdfast/core"

describe("usage", () => {
  const anything = Schema.Union([
    Schema.Finite,
    Schema.Int,
    Schema.Literal("12"),
    Schema.String,
    Schema.Null,
    Schema.Undefined
  ])
  const tokens = Schema.Struct({ total: anything, cacheRead: anything, reasoning: anything })

  it.prop("is numbers of tokens, whatever a provider says", [tokens, tokens], ([inputTokens, outputTokens]) => {
    const usage = Usage.fromFinish({ usage: { inputTokens, outputTokens } as never })
    for (const count of Object.values(usage)) assert.isTrue(Number.isInteger(count) && count >= 0 && count <= 1e9)
    if (Number.isInteger(inputTokens.total) && Math.abs(Number(inputTokens.total)) < 1e9) {
      assert.strictEqual(usage.inputTokens, Math.max(0, Number(inputTokens.total)))
    }
  })

  it.each([NaN, Infinity, -Infinity])("leaves out %d", (total) => {
    assert.deepStrictEqual(Usage.said({ usage: { inputTokens: { total }, outputTokens: { total } } }), {})
  })

  it.each([undefined, null, {}, "none", { inputTokens: null, outputTokens: [] }])(
    "is nothing where nothing is said: %j",
    (said) => {
      assert.deepStrictEqual(Usage.fromFinish({ usage: said as never }), Usage.empty)
      assert.deepStrictEqual(Usage.said({ usage: said as never }), {})
    }
  )
})
