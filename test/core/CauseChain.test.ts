import { assert, it } from "@effect/vitest"
import * as CauseChain from "../../src/core/CauseChain.ts"

it("a chain has an error and its causes, from the outermost on", () => {
  const inner = "no disk"
  const middle = { cause: inner }
  const outer = new Error("import failed", { cause: middle })
  assert.deepStrictEqual(Array.from(CauseChain.of(outer)), [outer, middle, inner])
})

it("a chain ends, also when it goes round in a circle or cannot be read", () => {
  const circle = new Error("round")
  circle.cause = circle
  assert.lengthOf(Array.from(CauseChain.of(circle)), 9)
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  assert.lengthOf(Array.from(CauseChain.of({ cause: proxy })), 2)
  assert.lengthOf(Array.from(CauseChain.of(undefined)), 0)
})
