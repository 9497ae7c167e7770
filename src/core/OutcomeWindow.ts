/**
 * Counts successes and faults over the last moments, slice by slice, in constant space.
 */

/** What a window holds now. */
export interface Tally {
  readonly successes: number
  readonly faults: number
  /** Faults since the last success, however long ago they were. */
  readonly faultsInARow: number
}

/** Successes among the outcomes, 0 to 1; 1 when there were none. */
export const successRatio = ({ faults, successes }: Tally): number =>
  faults === 0 ? 1 : successes / (successes + faults)

/** Counts outcomes; what is older than `windowMillis` is forgotten a tenth of that time at once. */
export class OutcomeWindow implements Tally {
  successes = 0
  faults = 0
  faultsInARow = 0
  // Successes and faults of each slice, side by side.
  private readonly counts = new Uint32Array(2 * slices)
  private newest = 0
  private readonly sliceMillis: number

  constructor(windowMillis: number) {
    this.sliceMillis = windowMillis / slices
  }

  success(nowMillis: number): void {
    const at = this.advance(nowMillis)
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.successes++
    this.faultsInARow = 0
  }

  fault(nowMillis: number): void {
    const at = this.advance(nowMillis) + 1
    this.counts[at] = (this.counts[at] ?? 0) + 1
    this.faults++
    this.faultsInARow++
  }

  /** The counts as of now. */
  tally(nowMillis: number): Tally {
    this.advance(nowMillis)
    return this
  }

  /** Begins anew. */
  clear(): void {
    this.counts.fill(0)
    this.successes = 0
    this.faults = 0
    this.faultsInARow = 0
  }

  // Forgets what has left the window, and says where the present slice is.
  private advance(nowMillis: number): number {
    const slice = Math.max(this.newest, Math.floor(nowMillis / this.sliceMillis))
    for (let each = Math.max(this.newest + 1, slice - slices + 1); each <= slice; each++) {
      const at = 2 * (each % slices)
      this.successes -= this.counts[at] ?? 0
      this.faults -= this.counts[at + 1] ?? 0
      this.counts[at] = 0
      this.counts[at + 1] = 0
    }
    this.newest = slice
    return 2 * (slice % slices)
  }
}

const slices = 10
