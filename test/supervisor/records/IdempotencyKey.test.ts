import { assert, it } from "@effect/vitest"
import { Schema } from "effect"
import * as IdempotencyKey from "../../../src/supervisor/records/IdempotencyKey.ts"

const Part = Schema.Union([
  Schema.Undefined,
  Schema.Literals(["", "a", "b", '"', '","', "a:b", "null", "\ud800", "\ud801", "\ufffd"])
])
const Parts = Schema.Struct({
  tenant: Part,
  name: Part,
  key: Schema.Literals(["", "a", "#", "a#b"]),
  idempotencyKey: Schema.Literals(["", "a", "b", "b#a", '","a', "\ud800", "\udc00"]),
  isRepeated: Schema.Boolean
})

it.prop("is the same for the same parts, and for no others", [Parts, Parts], ([one, other]) => {
  const parts = ["tenant", "name", "key", "idempotencyKey", "isRepeated"] as const
  const same = parts.every((part) => one[part] === other[part])
  assert.strictEqual(IdempotencyKey.of(one) === IdempotencyKey.of(other), same)
})
