import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as Key from "../../../src/core/call/Key.ts"

// What keys are made of, and what could be taken for it: separators, escapes, halves of characters.
const pieces = ["a", "#", "%", "/", ";", "%23;", "\ud800", "\ud801", "\udc00", "\ufffd"] as const
const text = Arbitrary.map(Arbitrary.array(Arbitrary.schema(Schema.Literals(pieces)), { maxLength: 2 }), (each) =>
  each.join("")
)
const texts = Schema.Literals(["", ...pieces, "##", "a#", "%#"])
const part = Arbitrary.schema(Schema.UndefinedOr(texts))
const parts = Arbitrary.array(part, { minLength: 1, maxLength: 3 })

const runs = { arbitrary: { runs: 3_000 } }

const keyOf = ([first, ...others]: ReadonlyArray<string | undefined>) => Key.of(first, ...others)
const asStored = (key: string): string => new TextDecoder().decode(new TextEncoder().encode(key))
const areSame = (one: ReadonlyArray<string | undefined>, other: ReadonlyArray<string | undefined>) =>
  one.length === other.length && one.every((each, at) => each === other[at])

describe("Key", () => {
  it.prop(
    "is the same for the same parts and for no others, also where a store keeps it as UTF-8",
    [parts, parts],
    ([one, other]) => {
      assert.strictEqual(keyOf(one) === keyOf(other), areSame(one, other))
      assert.strictEqual(asStored(keyOf(one)) === asStored(keyOf(other)), areSame(one, other))
    },
    runs
  )

  it("is the same for no two lists of up to three parts", () => {
    const each = [undefined, "", "a", "#", "%", "%23;", "a#", "#a", "\ud800", "\ud801", "\ufffd"]
    const lists = each.flatMap((first) => [
      [first],
      ...each.flatMap((second) => [[first, second], ...each.map((third) => [first, second, third])])
    ])
    assert.strictEqual(new Set(lists.map((list) => asStored(keyOf(list)))).size, lists.length)
  })

  it.prop(
    "differs for providers that differ, and for their tenants",
    [text, text, part, text, text, part],
    ([name, model, tenant, otherName, otherModel, otherTenant]) => {
      const key = asStored(Key.ofTenant(Key.ofModel(name, model), tenant))
      const other = asStored(Key.ofTenant(Key.ofModel(otherName, otherModel), otherTenant))
      assert.strictEqual(key === other, areSame([name, model, tenant], [otherName, otherModel, otherTenant]))
    },
    runs
  )

  it.prop(
    "has hashes that differ for texts that differ only in halves of characters",
    [text, text],
    ([one, other]) => assert.strictEqual(Key.hashOf(one) === Key.hashOf(other), one === other),
    runs
  )

  it("leaves usual names as they are", () => {
    assert.strictEqual(Key.ofModel("openai", "gpt-5-mini"), "openai/gpt-5-mini")
    assert.strictEqual(Key.ofModel("openrouter", "deepseek/deepseek-r1:free"), "openrouter/deepseek/deepseek-r1:free")
    assert.strictEqual(Key.ofTenant("openai/gpt-5-mini", "acme"), "openai/gpt-5-mini#acme")
    assert.strictEqual(Key.ofTenant("openai/gpt-5-mini", undefined), "openai/gpt-5-mini")
  })
})
