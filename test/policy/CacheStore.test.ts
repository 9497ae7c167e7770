import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Logger } from "effect"
import type { Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { CacheStore } from "../../src/policy/CacheStore.ts"

const silent: Persistence.BackingPersistenceStore = {
  get: () => Effect.never,
  getMany: () => Effect.never,
  set: () => Effect.never,
  setMany: () => Effect.never,
  remove: () => Effect.never,
  clear: Effect.never
}

describe("CacheStore", () => {
  it.effect("has one timer for all that ask in the same moment", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let timers = 0
      const counting: Clock.Clock = {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        currentTimeMillis: clock.currentTimeMillis,
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
        currentTimeNanos: clock.currentTimeNanos,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        monotonicTimeNanos: clock.monotonicTimeNanos,
        sleep: (duration) => Effect.suspend(() => (timers++, clock.sleep(duration)))
      }
      const lease = { take: () => Effect.never, release: () => Effect.never }
      const settings = { timeoutMillis: 100, retryMillis: 60_000, leaseMillis: 1_000 }
      const store = new CacheStore(silent, lease, settings, yield* Effect.scope)
      yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.forkChild(store.get("key"))).pipe(
        Effect.provideService(Clock.Clock, counting)
      )
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(timers, 1)
      yield* TestClock.adjust("50 millis")
      assert.isFalse(store.available)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )
})
