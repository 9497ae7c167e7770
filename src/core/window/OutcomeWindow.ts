/**
 * Counts successes and faults over the last moments, in constant space.
 */
import { RollingCount } from "./RollingCount.ts"

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
export class OutcomeWindow {
  private readonly successes: RollingCount
  private readonly faults: RollingCount
  private faultsInARow = 0
  private latestMillis = 0

  constructor(windowMillis: number) {
    this.successes = new RollingCount(windowMillis)
    this.faults = new RollingCount(windowMillis)
  }

  success(nowMillis: number): void {
    this.successes.add(this.latest(nowMillis))
    this.faultsInARow = 0
  }

  fault(nowMillis: number): void {
    this.faults.add(this.latest(nowMillis))
    this.faultsInARow++
  }

  /** The counts as of now. */
  tally(nowMillis: number): Tally {
    const now = this.latest(nowMillis)
    return {
      successes: this.successes.total(now),
      faults: this.faults.total(now),
      faultsInARow: this.faultsInARow
    }
  }

  /** Begins anew. */
  clear(): void {
    this.successes.clear()
    this.faults.clear()
    this.faultsInARow = 0
  }

  // Both counts stand still together when a clock goes backwards.
  private latest(nowMillis: number): number {
    if (nowMillis > this.latestMillis) this.latestMillis = nowMillis
    return this.latestMillis
  }
}
