import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as ReportedProgress from "../../../src/supervisor/records/ReportedProgress.ts"

// What a job may hand over by mistake, half of it amounts. What is no number by name stands below.
const Part = Schema.Union([
  Schema.Finite,
  Schema.Literals([-1, 0]),
  Schema.Int,
  Schema.String,
  Schema.Undefined,
  Schema.Null,
  Schema.Boolean
])
const Message = Schema.Union([Schema.String, Schema.Undefined])

const isAmount = (value: unknown): value is number => typeof value === "number" && value >= 0 && value < Infinity

// Types forbid most of it; whoever calls from JavaScript has none.
const fractionOf = (reported: unknown) =>
  ReportedProgress.read(reported as ReportedProgress.ReportedProgress, undefined)?.fraction

describe("a report of progress", () => {
  it.prop("is taken when its parts are finite numbers of 0 or more, and only then", [Part, Part], ([done, total]) => {
    const fraction = fractionOf({ done, total })
    if (!isAmount(done) || !isAmount(total)) return assert.isUndefined(fraction)
    assert.strictEqual(fraction, total === 0 ? 1 : Math.min(1, done / total))
    assert.strictEqual(fractionOf({ fraction: done }), Math.min(1, done))
  })

  it.each([
    { done: Number.NaN, total: 0 },
    { done: -5, total: 0 },
    { done: -1, total: -2 },
    { done: "5", total: 10 },
    { done: 1, total: Infinity },
    { fraction: Infinity },
    { fraction: Number.NaN },
    { fraction: "0.5" },
    {},
    undefined,
    null
  ])("is dropped: %j", (reported) => {
    assert.isUndefined(fractionOf(reported))
  })

  it.prop("keeps a message, up to 1,000 characters", [Message], ([text]) => {
    const kept = (message: string | undefined) => ReportedProgress.read({ fraction: 1 }, message)?.message
    assert.strictEqual(kept(text), text?.toWellFormed())
    assert.lengthOf(kept(`${text}${"x".repeat(2_000)}`) ?? "", 1_000)
  })
})

it("reads each number once, for a getter may say something else the next time", () => {
  let reads = 0
  const reported = {
    get fraction() {
      return reads++ === 0 ? 0.5 : Number.NaN
    }
  }
  assert.deepStrictEqual(ReportedProgress.read(reported, undefined), { fraction: 0.5, message: undefined })
})
