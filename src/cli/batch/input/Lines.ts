/**
 * Cuts a stream of bytes into numbered lines, holding no more than one unfinished line in memory.
 */
import { Stream } from "effect"
import { isUtf8 } from "node:buffer"

/** One line of a file, without its line end. */
export interface Line {
  /** Counted from 1. */
  readonly number: number
  readonly text: string
  /** Byte offset just after the line, its line end included. */
  readonly end: number
  /** False only for a last line without a line end. */
  readonly terminated: boolean
  /** Why `text` is empty although the line is not. */
  readonly problem?: "is longer than 64 MiB" | "is not UTF-8" | undefined
}

/** The longest line that is read, in bytes; longer ones are passed over without being held. 64 MiB. */
export const longestLine = 64 * 1024 * 1024

/** Cuts bytes into lines at `\n`. A byte order mark at the start is dropped; blank lines are kept. */
export const split = <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<Line, E, R> =>
  Stream.mapAccumArray(
    bytes,
    () => new Splitter(),
    (splitter, chunks) => [splitter, chunks.flatMap((chunk) => splitter.push(chunk))],
    { onHalt: (splitter) => splitter.finish() }
  )

/** Remembers the unfinished line between chunks. */
class Splitter {
  private number = 0
  private end = 0
  private parts: Array<Uint8Array> = []
  private size = 0

  push(chunk: Uint8Array): ReadonlyArray<Line> {
    const lines: Array<Line> = []
    let from = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      this.hold(chunk.subarray(from, at))
      lines.push(this.take(true))
      from = at + 1
    }
    // A copy, so that the last bytes of a chunk do not keep all of it alive.
    this.hold(chunk.slice(from))
    return lines
  }

  finish(): ReadonlyArray<Line> {
    return this.size === 0 ? [] : [this.take(false)]
  }

  private hold(part: Uint8Array): void {
    this.size += part.length
    if (this.size > longestLine) this.parts = []
    else if (part.length > 0) this.parts.push(part)
  }

  private take(terminated: boolean): Line {
    const { parts, size } = this
    this.parts = []
    this.size = 0
    this.number += 1
    this.end += size + (terminated ? 1 : 0)
    const place = { number: this.number, end: this.end, terminated }
    if (size > longestLine) return { ...place, text: "", problem: "is longer than 64 MiB" }
    const bytes = Buffer.concat(parts, size)
    if (!isUtf8(bytes)) return { ...place, text: "", problem: "is not UTF-8" }
    const text = bytes.toString("utf8")
    return { ...place, text: this.number === 1 && text.startsWith("\uFEFF") ? text.slice(1) : text }
  }
}

const newline = 0x0a
