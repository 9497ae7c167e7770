import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { BatchError, InputUnreadable } from "../../../../src/cli/batch/BatchError.ts"
import * as Csv from "../../../../src/cli/batch/input/Csv.ts"

const unreadable = (problem: string) => new BatchError({ reason: new InputUnreadable({ path: "rows.csv", problem }) })

/** The requests of a table that comes in pieces of one byte, or what is wrong with each. */
const read = (bytes: Uint8Array | string, prompt = "Sort: {{text}}") =>
  Csv.lines(
    Stream.fromIterable([...Buffer.from(bytes)].map((byte) => Uint8Array.of(byte))),
    { prompt },
    unreadable
  ).pipe(
    Stream.map(({ bytes, number, problem }) => `${number} ${problem ?? Buffer.from(bytes).toString("utf8")}`),
    Stream.runCollect
  )

it.effect("reads cells as they are written, quoted or not, wherever the bytes are cut", () =>
  Effect.gen(function* () {
    const rows = yield* read('\uFEFFid,text\r\na,"ä, ""b""\nc"\r\n\r\n"",海\n')
    assert.deepStrictEqual(rows, [
      '2 {"id":"a","prompt":"Sort: ä, \\"b\\"\\nc"}',
      '4 {"id":"line-4","prompt":"Sort: 海"}'
    ])
    assert.deepStrictEqual(yield* read('"text"\n"x"'), ['2 {"id":"line-2","prompt":"Sort: x"}'])
    assert.deepStrictEqual(yield* read("text"), [])
    const twice = Csv.lines(Stream.succeed(Buffer.from("text\na\n")), { prompt: "{{text}}" }, unreadable)
    assert.deepStrictEqual([yield* Stream.runCount(twice), yield* Stream.runCount(twice)], [1, 1])
  })
)

it.effect("sends nothing of a row that was cut off, and nothing that is no UTF-8", () =>
  Effect.gen(function* () {
    const latin = Buffer.from("id,text\na,caf\u00e9\nb,x\nc", "latin1")
    assert.deepStrictEqual(yield* read(latin), [
      "2 is not UTF-8",
      '3 {"id":"b","prompt":"Sort: x"}',
      '4 has no cell for "text"'
    ])
    assert.deepStrictEqual(yield* read('id,text\na,"x\nb,y\n'), ["2 has a quote that is never closed"])
    const error = yield* Effect.flip(read('id,"text'))
    assert.strictEqual(error.message, "cannot read rows.csv: its first row has a quote that is never closed")
  })
)

it.effect("sends nothing of a row whose cells are not where their names are, and nothing of an empty one", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* read("id,text\na,Hello, world\nb,x,,\nc\n,\nd,y\n"), [
      "2 has 3 cells, and the table 2 columns: cells with commas or quotes must be quoted",
      '3 {"id":"b","prompt":"Sort: x"}',
      '4 has no cell for "text"',
      '6 {"id":"d","prompt":"Sort: y"}'
    ])
  })
)

it.effect("reads rows that end with carriage returns, and below blank lines", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* read('id, text \ra,x\rb,"y\rz"\r'), [
      '2 {"id":"a","prompt":"Sort: x"}',
      '3 {"id":"b","prompt":"Sort: y\\rz"}'
    ])
    assert.deepStrictEqual(yield* read("\r\n\nid,text\r\na,x"), ['4 {"id":"a","prompt":"Sort: x"}'])
  })
)

it.effect("says which column is there twice or not at all, and what separates the cells where it is no comma", () =>
  Effect.gen(function* () {
    const says = (table: string) => Effect.map(Effect.flip(read(table)), ({ message }) => message)
    assert.match(yield* says("id,text,text\n"), /it has more than one column "text"$/)
    assert.match(yield* says("id,id,text\n"), /it has more than one column "id"$/)
    assert.deepStrictEqual(yield* read("text,more,more\nx"), ['2 {"id":"line-2","prompt":"Sort: x"}'])
    assert.match(
      yield* says("id;text\n"),
      /it has no column "text"; it has id;text: cells must have commas between, and not ";"$/
    )
    assert.isBelow((yield* says(`${"x".repeat(10_000)}\n`)).length, 400)
  })
)

it.effect("holds no more of a row than of a line, however long a quote stays open", () =>
  Effect.gen(function* () {
    const chunk = Buffer.from(`${"x".repeat(2 ** 20 - 1)}\n`)
    const bytes = Stream.make(Buffer.from('id,text\na,"'), ...Array.from({ length: 65 }, () => chunk)).pipe(
      Stream.concat(Stream.succeed(Buffer.from('"\nb,y\n')))
    )
    const rows = yield* Stream.runCollect(Csv.lines(bytes, { prompt: "{{text}}" }, unreadable))
    assert.deepStrictEqual(
      rows.map(({ bytes, problem }) => problem ?? Buffer.from(bytes).toString("utf8")),
      ["is longer than 64 MiB", '{"id":"b","prompt":"y"}']
    )
  })
)

it.effect("gives no row that is cut off where the table cannot be read on", () =>
  Effect.gen(function* () {
    const bytes = Stream.concat(
      Stream.succeed(Buffer.from("id,text\na,whole\nb,ha")),
      Stream.fail(unreadable("unexpected end of file"))
    )
    const numbers: Array<number> = []
    const lines = Csv.lines(bytes, { prompt: "{{text}}" }, unreadable)
    const error = yield* Effect.flip(
      Stream.runForEach(lines, ({ number }) => Effect.sync(() => void numbers.push(number)))
    )
    assert.deepStrictEqual([error.message, numbers], ["cannot read rows.csv: unexpected end of file", [2]])
  })
)
