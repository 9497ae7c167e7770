import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { KeptKeys } from "../../../src/core/window/KeptKeys.ts"

interface Debt {
  owed: number
}

const owes = (kept: KeptKeys<Debt>, key: string, amount: number): Debt => {
  const place = kept.placeOf(key)
  const debt = kept.get(place) ?? { owed: kept.shared?.owed ?? 0 }
  debt.owed += amount
  kept.set(place, debt)
  return debt
}

const isClear = ({ owed }: Debt) => owed === 0

describe("KeptKeys", () => {
  const Acts = Schema.Array(
    Schema.Struct({ key: Schema.Literals(["a", "b", "c", "d", "e", "f"]), pays: Schema.Boolean })
  )

  it.prop(
    "forgets no debt: what a key owes is what it borrowed, or more where it shares",
    [Acts],
    ([acts]) => {
      const kept = new KeptKeys<Debt>(3, isClear)
      const owed = new Map<string, number>()
      for (const { key, pays } of acts) {
        const debt = owes(kept, key, 0)
        if (pays) {
          // Only who has a state of its own knows what it owes.
          if (kept.peek(key) === debt) {
            debt.owed = 0
            owed.set(key, 0)
          }
        } else {
          debt.owed++
          owed.set(key, (owed.get(key) ?? 0) + 1)
        }
        assert.isAtLeast(debt.owed, owed.get(key) ?? 0)
        assert.isAtMost(kept.values.length, 4)
      }
    },
    { arbitrary: { runs: 1_000 } }
  )

  it("gives all for whom there is no room one state, and those who have one keep it", () => {
    const kept = new KeptKeys<Debt>(2, isClear)
    const [a, b] = [owes(kept, "a", 1), owes(kept, "b", 1)]
    const others = Array.from({ length: 10_000 }, (_, n) => owes(kept, `other ${n}`, 1))
    assert.strictEqual(new Set(others).size, 1)
    assert.deepStrictEqual([kept.get("a"), kept.get("b")], [a, b])
    assert.deepStrictEqual([a.owed, b.owed, kept.shared?.owed, kept.values.length], [1, 1, 10_000, 3])
  })

  it("makes room when a debt is paid, and forgets what was shared when nobody owes there", () => {
    const kept = new KeptKeys<Debt>(1, isClear)
    const a = owes(kept, "a", 1)
    const others = owes(kept, "b", 1)
    a.owed = 0
    assert.strictEqual(kept.placeOf("b"), "b")
    others.owed = 0
    assert.deepStrictEqual([kept.shared, kept.peek("a")], [undefined, undefined])
  })
})
