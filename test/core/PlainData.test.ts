import { assert, describe, it } from "@effect/vitest"
import * as PlainData from "../../src/core/PlainData.ts"

describe("a copy of data", () => {
  it("is as what it was made of until somebody writes into either", () => {
    const made = () => ({ type: "tool-call", params: { list: [{ a: 1 }, null], n: NaN }, more: undefined })
    const part = made()
    assert.isTrue(PlainData.isSame(part, PlainData.copy(part)))
    const writes: ReadonlyArray<(copy: ReturnType<typeof made>) => unknown> = [
      (copy) => Object.assign(copy.params.list[0] ?? {}, { a: 2 }),
      (copy) => copy.params.list.push(null),
      (copy) => Object.assign(copy.params, { list: { ...copy.params.list } }),
      (copy) => Object.assign(copy, { other: 1 }),
      (copy) => delete (copy as { more?: undefined }).more
    ]
    for (const write of writes) {
      const copy = PlainData.copy(part)
      write(copy)
      assert.isFalse(PlainData.isSame(part, copy))
    }
    assert.deepStrictEqual(part, made())
  })
})
