/**
 * Keeps a supervisor's time: durations on a clock that never steps back, dates by the wall clock of the moment.
 *
 * What happens is taken down in one number, by the monotonic clock, and its date is made when somebody asks for it. The
 * steps of the wall clock are noticed and kept, so a date is the one that a clock on the wall showed when it happened, and
 * stays the same whenever it is asked for.
 */
import type { Clock } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"

/** From a moment on, what to add to the supervisor's time for milliseconds since 1970. */
interface Step {
  readonly after: number
  readonly epoch: number
}

/** A difference below this many milliseconds is the two clocks' own unevenness and no step. */
const tolerance = 10

/** How many steps are kept; dates from before the oldest one are made by it. */
const maxSteps = 100

export class SupervisorTime {
  private readonly clock: Clock.Clock
  private readonly madeAt: number
  private readonly steps: Array<Step>
  private lookedAt = 0

  constructor(clock: Clock.Clock) {
    this.clock = clock
    this.madeAt = Monotonic.millisUnsafe(clock)
    this.steps = [{ after: -1, epoch: clock.currentTimeMillisUnsafe() }]
  }

  /** Whole milliseconds since it was made. Small whole numbers take no memory of their own in a record. */
  now(): number {
    return Math.floor(Monotonic.millisUnsafe(this.clock) - this.madeAt + 1e-6)
  }

  /**
   * Notices whether the wall clock was set. What happened since the last look is dated by how the clock is set now. To be
   * called now and then, also while nothing happens.
   */
  look(): void {
    const now = this.now()
    const epoch = this.clock.currentTimeMillisUnsafe() - now
    if (Math.abs(epoch - (this.steps.at(-1)?.epoch ?? epoch)) > tolerance) {
      this.steps.push({ after: this.lookedAt, epoch })
      if (this.steps.length > maxSteps) this.steps.shift()
    }
    this.lookedAt = now
  }

  /** The date of a moment: milliseconds since 1970. */
  toEpoch(millis: number): number {
    if (millis > this.lookedAt) this.look()
    let at = this.steps.length - 1
    while (at > 0 && millis <= (this.steps[at]?.after ?? 0)) at--
    return (this.steps[at]?.epoch ?? 0) + millis
  }
}
