import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
// Not part of what the package publishes: whatever has options checks them with it.
import * as OptionCheck from "../../src/core/OptionCheck.ts"

const check = OptionCheck.of("Thing")

const said = (make: () => unknown): string => {
  try {
    return `took ${String(make())}`
  } catch (error) {
    assert.instanceOf(error, RangeError)
    return error.message
  }
}

describe("OptionCheck", () => {
  it.each([
    [() => check.whole("n", 1, 1), "took 1"],
    [() => check.whole("n", 0, 1), "Thing option n must be a whole number of at least 1, got 0"],
    [() => check.whole("n", 1.5, 1), "Thing option n must be a whole number of at least 1, got 1.5"],
    [() => check.whole("n", 9, 1, 8), "Thing option n must be a whole number of at least 1 and at most 8, got 9"],
    [() => check.whole("n", Infinity, 1), "Thing option n must be a whole number of at least 1, got Infinity"],
    [() => check.number("n", 1, { above: 0, atMost: 1 }), "took 1"],
    [
      () => check.number("n", 0, { above: 0, atMost: 1 }),
      "Thing option n must be a finite number above 0 and of at most 1, got 0"
    ],
    [
      () => check.number("n", 1, { above: 0, below: 1 }),
      "Thing option n must be a finite number above 0 and below 1, got 1"
    ],
    [() => check.number("n", NaN, { atLeast: 0 }), "Thing option n must be a finite number of at least 0, got NaN"],
    [
      () => check.number("n", Infinity, { atLeast: 0 }),
      "Thing option n must be a finite number of at least 0, got Infinity"
    ],
    [() => check.millis("t", "1 second"), "took 1000"],
    [() => check.millis("t", 0), "Thing option t must be a finite duration above 0, got 0 ms"],
    [() => check.millis("t", NaN), "Thing option t must be a finite duration above 0, got NaN"],
    [() => check.millis("t", Infinity), "Thing option t must be a finite duration above 0, got Infinity ms"],
    [() => check.millis("t", Infinity, { endless: true }), "took Infinity"],
    [
      () => check.millis("t", -1, { atLeast: 0 }),
      "Thing option t must be a finite duration of at least 0 ms, got -1 ms"
    ],
    [() => check.millis("t", 0, { atLeast: 0 }), "took 0"],
    [
      () => check.millis("t", { millis: 5 } as never, { atLeast: 0 }),
      "Thing option t must be a finite duration of at least 0 ms in weeks, days, hours, minutes, seconds, milliseconds, microseconds, nanoseconds, got one in millis"
    ]
  ])("%s: %s", (make, message) => {
    assert.strictEqual(said(make), message)
  })

  it.each(["apiKey", "baseUrl", "headers", "headers.x-key", "settings.headers", "proxy", "query", "secrets"])(
    "says of %s, which may hold a secret, only what kind of value it is",
    (name) => {
      const wanted = `Thing option ${name} must be right, got`
      assert.strictEqual(
        said(() => check.reject(name, "right", "CANARY")),
        `${wanted} a text`
      )
      assert.strictEqual(
        said(() => check.reject(name, "right", ["CANARY"])),
        `${wanted} a list`
      )
      assert.strictEqual(
        said(() => check.reject(name, "right", { a: "CANARY" })),
        `${wanted} an object`
      )
      assert.notInclude(
        said(() => check.record(name, "CANARY")),
        "CANARY"
      )
    }
  )

  it("takes what is a time, and nothing else, as a duration", () => {
    const times = [
      5,
      5_000_000n,
      "5 millis",
      [0, 5e6],
      { milliseconds: 5 },
      { milliseconds: 5, hours: undefined },
      Duration.millis(5)
    ]
    for (const time of times)
      assert.strictEqual(
        said(() => check.millis("t", time as Duration.Input)),
        "took 5"
      )
    const parts = [Number.NaN, undefined, null, "5", 5n, {}, "x", true]
    const others = [
      [],
      [5],
      [5, 5, 5],
      {},
      { fortnights: 1 },
      new Map(),
      ...parts.map((milliseconds) => ({ milliseconds }))
    ]
    for (const other of [...others, ...parts.map((part) => [1, part]), { minutes: 1, milliseconds: Number.NaN }]) {
      assert.match(
        said(() => check.millis("t", other as never, { atLeast: 0 })),
        /must be a finite duration/,
        inspect(other)
      )
    }
  })

  it("takes as options an object that has them, and nothing else", () => {
    class Given {
      n = undefined
    }
    const known = { n: true, size: true, length: true } as const
    for (const given of [{}, { n: 1 }, Object.create(null), new Given(), Object.create({ n: 1 })]) {
      assert.strictEqual(
        said(() => check.fields(given, known)),
        "took undefined",
        inspect(given)
      )
    }
    const others = [
      [],
      [1],
      new Map(),
      new Set(),
      new Date(),
      Promise.resolve(),
      new URLSearchParams(),
      /n/,
      new Error(),
      new Uint8Array(1)
    ]
    for (const other of [...others, null, undefined, 5, "n", () => {}, Object.create({ other: 1 })]) {
      assert.match(
        said(() => check.fields(other as object, known)),
        /^Thing options must be an object, got /,
        inspect(other)
      )
    }
  })
})
