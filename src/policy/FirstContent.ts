/**
 * Opens a stream as far as its first content, and no further: what policies decide about attempts they decide until then.
 *
 * What comes before the content says only how the answer is framed. It is held back, so that an attempt that fails before
 * leaves no trace; once there is content the stream is read as if nothing stood between.
 */
import { Array, Cause, Channel, Effect, Exit, Pull, Scope, Stream } from "effect"
import type { Response } from "effect/ai"
import * as Content from "../core/Content.ts"

type Parts = Array.NonEmptyReadonlyArray<Response.StreamPartEncoded>

/** A stream that has brought its first content: gives what it has brought, and then the rest. */
export type Begun<E, R> = Pull.Pull<Parts, E, void, R>

/** A way to begin a stream: succeeds with it at its first content, or when it ended without, and fails as it does before. */
export type Begin = <E, R>(self: Stream.Stream<Response.StreamPartEncoded, E, R>) => Effect.Effect<Begun<E, R>, E, R>

/**
 * Makes a stream of an effect that decides which stream to begin, and may begin several one after the other.
 *
 * One that fails before its first content, or is interrupted, is closed at once. The one that is given stays open until
 * this stream ends.
 */
export const streamOf = <E, R, E2, R2>(
  decide: (begin: Begin) => Effect.Effect<Begun<E, R>, E2, R2>
): Stream.Stream<Response.StreamPartEncoded, E | E2, R | Exclude<R2, Scope.Scope>> =>
  Stream.unwrap(
    Effect.flatMap(Effect.scope, (outer) =>
      Effect.map(
        decide((self) => beginIn(self, outer)),
        (begun) => Stream.fromPull(Effect.succeed(begun))
      )
    )
  )

const beginIn = <E, R>(
  self: Stream.Stream<Response.StreamPartEncoded, E, R>,
  outer: Scope.Scope
): Effect.Effect<Begun<E, R>, E, R> =>
  Effect.suspend(() => {
    const scope = Scope.forkUnsafe(outer)
    return Effect.flatMap(Channel.toPullScoped(self.channel, scope), (pull) => untilContent(pull, [])).pipe(
      Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
    )
  })

const untilContent = <E, R>(
  pull: Begun<E, R>,
  held: ReadonlyArray<Response.StreamPartEncoded>
): Effect.Effect<Begun<E, R>, E, R> =>
  Pull.matchEffect(pull, {
    onSuccess: (parts) => {
      const all = Array.appendAll(held, parts)
      return parts.some(Content.isContent) ? Effect.succeed(first(all, pull)) : untilContent(pull, all)
    },
    onFailure: Effect.failCause,
    onDone: () => Effect.succeed(Array.isReadonlyArrayNonEmpty(held) ? first(held, Cause.done()) : Cause.done())
  })

/** Gives some parts before all others. */
const first = <E, R>(parts: Parts, rest: Begun<E, R>): Begun<E, R> => {
  let next: Begun<E, R> = Effect.suspend(() => {
    next = rest
    return Effect.succeed(parts)
  })
  return Effect.suspend(() => next)
}
