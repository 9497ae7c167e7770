/**
 * Limits how long a stream's pulls may take, without a timer for each of them.
 *
 * A pull that brings something at once costs a fiber and no timer. One that waits is watched by one fiber for the whole
 * stream, which sleeps until the earliest time at which something could be up, and looks again.
 */
import { Channel, Clock, Effect, Exit, Fiber, type Pull, Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { AiError, Response } from "effect/ai"

export type Parts = NonEmptyReadonlyArray<Response.StreamPartEncoded>

/** The times of one stream: milliseconds since 1970. */
export interface Clocks {
  /** Until when a pull that began at `pulledAt` may take; `Infinity` when nothing limits it. May change meanwhile. */
  readonly until: (pulledAt: number) => number
  /** Hears of what a pull brought. */
  readonly arrived: (parts: Parts, pulledAt: number, now: number) => void
  /** What to fail with when the time is up. */
  readonly expired: (pulledAt: number, now: number) => AiError.AiError
}

/** A pull that waits. The watcher leaves the error here and wakes who waits, if that has gone to sleep already. */
interface Waiting {
  readonly pulledAt: number
  expired: AiError.AiError | undefined
  wake: ((end: Effect.Effect<never, AiError.AiError>) => void) | undefined
}

/**
 * Fails a stream when a pull takes longer than its clocks allow; all it had open is closed before the error arrives.
 *
 * `start` makes the clocks when the stream is first read. Building the stream, which may open a connection, counts as
 * part of its first pull.
 */
export const limit = <R>(
  self: Stream.Stream<Response.StreamPartEncoded, AiError.AiError, R>,
  start: (now: number) => Clocks
): Stream.Stream<Response.StreamPartEncoded, AiError.AiError, R> =>
  Stream.fromChannel(
    Channel.fromTransform((_, outer) =>
      Effect.map(Effect.zip(Clock.Clock, Scope.fork(outer)), ([clock, scope]) => {
        const now = () => clock.currentTimeMillisUnsafe()
        const clocks = start(now())
        let opened: Pull.Pull<Parts, AiError.AiError, void, R> | undefined
        const open = Effect.flatMap(Channel.toPullScoped(self.channel, scope), (pull) => (opened = pull))
        let waiting: Waiting | undefined
        let watcher: { readonly fiber: Fiber.Fiber<void>; readonly wakesAt: number } | undefined

        const watch: Effect.Effect<void> = Effect.suspend(() => {
          const until = waiting === undefined ? Infinity : clocks.until(waiting.pulledAt)
          if (now() < until && until < Infinity) return Effect.andThen(Effect.sleep(until - now()), watch)
          watcher = undefined
          if (waiting === undefined || until === Infinity) return Effect.void
          waiting.expired = clocks.expired(waiting.pulledAt, now())
          waiting.wake?.(end(waiting.expired))
          return Effect.void
        })
        const watchUntil = (until: number): Effect.Effect<void> => {
          if (until === Infinity || (watcher !== undefined && watcher.wakesAt <= until)) return Effect.void
          const late = watcher === undefined ? Effect.void : Fiber.interrupt(watcher.fiber)
          const early = Effect.map(Effect.forkIn(watch, scope), (fiber) => void (watcher = { fiber, wakesAt: until }))
          return Effect.andThen(late, early)
        }
        const end = (error: AiError.AiError) => Effect.andThen(Scope.close(scope, Exit.fail(error)), Effect.fail(error))

        const wait = <E>(fiber: Fiber.Fiber<Parts, E>, current: Waiting): Effect.Effect<Parts, E | AiError.AiError> =>
          Effect.callback<Parts, E | AiError.AiError>((resume) => {
            current.wake = (ended) => resume(Effect.andThen(Fiber.interrupt(fiber), ended))
            if (current.expired !== undefined) return current.wake(end(current.expired))
            fiber.addObserver((exit) => {
              waiting = undefined
              resume(exit)
            })
          })
        const stop = (fiber: Fiber.Fiber<Parts, unknown>): Effect.Effect<void> => {
          waiting = undefined
          return Fiber.interrupt(fiber)
        }

        return Effect.suspend(() => {
          const pulledAt = now()
          const until = clocks.until(pulledAt)
          if (pulledAt >= until) return end(clocks.expired(pulledAt, pulledAt))
          return Effect.map(
            // Nothing comes between starting to read and waiting for it, so that who is interrupted leaves no reader.
            Effect.uninterruptibleMask((restore) =>
              Effect.flatMap(Effect.forkChild(restore(opened ?? open), { startImmediately: true }), (fiber) => {
                const exit = fiber.pollUnsafe()
                if (exit !== undefined) return exit
                waiting = { pulledAt, expired: undefined, wake: undefined }
                const waited = Effect.onInterrupt(restore(wait(fiber, waiting)), () => stop(fiber))
                return Effect.andThen(watchUntil(until), waited)
              })
            ),
            (parts) => {
              clocks.arrived(parts, pulledAt, now())
              return parts
            }
          )
        })
      })
    )
  )
