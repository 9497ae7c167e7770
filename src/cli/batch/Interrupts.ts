/**
 * Turns Ctrl-C into two effects: the first asks to stop, the second insists.
 */
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"

export interface Interrupts {
  /** Completes at the first SIGINT or SIGTERM. */
  readonly first: Effect.Effect<void>
  /** Completes at the second. */
  readonly second: Effect.Effect<void>
}

/** Listens to the process's signals for the current scope; meanwhile they do not end the process by themselves. */
export const listen: Effect.Effect<Interrupts, never, Scope.Scope> = Effect.gen(function* () {
  const first = yield* Deferred.make<void>()
  const second = yield* Deferred.make<void>()
  const onSignal = () => {
    if (!Deferred.doneUnsafe(first, Effect.void)) Deferred.doneUnsafe(second, Effect.void)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      for (const signal of signals) process.on(signal, onSignal)
    }),
    () =>
      Effect.sync(() => {
        for (const signal of signals) process.off(signal, onSignal)
      })
  )
  return { first: Deferred.await(first), second: Deferred.await(second) }
})

const signals = ["SIGINT", "SIGTERM"] as const
