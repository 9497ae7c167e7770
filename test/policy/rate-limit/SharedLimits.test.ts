import { assert, describe, it } from "@effect/vitest"
import { NodeRedis } from "@effect/platform-node"
import { Clock, Context, Duration, Effect, Fiber, Layer, Logger, Option, References } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Caller, Deadline, PolicyHealth, PolicyReason } from "holdfast/core"
import { RateLimit } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import * as threadClock from "../../sockets/threadClock.ts"
import * as Redis from "../redisServer.ts"
import { failure, request } from "../scripted.ts"

type Store = RateLimiter.RateLimiterStore["Service"]

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

// A client whose server goes away says so in the log.
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

type Options = NonNullable<Parameters<typeof RateLimit.shared>[0]>

/** What one process has: a limiter of its own on a store, and a provider that notes when it was called. */
const processOn = Effect.fnUntraced(function* (
  store: Store,
  options: Options,
  answer: (n: number) => Effect.Effect<void, AiError.AiError> = () => Effect.void
) {
  const sent: Array<number> = []
  const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
  const provider: Pick<ModelProvider.ModelProvider, "name" | "model" | "generateText"> = {
    name: "shared",
    model: "m",
    generateText: () => Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.as(answer(sent.push(now)), []))
  }
  const limited = yield* RateLimit.shared(options)({ ...provider, streamText: () => assert.fail("no stream") }).pipe(
    Effect.provideService(RateLimiter.RateLimiterStore, store),
    Effect.provideService(PolicyHealth.Registry, registry)
  )
  const call = ids(limited.generateText(yield* request))
  const health = Effect.map(Effect.all(registry), ([health]) => (health?._tag === "RateLimit" ? health : undefined))
  return { call, sent, health }
})

/** A store, and under which keys it is asked. */
const noting = (store: Store) => {
  const keys = new Set<string>()
  return {
    keys,
    store: {
      ...store,
      tokenBucket: ((options) => (keys.add(options.key), store.tokenBucket(options))) satisfies typeof store.tokenBucket
    }
  }
}

const many = <A, E, R>(call: Effect.Effect<A, E, R>, count: number) =>
  Effect.replicateEffect(call, count, { concurrency: "unbounded", discard: true })

const perSecond = (limit: number, burst = limit) => ({ requests: { limit, window: "1 second" as const }, burst })

/** One process is told to wait for five seconds: the calls of another one wait for so long, and no longer. */
const pausesAll = (store: Store) =>
  Effect.gen(function* () {
    const busy = failure(new AiError.RateLimitError({ retryAfter: Duration.seconds(5) }))
    const a = yield* processOn(store, perSecond(10), (n) => (n === 1 ? busy : Effect.void))
    const b = yield* processOn(store, perSecond(10))
    yield* Effect.flip(a.call)
    yield* TestClock.adjust(0)
    const all = yield* Effect.forkChild(many(b.call, 3))
    yield* TestClock.adjust("4900 millis")
    assert.deepStrictEqual(b.sent, [])
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(all)
    assert.strictEqual(b.sent.length, 3)
  })

describe("RateLimit.shared", () => {
  const inMemory = Effect.provide(RateLimiter.RateLimiterStore, RateLimiter.layerStoreMemory)

  it.effect("keeps one limit for all processes on a store", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const [a, b] = [yield* processOn(store, perSecond(10)), yield* processOn(store, perSecond(10))]
      const all = yield* Effect.forkChild(Effect.all([many(a.call, 15), many(b.call, 15)], { concurrency: 2 }))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(all)
      const sent = [...a.sent, ...b.sent].toSorted((x, y) => x - y)
      for (const [index, first] of sent.entries()) {
        for (const [more, at] of sent.slice(index).entries()) assert.isAtMost(more + 1, 10 + (at - first) / 100 + 1e-9)
      }
      assert.deepStrictEqual([sent.length, sent.at(-1)], [30, 2_000])
    })
  )

  it.effect("lets a call go at once that needs more than there is room for, when nobody went before", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const limits = { tokens: { limit: 100, window: "10 seconds" as const }, maxWait: "1 second" as const }
      const estimate = () => ({ inputTokens: 40, outputTokens: 60 })
      const [a, b] = [
        yield* processOn(store, { ...limits, estimate }),
        yield* processOn(store, { ...limits, maxWait: "1 minute", estimate })
      ]
      yield* a.call
      // The next one waits for all that the first one took.
      const next = yield* Effect.forkChild(b.call)
      yield* TestClock.adjust("9900 millis")
      assert.deepStrictEqual([a.sent, b.sent], [[0], []])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(next)
    })
  )

  it.effect("counts a request when its tokens let it go, not while it waits for them", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const using = (inputTokens: number) =>
        processOn(store, {
          requests: { limit: 1, window: "1 second" },
          tokens: { limit: 1_000, window: "10 seconds" },
          estimate: () => ({ inputTokens, outputTokens: 0 })
        })
      const [first, second, third] = [yield* using(400), yield* using(100), yield* using(1)]
      yield* first.call
      // Both wait for tokens until about 4,000, when their turns by requests alone would be over for long.
      const waiting = [yield* Effect.forkChild(second.call)]
      yield* TestClock.adjust("2 seconds")
      waiting.push(yield* Effect.forkChild(third.call))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.joinAll(waiting)
      assert.deepStrictEqual([first.sent, second.sent, third.sent], [[0], [4_000], [5_000]])
    })
  )

  it.effect("lets nothing go while the provider asked to wait, not even who has a place in the store", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const slow: typeof store = { ...store, tokenBucket: (options) => Effect.delay(store.tokenBucket(options), 20) }
      const busy = failure(new AiError.RateLimitError({ retryAfter: Duration.seconds(5) }))
      const a = yield* processOn(slow, perSecond(10), (n) => (n === 1 ? Effect.delay(busy, 10) : Effect.void))
      const all = yield* Effect.forkChild(many(Effect.exit(a.call), 2))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(a.sent, [20])
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(all)
      assert.strictEqual(a.sent.length, 2)
    })
  )

  it.effect("lets the others pause as well when one was rejected", () =>
    Effect.gen(function* () {
      yield* pausesAll(yield* inMemory)
    })
  )

  it.effect("gives back what was not used, of tokens and of calls that left while they waited", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const options = {
        tokens: { limit: 100, window: "1 second" as const },
        estimate: () => ({ inputTokens: 100, outputTokens: 0 })
      }
      const [a, b] = [yield* processOn(store, options), yield* processOn(store, options)]
      yield* a.call
      const waiting = yield* Effect.forkChild(b.call)
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(b.sent, [])
      yield* Fiber.interrupt(waiting)
      const late = yield* Effect.flip(b.call).pipe(Effect.provideService(Deadline.Current, 150))
      assert.strictEqual(Option.getOrThrow(PolicyReason.of(late))._tag, "DeadlineTooNear")
      const next = yield* Effect.forkChild(b.call)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(next)
      assert.deepStrictEqual(b.sent, [1_000])
    })
  )

  it.effect("gives back the tokens of a call that was rejected", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const options = {
        tokens: { limit: 100, window: "1 minute" as const },
        estimate: () => ({ inputTokens: 10, outputTokens: 0 })
      }
      const busy = failure(new AiError.RateLimitError({ retryAfter: Duration.millis(1) }))
      const a = yield* processOn(store, options, () => busy)
      const b = yield* processOn(store, options)
      yield* Effect.flip(a.call)
      yield* TestClock.adjust(0)
      yield* b.call
      assert.deepStrictEqual(b.sent, [0])
    })
  )

  it.effect("counts the wait before it asked the store as a part of the longest", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const options = { ...perSecond(1), maxWait: "1500 millis" } as const
      const [a, b] = [yield* processOn(store, options), yield* processOn(store, options)]
      yield* a.call
      yield* TestClock.adjust("1 second")
      yield* b.call
      const late = yield* Effect.forkChild(Effect.flip(b.call))
      const next = yield* Effect.forkChild(a.call)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(next)
      const reason = Option.getOrThrow(PolicyReason.of(yield* Fiber.join(late)))
      assert.strictEqual(reason._tag, "RateLimited")
    })
  )

  type Answer = ReturnType<Store["tokenBucket"]>

  /** A store in memory that says something else about one limit. */
  const odd = (say: (real: Answer) => Answer) =>
    Effect.map(inMemory, (store): Store => ({
      ...store,
      tokenBucket: (options) =>
        options.key.includes("odd") ? say(store.tokenBucket(options)) : store.tokenBucket(options)
    }))
  const asOdd = Caller.as({ tenant: "odd" })
  const perTenant = { ...perSecond(1), perTenant: true, maxWait: 0 } as const
  const left = (level: unknown, elapsed: unknown = 0) => Effect.succeed([level, elapsed] as never)

  it.effect.each<[string, (real: Answer) => Answer]>([
    ["a debt of thousands of years", () => left(-1e12)],
    ["a debt beyond all numbers", () => left(-Infinity)],
    ["no number", () => left(NaN)],
    ["a text", () => left("-5")],
    ["a time that is none", () => left(0, -1e12)],
    ["half an answer", () => Effect.succeed([-5] as never)],
    ["nothing", () => Effect.succeed(undefined as never)],
    ["a value of another kind", () => Effect.fail(new RateLimiter.RateLimiterError({ reason: noAnswer }))],
    ["what makes its driver throw", () => assert.fail("a bug")]
  ])("goes by the limits of this process where the store holds %s, and by the store for all others", ([, say]) =>
    Effect.gen(function* () {
      const store = yield* odd(say)
      const [a, b] = [yield* processOn(store, perTenant), yield* processOn(store, perTenant)]
      yield* asOdd(a.call)
      yield* asOdd(b.call)
      assert.strictEqual(Option.getOrThrow(PolicyReason.of(yield* Effect.flip(asOdd(a.call))))._tag, "RateLimited")
      assert.strictEqual((yield* a.health)?.storeAvailable, true)
      yield* a.call
      yield* TestClock.adjust(0)
      assert.strictEqual(Option.getOrThrow(PolicyReason.of(yield* Effect.flip(b.call)))._tag, "RateLimited")
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("lets a limit off a debt that nobody can have made, and keeps it together from then on", () =>
    Effect.gen(function* () {
      const { keys, store } = noting(yield* inMemory)
      const [a, b] = [yield* processOn(store, perSecond(1)), yield* processOn(store, perSecond(1))]
      yield* a.call
      yield* TestClock.adjust("1 second")
      for (const key of keys) {
        yield* store.tokenBucket({ key, tokens: 1e15, limit: 1, refillRate: Duration.seconds(1), allowOverflow: true })
      }
      yield* b.call
      const next = yield* Effect.forkChild(a.call)
      yield* TestClock.adjust("900 millis")
      assert.deepStrictEqual([a.sent, b.sent], [[0], [1_000]])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(next)
    }).pipe(Effect.provide(Logger.layer([])))
  )

  it.effect("pauses others for as long as one was told to, and no longer, whatever the store says is left", () =>
    Effect.gen(function* () {
      const store = yield* inMemory
      const rich: Store = {
        ...store,
        tokenBucket: (options) => (options.tokens === 0 ? left(1e15) : store.tokenBucket(options))
      }
      yield* pausesAll(rich)
    })
  )
})

const noAnswer = new RateLimiter.RateLimitStoreError({ message: "WRONGTYPE" })

describe.skipIf(Redis.isLeftOut)("RateLimit.shared over Redis (needs redis-server)", () => {
  const connected = (url: string) => {
    const store = RateLimiter.layerStoreRedis({ prefix: "test:" }).pipe(Layer.provide(Redis.connection(url)))
    return Effect.flatMap(Layer.build(Layer.fresh(store)), (context) =>
      Effect.provideContext(RateLimiter.RateLimiterStore, context)
    )
  }

  it.live("keeps one limit for all processes, and paces them together", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.start
      const patient = { ...perSecond(20, 5), storeTimeout: "5 seconds" } as const
      const [a, b] = [
        yield* processOn(yield* connected(url), patient),
        yield* processOn(yield* connected(url), patient)
      ]
      // The store counts from its first answer, which may be long before the first request is sent.
      const start = yield* Clock.currentTimeMillis
      yield* Effect.all([many(a.call, 15), many(b.call, 15)], { concurrency: 2 })
      const sent = [...a.sent, ...b.sent].toSorted((x, y) => x - y)
      // 5 at once, 25 at 20 a second.
      const took = (sent.at(-1) ?? NaN) - start
      assert.isAtLeast(took, 1_250)
      assert.isAtMost(took, 4_000)
      assert.isAtMost(sent.filter((at) => at - start < 20).length, 6)
      assert.isAbove(Math.min(a.sent.length, b.sent.length), 0)
    }).pipe(Effect.scoped)
  )

  it.live.each(["gone", "frozen"] as const)("goes on alone within 100 ms while Redis is %s, and comes back", (how) =>
    Effect.gen(function* () {
      const server = yield* Redis.start
      const { call, health } = yield* processOn(yield* connected(server.url), perSecond(100, 10))
      yield* call
      yield* how === "gone" ? server.stop : server.freeze
      // Each asks the store anew. The best of them counts: this machine may be busy with other things.
      const asked = yield* Effect.replicateEffect(Effect.delay(threadClock.timed(call), "1100 millis"), 3)
      assert.isBelow(Math.min(...asked.map(([millis]) => millis)), 100)
      assert.strictEqual((yield* health)?.storeAvailable, false)
      // Its own limits hold meanwhile: 10 at once, of which some are gone, and then 100 a second.
      const [all] = yield* threadClock.timed(many(call, 30))
      assert.isBelow(all, 2_000)
      yield* how === "gone" ? server.restart : server.thaw
      const isBack = Effect.map(health, (limits) => limits?.storeAvailable === true)
      yield* Effect.repeat(Effect.delay(Effect.andThen(call, isBack), "1100 millis"), { until: (back) => back })
    }).pipe(Effect.scoped, quietly)
  )

  it.live("believes nothing that others have put in the place of a limit", () =>
    Effect.gen(function* () {
      const { url } = yield* Redis.start
      const { keys, store } = noting(yield* connected(url))
      const patient = { ...perSecond(100), storeTimeout: "5 seconds", maxWait: 0 } as const
      const { call, health, sent } = yield* processOn(store, patient)
      yield* call
      const { client } = Context.get(yield* Layer.build(Redis.connection(url)), NodeRedis.NodeRedis)
      for (const key of keys) {
        yield* Effect.promise(() => client.mSet([`test:${key}`, "-1e15", `test:${key}:refill`, "abc"]))
      }
      yield* call
      for (const key of keys) {
        yield* Effect.promise(() => client.multi().del(`test:${key}`).rPush(`test:${key}`, "a list").exec())
      }
      yield* call
      assert.deepStrictEqual([sent.length, (yield* health)?.storeAvailable], [3, true])
    }).pipe(Effect.scoped, quietly)
  )
})
