/**
 * Limits how many calls are in flight at the same time, so that one busy place cannot take everything.
 */
import { Effect, Semaphore, Stream } from "effect"
import type { Scope } from "effect"
import * as PolicyReason from "../core/PolicyReason.ts"
import type { Policy } from "../provider/ModelProvider.ts"

export interface Options {
  /** Calls in flight at the same time. */
  readonly concurrency: number
  /** Calls that may wait for their turn; one more is refused. Default 10,000. */
  readonly maxWaiting?: number | undefined
}

export const defaults = { maxWaiting: 10_000 } as const

/**
 * Lets `concurrency` calls through at a time; the others wait in order.
 *
 * A stream is in flight until it has ended or its reader has left. The permit is back when the call has ended, however it
 * ended. When `maxWaiting` calls wait already, one more fails with `PolicyReason` `QueueFull`, which is retryable.
 * Interrupting a waiting call takes it out of the queue.
 */
export const limit = (options: Options): Policy => {
  const makeGate = gate(options)
  return (next) =>
    Effect.map(makeGate, (enter) => {
      const refuse = (full: QueueFull) => PolicyReason.toAiError("Bulkhead", full)
      return {
        ...next,
        generateText: (request) =>
          Effect.scoped(Effect.andThen(Effect.mapError(enter, refuse), next.generateText(request))),
        streamText: (request) => Stream.unwrap(Effect.as(Effect.mapError(enter, refuse), next.streamText(request)))
      }
    })
}

/**
 * Makes a bulkhead for any effects: the result wraps each effect that is to share its permits.
 *
 * A wrapped effect fails with the plain `PolicyReason` `QueueFull` when too many wait.
 */
export const effect = (options: Options) =>
  Effect.map(
    gate(options),
    (enter) =>
      <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | QueueFull, Exclude<R, Scope.Scope>> =>
        Effect.scoped(Effect.andThen(enter, self))
  )

/** What a bulkhead says to one caller too many. */
export type QueueFull = Extract<PolicyReason.PolicyReason, { _tag: "QueueFull" }>

// Makes what takes a permit for the lifetime of the scope it is used in.
const gate = ({ concurrency, maxWaiting = defaults.maxWaiting }: Options) => {
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
    throw new RangeError(`Bulkhead option concurrency must be a whole number of at least 1, got ${concurrency}`)
  }
  if (!Number.isSafeInteger(maxWaiting) || maxWaiting < 0) {
    throw new RangeError(`Bulkhead option maxWaiting must be a whole number of at least 0, got ${maxWaiting}`)
  }
  return Effect.map(Semaphore.make(concurrency), (permits): Effect.Effect<void, QueueFull, Scope.Scope> => {
    let inside = 0
    return Effect.suspend(() => {
      if (inside >= concurrency + maxWaiting) {
        return Effect.fail({ _tag: "QueueFull", limit: concurrency, maxWaiting } as const)
      }
      const count = Effect.acquireRelease(
        Effect.sync(() => inside++),
        () => Effect.sync(() => inside--)
      )
      return Effect.andThen(count, permits.takeScoped(1))
    })
  })
}
