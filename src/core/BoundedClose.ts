/**
 * Closes what belongs to others, such as the connection of a driver, without waiting for it for ever.
 *
 * A driver that wants its last answers before it closes waits as long as its server is silent. Effect's `NodeRedis` does:
 * with a command on its way to a frozen server it closes when that answers, and with one in its queue when the connection
 * was lost it never closes, even when the server is back.
 */
import { type Context, type Duration, Effect, Fiber, Layer, Option, Scope } from "effect"
import * as OptionCheck from "./OptionCheck.ts"

export interface Options<A> {
  /** How long the layer may take to close. Default 1 second. */
  readonly limit?: Duration.Input | undefined
  /** Ends by force what has not closed by then. Default: it goes on closing with nobody to wait for it. */
  readonly abandon?: Effect.Effect<unknown, never, A> | undefined
}

export const defaults = { limit: "1 second" } as const

/**
 * Closes a layer within a limit. Put it around the layer that connects, inside of those that use the connection.
 *
 * **Example**
 *
 * ```ts run
 * import { NodeRedis } from "@effect/platform-node"
 * import { Effect, Layer } from "effect"
 * import { BoundedClose } from "holdfast/core"
 *
 * const redis = BoundedClose.layer(NodeRedis.layer({ url: "redis://localhost:6379", disableOfflineQueue: true }), {
 *   abandon: Effect.map(NodeRedis.NodeRedis, ({ client }) => client.destroy())
 * })
 * Layer.isLayer(redis) // => true
 * ```
 */
export const layer = <A, E, R>(self: Layer.Layer<A, E, R>, options: Options<NoInfer<A>> = {}): Layer.Layer<A, E, R> => {
  const check = OptionCheck.of("BoundedClose")
  check.fields(options, { limit: true, abandon: true })
  const { abandon, limit = defaults.limit } = options
  const limitMillis = check.millis("limit", limit, { atLeast: 0 })
  if (abandon !== undefined && !Effect.isEffect(abandon)) check.reject("abandon", "an Effect", abandon)
  return Layer.fromBuildMemo((memoMap, outer) =>
    Effect.gen(function* () {
      let built: Context.Context<A> | undefined
      const late = Effect.suspend(() =>
        built === undefined || abandon === undefined ? Effect.void : Effect.provideContext(abandon, built)
      )
      const inner = yield* Scope.provide(scope(limitMillis, late), outer)
      return yield* Effect.map(Layer.buildWithMemoMap(self, memoMap, inner), (context) => (built = context))
    })
  )
}

/**
 * Makes a scope that closes with the present one, which waits no longer than `limitMillis` for that and then runs `late`.
 */
export const scope = (
  limitMillis: number,
  late: Effect.Effect<unknown> = Effect.void
): Effect.Effect<Scope.Scope, never, Scope.Scope> =>
  Effect.gen(function* () {
    const inner = Scope.makeUnsafe()
    yield* Effect.addFinalizer((exit) =>
      Effect.gen(function* () {
        const close = Scope.closeUnsafe(inner, exit)
        if (close === undefined) return
        // The only fiber that may have no owner in the end: what never closes cannot be waited for, nor be interrupted.
        const closing = yield* Effect.forkDetach(close, { startImmediately: true })
        const closedAtOnce = closing.pollUnsafe()
        if (closedAtOnce !== undefined) return yield* closedAtOnce
        const closed = yield* Effect.timeoutOption(Fiber.await(closing), limitMillis)
        if (Option.isSome(closed)) return yield* closed.value
        yield* Effect.logWarning(`what was to close within ${limitMillis} ms has not, and is left to itself`)
        yield* late
      })
    )
    return inner
  })
