import { assert, describe, it } from "@effect/vitest"
import { Counts, Summary } from "holdfast/cli"

const files = { output: "results.jsonl", errors: "results.errors.jsonl" }

const counts = (): Counts.Counts => ({
  ...Counts.make(),
  total: 2_000,
  read: 1_700,
  answered: 1_690,
  skipped: 300,
  sent: 1_850,
  retried: 150,
  failed: new Map([
    ["InvalidLine", 2],
    ["InvalidRequestError", 8]
  ]),
  survived: new Map([
    ["HTTP 429", 60],
    ["HTTP 500", 90]
  ]),
  inputTokens: 216_513,
  outputTokens: 58_729
})

describe("Summary", () => {
  it("says what came of every request, the most frequent kind first", () => {
    assert.deepStrictEqual(Summary.render(Summary.make(counts(), 25_000, false), files), [
      "answered    1,690 in 25.0 s (67.6 a second)",
      "skipped     300, answered before",
      "failed      10: 8 × InvalidRequestError, 2 × InvalidLine",
      "sent        1,850 requests, 150 of them retries, 1.09 per answer",
      "survived    90 × HTTP 500, 60 × HTTP 429",
      "tokens      216,513 in, 58,729 out",
      "answers     results.jsonl",
      "errors      results.errors.jsonl"
    ])
  })

  it("leaves out what did not happen", () => {
    const some = { ...Counts.make(), total: 2, read: 2, answered: 2, sent: 2 }
    assert.deepStrictEqual(Summary.render(Summary.make(some, 90_000, false), files), [
      "answered    2 in 1:30 (0.0 a second)",
      "sent        2 requests, 0 of them retries, 1.00 per answer",
      "tokens      0 in, 0 out",
      "answers     results.jsonl"
    ])
  })

  it("counts what a stopped run left, lines it had not read among them", () => {
    const stopped = { ...counts(), read: 1_000, answered: 900 }
    assert.strictEqual(Summary.make(stopped, 1, true).unfinished, 2_000 - 300 - 900 - 10)
    assert.strictEqual(Summary.make({ ...stopped, total: undefined }, 1, true).unfinished, 1_000 - 900 - 10)
  })
})
