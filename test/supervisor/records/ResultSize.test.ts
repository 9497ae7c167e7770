import { assert, describe, it } from "@effect/vitest"
import { Cause, Exit, Schema } from "effect"
import * as ResultSize from "../../../src/supervisor/records/ResultSize.ts"

const of = (value: unknown) => ResultSize.estimate(Exit.succeed(value))

const rows = (count: number) => Array.from({ length: count }, (_, n) => ({ n, tags: ["a", "b"] }))
const numbered = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`field ${count}.${n}`, n]))

describe("ResultSize", () => {
  it.each([
    ["a string", "x".repeat(1_000_000), 2_000_000],
    ["bytes", new Uint8Array(1_000_000), 1_000_000],
    ["a slice, which keeps the whole", new Uint8Array(1_000_000).subarray(0, 10), 1_000_000],
    ["many strings", Array.from({ length: 10_000 }, (_, n) => `${n}`.padStart(100)), 2_240_000],
    ["rows", Array.from({ length: 10_000 }, () => ({ a: "x".repeat(50), b: [1, 2, 3] })), 2_400_000],
    [
      "a large text behind many numbers",
      { rows: Array.from({ length: 300 }, (_, n) => n), body: "x".repeat(1e6) },
      2e6
    ],
    ["a large text deep behind many rows", { rows: rows(500), page: { part: { body: "x".repeat(1e6) } } }, 2e6],
    ["a large text between many small fields", { ...numbered(10), body: "x".repeat(1e6), ...numbered(12) }, 2e6],
    ["lists that grow", Array.from({ length: 1_000 }, (_, n) => "x".repeat(n)), 1e6],
    ["an error's long message", new Error("x".repeat(1e6)), 2e6],
    ["an error's cause", new Error("no", { cause: { body: "x".repeat(1e6) } }), 2e6],
    ["a map", new Map(Array.from({ length: 1_000 }, (_, n) => [n, "x".repeat(100)])), 250_000]
  ] as const)("is about right for %s", (_, value, bytes) => {
    assert.isAtLeast(of(value), bytes / 2)
    assert.isAtMost(of(value), bytes * 2)
  })

  it("is nothing for what needs no memory of its own", () => {
    for (const value of [undefined, null, true, 1, 0n]) assert.strictEqual(of(value), 0)
  })

  it("ends for circles and depth, and neither throws nor calls getters", () => {
    const circle: Record<string, unknown> = {}
    circle["self"] = circle
    let deep: unknown = undefined
    for (let n = 0; n < 100_000; n++) deep = { deep }
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    const trap = {
      get value(): never {
        throw new Error("called")
      }
    }
    for (const value of [circle, deep, proxy, trap]) assert.isBelow(of(value), 50_000)
  })

  it("is a whole number whatever a value says of its own size", () => {
    class Odd extends Map<string, string> {
      override get size(): never {
        return undefined as never
      }
    }
    const endless = Object.defineProperty([1, 2], Symbol.iterator, {
      *value() {
        while (true) yield 1
      }
    })
    const lying = (size: unknown) => ({
      list: new Proxy([], { get: (list, key) => (key === "length" ? size : Reflect.get(list, key)) }),
      set: Object.defineProperty(new Set([1]), "size", { value: size }),
      buffer: Object.defineProperty(new ArrayBuffer(8), "byteLength", { value: size }),
      view: Object.defineProperty(new Uint8Array(8), "buffer", { value: { byteLength: size } })
    })
    const sizes = [undefined, Number.NaN, -5, -Infinity, Infinity, 1e300, 0.5, "x", 10n, {}, Symbol("s")]
    const values = [
      new Odd([["a", "b"]]),
      endless,
      ...sizes.flatMap((size) => [lying(size), ...Object.values(lying(size))])
    ]
    for (const value of values) {
      for (const exit of [Exit.succeed(value), Exit.fail(value), Exit.die({ value })]) {
        const bytes = ResultSize.estimate(exit)
        assert(Number.isSafeInteger(bytes) && bytes >= 0 && bytes <= 2 ** 41, `${bytes}`)
      }
    }
  })

  it.prop(
    "is a whole number, so that sums of it come out even",
    [Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_000 }))],
    ([count]) => {
      const rows = Array.from({ length: count }, (_, n) => "x".repeat((n * n) % 37))
      for (const value of [rows, { rows }, new Set(rows), new Map(rows.entries()), [rows, [rows.slice(1)]]]) {
        assert.isTrue(Number.isSafeInteger(of(value)), `${of(value)}`)
      }
    }
  )

  it("counts the error of a failure", () => {
    assert.isAtLeast(ResultSize.estimate(Exit.failCause(Cause.fail({ body: "x".repeat(1_000) }))), 2_000)
  })
})
