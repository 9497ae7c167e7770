/**
 * Says when a job is tried again: its schedule is replayed over the failures that the store has kept, so that it goes on after a
 * restart as if there had been none.
 */
import { Duration, Effect, Pull, Schedule } from "effect"

/** A failure, and when it was. */
export interface Failure<E> {
  readonly atMillis: number
  readonly error: E
}

/** Milliseconds from the last failure to the next attempt; none when the schedule has ended. */
export const after = <E>(
  schedule: Schedule.Schedule<unknown, E>,
  failures: ReadonlyArray<Failure<E>>
): Effect.Effect<number | undefined> =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(schedule)
    let delay: number | undefined
    for (const { atMillis, error } of failures) {
      const next = step(atMillis, error)
      delay = yield* Pull.catchDone(
        Effect.map(next, ([, duration]): number | undefined => Duration.toMillis(duration)),
        () => Effect.undefined
      )
      if (delay === undefined) return undefined
    }
    return delay
  })
