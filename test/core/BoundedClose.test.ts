import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import { BoundedClose } from "holdfast/core"

class Connection extends Context.Service<Connection, { readonly id: number }>()("test/Connection") {}

/** A connection that takes so long to close, and what became of it. */
const closing = (takes: Effect.Effect<void>) => {
  const seen = { made: 0, closed: 0, abandoned: 0 }
  const self = Layer.effect(
    Connection,
    Effect.acquireRelease(
      Effect.sync(() => ({ id: ++seen.made })),
      () =>
        Effect.andThen(
          takes,
          Effect.sync(() => void seen.closed++)
        )
    )
  )
  const abandon = Effect.map(Connection, ({ id }) => void (seen.abandoned = id))
  return { seen, layer: BoundedClose.layer(self, { limit: "200 millis", abandon }) }
}

const quiet = Effect.provide(Logger.layer([]))

describe("BoundedClose.layer", () => {
  it.effect("waits for what closes in time", () =>
    Effect.gen(function* () {
      const { layer, seen } = closing(Effect.sleep("199 millis"))
      const user = yield* Effect.forkChild(Effect.provide(Connection, layer))
      yield* TestClock.adjust("198 millis")
      assert.isUndefined(user.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(user)
      assert.deepStrictEqual(seen, { made: 1, closed: 1, abandoned: 0 })
    }).pipe(quiet)
  )

  it.effect("abandons what does not, and waits no longer, also when it is interrupted meanwhile", () =>
    Effect.gen(function* () {
      const { layer, seen } = closing(Effect.never)
      const user = yield* Effect.forkChild(Effect.provide(Connection, layer))
      yield* TestClock.adjust("100 millis")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(user))
      yield* TestClock.adjust("99 millis")
      assert.deepStrictEqual([seen.abandoned, user.pollUnsafe()], [0, undefined])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(seen, { made: 1, closed: 0, abandoned: 1 })
    }).pipe(quiet)
  )

  it.effect("is built once where it is used twice, as any layer", () =>
    Effect.gen(function* () {
      const { layer, seen } = closing(Effect.void)
      const once = Layer.effectDiscard(Connection).pipe(Layer.provide(layer))
      const twice = Layer.effectDiscard(Connection).pipe(Layer.provide(layer))
      yield* Effect.scoped(Layer.build(Layer.mergeAll(once, twice)))
      assert.deepStrictEqual(seen, { made: 1, closed: 1, abandoned: 0 })
    })
  )

  it.effect("fails as its layer fails", () =>
    Effect.gen(function* () {
      const failing = Layer.effect(Connection, Effect.fail("no"))
      assert.strictEqual(yield* Effect.flip(Effect.scoped(Layer.build(BoundedClose.layer(failing)))), "no")
    })
  )

  it("rejects a limit that makes no sense", () => {
    assert.throws(() => BoundedClose.layer(Layer.empty, { limit: -1 }), RangeError, "BoundedClose option limit")
  })
})

describe("BoundedClose.scope", () => {
  it.effect("passes on what a finalizer dies of", () =>
    Effect.gen(function* () {
      const outer = yield* Scope.make()
      const inner = yield* Scope.provide(BoundedClose.scope(100), outer)
      yield* Scope.addFinalizer(inner, Effect.die("bug"))
      assert.deepStrictEqual(yield* Effect.exit(Scope.close(outer, Exit.void)), Exit.die("bug"))
    })
  )
})
