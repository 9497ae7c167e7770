import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import * as Lines from "../../../../src/cli/batch/input/Lines.ts"

const encode = (text: string) => new TextEncoder().encode(text)

const linesOf = (...chunks: ReadonlyArray<Uint8Array>) =>
  Stream.runCollect(Lines.split(Stream.fromIterable(chunks))).pipe(
    Effect.map((lines) => lines.map(({ bytes, ...line }) => ({ ...line, text: Buffer.from(bytes).toString("utf8") })))
  )

const cutAt = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length].toSorted((a, b) => a - b)
  return ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end))
}

describe("Lines", () => {
  it.effect("numbers lines, and says where each ends and whether it was ended", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* linesOf(encode("a\n\nbé\nrest")), [
        { number: 1, text: "a", end: 2, terminated: true },
        { number: 2, text: "", end: 3, terminated: true },
        { number: 3, text: "bé", end: 7, terminated: true },
        { number: 4, text: "rest", end: 11, terminated: false }
      ])
    })
  )

  it.effect.prop(
    "gives the same lines wherever the bytes are cut into chunks",
    [Schema.Array(Schema.String), Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 })))],
    ([texts, places]) =>
      Effect.gen(function* () {
        const bytes = encode(texts.join("\n"))
        assert.deepStrictEqual(yield* linesOf(...cutAt(bytes, places)), yield* linesOf(bytes))
      })
  )

  it.effect("drops a byte order mark at the start of the file, and only there", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(encode("\uFEFFa\n\uFEFFb\n"))
      assert.deepStrictEqual(
        lines.map(({ text }) => text),
        ["a", "\uFEFFb"]
      )
    })
  )

  it.effect("names a line that is not UTF-8, and goes on after it", () =>
    Effect.gen(function* () {
      const lines = yield* linesOf(encode("a\n"), new Uint8Array([0x22, 0xc3, 0x28, 0x0a]), encode("b\n"))
      assert.deepStrictEqual(
        lines.map(({ problem, text }) => problem ?? text),
        ["a", "is not UTF-8", "b"]
      )
    })
  )

  it.effect("passes over a line that is too long without holding it, and goes on after it", () =>
    Effect.gen(function* () {
      const chunk = new Uint8Array(1024 * 1024).fill(0x61)
      const tooLong = Array.from({ length: Lines.longestLine / chunk.length + 1 }, () => chunk)
      const lines = yield* linesOf(...tooLong, encode("\nb\n"))
      assert.deepStrictEqual(
        lines.map(({ problem, text }) => problem ?? text),
        ["is longer than 64 MiB", "b"]
      )
    })
  )
})
