/** What is one tenant's is no other's, however they are called. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, References } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { CircuitBreaker as Circuits, RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Caller, PolicyHealth } from "holdfast/core"
import { CircuitBreaker, RateLimit, ResponseCache, SingleFlight, SpendBudget } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import * as RedisServer from "./redisServer.ts"
import { type Answer, failure, request, scripted } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

/** Pairs of parties that a careless key would take for one. */
const pairs: ReadonlyArray<readonly [one: Party, other: Party]> = [
  [["m", "free"], ["m:free"]],
  [["m", "free"], ["m#free"]],
  [
    ["m", "a:b"],
    ["m:a", "b"]
  ],
  [
    ["m", "a#b"],
    ["m#a", "b"]
  ],
  [
    ["m", "x\ud800"],
    ["m", "x\ud801"]
  ],
  [
    ["m", "x\ud800"],
    ["m", "x\ufffd"]
  ],
  [["m", ""], ["m"]],
  [
    ["m", "__proto__"],
    ["m", "constructor"]
  ]
]
type Party = readonly [model: string, tenant?: string]

const named = (provider: ModelProvider.ModelProvider, [model]: Party) => ({ ...provider, model })

const asks = (provider: ModelProvider.ModelProvider, tenant: string | undefined) =>
  Effect.flatMap(request, (options) => Caller.as({ tenant })(provider.generateText(options))).pipe(ids, Effect.exit)

const oneAnHour = { requests: { limit: 1, window: "1 hour" }, burst: 1, maxWait: 0, perTenant: true } as const

const apart = <R>(
  policy: (next: ModelProvider.ModelProvider) => Effect.Effect<ModelProvider.ModelProvider, never, R>,
  script: ReadonlyArray<Answer>
) =>
  Effect.forEach(pairs, ([one, other], at) =>
    Effect.gen(function* () {
      const { provider, seen } = scripted(script)
      const unique: ModelProvider.ModelProvider = { ...provider, name: `p${at}` }
      yield* asks(yield* policy(named(unique, one)), one[1])
      const exit = yield* asks(yield* policy(named(unique, other)), other[1])
      return { pair: [one, other], served: Exit.isSuccess(exit), calls: seen.calls }
    })
  )

const assertApart = (found: ReadonlyArray<{ readonly pair: unknown; readonly served: boolean }>) =>
  assert.deepStrictEqual(
    found.filter(({ served }) => !served),
    []
  )

/** How many calls of so many tenants are let through, each of whom makes one in each round. */
const through = (provider: ModelProvider.ModelProvider, tenants: number, rounds: number) =>
  Effect.gen(function* () {
    const options = yield* request
    let passed = 0
    for (let call = 0; call < tenants * rounds; call++) {
      const exit = yield* Effect.exit(Caller.as({ tenant: `t${call % tenants}` })(provider.generateText(options)))
      if (Exit.isSuccess(exit)) passed++
    }
    return passed
  }).pipe(ids)

const down = failure(new AiError.InternalProviderError({ description: "down" }))

describe("tenants", () => {
  it.effect("have answers of their own in a cache, also when their names differ in halves of characters", () =>
    Effect.gen(function* () {
      const policy = yield* ResponseCache.make({ timeToLive: "1 hour" })
      assert.deepStrictEqual(
        (yield* apart(policy.policy, [{}])).map(({ calls }) => calls),
        pairs.map(() => 2)
      )
    })
  )

  it.live("have requests of their own when they ask the same at the same time", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 20 }])
      const shared = yield* SingleFlight.identical()(provider)
      const names = ["x\ud800", "x\ud801", "x\udc00", "x\ufffd", "", undefined]
      yield* Effect.forEach(names, (tenant) => asks(shared, tenant), { concurrency: "unbounded" })
      assert.strictEqual(seen.calls, names.length)
    })
  )

  it.effect("have budgets of their own, and so has nobody", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{}])
      const budget = yield* SpendBudget.make({ tokens: 1 })
      const bounded = yield* budget.policy(provider)
      const names = ["", "%", "__proto__", "constructor", "x\ud800", "x\ud801", undefined]
      const exits = yield* Effect.forEach(names, (tenant) => asks(bounded, tenant))
      assert.isTrue(exits.every(Exit.isSuccess))
      assert.strictEqual((yield* budget.spent("")).tokens, 2)
      assert.isTrue((yield* Effect.forEach(names, (tenant) => asks(bounded, tenant))).every(Exit.isFailure))
    })
  )

  it.effect.each([1_100, 10_000])("keep their limits, %s of them", (tenants) =>
    Effect.gen(function* () {
      const limited = yield* RateLimit.of(oneAnHour)(scripted([{}]).provider)
      assert.strictEqual(yield* through(limited, tenants, 2), tenants)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* through(limited, tenants, 1), tenants)
    })
  )

  it.effect("for whom there is no room have the limits together, and the others keep theirs", () =>
    Effect.gen(function* () {
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const limited = yield* RateLimit.of({ ...oneAnHour, maxKeys: 10 })(scripted([{}]).provider).pipe(
        Effect.provideService(PolicyHealth.Registry, registry)
      )
      assert.strictEqual(yield* through(limited, 1_000, 3), 11)
      const [health] = yield* Effect.all(registry)
      assert(health?._tag === "RateLimit")
      assert.deepStrictEqual([health.keys.length, health.keys.at(-1)?.key], [11, "scripted/m#"])
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Exit.isFailure(yield* asks(limited, "t999")))
      yield* TestClock.adjust("2 hours")
      assert.isTrue(Exit.isSuccess(yield* asks(limited, "t999")))
      assert.isTrue(Exit.isFailure(yield* asks(limited, "t999")))
    })
  )

  it.effect("cannot rid themselves of a limit by naming others", () =>
    Effect.gen(function* () {
      const limited = yield* RateLimit.of({ ...oneAnHour, maxKeys: 10 })(scripted([{}]).provider)
      assert.isTrue(Exit.isSuccess(yield* asks(limited, "mallory")))
      for (let round = 0; round < 5; round++) {
        yield* through(limited, 30, 1)
        assert.isTrue(Exit.isFailure(yield* asks(limited, "mallory")))
        yield* TestClock.adjust("10 minutes")
      }
    })
  )

  it.effect("keep their circuits open, however many there are, and a wrong key opens no circuit of others", () =>
    Effect.gen(function* () {
      const wrongKey = failure(new AiError.AuthenticationError({ kind: "InvalidKey" }))
      const script: Array<Answer> = [{ error: wrongKey }]
      const { provider, seen } = scripted(script)
      const guarded = yield* CircuitBreaker.perModel({ perTenant: true, maxKeys: 10 })(provider)
      yield* through(guarded, 10, 3)
      assert.strictEqual(seen.calls, 10)
      yield* through(guarded, 20, 2)
      assert.strictEqual(seen.calls, 30)
      script[0] = { error: down }
      yield* asks(guarded, "t15")
      for (let n = 0; n < 10; n++) yield* asks(guarded, `new ${n}`)
      assert.strictEqual(seen.calls, 35)
      script[0] = {}
      yield* TestClock.adjust("20 minutes")
      assert.strictEqual(yield* through(guarded, 20, 1), 20)
    })
  )

  it.effect("have rate limits of their own in a store", () =>
    Effect.map(apart(RateLimit.shared(oneAnHour), [{}]), assertApart).pipe(Effect.provide(RateLimiter.layerStoreMemory))
  )

  it.effect("have circuits of their own in a store", () =>
    Effect.map(
      apart(CircuitBreaker.shared({ perTenant: true, consecutive: 1 }), [{ error: down }, {}]),
      assertApart
    ).pipe(Effect.provide(Circuits.layerStoreMemory()))
  )

  describe.skipIf(RedisServer.isLeftOut)("over Redis (needs redis-server)", () => {
    const patient = { storeTimeout: "5 seconds" } as const

    it.live("have rate limits of their own", () =>
      Effect.gen(function* () {
        const { url } = yield* RedisServer.start
        const store = RateLimiter.layerStoreRedis().pipe(Layer.provide(RedisServer.connection(url)))
        assertApart(yield* apart(RateLimit.shared({ ...oneAnHour, ...patient }), [{}]).pipe(Effect.provide(store)))
      }).pipe(quietly)
    )

    it.live("have circuits of their own", () =>
      Effect.gen(function* () {
        const { url } = yield* RedisServer.start
        const store = Circuits.layerStoreRedis().pipe(Layer.provide(RedisServer.connection(url)))
        const policy = CircuitBreaker.shared({ perTenant: true, consecutive: 1, ...patient })
        assertApart(yield* apart(policy, [{ error: down }, {}]).pipe(Effect.provide(store)))
      }).pipe(quietly)
    )
  })
})
