/**
 * Keeps virtual time: sleeping takes no real time, and the clock moves on only when it is told to.
 *
 * It is a `TestClock` too, so programs that call `TestClock.adjust` run unchanged; there, adjusting is sleeping.
 */
import { Clock, Duration, Effect } from "effect"
import type { TestClock } from "effect/testing"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

export class SeededClock implements TestClock.TestClock {
  private readonly sleepers: Array<Sleeper> = []
  private now = 0
  private wallAhead = 0

  /** How many fibers sleep. */
  get asleep(): number {
    return this.sleepers.length
  }

  /** Moves on to the moment when the next sleepers are due, and gives how to wake each of those. */
  advance(): ReadonlyArray<() => void> {
    const due: Array<() => void> = []
    for (let last = this.sleepers.at(-1); last !== undefined; last = this.sleepers.at(-1)) {
      if (due.length > 0 && last.at > this.now) break
      this.now = last.at
      due.push(last.wake)
      this.sleepers.pop()
    }
    return due
  }

  /** Sets the wall clock forward, or back when `millis` is negative. Sleepers and monotonic time do not notice. */
  setWallClockBy(millis: number): void {
    this.wallAhead += millis
  }

  /** Milliseconds that have passed in the run, whatever the wall clock says. */
  get elapsedMillis(): number {
    return this.now
  }

  currentTimeMillisUnsafe(): number {
    return this.now + this.wallAhead
  }
  currentTimeNanosUnsafe(): bigint {
    return nanos(this.now + this.wallAhead)
  }
  monotonicTimeNanosUnsafe(): bigint {
    return nanos(this.now)
  }
  readonly currentTimeMillis = Effect.sync(() => this.currentTimeMillisUnsafe())
  readonly currentTimeNanos = Effect.sync(() => this.currentTimeNanosUnsafe())
  readonly monotonicTimeNanos = Effect.sync(() => this.monotonicTimeNanosUnsafe())

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    if (millis <= 0) return Effect.yieldNow
    if (!Number.isFinite(millis)) return Effect.never
    return Effect.callback<void>((resume) => {
      const sleeper = { at: this.now + millis, wake: () => resume(Effect.void) }
      // The earliest is last, where it is cheap to take; of equals, the one that came first.
      let place = this.sleepers.length
      while (place > 0 && (this.sleepers[place - 1]?.at ?? Infinity) <= sleeper.at) place--
      this.sleepers.splice(place, 0, sleeper)
      return Effect.sync(() => {
        const index = this.sleepers.indexOf(sleeper)
        if (index >= 0) this.sleepers.splice(index, 1)
      })
    })
  }

  adjust(duration: Duration.Input): Effect.Effect<void> {
    return this.sleep(Duration.fromInputUnsafe(duration))
  }
  setTime(timestamp: number): Effect.Effect<void> {
    return Effect.suspend(() => this.sleep(Duration.millis(Math.max(0, timestamp - this.currentTimeMillisUnsafe()))))
  }
  withLive<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.provideService(effect, Clock.Clock, Clock.Clock.defaultValue())
  }
}

const nanos = (millis: number): bigint => BigInt(Math.round(millis * 1_000_000))
