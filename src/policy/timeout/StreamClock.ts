/**
 * Limits how long a stream may take, by clocks that know when something was asked of it and what it brought.
 *
 * One fiber reads the stream and puts its parts into a queue; another, for the whole stream, sleeps until the earliest
 * time at which something could be up, and looks again. A part costs a place in the queue, and neither fiber nor timer.
 */
import { Cause, Clock, Effect, Exit, Fiber, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AiError, Response } from "effect/ai"
import * as Monotonic from "../../core/Monotonic.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as OpenStream from "../../core/stream/OpenStream.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import * as ReadAhead from "../../core/stream/ReadAhead.ts"

export type Parts = NonEmptyReadonlyArray<Response.StreamPartEncoded>

/** The times of one stream, in milliseconds of `Monotonic`'s time. `pulledAt` is undefined while nothing is asked of the stream. */
export interface Clocks {
  /** Until when it may take; `Infinity` when nothing limits it now. */
  readonly until: (pulledAt: number | undefined) => number
  /** Hears of what was brought. Absent when `until` always gives the same, whatever is asked and brought. */
  readonly arrived?: (parts: Parts, pulledAt: number, now: number) => void
  /** What to fail with when the time is up. */
  readonly expired: (
    pulledAt: number | undefined,
    now: number
  ) => typeof PolicyReason.TimedOut.Type | typeof PolicyReason.TooSlow.Type
}

/**
 * Fails a stream when it takes longer than its clocks allow. It has been interrupted, and all it had open is closed,
 * before the error arrives; parts that came in time arrive before it, as many as wait for a slow reader.
 *
 * `start` makes the clocks when the stream is first read. Opening the stream is part of what it is first asked. `provide`
 * gives what reads it the context it needs.
 */
export const limit = <R>(
  self: Stream.Stream<Response.StreamPartEncoded, AiError.AiError, R>,
  start: (now: number) => Clocks,
  provide: (now: number) => <A, E, R2>(read: Effect.Effect<A, E, R2>) => Effect.Effect<A, E, R2>
): Stream.Stream<Response.StreamPartEncoded, AiError.AiError, R> =>
  OpenStream.unwrap(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const clock = yield* Clock.Clock
      const now = () => Monotonic.millisUnsafe(clock)
      const ahead = yield* ReadAhead.make<Response.StreamPartEncoded, AiError.AiError>()
      const startedAt = now()
      const clocks = start(startedAt)
      let pulledAt: number | undefined = startedAt
      let expired = false
      let finished = false

      let pump: Fiber.Fiber<void, AiError.AiError> | undefined = undefined
      // A watcher that looks early looks again; only one that would look too late is replaced.
      let watcher: Fiber.Fiber<void> | undefined
      let looksAt = Infinity
      const watch: Effect.Effect<void> = Effect.suspend(() => {
        looksAt = clocks.until(pulledAt)
        if (looksAt === Infinity) return Effect.void
        const left = looksAt - now()
        if (left > Monotonic.microsecond) return Effect.andThen(Effect.sleep(left), watch)
        // Its first step may come before whoever starts it has it in hand.
        if (pump === undefined) return Effect.andThen(Effect.yieldNow, watch)
        // All was brought in time, and only the reader takes long.
        if (pump.pollUnsafe() !== undefined) return Effect.void
        const reason = clocks.expired(pulledAt, now())
        const error = PolicyReason.toAiError("Timeout", reason)
        expired = true
        // Interrupted before its first step, the pump does not say that it has ended.
        // And an answer that is complete is no failure, although what brought it was not closed in time.
        const close = Effect.sync(() => ahead.close(finished ? Cause.done() : Effect.fail(error)))
        const end = Effect.andThen(Fiber.interrupt(pump), close)
        return Effect.uninterruptible(Effect.andThen(CallTrail.record(reason), end))
      })
      const watchInTime: Effect.Effect<void> = Effect.suspend(() => {
        const until = clocks.until(pulledAt)
        if (until >= looksAt) return Effect.void
        looksAt = until
        const replaced = watcher === undefined ? Effect.void : Fiber.interrupt(watcher)
        return Effect.andThen(
          replaced,
          Effect.map(Effect.forkIn(watch, scope, { startImmediately: true }), (fiber) => void (watcher = fiber))
        )
      })

      const { arrived } = clocks
      const ask = Effect.suspend(() => {
        pulledAt = now()
        return clocks.until(pulledAt) < looksAt ? watchInTime : Effect.void
      })
      const roomAndAsk = Effect.andThen(ahead.room, ask)
      const bring = (parts: Parts) => {
        if (parts.at(-1)?.type === "finish") finished = true
        const hasRoom = ahead.put(parts)
        if (arrived === undefined) return hasRoom ? Effect.void : ahead.room
        const at = now()
        arrived(parts, pulledAt ?? at, at)
        pulledAt = undefined
        if (!hasRoom) return roomAndAsk
        // The next is asked for at the same time.
        pulledAt = at
        return clocks.until(at) < looksAt ? watchInTime : Effect.void
      }
      const read = Effect.onExitPrimitive(provide(startedAt)(Stream.runForEachArray(self, bring)), (exit) => {
        if (!expired) ahead.close(Exit.isSuccess(exit) ? Cause.done() : Exit.failCause(exit.cause))
        return undefined
      })
      pump = yield* Effect.forkIn(read, scope)
      yield* watchInTime
      return Stream.fromPull(Effect.succeed(ahead.take))
    })
  )
