/**
 * Tells policies of a response's headers as soon as they are there, long before the `finish` part brings them.
 *
 * A provider that sees them calls {@link received}; a policy that wants to hear provides a {@link Listener} to its call,
 * made with {@link heardBy}, so that listeners further out hear too.
 */
import { type Cause, Channel, Context, Effect, type Exit, type Scope, Stream } from "effect"
import type { NonEmptyReadonlyArray } from "effect/Array"

/** Header names in lower case. */
export type Headers = Readonly<Record<string, string>>

/** Who hears of the headers of calls in the present fiber. */
export const Listener = Context.Reference<((headers: Headers) => void) | undefined>("holdfast/core/ResponseHeaders", {
  defaultValue: () => undefined
})

/** Tells the listeners around a call. */
export const received = (headers: Headers): Effect.Effect<void> =>
  Effect.withFiberSucceed((fiber) => fiber.getRef(Listener)?.(headers))

/** The listener to provide so that `hear` is told before the listeners further out. */
export const heardBy = (
  outer: ((headers: Headers) => void) | undefined,
  hear: (headers: Headers) => void
): ((headers: Headers) => void) =>
  outer === undefined
    ? hear
    : (headers) => {
        hear(headers)
        outer(headers)
      }

/**
 * Opens a stream in the present scope, with a listener until its first part is there, and shows how each pull ended: a
 * context that is provided costs more than many a part.
 */
export const whileOpening = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  listener: (outer: ((headers: Headers) => void) | undefined) => ((headers: Headers) => void) | undefined,
  see: (exit: Exit.Exit<NonEmptyReadonlyArray<A>, E | Cause.Done>) => void
): Effect.Effect<Stream.Stream<A, E, R>, never, R | Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const listening = Effect.updateService(Listener, listener)
    const pull = yield* listening(Channel.toPullScoped(Stream.toChannel(self), scope))
    let isOpen = false
    const seen = Effect.onExitPrimitive(pull, (exit) => {
      isOpen = true
      see(exit)
      return undefined
    })
    const first = listening(seen)
    return Stream.fromPull(Effect.succeed(Effect.suspend(() => (isOpen ? seen : first))))
  })
