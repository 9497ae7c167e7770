/**
 * Holds bytes that come in pieces until all are wanted.
 */

/** Of so many pieces one is made: a server may send each byte by itself, and an object for each is a hundred times as large. */
const mostSmall = 256

export class Pieces {
  private joined: Array<Uint8Array> = []
  private small: Array<Uint8Array> = []

  add(bytes: Uint8Array): void {
    this.small.push(bytes)
    if (this.small.length < mostSmall) return
    this.joined.push(Buffer.concat(this.small))
    this.small = []
  }

  /** All that came since the last time. Most often that is one piece, which is not copied. */
  take(): Buffer {
    const all = [...this.joined, ...this.small]
    this.joined = []
    this.small = []
    const [first, second] = all
    return first !== undefined && second === undefined
      ? Buffer.from(first.buffer, first.byteOffset, first.byteLength)
      : Buffer.concat(all)
  }
}
