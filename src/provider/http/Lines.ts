/**
 * Cuts a text that comes in pieces into lines, which end with CR, LF or CRLF.
 *
 * Nothing is looked at twice, so the cost grows with the characters and with nothing else, however they are cut.
 */

/** Takes a line that stands in `text`, without its end, and where in the last piece the next one begins. */
export type OnLine = (text: string, from: number, to: number, next: number) => void

const lineFeed = 10

export class Lines {
  /** Characters of the line that has not ended. */
  pendingLength = 0
  private readonly onLine: OnLine
  private pending: Array<string> = []
  private skipsLineFeed = false

  constructor(onLine: OnLine) {
    this.onLine = onLine
  }

  /** The line that has not ended. */
  get rest(): string {
    return this.pending.join("")
  }

  feed(text: string): void {
    let at = 0
    if (this.skipsLineFeed && text.length > 0) {
      this.skipsLineFeed = false
      if (text.charCodeAt(0) === lineFeed) at = 1
    }
    let feed = text.indexOf("\n", at)
    let carriage = text.indexOf("\r", at)
    while (feed >= 0 || carriage >= 0) {
      const isFeed = carriage < 0 || (feed >= 0 && feed < carriage)
      const end = isFeed ? feed : carriage
      const from = at
      at = end + 1
      if (!isFeed) {
        if (text.charCodeAt(at) === lineFeed) at += 1
        else if (at === text.length) this.skipsLineFeed = true
        carriage = text.indexOf("\r", at)
      }
      if (feed >= 0 && feed < at) feed = text.indexOf("\n", at)
      this.line(text, from, end, at)
    }
    if (at === text.length) return
    this.pending.push(at === 0 ? text : text.slice(at))
    this.pendingLength += text.length - at
  }

  private line(text: string, from: number, to: number, next: number): void {
    if (this.pending.length === 0) return this.onLine(text, from, to, next)
    this.pending.push(text.slice(from, to))
    const line = this.rest
    this.pending = []
    this.pendingLength = 0
    this.onLine(line, 0, line.length, next)
  }
}
