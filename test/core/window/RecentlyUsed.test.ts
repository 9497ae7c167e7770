import { assert, describe, it } from "@effect/vitest"
import { RecentlyUsed } from "../../../src/core/window/RecentlyUsed.ts"

const keysOf = <Value>(entries: RecentlyUsed<Value>) => Array.from(entries, ([key]) => key)

describe("RecentlyUsed", () => {
  it("makes room by dropping the entry that was not used for longest", () => {
    const entries = new RecentlyUsed<number>(3)
    for (const key of ["a", "b", "c"]) entries.set(key, 1)
    assert.strictEqual(entries.get("a"), 1)
    assert.strictEqual(entries.peek("b"), 1)
    assert.isTrue(entries.makeRoom())
    entries.set("d", 1)
    assert.deepStrictEqual(keysOf(entries), ["c", "a", "d"])
    assert.deepStrictEqual([entries.has("d"), entries.has("b")], [true, false])
  })

  it("drops no entry that may not go, and says when there is no room", () => {
    const held = new Set(["a", "b"])
    const entries = new RecentlyUsed<string>(2, (key) => !held.has(key))
    for (const key of ["a", "b"]) entries.set(key, key)
    assert.isFalse(entries.makeRoom())
    held.delete("b")
    assert.isTrue(entries.makeRoom())
    assert.deepStrictEqual(keysOf(entries), ["a"])
  })

  it("looks at few entries for each new one, however many must be kept", () => {
    let looks = 0
    const entries = new RecentlyUsed<number>(2_000, () => (looks++, false))
    for (let n = 0; n < 2_000; n++) entries.set(String(n), n)
    for (let n = 0; n < 1_000; n++) assert.isFalse(entries.makeRoom())
    assert.isAtMost(looks, 16 * 1_000)
  })

  it("gives the oldest entry, also after all were cleared", () => {
    const entries = new RecentlyUsed<number>(9)
    entries.set("a", 1)
    assert.strictEqual(entries.dropOldest(), 1)
    entries.set("b", 2)
    entries.clear()
    for (const n of [3, 4, 5]) entries.set(String(n), n)
    entries.delete("3")
    assert.strictEqual(entries.get("3"), undefined)
    assert.deepStrictEqual([entries.dropOldest(), entries.dropOldest(), entries.size], [4, 5, 0])
  })
})
