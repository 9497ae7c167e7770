/**
 * Drops what stands in front of an answer and says nothing: a byte order mark, space, and the comments with which a server
 * keeps a connection open. What comes behind them may be events, JSON or a page.
 */

const byteOrderMark = Buffer.from("\uFEFF")

export class Preamble {
  /** Whether the line that has begun does so with space. */
  isIndented = false
  /** How much of the mark has come; all of it, too, when there is none. */
  private marked = 0
  private isComment = false

  /** What is left of the bytes that came. Nothing of them is looked at twice. */
  drop(bytes: Buffer): Buffer {
    let at = 0
    while (this.marked < byteOrderMark.length && at < bytes.length) {
      if (bytes[at] !== byteOrderMark[this.marked]) return this.drop(this.withoutMark(bytes.subarray(at)))
      this.marked += 1
      at += 1
    }
    for (; at < bytes.length; at++) {
      const byte = bytes[at]
      if (byte === 0x0a || byte === 0x0d) {
        this.isComment = false
        this.isIndented = false
      } else if (this.isComment) continue
      else if (byte === 0x20 || byte === 0x09) this.isIndented = true
      else if (byte === 0x3a) this.isComment = true
      else break
    }
    return bytes.subarray(at)
  }

  /** What looked like a mark was none: it is given back. */
  private withoutMark(rest: Buffer): Buffer {
    const taken = byteOrderMark.subarray(0, this.marked)
    this.marked = byteOrderMark.length
    return taken.length === 0 ? rest : Buffer.concat([taken, rest])
  }
}
