/**
 * Reads a table of comma-separated values as requests: a template says what is asked of each row.
 */
import { Effect, Stream } from "effect"
import { isUtf8 } from "node:buffer"
import type { BatchError } from "../BatchError.ts"
import * as Lines from "./Lines.ts"

/** What to ask of a row, with the names of columns in `{{…}}`. */
export interface Template {
  readonly prompt: string
  readonly system?: string | undefined
}

/**
 * Gives each row below the first as a line in the short form, numbered by its place in the table; the row of names is 1.
 *
 * A column `id` or `custom_id` names the request. Cells may be quoted and hold line ends. A row that lacks a cell of the template, or
 * whose last quote is never closed, has that for its `problem`. Fails for a template that names a column which is not there.
 */
export const lines = <R>(
  bytes: Stream.Stream<Uint8Array, BatchError, R>,
  template: Template,
  unreadable: (problem: string) => BatchError
): Stream.Stream<Lines.Line, BatchError, R> =>
  Stream.suspend(() => {
    let names: ReadonlyArray<string> | undefined
    let number = 0
    return Lines.cut(bytes, () => new Rows()).pipe(
      Stream.mapEffect((row): Effect.Effect<ReadonlyArray<Lines.Line>, BatchError> => {
        number += 1
        const { cells, problem } = row
        if (names === undefined) {
          names = cells
          const missing = namesIn(template).find((name) => !cells.includes(name))
          if (problem !== undefined) return Effect.fail(unreadable(`its first row ${problem}`))
          return missing === undefined
            ? Effect.succeed([])
            : Effect.fail(unreadable(`it has no column ${JSON.stringify(missing)}; it has ${cells.join(", ")}`))
        }
        if (cells.length === 1 && cells[0] === "" && problem === undefined) return Effect.succeed([])
        return Effect.succeed([lineOf(names, row, template, number)])
      }),
      Stream.flattenIterable
    )
  })

const lineOf = (
  names: ReadonlyArray<string>,
  { cells, problem }: Row,
  template: Template,
  number: number
): Lines.Line => {
  const place = { number, end: 0, terminated: true }
  const lacking = namesIn(template).find((name) => names.indexOf(name) >= cells.length)
  const because = problem ?? (lacking === undefined ? undefined : `has no cell for ${JSON.stringify(lacking)}`)
  if (because !== undefined) return { ...place, bytes: Buffer.alloc(0), problem: because }
  const cell = (name: string) => cells[names.indexOf(name)] ?? ""
  const id = cell("custom_id") || cell("id")
  const filled = (text: string) => text.replaceAll(slot, (_, name: string) => cell(name.trim()))
  const text = JSON.stringify({
    id: id === "" ? `line-${number}` : id,
    ...(template.system === undefined ? {} : { system: filled(template.system) }),
    prompt: filled(template.prompt)
  })
  return { ...place, bytes: Buffer.from(text) }
}

const slot = /\{\{([^{}]*)\}\}/gu

const namesIn = ({ prompt, system = "" }: Template): ReadonlyArray<string> =>
  [...`${prompt}${system}`.matchAll(slot)].map(([, name = ""]) => name.trim())

interface Row {
  readonly cells: ReadonlyArray<string>
  /** Why it cannot be read. */
  readonly problem: string | undefined
}

/** The mark at the beginning of a file, each of its bytes as one character. */
const mark = "\u00EF\u00BB\u00BF"

/** Cuts bytes into rows of cells, as RFC 4180 has them. What separates them is ASCII, so each byte is looked at as one character. */
class Rows implements Lines.Cutter<Row> {
  private head: string | undefined = ""
  private row: Array<string> = []
  private cell = ""
  private isQuoted = false
  private isAfterQuote = false

  push(chunk: Uint8Array): Array<Row> {
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1")
    if (this.head === undefined) return this.read(text)
    this.head += text
    return this.head.length < mark.length ? [] : this.begin()
  }

  finish(): Array<Row> {
    const rows = this.begin()
    if (this.isQuoted || this.cell !== "" || this.row.length > 0) {
      rows.push(this.endRow(this.isQuoted ? "has a quote that is never closed" : undefined))
    }
    return rows
  }

  private begin(): Array<Row> {
    const { head = "" } = this
    this.head = undefined
    return this.read(head.startsWith(mark) ? head.slice(mark.length) : head)
  }

  private read(text: string): Array<Row> {
    const rows: Array<Row> = []
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
      else if (character === "\n") rows.push(this.endRow(undefined))
      else if (character !== "\r") this.cell += character
      this.isAfterQuote = false
    }
    return rows
  }

  private endCell(): void {
    this.row.push(this.cell)
    this.cell = ""
  }

  private endRow(problem: string | undefined): Row {
    this.endCell()
    const cells = this.row.map((cell) => Buffer.from(cell, "latin1"))
    this.row = []
    return {
      cells: cells.map((cell) => cell.toString("utf8")),
      problem: problem ?? (cells.every((cell) => isUtf8(cell)) ? undefined : "is not UTF-8")
    }
  }
}
