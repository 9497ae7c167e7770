import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import * as SafeText from "../../src/core/SafeText.ts"
import { hostile } from "./hostile.ts"

const said = new Error("b", { cause: "the disk" })

describe("a safe text", () => {
  it.each<[unknown, string]>([
    [new Error("no route"), "Error: no route"],
    [
      new TypeError("late", { cause: new Error("root", { cause: "the disk" }) }),
      "TypeError: late, caused by Error: root, caused by the disk"
    ],
    [new RangeError("a: b", { cause: "b" }), "RangeError: a: b, caused by b"],
    [Object.assign(new Error("a: b", { cause: said }), { reason: said }), "Error: a: b, caused by the disk"],
    ["as it is", "as it is"],
    [undefined, "undefined"],
    [null, "null"],
    [Symbol("s"), "Symbol(s)"],
    [12n, "12n"],
    [{ _tag: "Mine", message: "busy" }, "Mine: busy"],
    [{ code: 5, deep: { er: { still: { more: 1 } } } }, "{ code: 5, deep: { er: { still: {…} } } }"],
    [[1, "b", [2]], `[1, "b", [2]]`],
    [new Error(""), "Error"],
    [new AggregateError([new Error("a"), new RangeError("b")]), "AggregateError (Error: a; RangeError: b)"],
    [
      new AggregateError([new Error("a"), "b", new Error(), 4], "all failed"),
      "AggregateError: all failed (Error: a; b; Error; and 1 more)"
    ]
  ])("of %s is what a person would write", (value, text) => assert.strictEqual(SafeText.of(value), text))

  it("never throws, is short, and is text, whatever the value", () => {
    for (const [name, make] of Object.entries(hostile)) {
      for (const text of [
        SafeText.of(make()),
        SafeText.ofCause(Cause.fail(make())),
        SafeText.ofCause(Cause.die(make()))
      ]) {
        assert.isString(text, name)
        assert.isAtMost(text.length, SafeText.limits.length, name)
        assert.isTrue(text.isWellFormed(), name)
        assert.isNotEmpty(text, name)
      }
    }
  })

  it("takes no longer for a chain of a million causes than for nine", () => {
    let reads = 0
    const endless = (): Error => Object.defineProperty(new Error("x"), "cause", { get: () => (reads++, endless()) })
    SafeText.of(endless())
    assert.isAtMost(reads, SafeText.limits.causes + 2)
  })

  it("names the failures of a cause, and how many more there are", () => {
    const many = Cause.fromReasons(["a", "b", "c", "d", "e"].flatMap((error) => Cause.fail(error).reasons))
    assert.strictEqual(SafeText.ofCause(many), "a; b; c; and 2 more")
    assert.strictEqual(SafeText.ofCause(Cause.interrupt()), "interrupted")
  })
})
