import { assert, describe, it } from "@effect/vitest"
import { Parser } from "../../../src/provider/http/Sse.ts"

const read = (pieces: ReadonlyArray<string>, atMost = 1_000_000) => {
  const events: Array<string> = []
  const parser = new Parser((data) => events.push(data), atMost)
  for (const piece of pieces) parser.feed(piece)
  return events
}

const standard: ReadonlyArray<readonly [name: string, stream: string, events: ReadonlyArray<string>]> = [
  ["lines end with LF", "data: a\n\ndata: b\n\n", ["a", "b"]],
  ["lines end with CR", "data: a\r\rdata: b\r\r", ["a", "b"]],
  ["lines end with CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]],
  ["lines end as they like", "data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\r", ["a\nb\nc", "d"]],
  ["one space after the colon is no data", "data:  a\n\ndata:b\n\n", [" a", "b"]],
  ["a field without a value is empty data", "data\n\ndata\ndata\n\ndata:\n\n", ["", "\n", ""]],
  ["comments and other fields say nothing", ": hi\nevent: x\nid: 1\nretry: 5\ndataset: 7\ndata: a\n\n", ["a"]],
  ["an event without data is none", "event: x\n\n\n\ndata: a\n\n", ["a"]],
  ["what has no empty line behind it is no event", "data: a\n\ndata: b\n", ["a"]]
]

describe("an event stream", () => {
  it.each(standard)("%s", (_, stream, events) => assert.deepStrictEqual(read([stream]), events))

  it.each(standard)("%s, wherever it is cut", (_, stream, events) => {
    for (let at = 0; at <= stream.length; at++) {
      assert.deepStrictEqual(read([stream.slice(0, at), stream.slice(at)]), events)
    }
    assert.deepStrictEqual(read([...stream]), events)
  })

  it("may not hold an event that is too large, in one line or in many", () => {
    assert.throws(
      () =>
        read(
          Array.from({ length: 200 }, () => "data: x".padEnd(10, "y")),
          1_000
        ),
      /larger than 1000/
    )
    assert.throws(
      () =>
        read(
          Array.from({ length: 200 }, () => "data: yyyy\n"),
          500
        ),
      /larger than 500/
    )
  })
})
