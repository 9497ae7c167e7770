import { assert, describe, it } from "@effect/vitest"
import { Ledger } from "../../../src/policy/spend-budget/Ledger.ts"

const kept = 100_000
const nothing = { tokens: 0, money: 0 }

const spend = (ledger: Ledger, key: string, now = 0) =>
  ledger.end(ledger.begin(key, now, nothing), now, nothing, { tokens: 1, money: 0, estimated: false })

const ledgerOf = (keys: number) => {
  const ledger = new Ledger({ tokens: Infinity, money: Infinity }, 3_600_000)
  for (let key = 0; key < keys; key++) spend(ledger, String(key))
  return ledger
}

const isKnown = (ledger: Ledger, key: string | number) => ledger.spent(String(key), 0).tokens > 0

describe("What keys have spent, of more of them than are kept,", () => {
  const hour = 3_600_000
  const limited = (capacity: number) => new Ledger({ tokens: 2, money: Infinity }, hour, capacity)

  // They take a second; looking through all accounts for each new one would take a quarter of an hour.
  it("is kept of all that spent first, and the others share one account", () => {
    const ledger = ledgerOf(300_000)
    assert.deepStrictEqual([isKnown(ledger, 0), isKnown(ledger, kept - 1)], [true, true])
    assert.strictEqual(ledger.health(0).keys.length, kept + 1)
    assert.deepStrictEqual(ledger.health(0).keys.at(-1)?.tokens, 300_000 - kept)
    assert.strictEqual(ledger.spent("another", 0).tokens, 300_000 - kept)
  })

  it("is forgotten of nobody, whoever else is named", () => {
    const ledger = limited(2)
    for (const key of ["a", "a", "b"]) spend(ledger, key)
    for (let key = 0; key < 1_000; key++) if (ledger.refusal(`${key}`, 0) === undefined) spend(ledger, `${key}`)
    assert.strictEqual(ledger.spent("one more", 0).tokens, 2)
    assert.deepStrictEqual(
      ["a", "b", "one more"].map((key) => ledger.refusal(key, 0)?.key),
      ["a", undefined, "#"]
    )
  })

  it("begins anew for all of them with the next window", () => {
    const ledger = limited(1)
    for (const key of ["a", "a", "b", "b"]) spend(ledger, key)
    assert.deepStrictEqual([ledger.refusal("b", 0)?.key, ledger.refusal("b", hour)?.key], ["#", undefined])
    spend(ledger, "b", hour)
    assert.deepStrictEqual([ledger.spent("b", hour).tokens, ledger.spent("c", hour).tokens], [1, 0])
  })

  it("is booked where the call began", () => {
    const ledger = limited(1)
    const expected = { tokens: 5, money: 0 }
    const first = ledger.begin("a", 0, expected)
    const second = ledger.begin("b", 0, expected)
    ledger.end(first, 0, expected, undefined)
    spend(ledger, "c")
    ledger.end(second, 0, expected, { tokens: 7, money: 0, estimated: false })
    assert.strictEqual(ledger.spent("b", 0).tokens, 8)
  })

  it("does not go for those that spend nothing", () => {
    const ledger = ledgerOf(kept)
    for (let key = 0; key < kept; key++) {
      ledger.spent(`asks ${key}`, 0)
      ledger.end(ledger.begin(`fails ${key}`, 0, nothing), 0, nothing, undefined)
    }
    assert.strictEqual(ledger.health(0).keys.length, kept)
  })
})
