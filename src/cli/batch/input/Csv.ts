/**
 * Reads a table of comma-separated values as requests: a template says what is asked of each row.
 */
import { Effect, Stream } from "effect"
import { StringDecoder } from "node:string_decoder"
import type { BatchError } from "../BatchError.ts"
import type { Line } from "./Lines.ts"

/** What to ask of a row, with the names of columns in `{{…}}`. */
export interface Template {
  readonly prompt: string
  readonly system?: string | undefined
}

/**
 * Gives each row below the first as a line in the short form, numbered by its place in the table; the row of names is 1.
 *
 * A column `id` or `custom_id` names the request. Cells may be quoted and hold line ends. Fails for a template that names
 * a column which is not there.
 */
export const lines = <R>(
  bytes: Stream.Stream<Uint8Array, BatchError, R>,
  template: Template,
  unreadable: (problem: string) => BatchError
): Stream.Stream<Line, BatchError, R> => {
  let names: ReadonlyArray<string> | undefined
  let number = 0
  return Stream.mapAccumArray(
    bytes,
    () => new Rows(),
    (rows, chunks) => [rows, chunks.flatMap((chunk) => rows.push(chunk))],
    { onHalt: (rows) => rows.finish() }
  ).pipe(
    Stream.mapEffect((row): Effect.Effect<ReadonlyArray<Line>, BatchError> => {
      number += 1
      if (names === undefined) {
        names = row
        const missing = namesIn(template).find((name) => !row.includes(name))
        return missing === undefined
          ? Effect.succeed([])
          : Effect.fail(unreadable(`it has no column ${JSON.stringify(missing)}; it has ${row.join(", ")}`))
      }
      if (row.length === 1 && row[0] === "") return Effect.succeed([])
      return Effect.succeed([lineOf(names, row, template, number)])
    }),
    Stream.flattenIterable
  )
}

const lineOf = (names: ReadonlyArray<string>, row: ReadonlyArray<string>, template: Template, number: number): Line => {
  const cell = (name: string) => row[names.indexOf(name)] ?? ""
  const id = cell("custom_id") || cell("id")
  const filled = (text: string) => text.replaceAll(slot, (_, name: string) => cell(name.trim()))
  const text = JSON.stringify({
    id: id === "" ? `line-${number}` : id,
    ...(template.system === undefined ? {} : { system: filled(template.system) }),
    prompt: filled(template.prompt)
  })
  return { number, bytes: Buffer.from(text), end: 0, terminated: true }
}

const slot = /\{\{([^{}]*)\}\}/gu

const namesIn = ({ prompt, system = "" }: Template): ReadonlyArray<string> =>
  [...`${prompt}${system}`.matchAll(slot)].map(([, name = ""]) => name.trim())

/** Cuts characters into rows of cells, as RFC 4180 has them. */
class Rows {
  private readonly decoder = new StringDecoder("utf8")
  private row: Array<string> = []
  private cell = ""
  private isQuoted = false
  private isAfterQuote = false
  private isFirst = true

  push(chunk: Uint8Array): Array<ReadonlyArray<string>> {
    return this.read(this.decoder.write(Buffer.from(chunk)))
  }

  finish(): Array<ReadonlyArray<string>> {
    const rows = this.read(this.decoder.end())
    if (this.cell !== "" || this.row.length > 0) rows.push(this.endRow())
    return rows
  }

  private read(given: string): Array<ReadonlyArray<string>> {
    const text = this.isFirst ? given.replace(/^\uFEFF/u, "") : given
    if (given !== "") this.isFirst = false
    const rows: Array<ReadonlyArray<string>> = []
    for (const character of text) {
      if (this.isQuoted) {
        if (character === '"') {
          this.isQuoted = false
          this.isAfterQuote = true
        } else this.cell += character
        continue
      }
      if (character === '"' && (this.cell === "" || this.isAfterQuote)) {
        if (this.isAfterQuote) this.cell += '"'
        this.isQuoted = true
      } else if (character === ",") this.endCell()
      else if (character === "\n") rows.push(this.endRow())
      else if (character !== "\r") this.cell += character
      this.isAfterQuote = false
    }
    return rows
  }

  private endCell(): void {
    this.row.push(this.cell)
    this.cell = ""
  }

  private endRow(): ReadonlyArray<string> {
    this.endCell()
    const { row } = this
    this.row = []
    return row
  }
}
