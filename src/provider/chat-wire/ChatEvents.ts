/**
 * Reads the events of a streamed answer: the chunks, and the `[DONE]` behind them.
 *
 * Most events of an answer differ in one text only. When the frame around it is the same as in the event before, only
 * the text is read: parsing the frame again would be most of the cost of a stream.
 */
import { Predicate } from "effect"
import type { Response } from "effect/ai"
import type { AnswerReader } from "./AnswerReader.ts"
import * as CutJson from "../errors/CutJson.ts"
import * as Faults from "./Faults.ts"
import * as LooseJson from "./LooseJson.ts"
import * as SaidErrors from "./SaidErrors.ts"
import type { TextField } from "./TextBlocks.ts"

/** The text around the text, quotes included, and the field that it is in. */
interface Frame {
  readonly head: string
  readonly tail: string
  readonly field: TextField
}

/** Larger events are not worth it: their text is most of them. */
const mostCharacters = 4_096

/** How often a frame is looked for in one answer. Servers that change the frame each time never have one. */
const mostTries = 16

export class ChatEvents {
  /** Whether the server said that nothing follows. */
  isDone = false
  private readonly reader: AnswerReader
  private frame: Frame | undefined
  private tries = 0

  constructor(reader: AnswerReader) {
    this.reader = reader
  }

  read(data: string, name: string, out: Array<Response.StreamPartEncoded>): void {
    // Some servers write what keeps a connection open, nothing or a comment, as data.
    if (this.isDone || data === "" || data.startsWith(":") || data.trim() === "") return
    if (name === "error") throw new Faults.Refused({ body: errorIn(data) })
    const { frame, reader } = this
    if (frame !== undefined && isAround(frame, data)) {
      const text = stringIn(data.slice(frame.head.length - 1, data.length - frame.tail.length + 1))
      if (text !== undefined) {
        if (text !== "") reader.text(frame.field, text, out)
        return
      }
    }
    if (data === "[DONE]" || (data.length < 32 && isEnd(data))) {
      this.isDone = true
      return
    }
    const chunk = parse(data)
    // Others name what is no part of the answer: what their tools do, or that they are still there.
    if (chunk === null || (name !== "" && !(chunk === undefined ? data.includes('"choices"') : isOfAnswer(chunk))))
      return
    if (chunk === undefined) return this.readAgain(data, out)
    reader.read(chunk, out)
    if (reader.plainField !== undefined && this.tries < mostTries && data.length <= mostCharacters) {
      this.tries += 1
      this.frame = frameOf(data, chunk, reader.plainField)
    }
  }

  /** Reads what the stream ends with, without an empty line behind it: servers forget that line. Half an event says nothing. */
  readLast(data: string, name: string, out: Array<Response.StreamPartEncoded>): void {
    const lines = data.split("\n")
    if (name !== "error" && parse(data) === undefined && parse(lines.at(-1) ?? "") === undefined) lines.pop()
    this.read(lines.join("\n"), name, out)
  }

  /**
   * Some servers end events with one line end, so that several look like one of several lines. Gateways put their own prefix in
   * front of that of the server behind them.
   */
  private readAgain(data: string, out: Array<Response.StreamPartEncoded>): void {
    const bare = withoutPrefixes(data)
    if (bare.length < data.length) return this.read(bare, "", out)
    const lines = data.split("\n")
    if (lines.length === 1)
      throw CutJson.is(data)
        ? new Faults.Cut()
        : new Faults.Unreadable({ because: "an event of the stream is not JSON" })
    try {
      for (const line of lines) this.read(line, "", out)
    } catch (fault) {
      const error = errorBehind(lines)
      throw error === undefined ? fault : new Faults.Refused({ body: error })
    }
  }
}

const withoutPrefixes = (data: string): string => {
  let at = 0
  while (data.startsWith("data:", at)) at += data[at + 5] === " " ? 6 : 5
  return data.slice(at)
}

/** What an event says that is an error. Gateways write one behind the half event that they have, which is a piece of the answer. */
const errorIn = (data: string): string => {
  if (parse(data) !== undefined) return data
  const lines = data.split("\n")
  return errorBehind(lines) ?? lines.filter((line) => !CutJson.is(line)).join("\n")
}

/** It is among the last lines. To find out that a line is no JSON takes long. */
const errorBehind = (lines: ReadonlyArray<string>): string | undefined =>
  lines.slice(-4).find((line) => isError(parse(line)))

const isError = (value: unknown): boolean => Predicate.isObject(value) && SaidErrors.isError(value)

/** Some servers write the end in another way. */
const isEnd = (data: string): boolean => /^\s*"?\[?DONE\]?"?\s*$/i.test(data)

/** Whether an event that has a name belongs to the answer, as all do of servers that name all. */
const isOfAnswer = (chunk: unknown): boolean =>
  ["choices", "usage", "error"].some((field) => Predicate.hasProperty(chunk, field))

/** Equality compares many characters at once, which `startsWith` does not. */
const isAround = ({ head, tail }: Frame, data: string): boolean => {
  const end = data.length - tail.length
  return end >= head.length && data.slice(end) === tail && data.slice(0, head.length) === head
}

/** The string that a text is in JSON, and nothing else: a quote inside of it would end it too early. */
const stringIn = (literal: string): string | undefined => {
  try {
    const value: unknown = JSON.parse(literal)
    return Predicate.isString(value) ? value : undefined
  } catch {
    return undefined
  }
}

const parse = (data: string): unknown => {
  try {
    return LooseJson.parse(data)
  } catch {
    return undefined
  }
}

/** Finds the frame of an event, and proves it: with another text in it, it must be the same chunk with another text. */
const frameOf = (data: string, chunk: unknown, field: TextField): Frame | undefined => {
  const name = `"${field}":`
  const at = data.indexOf(name)
  if (at < 0 || data.includes(name, at + 1)) return undefined
  const open = data.indexOf('"', at + name.length)
  const head = data.slice(0, open + 1)
  for (let close = data.indexOf('"', open + 1); close > 0; close = data.indexOf('"', close + 1)) {
    if (stringIn(data.slice(open, close + 1)) === undefined) continue
    const tail = data.slice(close)
    return isProven(`${head}${probe}${tail}`, chunk, field) ? { head, tail, field } : undefined
  }
  return undefined
}

const probe = "another text"

const isProven = (data: string, chunk: unknown, field: TextField): boolean => {
  try {
    const other: unknown = JSON.parse(data)
    return withText(other, field, "") === withText(chunk, field, "") && textIn(other, field) === probe
  } catch {
    return false
  }
}

const deltaOf = (chunk: unknown): Record<string, unknown> | undefined => {
  const choices = Predicate.hasProperty(chunk, "choices") ? chunk.choices : undefined
  const choice: unknown = Array.isArray(choices) && choices.length === 1 ? choices[0] : undefined
  const delta = Predicate.hasProperty(choice, "delta") ? choice.delta : undefined
  return Predicate.isObject(delta) ? delta : undefined
}

const textIn = (chunk: unknown, field: TextField): unknown => deltaOf(chunk)?.[field]

const withText = (chunk: unknown, field: TextField, text: string): string | undefined => {
  const delta = deltaOf(chunk)
  if (delta === undefined || !(field in delta)) return undefined
  return JSON.stringify(chunk, (_, value: unknown) => (value === delta ? { ...delta, [field]: text } : value))
}
