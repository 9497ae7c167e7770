/**
 * Reads a table of comma-separated values as requests: a template says what is asked of each row.
 */
import { Effect, Stream } from "effect"
import { isUtf8 } from "node:buffer"
import type { BatchError } from "../BatchError.ts"
import * as Shown from "../report/Shown.ts"
import * as Lines from "./Lines.ts"

/** What to ask of a row, with the names of columns in `{{…}}`. */
export interface Template {
  readonly prompt: string
  readonly system?: string | undefined
}

/**
 * Gives each row below the first as a line in the short form, numbered by its place in the table; the row of names is 1.
 *
 * A column `id` or `custom_id` names the request. Cells may be quoted and hold line ends, and rows end with `\n`, `\r\n` or `\r`. Rows
 * in which nothing stands are passed over. A row has a `problem` when it lacks a cell of the template, when it has more cells than there are columns, when its last quote is never closed, and when it is longer than any line may be.
 * Fails for a template that names a column which is not there, or is there twice.
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
        if (problem === undefined && cells.every((cell) => cell === "")) return Effect.succeed([])
        if (names === undefined) {
          names = cells.map((cell) => cell.trim())
          const wrong = problem === undefined ? wrongNames(names, template) : `its first row ${problem}`
          return wrong === undefined ? Effect.succeed([]) : Effect.fail(unreadable(wrong))
        }
        return Effect.succeed([lineOf(names, row, template, number)])
      }),
      Stream.flattenIterable
    )
  })

/** Says what a template names that is not one column. */
const wrongNames = (names: ReadonlyArray<string>, template: Template): string | undefined => {
  const wrong = [...namesIn(template), ...idNames.filter((name) => names.includes(name))].find(
    (name) => names.indexOf(name) === -1 || names.indexOf(name) !== names.lastIndexOf(name)
  )
  if (wrong === undefined) return undefined
  if (names.includes(wrong)) return `it has more than one column ${JSON.stringify(wrong)}`
  const [only = ""] = names
  const separator = names.length === 1 ? /[;\t|]/u.exec(only)?.[0] : undefined
  const hint = separator === undefined ? "" : `: cells must have commas between, and not ${JSON.stringify(separator)}`
  return `it has no column ${JSON.stringify(wrong)}; it has ${Shown.short(names.join(", "), 200)}${hint}`
}

/** The columns that name a request, the first that is filled. */
const idNames = ["custom_id", "id"]

const lineOf = (
  names: ReadonlyArray<string>,
  { cells, problem }: Row,
  template: Template,
  number: number
): Lines.Line => {
  const place = { number, end: 0, terminated: true }
  const cell = (name: string) => cells[names.indexOf(name)] ?? ""
  const because = problem ?? wrongCells(names, cells, namesIn(template))
  if (because !== undefined) return { ...place, bytes: Buffer.alloc(0), problem: because }
  const id = idNames.map(cell).find((name) => name !== "") ?? ""
  const filled = (text: string) => text.replaceAll(slot, (_, name: string) => cell(name.trim()))
  const text = JSON.stringify({
    id: id === "" ? `line-${number}` : id,
    ...(template.system === undefined ? {} : { system: filled(template.system) }),
    prompt: filled(template.prompt)
  })
  return { ...place, bytes: Buffer.from(text) }
}

/** Of a row whose cells are not where their names are, the wrong ones would be sent. */
const wrongCells = (
  names: ReadonlyArray<string>,
  cells: ReadonlyArray<string>,
  asked: ReadonlyArray<string>
): string | undefined => {
  const lacking = asked.find((name) => names.indexOf(name) >= cells.length)
  if (lacking !== undefined) return `has no cell for ${JSON.stringify(lacking)}`
  if (cells.slice(names.length).some((cell) => cell !== "")) {
    return `has ${cells.length} cells, and the table ${names.length} columns: cells with commas or quotes must be quoted`
  }
  return undefined
}

const slot = /\{\{([^{}]*)\}\}/gu

const namesIn = ({ prompt, system = "" }: Template): ReadonlyArray<string> =>
  [...`${prompt}${system}`.matchAll(slot)].map(([, name = ""]) => name.trim())

interface Row {
  readonly cells: ReadonlyArray<string>
  /** Why it cannot be read. */
  readonly problem: string | undefined
}

const separator = /[",\r\n]/gu

/** The mark at the beginning of a file, each of its bytes as one character. */
const mark = "\u00EF\u00BB\u00BF"

/** Cuts bytes into rows of cells, as RFC 4180 has them. What separates them is ASCII, so each byte is looked at as one character. */
class Rows implements Lines.Cutter<Row> {
  private head: string | undefined = ""
  private row: Array<string> = []
  private cell = ""
  private isQuoted = false
  private isAfterQuote = false
  private isAfterReturn = false
  /** Bytes of the row, those that are passed over too. */
  private size = 0

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
    for (let at = 0; at < text.length;) {
      const run = this.runAt(text, at)
      this.add(run)
      at += run.length
      const character = text[at]
      if (character === undefined) break
      at += 1
      this.size += 1
      if (this.isQuoted) {
        this.isQuoted = false
        this.isAfterQuote = true
        continue
      }
      if (character === '"') {
        const isOpening = this.cell === "" || this.isAfterQuote
        if (!isOpening || this.isAfterQuote) this.add(character)
        this.isQuoted = isOpening
      } else if (character === ",") this.endCell()
      else if (character === "\n" && this.isAfterReturn) this.size = 0
      else rows.push(this.endRow(undefined))
      this.isAfterReturn = character === "\r"
      this.isAfterQuote = false
    }
    return rows
  }

  /** What stands between here and what may separate, as it is. */
  private runAt(text: string, at: number): string {
    separator.lastIndex = at
    const end = this.isQuoted ? text.indexOf('"', at) : (separator.exec(text)?.index ?? -1)
    return text.slice(at, end === -1 ? text.length : end)
  }

  /** Holds no more of a row than may be read: a quote that is never closed would take in the rest of the file. */
  private add(run: string): void {
    if (run === "") return
    this.isAfterReturn = false
    if (!this.isQuoted) this.isAfterQuote = false
    this.size += run.length
    if (this.size <= Lines.longestLine) this.cell += run
    else {
      this.row = []
      this.cell = ""
    }
  }

  private endCell(): void {
    this.row.push(this.cell)
    this.cell = ""
  }

  private endRow(problem: string | undefined): Row {
    this.endCell()
    const cells = this.row.map((cell) => Buffer.from(cell, "latin1"))
    const isLong = this.size > Lines.longestLine
    this.row = []
    this.size = 0
    return {
      cells: cells.map((cell) => cell.toString("utf8")),
      problem:
        problem ??
        (isLong ? Lines.tooLong(Lines.longestLine) : undefined) ??
        (cells.every((cell) => isUtf8(cell)) ? undefined : Lines.notUtf8)
    }
  }
}
