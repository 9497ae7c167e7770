/**
 * Lets streams compete for the first content: what comes before it is held back, and what comes after it is read from
 * the winner alone, at no further cost.
 */
import { Cause, Channel, Effect, Exit, Pull, Scope, Stream } from "effect"
import type { Response } from "effect/ai"
import * as Content from "../core/Content.ts"

type Part = Response.StreamPartEncoded
type Chunk = readonly [Part, ...Array<Part>]

/** A stream that has begun. */
export interface Begun<E, R> {
  /** What it brought until now. */
  readonly parts: ReadonlyArray<Part>
  /** Gives those parts, and then the rest. */
  readonly pull: Pull.Pull<Chunk, E, void, R>
}

/** How far a stream is read before it may win: until its first content, or to its end. */
export type Until = "content" | "end"

/**
 * Gives the stream that `choose` chose from its first part on. The others are closed, and their finalizers have run,
 * before that part is given. Leaving the stream closes all of them.
 */
export const compete = <E, R, E2, R2>(
  streams: ReadonlyArray<Stream.Stream<Part, E, R>>,
  until: Until,
  choose: (attempts: ReadonlyArray<Effect.Effect<Begun<E, R>, E, R>>) => Effect.Effect<Begun<E, R>, E2, R2>
): Stream.Stream<Part, E | E2, R | R2> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const outer = yield* Effect.scope
      const opened = new Map<Begun<E, R>, Scope.Closeable>()
      const attempts = streams.map((stream) =>
        Effect.suspend(() => {
          const scope = Scope.forkUnsafe(outer)
          return Effect.flatMap(Channel.toPullScoped(Stream.toChannel(stream), scope), (pull) =>
            begin(pull, until)
          ).pipe(
            Effect.tap((begun) => Effect.sync(() => opened.set(begun, scope))),
            Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
          )
        })
      )
      const chosen = yield* choose(attempts)
      if (opened.size > 1) {
        for (const [begun, scope] of opened) if (begun !== chosen) yield* Scope.close(scope, Exit.void)
      }
      return Stream.fromPull(Effect.succeed(chosen.pull))
    })
  )

const begin = <E, R>(pull: Pull.Pull<Chunk, E, void, R>, until: Until): Effect.Effect<Begun<E, R>, E, R> => {
  const parts: Array<Part> = []
  const read: Effect.Effect<Begun<E, R>, E | Cause.Done, R> = Effect.flatMap(pull, (chunk) => {
    for (const part of chunk) parts.push(part)
    return until === "content" && chunk.some(Content.isContent)
      ? Effect.succeed({ parts, pull: after(parts, pull) })
      : read
  })
  return Pull.catchDone(read, () => Effect.succeed({ parts, pull: after(parts, Cause.done()) }))
}

const after = <E, R>(parts: ReadonlyArray<Part>, rest: Pull.Pull<Chunk, E, void, R>): Pull.Pull<Chunk, E, void, R> => {
  let next = rest
  const [first, ...others] = parts
  if (first !== undefined) {
    next = Effect.suspend(() => {
      next = rest
      return Effect.succeed<Chunk>([first, ...others])
    })
  }
  return Effect.suspend(() => next)
}
