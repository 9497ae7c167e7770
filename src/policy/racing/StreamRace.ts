/**
 * Lets streams compete for the first content: what comes before it is held back, and what comes after it is read from
 * the winner alone, at no further cost.
 */
import { Effect, Exit, Scope, Stream } from "effect"
import type { Response } from "effect/ai"
import * as FirstContent from "../../core/stream/FirstContent.ts"

/** How far a stream is read before it may win: until its first content, or to its end. */
export type Until = "content" | "end"

/**
 * Gives the stream that `choose` chose from its first part on. The others are closed, and their finalizers have run,
 * before that part is given. Leaving the stream closes all of them.
 */
export const compete = <E, R, E2, R2>(
  streams: ReadonlyArray<Stream.Stream<Response.StreamPartEncoded, E, R>>,
  until: Until,
  choose: (
    attempts: ReadonlyArray<Effect.Effect<FirstContent.Opened<E, R>, E, R>>
  ) => Effect.Effect<FirstContent.Opened<E, R>, E2, R2>
): Stream.Stream<Response.StreamPartEncoded, E | E2, R | R2> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const outer = yield* Effect.scope
      const scopes: Array<Scope.Closeable> = []
      const attempts = streams.map((stream) =>
        Effect.suspend(() => {
          // Known before anything is open: an attempt may be interrupted at the very moment it has its first content.
          const scope = Scope.forkUnsafe(outer)
          scopes.push(scope)
          return FirstContent.open(stream, scope, until)
        })
      )
      const chosen = yield* choose(attempts)
      for (const scope of scopes) if (scope !== chosen.scope) yield* Scope.close(scope, Exit.void)
      return Stream.fromPull(Effect.succeed(chosen.begun))
    })
  )
