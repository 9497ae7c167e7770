/**
 * Reads events from a position on, at the pace of whoever asks for them.
 */
import { Array as Arr, Cause, Effect, Stream } from "effect"
import type { EventsMissed, JobEvent } from "../../core/JobEvent.ts"

/** How a reader gets on from its position. */
export interface Reading<E> {
  readonly read: () => ReadonlyArray<JobEvent | EventsMissed>
  /** True when nothing more will come. */
  readonly isOver: () => boolean
  /** Waits until there may be something to read, or nothing more will come. */
  readonly news: Effect.Effect<void, E>
}

/** What a reader gets whose position no event had, as one of a supervisor before this one: it knows none of those up to `last`. */
export const notOfHere = (last: number, jobId?: string): ReadonlyArray<EventsMissed> =>
  last === 0 ? [] : [{ _tag: "EventsMissed", ...(jobId === undefined ? {} : { jobId }), from: 1, to: last }]

/** Reads from when somebody first asks; `leave` is called once for each time that reading began, when it is over or given up. */
export const pulling = <E>(begin: () => Reading<E>, leave: () => void): Stream.Stream<JobEvent | EventsMissed, E> =>
  Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(Effect.sync(begin), () => Effect.sync(leave)),
      ({ isOver, news, read }) => {
        const pull: Effect.Effect<Arr.NonEmptyReadonlyArray<JobEvent | EventsMissed>, E | Cause.Done> = Effect.suspend(
          () => {
            const events = read()
            if (Arr.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
            return isOver() ? Cause.done() : Effect.andThen(news, pull)
          }
        )
        return Stream.fromPull(Effect.succeed(pull))
      }
    )
  )
