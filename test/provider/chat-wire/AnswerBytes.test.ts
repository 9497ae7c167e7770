import { assert, it } from "@effect/vitest"
import type { Response } from "effect/ai"
import * as WireBytes from "../../../src/core/call/WireBytes.ts"
import { AnswerBytes } from "../../../src/provider/chat-wire/AnswerBytes.ts"
import { Parser } from "../../../src/provider/http/Sse.ts"

/** Feeds both as a call does; gives the bytes that came with the parts, and those of the parts that were read. */
const given = (pieces: ReadonlyArray<string>) => {
  const bytes = new AnswerBytes()
  let parts: Array<Response.StreamPartEncoded> = []
  const parser = new Parser((delta) => parts.push({ type: "text-delta", id: "0", delta }), 1_000_000)
  const reading = new WireBytes.Reading()
  let came = ""
  const give = (isLast: boolean) => {
    bytes.give(parts, isLast)
    for (const part of parts) {
      const next = reading.next(part)
      if (next !== "held") came += next === "changed" ? "changed" : Buffer.from(next).toString("utf8")
    }
    parts = []
  }
  for (const piece of pieces) {
    parser.feed(piece)
    bytes.add(Buffer.from(piece))
    give(false)
  }
  return came
}

it.each(["\n\n", "\r\n\r\n", "\r\r", "\n\r\n", "\n\r", "\r\n\r", "\r\n\n", "\r\r\n"])(
  "gives an event's bytes as soon as it is read, when it ends with %j, wherever it is cut",
  (end) => {
    const stream = `data: ä${end}data: two${end}`
    for (let at = 0; at <= stream.length; at++) {
      const came = given([stream.slice(0, at), stream.slice(at)])
      // Behind the CR of an empty line, the LF belongs to what comes next.
      assert.include([stream, stream.slice(0, -1)], came)
      assert.include(came, `two${end.replace(/\r\n$/, "\r")}`)
      assert.strictEqual(given([...stream]).replace(/\r\n?$/, "\r"), stream.replace(/\r\n?$/, "\r"))
    }
  }
)

it("keeps an event in however many pieces it came", () => {
  const event = `data: ${"x".repeat(200_000)}\n\n`
  assert.strictEqual(given([...event]), event)
})

it("keeps what begins an event for the next parts", () => {
  assert.strictEqual(given(["data: a\n\ndata: b"]), "data: a\n\n")
  assert.strictEqual(given(["data: a\n\ndata: b", "\n\n: later\n"]), "data: a\n\ndata: b\n\n")
})

it.each(["\n\r\n", "\n\n", "\r\r", "\r\n\r\n"])(
  "costs as much as the answer is long, when events end with %j",
  (end) => {
    const pieces = (size: number) => {
      const all = Buffer.from(`data: x${end}`.repeat(size / 10))
      return Array.from({ length: Math.ceil(all.length / 512) }, (_, at) => all.subarray(at * 512, (at + 1) * 512))
    }
    /** Bytes that no part takes with it are the most that is held. */
    const spent = (size: number) => {
      const cut = pieces(size)
      const before = process.cpuUsage()
      const bytes = new AnswerBytes()
      for (const piece of cut) {
        bytes.add(piece)
        bytes.give([], false)
      }
      bytes.give([{ type: "text-delta", id: "0", delta: "" }], true)
      const { system, user } = process.cpuUsage(before)
      return (user + system) / 1_000
    }
    // Eight times the bytes: work that grows with their square would take sixty-four times as long.
    let [small, large] = [Infinity, Infinity]
    for (let time = 0; time < 3 || (time < 9 && large >= 20 * small + 10); time++) {
      small = Math.min(small, spent(2 ** 18))
      large = Math.min(large, spent(2 ** 21))
    }
    assert.isBelow(large, 20 * small + 10)
  }
)
