/**
 * Ends a call that takes too long, with a typed error that names the clock.
 *
 * The work is interrupted and its finalizers have run when the error arrives: the socket is closed, permits are back.
 */
import { Clock, Duration, Effect, Stream } from "effect"
import * as PolicyReason from "../core/PolicyReason.ts"
import type { Policy } from "../provider/ModelProvider.ts"

type Clocks = Extract<PolicyReason.PolicyReason, { _tag: "TimedOut" }>["clock"]

/**
 * Limits the whole call: all attempts, waits and back-offs of the policies further in, and a stream to its last part.
 *
 * Fails with `PolicyReason` `TimedOut`, clock `overall`, which is not retryable. Put it outside of `Retry`.
 */
export const overall = (limit: Duration.Input): Policy => policy("overall", limit)

/**
 * Limits each attempt on its own, from sending to the complete answer or the last part of a stream.
 *
 * Fails with `PolicyReason` `TimedOut`, clock `attempt`, which is retryable. Put it inside of `Retry`.
 */
export const perAttempt = (limit: Duration.Input): Policy => policy("attempt", limit)

/**
 * Limits any effect.
 *
 * Fails with Effect's `TimeoutError` after `limit`, when the effect has been interrupted and has ended.
 */
export const effect = (limit: Duration.Input) => Effect.timeout(limit)

const policy = (clock: Clocks, limit: Duration.Input): Policy => {
  const duration = Duration.fromInputUnsafe(limit)
  const orElse = () =>
    Effect.fail(
      PolicyReason.toAiError("Timeout", { _tag: "TimedOut", clock, afterMillis: Duration.toMillis(duration) })
    )
  return (next) =>
    Effect.succeed({
      ...next,
      generateText: (options) => Effect.timeoutOrElse(next.generateText(options), { duration, orElse }),
      streamText: (options) =>
        Stream.transformPull(next.streamText(options), (pull) =>
          Effect.map(Clock.currentTimeMillis, (start) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) =>
              Effect.timeoutOrElse(pull, {
                duration: Duration.subtract(duration, Duration.millis(now - start)),
                orElse
              })
            )
          )
        )
    })
}
