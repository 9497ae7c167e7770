import { connect } from "node:net"
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Redacted, References, Scope, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { Persistence } from "effect/persistence"
import { ResponseCache } from "holdfast/policy"
import * as threadClock from "../sockets/threadClock.ts"
import { cacheMark } from "./cacheMark.ts"
import * as RedisServer from "./redisServer.ts"
import { type Answer, asking, failure, request, scripted, text } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
// A client whose server goes away says so in the log.
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const hour = { timeToLive: "1 hour" } as const

/** What one process has: a connection and a cache of its own, and a provider. */
const processOf = Effect.fnUntraced(function* <E>(
  backing: Layer.Layer<Persistence.BackingPersistence, E>,
  script: ReadonlyArray<Answer>,
  options: Partial<ResponseCache.SharedOptions> = {}
) {
  const { provider, seen } = scripted(script)
  const context = yield* Layer.build(Layer.fresh(backing))
  const cache = yield* Effect.provideContext(ResponseCache.makeShared({ ...hour, ...options }), context)
  return { seen, cache, cached: yield* cache.policy(provider) }
})

type Process = Effect.Success<ReturnType<typeof processOf>>

/** Waits until a cache asks its store again. */
const isBack = ({ cache }: Process) =>
  Effect.repeat(Effect.delay(cache.stats, "50 millis"), { until: ({ storeAvailable }) => storeAvailable })

/** Waits until one process finds in the store what the other asked for just before. */
const shares = (one: Process, other: Process) => {
  let asked = 0
  const attempt = Effect.gen(function* () {
    const call = yield* asking(`shared ${asked++}`)
    yield* one.cached.generateText(call)
    yield* other.cached.generateText(call)
  })
  return Effect.repeat(attempt, { until: () => other.seen.calls < asked })
}

const callsIn = (processes: ReadonlyArray<Process>) => processes.reduce((sum, { seen }) => sum + seen.calls, 0)

/** What every store has to do. One whose leases can let two through when it is slow may try more than once. */
const suite = <E>(
  backing: Effect.Effect<Layer.Layer<Persistence.BackingPersistence, E>, never, Scope.Scope>,
  tries: number
) => {
  const storeId = () => `cache-test-${process.pid}-${Math.random()}`

  it.live("gives one process what another asked for, streams with their framing", () =>
    Effect.gen(function* () {
      const options = { storeId: storeId(), storeTimeout: "5 seconds" } as const
      const layer = yield* backing
      const one = yield* processOf(layer, [{ parts: text("hi") }], options)
      const other = yield* processOf(layer, [], options)
      yield* one.cached.generateText(yield* asking("whole"))
      yield* Stream.runDrain(one.cached.streamText(yield* asking("streamed")))
      assert.deepInclude(cacheMark(yield* other.cached.generateText(yield* asking("whole"))), { tier: "shared" })
      const parts = yield* Stream.runCollect(other.cached.streamText(yield* asking("streamed")))
      assert.deepStrictEqual(parts.slice(0, -1), text("hi").slice(0, -1))
      assert.deepStrictEqual([one.seen.calls, other.seen.calls], [2, 0])
      yield* one.cache.clear
    }).pipe(Effect.scoped, ids, quietly)
  )

  it.live("lets one of many processes make a call that all miss", () =>
    Effect.gen(function* () {
      const options = { storeId: storeId(), storeTimeout: "5 seconds" } as const
      const layer = yield* backing
      const processes = yield* Effect.replicateEffect(processOf(layer, [{ delay: 300 }], options), 5)
      const callsOf = Effect.fnUntraced(function* (prompt: string) {
        const call = yield* asking(prompt)
        const before = callsIn(processes)
        yield* Effect.forEach(processes, ({ cached }) => cached.generateText(call), { concurrency: "unbounded" })
        return callsIn(processes) - before
      })
      const calls = yield* Effect.forEach(
        Array.from({ length: tries }, (_, n) => `question ${n}`),
        callsOf
      )
      assert.strictEqual(Math.min(...calls), 1, String(calls))
      yield* processes[0]?.cache.clear ?? Effect.void
    }).pipe(Effect.scoped, ids, quietly)
  )

  it.live("lets the next make it when the first fails", () =>
    Effect.gen(function* () {
      const options = { storeId: storeId(), storeTimeout: "5 seconds" } as const
      const layer = yield* backing
      const error = failure(new AiError.InternalProviderError({ description: "no" }))
      const one = yield* processOf(layer, [{ delay: 200, error }], options)
      const other = yield* processOf(layer, [{}], options)
      const call = yield* request
      const failing = yield* Effect.forkChild(one.cached.generateText(call))
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => one.seen.calls === 1 })
      yield* other.cached.generateText(call)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(failing)))
      assert.deepStrictEqual([one.seen.calls, other.seen.calls], [1, 1])
      yield* other.cache.clear
    }).pipe(Effect.scoped, ids, quietly)
  )
}

const overRedis = (url: string) => Persistence.layerBackingRedis.pipe(Layer.provideMerge(RedisServer.connection(url)))

const redis = Effect.map(RedisServer.start, ({ url }) => overRedis(url))

describe.skipIf(RedisServer.isLeftOut)("ResponseCache over Redis (needs redis-server)", () => {
  suite(Effect.orDie(redis), 1)

  it.live("starts while Redis is away, and uses it when it is there", () =>
    Effect.gen(function* () {
      const server = yield* RedisServer.start
      yield* server.stop
      const layer = ResponseCache.whenReachable(overRedis(server.url), { retryAfter: "50 millis" })
      const one = yield* processOf(layer, [{}], { retryStoreAfter: "50 millis" })
      yield* one.cached.generateText(yield* asking("a"))
      assert.deepStrictEqual([one.seen.calls, (yield* one.cache.stats).storeAvailable], [1, false])
      yield* Effect.sleep("300 millis")
      yield* server.restart
      yield* isBack(one)
      yield* shares(one, yield* processOf(layer, [{}], { retryStoreAfter: "50 millis" }))
    }).pipe(Effect.scoped, Effect.timeout("15 seconds"), ids, quietly)
  )

  it.live.each(["gone", "frozen"] as const)(
    "goes on within 100 ms while Redis is %s, with what is in memory, and uses it again by itself",
    (how) =>
      Effect.gen(function* () {
        const server = yield* RedisServer.start
        const layer = overRedis(server.url)
        const one = yield* processOf(layer, [{}], { retryStoreAfter: "200 millis" })
        const { cache, cached, seen } = one
        const known = yield* asking("known")
        yield* cached.generateText(known)
        yield* isBack(one)

        yield* how === "gone" ? server.stop : server.freeze
        const [hitTook] = yield* threadClock.timed(cached.generateText(known))
        assert.isBelow(hitTook, 50)
        const [firstTook] = yield* threadClock.timed(cached.generateText(yield* asking("a")))
        assert.isBelow(firstTook, 100)
        const [nextTook] = yield* threadClock.timed(cached.generateText(yield* asking("b")))
        assert.isBelow(nextTook, 50)
        assert.deepInclude(cacheMark(yield* cached.generateText(yield* asking("b"))), { tier: "memory" })
        assert.deepStrictEqual([seen.calls, (yield* cache.stats).storeAvailable], [3, false])

        yield* how === "gone" ? server.restart : server.thaw
        yield* isBack(one)
        // Another's connection may take longer to come back, so this one is new.
        yield* shares(one, yield* processOf(layer, [{}]))
      }).pipe(Effect.scoped, Effect.timeout("15 seconds"), ids, quietly)
  )

  it.live.each(["gone", "frozen", "frozen, whatever its layer does"] as const)(
    "closes with what it asked still on its way while Redis is %s",
    (how) =>
      Effect.gen(function* () {
        const server = yield* RedisServer.start
        const unbounded = Persistence.layerBackingRedis.pipe(Layer.provide(NodeRedis.layer({ url: server.url })))
        const layer =
          how === "frozen, whatever its layer does" ? ResponseCache.whenReachable(unbounded) : overRedis(server.url)
        const scope = yield* Scope.make()
        const one = yield* Scope.provide(processOf(layer, [{}], { retryStoreAfter: "50 millis" }), scope)
        yield* one.cached.generateText(yield* asking("a"))
        yield* isBack(one)
        yield* how === "gone" ? server.stop : server.freeze
        yield* one.cached.generateText(yield* asking("b"))
        const [took] = yield* Effect.timed(Scope.close(scope, Exit.void))
        assert.isBelow(Duration.toMillis(took), 3_000)
      }).pipe(Effect.scoped, ids, quietly)
  )
})

const database = new URL(process.env["DATABASE_URL"] ?? "postgres://postgres@127.0.0.1:5432/postgres")
const hasPostgres = await new Promise<boolean>((resolve) => {
  const socket = connect(Number(database.port || 5432), database.hostname)
  socket.once("error", () => resolve(false))
  socket.once("connect", () => {
    socket.destroy()
    resolve(true)
  })
})

describe.skipIf(!hasPostgres && process.env["CI"] === undefined)("ResponseCache over SQL (needs PostgreSQL)", () => {
  const sql = Persistence.layerBackingSql.pipe(
    Layer.provide(PgClient.layer({ url: Redacted.make(database.href), maxConnections: 3 }))
  )
  suite(Effect.succeed(sql), 3)
})
