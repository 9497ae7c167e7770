import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as IdSet from "../../../../src/cli/batch/input/IdSet.ts"

describe("IdSet", () => {
  it("tells which marks an id had", () => {
    const ids = new IdSet.IdSet()
    assert.strictEqual(ids.mark("a", IdSet.answered), 0)
    assert.strictEqual(ids.mark("a", IdSet.read), IdSet.answered)
    assert.strictEqual(ids.mark("a", IdSet.read), IdSet.answered | IdSet.read)
    assert.strictEqual(ids.mark("b", IdSet.read), 0)
    assert.strictEqual(ids.size, 2)
  })

  it("keeps ids apart that differ in a lone surrogate only", () => {
    const ids = new IdSet.IdSet()
    ids.mark("\ud800", IdSet.read)
    assert.strictEqual(ids.mark("\ud890", IdSet.read), 0)
  })

  it.prop("agrees with a set of strings", [Schema.Array(Schema.String)], ([words]) => {
    const ids = new IdSet.IdSet()
    const seen = new Set<string>()
    for (const word of words) {
      assert.strictEqual(ids.mark(word, IdSet.read) !== 0, seen.has(word))
      seen.add(word)
    }
    assert.strictEqual(ids.size, seen.size)
  })

  it("keeps 100,000 ids apart while it grows", () => {
    const ids = new IdSet.IdSet()
    for (let n = 0; n < 100_000; n++) assert.strictEqual(ids.mark(`request-${n}`, IdSet.read), 0)
    for (let n = 0; n < 100_000; n++) assert.strictEqual(ids.mark(`request-${n}`, IdSet.read), IdSet.read)
  })
})
