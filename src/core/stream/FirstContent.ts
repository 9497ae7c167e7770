/**
 * Opens a stream as far as its first content, and no further: what policies decide about attempts they decide until then.
 *
 * What comes before the content says only how the answer is framed. It is held back, so that an attempt that fails before
 * leaves no trace; once there is content the stream is read as if nothing stood between.
 */
import { Array, Cause, Channel, Effect, Exit, Pull, Scope, Stream } from "effect"
import type { Response } from "effect/ai"
import * as Content from "./Content.ts"
import * as OpenStream from "./OpenStream.ts"

type Parts = Array.NonEmptyReadonlyArray<Response.StreamPartEncoded>

/** A stream that has brought its first content: gives what it has brought, and then the rest. */
export type Begun<E, R> = Pull.Pull<Parts, E, void, R>

/** A stream that has been opened, and what it has brought until now. */
export interface Opened<E, R> {
  readonly parts: ReadonlyArray<Response.StreamPartEncoded>
  readonly begun: Begun<E, R>
  /** Closes it. */
  readonly scope: Scope.Closeable
}

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
  OpenStream.unwrap(
    Effect.flatMap(Effect.scope, (outer) =>
      Effect.map(
        decide((self) => Effect.suspend(() => Effect.map(open(self, Scope.forkUnsafe(outer)), ({ begun }) => begun))),
        (begun) => Stream.fromPull(Effect.succeed(begun))
      )
    )
  )

/**
 * Opens a stream in a scope that is its own, and reads until its first content or to its end. When it fails before, or is
 * interrupted, the scope is closed.
 */
export const open = <E, R>(
  self: Stream.Stream<Response.StreamPartEncoded, E, R>,
  scope: Scope.Closeable,
  until: "content" | "end" = "content"
): Effect.Effect<Opened<E, R>, E, R> =>
  Effect.flatMap(Channel.toPullScoped(self.channel, scope), (pull) => {
    const parts: Array<Response.StreamPartEncoded> = []
    const read: Effect.Effect<Begun<E, R>, E | Cause.Done, R> = Effect.flatMap(pull, (chunk) => {
      for (const part of chunk) parts.push(part)
      return until === "content" && chunk.some(Content.isContent) ? Effect.succeed(pull) : read
    })
    return Effect.map(
      Pull.catchDone(read, () => Effect.succeed<Begun<E, R>>(Cause.done())),
      (rest) => ({ parts, begun: first(parts, rest), scope })
    )
  }).pipe(Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))))

/** Gives some parts before all others. */
const first = <E, R>(parts: ReadonlyArray<Response.StreamPartEncoded>, rest: Begun<E, R>): Begun<E, R> => {
  let next = rest
  if (Array.isReadonlyArrayNonEmpty(parts)) {
    next = Effect.suspend(() => {
      next = rest
      return Effect.succeed(parts)
    })
  }
  return Effect.suspend(() => next)
}
