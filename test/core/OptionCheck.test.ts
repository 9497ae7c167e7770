import { assert, describe, it } from "@effect/vitest"
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
    [() => check.millis("t", 0, { atLeast: 0 }), "took 0"]
  ])("%s: %s", (make, message) => {
    assert.strictEqual(said(make), message)
  })
})
