import { assert, describe, it } from "vitest"
import * as PartCopy from "../../../src/core/call/PartCopy.ts"

describe("a copy of a part", () => {
  it("is the same, and shares nothing that is written into", () => {
    const params = JSON.parse('{"list":[{"a":1}],"__proto__":{"b":2},"text":"t","none":null}') as {
      list: Array<object>
    }
    const part = { type: "tool-call", params, metadata: Object.assign(Object.create(null) as object, { c: [3] }) }
    const before = JSON.stringify(part)
    const copy = PartCopy.of(part)
    assert.strictEqual(JSON.stringify(copy), before)
    copy.params.list.push({ d: 4 })
    Object.assign(copy.params.list[0] ?? {}, { a: 5 })
    Object.assign(copy, { type: "other" })
    assert.strictEqual(JSON.stringify(part), before)
    assert.isUndefined(({} as { b?: unknown }).b)
  })

  it("of a text is another, and so is what is said about it", () => {
    const part = { type: "text-delta", id: "t", delta: "a", metadata: { some: { notes: 1 } } }
    const copies = [PartCopy.of({ type: "text", text: "a" }), PartCopy.of(part)]
    Object.assign(PartCopy.of(part).metadata.some, { notes: 2 })
    assert.deepStrictEqual(copies, [{ type: "text", text: "a" }, part])
    assert.strictEqual(part.metadata.some.notes, 1)
  })

  it("leaves alone what is no plain data, and what is deeper than data is", () => {
    const bytes = new Uint8Array(2)
    let deep: unknown = []
    for (let level = 0; level < 100_000; level++) deep = [deep]
    assert.strictEqual(PartCopy.of({ bytes }).bytes, bytes)
    assert.isArray(PartCopy.of({ deep }).deep)
  })
})
