/**
 * Lets an application start while the server of its cache is away.
 */
import { Cause, Context, type Duration, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { Persistence } from "effect/persistence"
import * as BoundedClose from "../../core/BoundedClose.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"

const check = OptionCheck.of("whenReachable")

/** Every operation fails until there is a store. */
const away = Effect.fail(new Persistence.PersistenceError({ message: "the store has not been reached yet" }))

/**
 * Provides the store of a layer whose server need not be there yet: connects in the background, and again every
 * `retryAfter` until it is reached. Until then the store does not answer, which for a cache means memory only. It is
 * closed within a second, as by `BoundedClose.layer`.
 */
export const whenReachable = <E, R>(
  layer: Layer.Layer<Persistence.BackingPersistence, E, R>,
  options: { readonly retryAfter?: Duration.Input | undefined } = {}
): Layer.Layer<Persistence.BackingPersistence, never, R> => {
  check.fields(options, { retryAfter: true })
  const retryMillis = check.millis("retryAfter", options.retryAfter ?? "1 second")
  const closing = BoundedClose.layer(layer)
  return Layer.effect(
    Persistence.BackingPersistence,
    Effect.gen(function* () {
      // What a failed attempt has opened is closed before the next one.
      const attempt = Effect.acquireUseRelease(
        Scope.fork(yield* Effect.scope),
        (scope) => Layer.buildWithScope(Layer.fresh(closing), scope),
        (scope, exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit))
      )
      const connecting = yield* Effect.forkScoped(Effect.retry(attempt, Schedule.spaced(retryMillis)))
      return {
        make: Effect.fnUntraced(function* (storeId) {
          const scope = yield* Effect.scope
          let store: Persistence.BackingPersistenceStore | undefined
          yield* Fiber.join(connecting).pipe(
            Effect.flatMap((context) => Context.get(context, Persistence.BackingPersistence).make(storeId)),
            Effect.map((made) => {
              store = made
            }),
            Effect.provideService(Scope.Scope, scope),
            Effect.catchCause((cause) =>
              Cause.hasInterruptsOnly(cause)
                ? Effect.void
                : Effect.logError("the cache's store cannot be made; calls go on without it", cause)
            ),
            Effect.forkScoped
          )
          const use = <A>(
            ask: (reached: Persistence.BackingPersistenceStore) => Effect.Effect<A, Persistence.PersistenceError>
          ) => Effect.suspend(() => (store === undefined ? away : ask(store)))
          return {
            get: (key) => use((reached) => reached.get(key)),
            getMany: (keys) => use((reached) => reached.getMany(keys)),
            set: (key, value, ttl) => use((reached) => reached.set(key, value, ttl)),
            setMany: (entries) => use((reached) => reached.setMany(entries)),
            remove: (key) => use((reached) => reached.remove(key)),
            clear: use((reached) => reached.clear)
          }
        })
      }
    })
  )
}
