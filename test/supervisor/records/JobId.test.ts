import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as JobId from "../../../src/supervisor/records/JobId.ts"

describe("JobId", () => {
  it.prop(
    "gives back every text as it was",
    [Schema.Union([Schema.String, Schema.TemplateLiteral(["job-", Schema.Union([Schema.Finite, Schema.String])])])],
    ([text]) => {
      assert.strictEqual(JobId.toText(JobId.fromText(text)), text)
    }
  )

  it("keeps what the supervisor makes as a number, and what only looks like it as it is", () => {
    assert.deepStrictEqual(["job-7", "job-07", "job-7.0", "job-", "job-1e3", "7"].map(JobId.fromText), [
      7,
      "job-07",
      "job-7.0",
      "job-",
      "job-1e3",
      "7"
    ])
  })
})
