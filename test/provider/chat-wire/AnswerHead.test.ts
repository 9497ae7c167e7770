import { assert, it } from "@effect/vitest"
import * as AnswerHead from "../../../src/provider/chat-wire/AnswerHead.ts"

it.each<readonly [unknown, string | undefined]>([
  [1_789_466_192, "2026-09-15T09:56:32.000Z"],
  [1_789_466_192_345, "2026-09-15T09:56:32.345Z"],
  [0, undefined],
  [-1, undefined],
  [1e300, undefined],
  ["1789466192", undefined]
])("an answer of %s was made at %s", (created, timestamp) => {
  const head = timestamp === undefined ? undefined : { type: "response-metadata", timestamp }
  assert.deepStrictEqual(AnswerHead.of({ created }), head as AnswerHead.AnswerHead | undefined)
})
