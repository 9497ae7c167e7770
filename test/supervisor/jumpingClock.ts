import { Clock, Effect } from "effect"

/** The present clock with a wall that can be set; its monotonic side and its sleeps are left alone. */
export const jumpingClock = Effect.map(Clock.Clock, (real) => {
  let offset = 0
  const wall = () => real.currentTimeMillisUnsafe() + offset
  const clock: Clock.Clock = Object.create(real, {
    currentTimeMillisUnsafe: { value: wall },
    currentTimeMillis: { value: Effect.sync(wall) }
  })
  return {
    clock,
    /** Sets the wall clock forward, or back. */
    jump: (millis: number) =>
      Effect.sync(() => {
        offset += millis
      })
  }
})
