/**
 * Tells the date by which windows of a budget begin and end.
 *
 * It follows the wall clock from window to window and not within one, so that a window is neither cut short nor drawn out
 * when the clock is set. It then begins up to half a window early or late, once.
 */
import type { Clock } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"

export class WindowTime {
  // What is added to the monotonic time, and in which window it was last found.
  private ahead: number
  private window: number
  private readonly clock: Clock.Clock
  private readonly windowMillis: number

  constructor(clock: Clock.Clock, windowMillis: number) {
    this.clock = clock
    this.windowMillis = windowMillis
    const date = clock.currentTimeMillisUnsafe()
    this.ahead = date - Monotonic.millisUnsafe(clock)
    this.window = Math.floor(date / windowMillis)
  }

  /** Milliseconds since 1970, give or take whole windows. */
  get now(): number {
    const passed = Monotonic.millisUnsafe(this.clock)
    const window = Math.floor((passed + this.ahead) / this.windowMillis)
    if (window > this.window) {
      const off = this.clock.currentTimeMillisUnsafe() - (passed + this.ahead)
      this.ahead += off - this.windowMillis * Math.round(off / this.windowMillis)
      this.window = Math.floor((passed + this.ahead) / this.windowMillis)
    }
    return Math.round(passed + this.ahead)
  }
}
