/**
 * Cuts a stream of bytes into numbered lines, holding no more than one unfinished line in memory.
 */
import { Stream } from "effect"
import { isUtf8 } from "node:buffer"

/** One line of a file, without its line end. */
export interface Line {
  /** Counted from 1. */
  readonly number: number
  readonly bytes: Uint8Array
  /** Byte offset just after the line, its line end included. */
  readonly end: number
  /** False only for a last line without a line end. */
  readonly terminated: boolean
  /** Why it cannot be read. Of a line that is too long there are no `bytes`. */
  readonly problem?: string | undefined
}

/** The longest line that is read from an input, in bytes; longer ones are passed over without being held. 64 MiB. */
export const longestLine = 64 * 1024 * 1024

/** Why a line is not read. */
export const tooLong = (longest: number): string => `is longer than ${Math.floor(longest / 2 ** 20)} MiB`
export const notUtf8 = "is not UTF-8"

/** Cuts bytes into lines at `\n`. A byte order mark at the start is dropped; blank lines are kept. */
export const split = <E, R>(
  bytes: Stream.Stream<Uint8Array, E, R>,
  longest: number = longestLine
): Stream.Stream<Line, E, R> => cut(bytes, () => new Splitter(longest))

/** Cuts bytes into pieces as they come. */
export interface Cutter<A> {
  readonly push: (chunk: Uint8Array) => ReadonlyArray<A>
  /** What is left when all bytes have come. */
  readonly finish: () => ReadonlyArray<A>
}

/** Cuts a stream of bytes. Where that fails the last piece is not whole, and is not given. */
export const cut = <A, E, R>(bytes: Stream.Stream<Uint8Array, E, R>, make: () => Cutter<A>): Stream.Stream<A, E, R> =>
  Stream.mapAccumArray(Stream.concat(bytes, Stream.succeed(undefined)), make, (cutter, chunks) => [
    cutter,
    chunks.flatMap((chunk) => (chunk === undefined ? cutter.finish() : cutter.push(chunk)))
  ])

/** Whether a line holds nothing but spaces. */
export const isBlank = ({ bytes, problem }: Line): boolean =>
  problem === undefined && !hasContent(bytes, 0, bytes.length)

/** Whether there is anything but spaces between two places. */
export const hasContent = (bytes: Uint8Array, from: number, to: number): boolean => {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x0d && byte !== 0x09) return true
  }
  return false
}

/** Remembers the unfinished line between chunks. */
class Splitter implements Cutter<Line> {
  private readonly longest: number
  private number = 0
  private end = 0
  private parts: Array<Uint8Array> = []
  private size = 0

  constructor(longest: number) {
    this.longest = longest
  }

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
    if (this.size > this.longest) this.parts = []
    else if (part.length > 0) this.parts.push(part)
  }

  private take(terminated: boolean): Line {
    const { longest, parts, size } = this
    this.parts = []
    this.size = 0
    this.number += 1
    this.end += size + (terminated ? 1 : 0)
    const place = { number: this.number, end: this.end, terminated }
    if (size > longest) {
      return { ...place, bytes: Buffer.alloc(0), problem: tooLong(longest) }
    }
    const bytes = Buffer.concat(parts, size)
    if (!isUtf8(bytes)) return { ...place, bytes, problem: notUtf8 }
    return { ...place, bytes: this.number === 1 && mark.equals(bytes.subarray(0, 3)) ? bytes.subarray(3) : bytes }
  }
}

const newline = 0x0a
const mark = Buffer.from([0xef, 0xbb, 0xbf])
