/**
 * Counts what happened over the last minute, second by second, in constant space.
 */
export class RateWindow {
  private readonly counts = new Uint32Array(seconds)
  private newest = 0

  add(nowMillis: number): void {
    const second = this.advance(nowMillis)
    this.counts[second % seconds] = (this.counts[second % seconds] ?? 0) + 1
  }

  /** How often it happened in the last 60 seconds, the running one included. */
  total(nowMillis: number): number {
    this.advance(nowMillis)
    return this.counts.reduce((sum, count) => sum + count, 0)
  }

  private advance(nowMillis: number): number {
    const second = Math.max(this.newest, Math.floor(nowMillis / 1000))
    for (let each = Math.max(this.newest + 1, second - seconds + 1); each <= second; each++)
      this.counts[each % seconds] = 0
    this.newest = second
    return second
  }
}

// How much time a window covers.
const seconds = 60
