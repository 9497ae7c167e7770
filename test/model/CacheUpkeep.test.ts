import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Layer, Logger, Scope } from "effect"
import { AiError, LanguageModel } from "effect/ai"
import { TestClock } from "effect/testing"
import { CacheUpkeep, Model } from "holdfast/model"
import { ResponseCache } from "holdfast/policy"
import { Job, Supervisor } from "holdfast/supervisor"
import { LeakDetector } from "holdfast/testing"
import { type Answer, failure, scripted } from "../policy/scripted.ts"
import { settle } from "../supervisor/settle.ts"

const quiet = Logger.layer([])
const world = Effect.provide(Layer.mergeAll(Supervisor.layer(), NodeFileSystem.layer, quiet))

/** Moves time in small steps, so that everything due happens on its way. */
const pass = (seconds: number) => Effect.replicateEffect(Effect.andThen(TestClock.adjust("1 second"), settle), seconds)

/** A cache, a model around it, and what the model was asked. */
const cachedModel = Effect.fnUntraced(function* (
  timeToLive: "1 minute" | "1 hour",
  script: ReadonlyArray<Answer> = [{}]
) {
  const cache = yield* ResponseCache.make({ timeToLive })
  const { provider, seen } = scripted(script)
  const model = yield* Layer.build(Model.layer({ provider, policies: [cache.policy] }))
  const ask = (prompt: string) => Effect.provideContext(LanguageModel.generateText({ prompt }), model)
  return { cache, ask, seen }
})

describe("CacheUpkeep", () => {
  it.effect("drops what has expired", () =>
    Effect.gen(function* () {
      const { ask, cache } = yield* cachedModel("1 minute")
      yield* CacheUpkeep.run(cache)
      yield* ask("a")
      yield* pass(30)
      assert.strictEqual((yield* cache.stats).entries, 1)
      yield* pass(91)
      assert.strictEqual((yield* cache.stats).entries, 0)
    }).pipe(Effect.scoped, world)
  )

  it.effect("keeps wanted answers fresh, so that callers always find them", () =>
    Effect.gen(function* () {
      const { ask, cache, seen } = yield* cachedModel("1 minute")
      yield* CacheUpkeep.run(cache, { warm: { calls: [ask("a"), ask("b")], every: "40 seconds" } })
      yield* pass(1)
      assert.strictEqual(seen.calls, 2)
      for (let minute = 0; minute < 3; minute++) {
        yield* pass(60)
        const before = seen.calls
        yield* ask("a")
        yield* ask("b")
        assert.strictEqual(seen.calls, before)
      }
    }).pipe(Effect.scoped, world)
  )

  it.effect("makes the other calls when one fails, and shows that the round failed", () =>
    Effect.gen(function* () {
      const { ask, cache, seen } = yield* cachedModel("1 hour")
      const calls = [Effect.fail(failure(new AiError.InternalProviderError({ description: "no" }))), ask("a")]
      const jobs = yield* CacheUpkeep.run(cache, { warm: { calls } })
      yield* pass(1)
      assert.strictEqual(seen.calls, 1)
      const warming = jobs.at(-1) ?? (yield* Effect.die("no job"))
      assert.deepInclude((yield* Job.status(warming)).rounds, { started: 1, failed: 1 })
    }).pipe(Effect.scoped, world)
  )

  it.live("carries the cache over a restart, also what came since the last snapshot", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/cache.jsonl`
      const first = yield* cachedModel("1 hour")
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* CacheUpkeep.run(first.cache, { snapshot: { path } })
          yield* first.ask("a")
        })
      )
      const second = yield* cachedModel("1 hour")
      yield* CacheUpkeep.run(second.cache, { snapshot: { path } })
      yield* second.ask("a")
      assert.deepStrictEqual([first.seen.calls, second.seen.calls], [1, 0])
    }).pipe(Effect.scoped, world)
  )

  it.live("does not start over a snapshot that it cannot read", () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const { cache } = yield* cachedModel("1 hour")
      const folder = yield* fs.makeTempDirectoryScoped()
      const error = yield* Effect.flip(CacheUpkeep.run(cache, { snapshot: { path: folder } }))
      assert.strictEqual(error._tag, "PlatformError")
      assert.deepStrictEqual(yield* Supervisor.list(), [])
    }).pipe(Effect.scoped, world)
  )

  it.effect("rejects options that make no sense", () =>
    Effect.gen(function* () {
      const { cache } = yield* cachedModel("1 hour")
      for (const concurrency of [0, 1.5, Number.NaN]) {
        assert.throws(() => CacheUpkeep.run(cache, { warm: { calls: [], concurrency } }), RangeError, "concurrency")
      }
      assert.throws(() => CacheUpkeep.run(cache, { unusedFor: -1 }), RangeError, "unusedFor")
    }).pipe(Effect.scoped, world)
  )

  it.effect("ends with its scope, in the middle of a round, and leaves nothing behind", () =>
    Effect.gen(function* () {
      const { ask, cache, seen } = yield* cachedModel("1 hour", [{ delay: 60_000 }])
      const detector = yield* LeakDetector.make
      const scope = yield* Scope.make()
      yield* detector.watch(
        Effect.gen(function* () {
          yield* CacheUpkeep.run(cache, { warm: { calls: [ask("a")] } }).pipe(Scope.provide(scope))
          yield* pass(5)
          assert.strictEqual(seen.open, 1)
          yield* Scope.close(scope, Exit.void)
        })
      )
      assert.strictEqual(seen.open, 0)
      assert.deepStrictEqual(yield* Supervisor.list({ state: "running" }), [])
      assert.strictEqual(yield* detector.liveFibers, 0)
    }).pipe(Effect.scoped, world)
  )
})
