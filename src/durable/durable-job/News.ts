/**
 * Waits for something to be true of a job in a store. Signals wake it up; where they are lost it looks again by itself.
 */
import { Duration, Effect, Fiber, Option, Stream } from "effect"
import type { JobStoreError } from "../JobStoreError.ts"
import type { Store } from "../JobStore.ts"

/** How long a signal may be waited for before one looks again. */
const poll = Duration.seconds(1)

/** Looks until there is something. */
export const until = <A, E>(
  store: Store,
  id: string,
  look: Effect.Effect<Option.Option<A>, E | JobStoreError>
): Effect.Effect<A, E | JobStoreError> =>
  Effect.gen(function* () {
    for (;;) {
      // Heard from before the look on, so that nothing comes between.
      const news = yield* Effect.forkChild(heardOf(store, id), { startImmediately: true })
      const found = yield* Effect.onExit(look, (exit) =>
        exit._tag === "Success" && Option.isNone(exit.value) ? Effect.void : Fiber.interrupt(news)
      )
      if (Option.isSome(found)) return found.value
      yield* Fiber.join(news)
    }
  })

const heardOf = (store: Store, id: string): Effect.Effect<void> =>
  store.signals.pipe(
    Stream.filter((signal) => "id" in signal && signal.id === id),
    Stream.take(1),
    Stream.runDrain,
    Effect.timeoutOption(poll),
    Effect.asVoid
  )
