/**
 * Reads an event stream as the HTML standard says: lines end with CR, LF or CRLF, an event with an empty line.
 */
import { Lines } from "./Lines.ts"
import * as ShownError from "../../core/ShownError.ts"

/** Takes the data of one event, and what the server calls it: `error` for an error, most often nothing. */
export type OnEvent = (data: string, name: string) => void

/** An event holds more characters than it may. */
export class EventTooLarge extends ShownError.DataError("EventTooLarge")<{ readonly atMost: number }> {
  override get message(): string {
    return `an event of the stream is larger than ${this.atMost} characters`
  }
}

const colon = 58
const space = 32
/** Longer lines are no names of events. */
const mostOfOther = 64

export class Parser {
  private readonly onEvent: OnEvent
  private readonly atMost: number
  private readonly lines = new Lines((text, from, to) => this.field(text, from, to))
  private data: string | undefined
  /** Lines of JSON among those of an event. */
  private bare: string | undefined
  private name = ""

  constructor(onEvent: OnEvent, atMost: number) {
    this.onEvent = onEvent
    this.atMost = atMost
  }

  /** Reads on. The text may be cut anywhere; a byte order mark at its beginning has been taken off. */
  feed(text: string): void {
    this.lines.feed(text)
    this.check()
  }

  /** Ends the stream. Gives what stands behind the last event and has no empty line behind it, which the standard drops. */
  end(): { readonly data: string; readonly name: string } | undefined {
    if (this.lines.pendingLength > 0) this.lines.feed("\n")
    this.takeBare()
    const { data, name } = this
    this.data = undefined
    return data === undefined ? undefined : { data, name }
  }

  private field(text: string, from: number, to: number): void {
    if (from === to) return this.dispatch()
    if (!text.startsWith("data", from))
      return this.other(text.slice(from, Math.min(to, from + mostOfOther)), text, from, to)
    const after = from + 4
    if (after === to) return this.add("")
    if (text.charCodeAt(after) !== colon) return
    const value = text.charCodeAt(after + 1) === space ? after + 2 : after + 1
    this.add(value >= to ? "" : text.slice(value, to))
  }

  /** Events are named; llama.cpp writes an error as a field of its own, and some servers write JSON as lines of their own. */
  private other(begin: string, text: string, from: number, to: number): void {
    if (begin.startsWith("event:")) this.name = begin.slice(begin.charCodeAt(6) === space ? 7 : 6)
    else if (begin.startsWith("error:")) {
      this.name = "error"
      this.add(text.slice(from + 6, to).trimStart())
    } else if (this.bare !== undefined || begin.startsWith("{") || begin.startsWith("[")) {
      const line = text.slice(from, to)
      this.bare = this.bare === undefined ? line : `${this.bare}\n${line}`
      this.check()
    }
  }

  private add(value: string): void {
    this.data = this.data === undefined ? value : `${this.data}\n${value}`
    this.check()
  }

  /** Of lines of JSON only an error is looked at, and then at nothing else. */
  private takeBare(): void {
    const { bare } = this
    this.bare = undefined
    if (bare === undefined || !/^\[?\s*\{\s*"error"/.test(bare)) return
    this.name = "error"
    this.data = bare
  }

  private dispatch(): void {
    if (this.bare !== undefined) this.takeBare()
    const { data, name } = this
    this.name = ""
    if (data === undefined) return
    this.data = undefined
    this.onEvent(data, name)
  }

  private check(): void {
    if (this.lines.pendingLength + (this.data?.length ?? 0) + (this.bare?.length ?? 0) > this.atMost)
      throw new EventTooLarge({ atMost: this.atMost })
  }
}
