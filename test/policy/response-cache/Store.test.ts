import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Logger, Metric, Scope } from "effect"
import type { Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { SeededScheduler } from "holdfast/testing"
import { CacheStore } from "../../../src/policy/response-cache/Store.ts"

/** A store that never answers, and takes so long to let go of a question. */
const silent = (lettingGoMillis = 0) => {
  const seen = { open: 0 }
  const ask = Effect.acquireUseRelease(
    Effect.sync(() => seen.open++),
    () => Effect.never,
    () =>
      Effect.andThen(
        Effect.sleep(lettingGoMillis),
        Effect.sync(() => seen.open--)
      )
  )
  const never = () => ask
  const store: Persistence.BackingPersistenceStore = {
    get: never,
    getMany: never,
    set: never,
    setMany: never,
    remove: never,
    clear: ask
  }
  const lease = { take: never, release: never }
  const settings = { timeoutMillis: 100, retryMillis: 60_000, leaseMillis: 1_000, maxEntryBytes: 1_000 }
  return { seen, make: Effect.map(Effect.scope, (scope) => new CacheStore(store, lease, settings, scope)) }
}

describe("CacheStore", () => {
  it("has no fiber left when its scope has closed", () => {
    const closing = Effect.suspend(() => {
      let live = 0
      const counter = { recordFiberStart: () => void live++, recordFiberEnd: () => void live-- }
      const using = Effect.flatMap(silent().make, (store) => store.releaseLease("key", "me"))
      return Effect.map(Effect.scoped(Effect.provideService(using, Metric.FiberRuntimeMetrics, counter)), () => live)
    })
    for (let seed = 0; seed < 3_000; seed++) {
      assert.deepStrictEqual(SeededScheduler.run(closing, { seed }).exit, Exit.succeed(0), `seed ${seed}`)
    }
  })

  it.effect("keeps nobody who asks when its scope closes, however long its driver takes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { make, seen } = silent(10_000)
      const store = yield* Scope.provide(make, scope)
      const asking = yield* Effect.forkChild(store.get("key"))
      yield* Effect.yieldNow
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual([yield* Fiber.join(asking), seen.open], [undefined, 1])
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(seen.open, 0)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it("has let go of the store when one who asks is interrupted, wherever the fibers are preempted", () => {
    const program = Effect.gen(function* () {
      const { make, seen } = silent()
      const store = yield* make
      const asking = yield* Effect.forkChild(store.get("key"))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(asking)
      yield* Effect.sleep("1 second")
      return seen.open
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
    const outcomes = SeededScheduler.points(program).map((preempt) =>
      String(SeededScheduler.run(program, { preempt }).exit)
    )
    assert.deepStrictEqual([...new Set(outcomes)], [String(Exit.succeed(0))])
  })

  it("gives up a question that is asked while it stops looking, wherever the fibers are preempted", () => {
    const program = Effect.gen(function* () {
      const { make } = silent()
      const store = yield* make
      // The first is left at once, so that nobody waits any more when the looking stops, at 100 ms.
      yield* Fiber.interrupt(yield* Effect.forkChild(store.get("first"), { startImmediately: true }))
      yield* Effect.sleep("100 millis")
      yield* store.get("second")
      return yield* Clock.currentTimeMillis
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
    const outcomes = SeededScheduler.points(program).map((preempt) =>
      String(SeededScheduler.run(program, { preempt }).exit)
    )
    assert.deepStrictEqual([...new Set(outcomes)], [String(Exit.succeed(200))])
  })
})
