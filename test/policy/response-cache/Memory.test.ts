import { assert, describe, it } from "@effect/vitest"
import type { CacheEntry } from "../../../src/policy/response-cache/Entry.ts"
import { CacheMemory } from "../../../src/policy/response-cache/Memory.ts"

const entry = (bytes = 1): CacheEntry => ({ storedAtMillis: 0, bytes, answer: { _tag: "Whole", parts: [] } })

const keep = (memory: CacheMemory, ...keys: ReadonlyArray<string | number>) => {
  for (const key of keys) memory.set(String(key), entry(), 0, Infinity, 0)
}

const keysOf = (memory: CacheMemory) => memory.live(0).map(({ key }) => key)

describe("CacheMemory", () => {
  // It takes a third of a second; walking past what was dropped before, for each new one, would take twenty.
  it("drops the ones not used for longest, of many, without looking for them", { timeout: 60_000 }, () => {
    const memory = new CacheMemory(100_000, Infinity)
    const before = process.cpuUsage()
    for (let key = 0; key < 400_000; key++) keep(memory, key)
    assert.isBelow(process.cpuUsage(before).user, 4_000_000)
    assert.deepStrictEqual([memory.size, memory.bytes], [100_000, 100_000])
    assert.deepStrictEqual([memory.get("299999", 0)?.key, memory.get("300000", 0)?.key], [undefined, "300000"])
  })

  it("drops by use again after it was emptied, in whatever way", () => {
    const memory = new CacheMemory(2, Infinity)
    keep(memory, "a", "b", "c")
    memory.clear()
    keep(memory, "d", "e", "f")
    assert.deepStrictEqual(keysOf(memory), ["e", "f"])
    memory.get("e", 0)
    keep(memory, "g")
    assert.deepStrictEqual(keysOf(memory), ["e", "g"])
    // One that has no room beside any other, and then one that has none at all.
    const small = new CacheMemory(10, 5)
    keep(small, "a", "b", "c")
    small.set("large", entry(5), 0, Infinity, 0)
    assert.deepStrictEqual(keysOf(small), ["large"])
    small.set("too large", entry(6), 0, Infinity, 0)
    keep(small, "d")
    assert.deepStrictEqual([keysOf(small), small.bytes], [["d"], 1])
  })

  it("keeps nothing where there is room for nothing", () => {
    const memory = new CacheMemory(0, Infinity)
    keep(memory, "a", "b")
    assert.deepStrictEqual([memory.size, memory.bytes], [0, 0])
  })
})
