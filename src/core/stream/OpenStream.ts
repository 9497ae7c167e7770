/**
 * Opens streams that are decided on when they are first read.
 */
import { Channel, Effect, Scope, Stream } from "effect"

/**
 * Makes a stream of an effect that gives one, which it runs when the stream is opened.
 *
 * As `Stream.unwrap`, but free for the parts: that looks at each pull whether it is the first.
 */
export const unwrap = <A, E, R, E2, R2>(
  effect: Effect.Effect<Stream.Stream<A, E, R>, E2, R2>
): Stream.Stream<A, E | E2, R | Exclude<R2, Scope.Scope>> =>
  Stream.fromChannel(
    Channel.fromTransform((upstream, scope) =>
      Effect.flatMap(Scope.provide(effect, scope), ({ channel }) => Channel.toTransform(channel)(upstream, scope))
    )
  )
