/**
 * Tells policies of a response's headers as soon as they are there, long before the `finish` part brings them.
 *
 * A provider that sees them calls {@link received}; a policy that wants to hear provides a {@link Listener} to its call,
 * made with {@link heardBy}, so that listeners further out hear too.
 */
import { Context, Effect } from "effect"

/** Header names in lower case. */
export type Headers = Readonly<Record<string, string>>

/** Who hears of the headers of calls in the present fiber. */
export const Listener = Context.Reference<((headers: Headers) => void) | undefined>("holdfast/core/ResponseHeaders", {
  defaultValue: () => undefined
})

/** Tells the listeners around a call. */
export const received = (headers: Headers): Effect.Effect<void> =>
  Effect.map(Listener, (listener) => listener?.(headers))

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
