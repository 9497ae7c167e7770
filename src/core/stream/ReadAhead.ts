/**
 * Reads a stream a little further than its reader has come: a queue between the fiber that reads it and the one that asks.
 */
import { Effect, Queue } from "effect"

/** Parts that may wait for a slow reader; when they do, the stream is not read further. */
export const most = 16

export const make = <A, E>(): Effect.Effect<Queue.Queue<A, E>> => Queue.bounded(most)

/** Puts parts into the queue at once, and gives an effect that waits where there is no room for them. */
export const offer = <A, E>(queue: Queue.Queue<A, E>, parts: ReadonlyArray<A>): Effect.Effect<unknown> => {
  const [first] = parts
  // Most come one by one and find room, which need not cost a step of the fiber.
  const isIn = first !== undefined && parts.length === 1 && Queue.offerUnsafe(queue, first)
  return isIn ? Effect.void : Queue.offerAll(queue, parts)
}
