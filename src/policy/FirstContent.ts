/**
 * Holds a stream's parts back until one says something of the answer, so that an attempt that fails before leaves no
 * trace. A held part says only how the answer is framed: nobody misses it before the content.
 */
import { Array, Cause, Effect, Pull, Stream } from "effect"
import type { Response } from "effect/ai"
import * as Content from "../core/Content.ts"

type Parts = Array.NonEmptyReadonlyArray<Response.StreamPartEncoded>

/** Holds parts back until the first content, and says when that is there. From then on it is the stream itself. */
export const held =
  (onContent: () => void) =>
  <E, R>(self: Stream.Stream<Response.StreamPartEncoded, E, R>): Stream.Stream<Response.StreamPartEncoded, E, R> =>
    Stream.transformPull(self, (pull) =>
      Effect.sync(() => {
        let frame: ReadonlyArray<Response.StreamPartEncoded> | undefined = []
        const untilContent: Pull.Pull<Parts, E> = Effect.flatMap(pull, (parts) => {
          const framed = Array.appendAll(frame ?? [], parts)
          if (!parts.some(Content.isContent)) {
            frame = framed
            return untilContent
          }
          frame = undefined
          onContent()
          return Effect.succeed(framed)
        })
        const orWhatIsHeld = Pull.catchDone(untilContent, (): Pull.Pull<Parts, E> => {
          const rest = frame ?? []
          frame = undefined
          return Array.isReadonlyArrayNonEmpty(rest) ? Effect.succeed(rest) : Cause.done()
        })
        return Effect.suspend(() => (frame === undefined ? pull : orWhatIsHeld))
      })
    )
