/**
 * Says in the log that somebody waits for jobs which have been interrupted and do not end: a wait that cannot be given up
 * is not silent.
 */
import { Duration, Effect, Fiber } from "effect"
import * as FailureLog from "./FailureLog.ts"

/** Waits, and logs one warning when that takes longer than `millis`. */
export const during = <A, E, R>(
  wait: Effect.Effect<A, E, R>,
  millis: number,
  message: () => string
): Effect.Effect<A, E, R> => {
  const late = Effect.delay(
    Effect.suspend(() => FailureLog.warn(message())),
    Duration.millis(millis)
  )
  // A fiber that is interrupted before its first step, and then preempted, forgets that: it would be waited for until it has slept.
  return Effect.flatMap(Effect.forkChild(late, { startImmediately: true }), (warning) =>
    Effect.ensuring(wait, Fiber.interrupt(warning))
  )
}
