import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, References, Schedule } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { CircuitBreaker as Circuits } from "effect/persistence"
import { PolicyReason } from "holdfast/core"
import { CircuitBreaker } from "holdfast/policy"
import * as threadClock from "../sockets/threadClock.ts"
import * as RedisServer from "./redisServer.ts"
import { type Answer, failure, request, scripted } from "./scripted.ts"

/** A Redis server of our own, and the layer that reaches it. */
const redis = Effect.map(RedisServer.start, (server) => ({
  store: Circuits.layerStoreRedis().pipe(Layer.provide(RedisServer.connection(server.url))),
  fails: { gone: server.stop, frozen: server.freeze },
  comesBack: { gone: server.restart, frozen: server.thaw }
}))

/** What one process has: a connection and a breaker of its own. */
const processOf = Effect.fnUntraced(function* <E>(
  store: Layer.Layer<Circuits.CircuitBreakerStore, E>,
  shared: CircuitBreaker.SharedOptions = {}
) {
  const script: [Answer] = [{}]
  const { provider, seen } = scripted(script)
  const connected = yield* Effect.retry(Layer.build(Layer.fresh(store)), {
    schedule: Schedule.spaced("20 millis"),
    times: 200
  })
  const policy = CircuitBreaker.shared({ consecutive: 2, open: "1 second", ...shared })
  const guarded = yield* Effect.provideContext(policy(provider), connected)
  const options = yield* request
  const generate = guarded.generateText(options).pipe(
    Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator),
    Effect.match({
      onSuccess: () => "ok",
      onFailure: (error) => Option.match(PolicyReason.of(error), { onNone: () => "failed", onSome: ({ _tag }) => _tag })
    })
  )
  return { seen, generate, answers: (answer: Answer) => void (script[0] = answer) }
})

// A client whose server goes away says so in the log.
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const down = failure(new AiError.InternalProviderError({ description: "down" }))

describe.skipIf(RedisServer.isLeftOut)("CircuitBreaker.shared over Redis (needs redis-server)", () => {
  it.live("opens for all processes when one opens, and lets one call of all probe", () =>
    Effect.gen(function* () {
      const { store } = yield* redis
      const patient = { storeTimeout: "5 seconds" } as const
      const first = yield* processOf(store, patient)
      const second = yield* processOf(store, patient)
      first.answers({ error: down })
      assert.deepStrictEqual([yield* first.generate, yield* first.generate], ["failed", "failed"])
      assert.deepStrictEqual([yield* second.generate, second.seen.calls], ["CircuitOpen", 0])
      yield* Effect.sleep("1100 millis")
      first.answers({ delay: 300 })
      second.answers({ delay: 300 })
      const probes = yield* Effect.all([first.generate, second.generate], { concurrency: 2 })
      assert.deepStrictEqual(probes.toSorted(), ["CircuitOpen", "ok"])
      assert.deepStrictEqual(yield* Effect.all([first.generate, second.generate]), ["ok", "ok"])
    }).pipe(Effect.scoped, quietly)
  )

  it.live.each(["gone", "frozen"] as const)("lets calls go on within 100 ms while Redis is %s", (how) =>
    Effect.gen(function* () {
      const { comesBack, fails, store } = yield* redis
      const first = yield* processOf(store)
      const second = yield* processOf(store)
      assert.strictEqual(yield* first.generate, "ok")
      yield* fails[how]
      const [took, outcome] = yield* threadClock.timed(first.generate)
      assert.strictEqual(outcome, "ok")
      assert.isBelow(took, 100)
      first.answers({ error: down })
      assert.deepStrictEqual(
        [yield* first.generate, yield* first.generate, yield* first.generate],
        ["failed", "failed", "CircuitOpen"]
      )
      assert.strictEqual(yield* second.generate, "ok")
      yield* comesBack[how]
      yield* Effect.sleep("3 seconds")
      second.answers({ error: down })
      assert.deepStrictEqual([yield* second.generate, yield* second.generate], ["failed", "failed"])
      assert.strictEqual(yield* first.generate, "CircuitOpen")
    }).pipe(Effect.scoped, quietly)
  )
})
