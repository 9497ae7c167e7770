import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, FileSystem, Latch, Layer, Logger, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { CallTrail, Deadline } from "holdfast/core"
import { ResponseCache } from "holdfast/policy"
import { LeakDetector, SeededScheduler } from "holdfast/testing"
import * as Monotonic from "../../src/core/Monotonic.ts"
import { cacheMark } from "./cacheMark.ts"
import { asking, failure, request, scripted, text } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const memoryStore = Effect.provide(Persistence.layerBackingMemory)
const quiet = Logger.layer([])

const hour = { timeToLive: "1 hour" } as const

/** Moves time in small steps, so that everything due happens on its way. */
const pass = (millis: number) => Effect.replicateEffect(TestClock.adjust("5 millis"), millis / 5)

/** A store that can stop answering, or refuse. */
const moody = Effect.gen(function* () {
  const inner = yield* (yield* Persistence.BackingPersistence).make("inner")
  const thawed = yield* Latch.make(true)
  const mood = { gone: false, asked: 0, thawed }
  const gone = Effect.fail(new Persistence.PersistenceError({ message: "gone" }))
  const ask = <A>(effect: Effect.Effect<A, Persistence.PersistenceError>) =>
    Effect.suspend(() => {
      mood.asked++
      if (mood.gone) return gone
      // Drivers do not always let go when they are interrupted.
      return Effect.andThen(Effect.uninterruptible(thawed.await), effect)
    })
  const store: Persistence.BackingPersistenceStore = {
    get: (key) => ask(inner.get(key)),
    getMany: (keys) => ask(inner.getMany(keys)),
    set: (key, value, ttl) => ask(inner.set(key, value, ttl)),
    setMany: (entries) => ask(inner.setMany(entries)),
    remove: (key) => ask(inner.remove(key)),
    clear: ask(inner.clear)
  }
  return { mood, layer: Layer.succeed(Persistence.BackingPersistence, { make: () => Effect.succeed(store) }) }
})

describe("ResponseCache.shared", () => {
  it.effect("gives one process the answer another had, and from then on from memory", () =>
    Effect.gen(function* () {
      const one = scripted([{}])
      const other = scripted([{}])
      const options = yield* request
      yield* Effect.scoped(
        Effect.flatMap(ResponseCache.shared(hour)(one.provider), (it) => it.generateText(options)).pipe(
          Effect.forkChild({ startImmediately: true }),
          Effect.tap(() => pass(50)),
          Effect.flatMap(Fiber.join)
        )
      )
      const cached = yield* ResponseCache.shared(hour)(other.provider)
      const first = yield* cached.generateText(options)
      const second = yield* cached.generateText(options)
      assert.deepStrictEqual([one.seen.calls, other.seen.calls], [1, 0])
      assert.deepStrictEqual(
        [cacheMark(first), cacheMark(second)],
        [
          { ageMillis: 40, tier: "shared", stale: false },
          { ageMillis: 40, tier: "memory", stale: false }
        ]
      )
    }).pipe(Effect.scoped, memoryStore, ids)
  )

  it.effect("carries streams with their framing", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{}])
      const options = yield* request
      const drain = Effect.flatMap(ResponseCache.shared(hour)(provider), (it) =>
        Stream.runDrain(it.streamText(options))
      )
      const fiber = yield* Effect.forkChild(Effect.scoped(drain))
      yield* pass(50)
      yield* Fiber.join(fiber)
      const cached = yield* ResponseCache.shared(hour)(provider)
      const sizes: Array<number> = []
      yield* Stream.runForEachArray(cached.streamText(options), (parts) => Effect.sync(() => sizes.push(parts.length)))
      assert.deepStrictEqual(sizes, [1, 1, 1, 1, 1])
    }).pipe(Effect.scoped, memoryStore, ids)
  )

  it.effect("lets one of many processes make the call, and the others wait for its answer", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 700 }])
      const options = yield* request
      const process = Effect.scoped(
        Effect.flatMap(ResponseCache.shared(hour)(provider), (it) => it.generateText(options))
      )
      const fibers = yield* Effect.replicateEffect(Effect.forkChild(process), 10)
      yield* pass(1_000)
      yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(seen.calls, 1)
    }).pipe(memoryStore, ids)
  )

  it.effect("lets the next process make the call when the first fails", () =>
    Effect.gen(function* () {
      const error = failure(new AiError.InternalProviderError({ description: "no" }))
      const { provider, seen } = scripted([{ error, delay: 500 }, { delay: 500 }])
      const options = yield* request
      const process = Effect.scoped(
        Effect.flatMap(ResponseCache.shared(hour)(provider), (it) => it.generateText(options))
      )
      const fibers = yield* Effect.replicateEffect(Effect.forkChild(Effect.exit(process)), 3)
      yield* pass(2_000)
      const exits = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual([seen.calls, exits.filter(Exit.isFailure).length], [2, 1])
    }).pipe(memoryStore, ids)
  )

  it.effect("waits for another process no longer than the lease, and leaves no fiber when interrupted", () =>
    Effect.gen(function* () {
      const slow = scripted([{ delay: 60_000 }])
      const quick = scripted([{}])
      const options = yield* request
      const first = yield* ResponseCache.shared({ ...hour, leaseFor: "2 seconds" })(slow.provider)
      const second = yield* ResponseCache.shared({ ...hour, leaseFor: "2 seconds" })(quick.provider)
      const one = yield* Effect.forkChild(first.generateText(options))
      yield* pass(100)
      const other = yield* Effect.forkChild(second.generateText(options))
      yield* pass(1_500)
      assert.strictEqual(quick.seen.calls, 0)
      yield* pass(1_000)
      assert.strictEqual(quick.seen.calls, 1)
      yield* Fiber.join(other)
      yield* Fiber.interrupt(one)
      assert.strictEqual(slow.seen.open, 0)
    }).pipe(Effect.scoped, memoryStore, ids)
  )

  it("waits half of a call's time for another process, whatever fraction of a moment that is", () => {
    const slow = scripted([{ delay: 10_000 }])
    const own = scripted([{}])
    const program = Effect.gen(function* () {
      const options = yield* request
      const [first, second] = yield* Effect.forEach([slow, own], ({ provider }) => ResponseCache.shared(hour)(provider))
      yield* Effect.forkScoped(first?.generateText(options) ?? Effect.void)
      yield* Effect.sleep(1_000)
      const now = yield* Monotonic.millis
      // Half of it is no whole number of nanoseconds, which is what a clock tells.
      yield* Effect.provideService(second?.generateText(options) ?? Effect.void, Deadline.Current, now + 100.000001)
      return (yield* Monotonic.millis) - now
    }).pipe(Effect.scoped, memoryStore, ids)
    const { exit } = SeededScheduler.run(program, { seed: 1, maxSteps: 100_000 })
    assert.closeTo(Exit.isSuccess(exit) ? exit.value : assert.fail(String(exit)), 50, 1)
    assert.strictEqual(own.seen.calls, 1)
  })

  it.effect("interrupted while it waits for another process, leaves nothing behind", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 5_000 }])
      const options = yield* request
      const first = yield* ResponseCache.shared(hour)(provider)
      const second = yield* ResponseCache.shared(hour)(provider)
      const one = yield* Effect.forkChild(first.generateText(options))
      yield* pass(100)
      const detector = yield* LeakDetector.make
      yield* detector.watch(
        Effect.gen(function* () {
          const other = yield* Effect.forkChild(second.generateText(options))
          yield* pass(500)
          yield* Fiber.interrupt(other)
        })
      )
      yield* pass(200)
      assert.strictEqual(yield* detector.liveFibers, 0)
      yield* pass(5_000)
      yield* Fiber.join(one)
      assert.strictEqual(seen.calls, 1)
    }).pipe(Effect.scoped, memoryStore, ids)
  )

  it.effect("gives the lease back when its call is interrupted", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 60_000 }, {}])
      const options = yield* request
      const cached = yield* ResponseCache.shared(hour)(provider)
      const first = yield* Effect.forkChild(cached.generateText(options))
      yield* pass(100)
      yield* Fiber.interrupt(first)
      const second = yield* Effect.forkChild(cached.generateText(options))
      yield* pass(200)
      yield* Fiber.join(second)
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, memoryStore, ids)
  )

  it.effect.each(["frozen", "gone"] as const)(
    "goes on within 50 ms when the store is %s, and uses it again later",
    (state) =>
      Effect.gen(function* () {
        const { layer, mood } = yield* moody
        const { provider, seen } = scripted([{}])
        const cached = yield* Effect.provide(ResponseCache.shared(hour)(provider), layer)
        const trail = new CallTrail.Recorder()
        if (state === "gone") mood.gone = true
        else yield* mood.thawed.close
        const call = yield* Effect.forkChild(
          Effect.provideService(cached.generateText(yield* request), CallTrail.Current, trail)
        )
        yield* TestClock.adjust("50 millis")
        yield* Fiber.join(call)
        assert.deepStrictEqual(
          trail.trail.decisions.map(({ decision }) => decision._tag),
          ["CacheMissed", "CacheUnavailable"]
        )
        // From now on nobody pays for it, and memory serves.
        assert.deepInclude(cacheMark(yield* cached.generateText(yield* request)), { tier: "memory" })
        yield* cached.generateText(yield* asking("another"))
        // One that refuses was asked once more, whether it is there at all.
        assert.deepStrictEqual([seen.calls, mood.asked], [2, state === "gone" ? 2 : 1])
        mood.gone = false
        yield* mood.thawed.open
        yield* pass(1_500)
        const later = yield* Effect.forkChild(cached.generateText(yield* asking("later")))
        yield* pass(50)
        yield* Fiber.join(later)
        const stored = yield* Effect.provide(ResponseCache.shared(hour)(scripted([]).provider), layer)
        assert.deepInclude(cacheMark(yield* stored.generateText(yield* asking("later"))), { tier: "shared" })
      }).pipe(Effect.scoped, memoryStore, ids, Effect.provide(quiet))
  )

  it.effect("closes within a second while the store does not let go of what it was asked", () =>
    Effect.gen(function* () {
      const { layer, mood } = yield* moody
      yield* mood.thawed.close
      const used = Effect.gen(function* () {
        const cached = yield* ResponseCache.shared(hour)(scripted([{}]).provider)
        yield* cached.generateText(yield* request)
      })
      const using = yield* Effect.forkChild(Effect.provide(Effect.scoped(used), layer))
      yield* TestClock.adjust("50 millis")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(using.pollUnsafe(), Exit.void)
    }).pipe(Effect.scoped, memoryStore, ids, Effect.provide(quiet))
  )

  it.live("is empty after it was cleared, although a call read it meanwhile", () =>
    Effect.gen(function* () {
      const inner = yield* (yield* Persistence.BackingPersistence).make("inner")
      const { promise: cleared, resolve } = Promise.withResolvers<void>()
      const slow: Persistence.BackingPersistenceStore = {
        get: (key) => inner.get(key),
        getMany: (keys) => inner.getMany(keys),
        set: (key, value, ttl) => inner.set(key, value, ttl),
        setMany: (entries) => inner.setMany(entries),
        remove: (key) => inner.remove(key),
        clear: Effect.andThen(
          Effect.promise(() => cleared),
          inner.clear
        )
      }
      const layer = Layer.succeed(Persistence.BackingPersistence, { make: () => Effect.succeed(slow) })
      const { provider, seen } = scripted([{}])
      const cache = yield* Effect.provide(ResponseCache.makeShared(hour), layer)
      const cached = yield* cache.policy(provider)
      const ask = cached.generateText(yield* request)
      yield* ask
      const clearing = yield* Effect.forkChild(cache.clear, { startImmediately: true })
      yield* ask
      resolve()
      yield* Fiber.join(clearing)
      assert.deepStrictEqual([seen.calls, (yield* cache.stats).entries], [1, 0])
      yield* ask
      assert.strictEqual(seen.calls, 2)
    }).pipe(Effect.scoped, memoryStore, ids, Effect.provide(quiet))
  )

  it.effect("takes what it cannot read for missing, and stays with the store", () =>
    Effect.gen(function* () {
      const options = yield* request
      const broken = Layer.succeed(Persistence.BackingPersistence, {
        make: () =>
          Effect.succeed<Persistence.BackingPersistenceStore>({
            get: (key) =>
              key.startsWith("lease:")
                ? Effect.undefined
                : Effect.fail(new Persistence.PersistenceError({ message: "no", cause: new SyntaxError("no JSON") })),
            getMany: (keys) => Effect.succeed(keys.map(() => ({})) as never),
            set: () => Effect.void,
            setMany: () => Effect.void,
            remove: () => Effect.void,
            clear: Effect.void
          })
      })
      const { provider, seen } = scripted([{}])
      const cache = yield* Effect.provide(ResponseCache.makeShared({ ...hour, leaseFor: "20 millis" }), broken)
      const cached = yield* cache.policy(provider)
      const call = yield* Effect.forkChild(cached.generateText(options))
      yield* pass(500)
      yield* Fiber.join(call)
      assert.deepStrictEqual([seen.calls, (yield* cache.stats).storeAvailable], [1, true])
    }).pipe(Effect.scoped, ids)
  )

  it.effect("refreshes a stale answer in one process only", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{}, { delay: 500 }])
      const options = yield* request
      const stale = { timeToLive: "1 minute", staleFor: "1 hour" } as const
      const one = yield* ResponseCache.shared(stale)(provider)
      const other = yield* ResponseCache.shared(stale)(provider)
      const first = yield* Effect.forkChild(one.generateText(options))
      yield* pass(50)
      yield* Fiber.join(first)
      yield* other.generateText(options)
      yield* TestClock.adjust("2 minutes")
      assert.deepInclude(cacheMark(yield* one.generateText(options)), { stale: true })
      assert.deepInclude(cacheMark(yield* other.generateText(options)), { stale: true })
      yield* pass(2_000)
      assert.strictEqual(seen.calls, 2)
      assert.deepInclude(cacheMark(yield* one.generateText(options)), { stale: false })
      assert.deepInclude(cacheMark(yield* other.generateText(options)), { stale: false })
    }).pipe(Effect.scoped, memoryStore, ids)
  )
})

describe("ResponseCache.whenReachable", () => {
  it.effect("says so when a store can never be made, and calls go on", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => void logged.push(`${logLevel}: ${String(message)}`))
      const broken = Layer.effect(Persistence.BackingPersistence, Effect.die("a bug"))
      const { provider, seen } = scripted([{}])
      yield* Effect.flatMap(ResponseCache.shared(hour)(provider), (it) =>
        Effect.flatMap(request, it.generateText)
      ).pipe(
        Effect.tap(pass(10)),
        Effect.provide(ResponseCache.whenReachable(broken)),
        Effect.provide(Logger.layer([logger]))
      )
      assert.strictEqual(seen.calls, 1)
      assert.isTrue(
        logged.some((line) => line.startsWith("Error: the cache's store cannot be made")),
        logged.join()
      )
    }).pipe(Effect.scoped, ids)
  )
})

describe("a snapshot of ResponseCache", () => {
  const path = Effect.flatMap(FileSystem.FileSystem, (fs) =>
    Effect.map(fs.makeTempDirectoryScoped(), (folder) => `${folder}/cache.jsonl`)
  )
  const filled = Effect.gen(function* () {
    const cache = yield* ResponseCache.make(hour)
    const cached = yield* cache.policy(scripted([{}]).provider)
    yield* cached.generateText(yield* asking("a"))
    yield* Stream.runDrain(cached.streamText(yield* asking("b")))
    return cache
  })
  const files = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    self.pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer), ids, Effect.provide(quiet))

  it.effect("carries answers over a restart", () =>
    Effect.gen(function* () {
      const file = yield* path
      assert.strictEqual(yield* (yield* filled).save(file), 2)
      const { provider, seen } = scripted([{}])
      const cache = yield* ResponseCache.make(hour)
      assert.strictEqual(yield* cache.load(file), 2)
      const cached = yield* cache.policy(provider)
      yield* cached.generateText(yield* asking("a"))
      assert.deepStrictEqual(
        (yield* Stream.runCollect(cached.streamText(yield* asking("b")))).slice(0, -1),
        text("ok").slice(0, -1)
      )
      assert.strictEqual(seen.calls, 0)
    }).pipe(files)
  )

  it.effect("is readable for its owner only, and leaves nothing else in its folder", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = yield* path
      const cache = yield* filled
      yield* cache.save(file)
      yield* cache.save(file)
      assert.strictEqual((yield* fs.stat(file)).mode & 0o777, 0o600)
      assert.deepStrictEqual(yield* fs.readDirectory(file.replace("/cache.jsonl", "")), ["cache.jsonl"])
    }).pipe(files)
  )

  it.effect("brings nothing back that has expired or that is older than what is there", () =>
    Effect.gen(function* () {
      const file = yield* path
      const cache = yield* filled
      yield* cache.save(file)
      yield* TestClock.adjust("1 minute")
      const cached = yield* cache.policy(scripted([{ parts: text("newer") }]).provider)
      yield* ResponseCache.refresh(cached.generateText(yield* asking("a")))
      assert.strictEqual(yield* cache.load(file), 0)
      assert.deepInclude(cacheMark(yield* cached.generateText(yield* asking("a"))), { ageMillis: 0 })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* (yield* ResponseCache.make(hour)).load(file), 0)
    }).pipe(files)
  )

  it.effect("that is damaged gives what is whole; one of another version, or none, gives nothing", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = yield* path
      yield* (yield* filled).save(file)
      const whole = yield* fs.readFileString(file)
      yield* fs.writeFileString(file, whole.slice(0, -20))
      assert.strictEqual(yield* (yield* ResponseCache.make(hour)).load(file), 1)
      for (const date of ["1e999", '"today"']) {
        yield* fs.writeFileString(file, whole.replace(/(?<="storedAtMillis":)\d+/, date))
        assert.strictEqual(yield* (yield* ResponseCache.make(hour)).load(file), 1, date)
      }
      const small = yield* ResponseCache.make({ ...hour, maxEntryBytes: 150 })
      assert.strictEqual(yield* small.load(file), 0)
      yield* fs.writeFileString(file, whole.replace('"version":1', '"version":0'))
      assert.strictEqual(yield* (yield* ResponseCache.make(hour)).load(file), 0)
      assert.strictEqual(yield* (yield* ResponseCache.make(hour)).load(`${file}.not`), 0)
    }).pipe(files)
  )

  it.effect("that cannot be written says so and leaves the one before", () =>
    Effect.gen(function* () {
      const cache = yield* filled
      const error = yield* Effect.flip(cache.save("/nowhere/cache.jsonl"))
      assert.strictEqual(error._tag, "PlatformError")
    }).pipe(files)
  )
})
