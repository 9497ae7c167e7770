/**
 * Counts how often something happened over the last moments, slice by slice, in constant space.
 */
export class RollingCount {
  private readonly counts: Uint32Array
  private readonly sliceMillis: number
  // The newest slice, and its place.
  private newest = 0
  private at = 0
  private sum = 0

  /** What is older than `windowMillis` is forgotten a slice at once. */
  constructor(windowMillis: number, slices = 10) {
    this.counts = new Uint32Array(slices)
    this.sliceMillis = windowMillis / slices
  }

  add(nowMillis: number): void {
    const at = this.advance(nowMillis)
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.sum++
  }

  /** How often it happened in the window, the running slice included. */
  total(nowMillis: number): number {
    this.advance(nowMillis)
    return this.sum
  }

  /** Begins anew. */
  clear(): void {
    this.counts.fill(0)
    this.sum = 0
  }

  // Forgets what has left the window, and says where the present slice is. A clock that goes backwards stands still.
  private advance(nowMillis: number): number {
    const slice = Math.floor(nowMillis / this.sliceMillis)
    if (slice <= this.newest) return this.at
    const slices = this.counts.length
    for (let each = Math.max(this.newest + 1, slice - slices + 1); each <= slice; each++) {
      this.sum -= this.counts[each % slices] ?? 0
      this.counts[each % slices] = 0
    }
    this.newest = slice
    this.at = slice % slices
    return this.at
  }
}

/** Counts over the last 60 seconds. */
export const lastMinute = (): RollingCount => new RollingCount(60_000, 60)
