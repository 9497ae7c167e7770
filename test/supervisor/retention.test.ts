import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Deferred, Effect, Exit, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Job, JobError, Supervisor } from "holdfast/supervisor"
import { settle } from "./settle.ts"

const quiet = Logger.layer([])

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

describe("retention", () => {
  it.effect("drops records by age, by itself", () =>
    Effect.gen(function* () {
      yield* Supervisor.run(Effect.void)
      yield* TestClock.adjust("59 minutes")
      yield* settle
      assert.lengthOf(yield* Supervisor.list(), 1)
      yield* TestClock.adjust("61 seconds")
      yield* settle
      assert.lengthOf(yield* Supervisor.list(), 0)
      assert.strictEqual((yield* Effect.flip(Supervisor.get("job-1"))).reason._tag, "Expired")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("drops results earlier than records, except for who holds the handle", () =>
    Effect.gen(function* () {
      const first = yield* Supervisor.submit(Effect.succeed("large"))
      yield* Job.join(first)
      yield* Supervisor.run(Effect.void)
      assert.strictEqual((yield* Supervisor.get(first.id)).state, "completed")
      const exit = yield* Supervisor.await(first.id)
      assert(Exit.isFailure(exit))
      const error = Cause.squash(exit.cause)
      assert(error instanceof JobError.JobError)
      assert.strictEqual(error.reason._tag, "Expired")
      assert.strictEqual(yield* Job.join(first), "large")
    }).pipe(Effect.provide(Supervisor.layer({ retainResults: 1 })))
  )

  it.effect("takes nothing from who holds the handles of more jobs than are kept", () =>
    Effect.gen(function* () {
      const numbers = Array.from({ length: 20 }, (_, n) => n)
      const jobs = yield* Effect.forEach(numbers, (n) => Supervisor.submit(n < 10 ? Effect.succeed(n) : Effect.fail(n)))
      yield* Supervisor.awaitAll()
      assert.lengthOf(yield* Supervisor.list(), 2)
      assert.deepStrictEqual(yield* Effect.forEach(jobs.slice(0, 10), Job.join), numbers.slice(0, 10))
      assert.deepStrictEqual(
        yield* Effect.forEach(jobs.slice(10), (job) => Effect.flip(Job.join(job))),
        numbers.slice(10)
      )
    }).pipe(Effect.provide(Supervisor.layer({ retain: 2, retainBytes: 0 })), Effect.provide(quiet))
  )

  it.live.each([
    ["jobs", { kind: "job", idempotencyKey: "job" }],
    ["calls", { kind: "call" }]
  ] as const)("lets the memory of dropped results go, of %s", ([, options]) =>
    Effect.gen(function* () {
      const results: Array<WeakRef<object>> = []
      for (let n = 0; n < 50; n++) {
        const large = Effect.sync(() => {
          const result = { large: "x".repeat(1_000) }
          results.push(new WeakRef(result))
          return result
        })
        yield* Supervisor.run(large, "idempotencyKey" in options ? { ...options, idempotencyKey: `${n}` } : options)
      }
      yield* Effect.sleep(1)
      collectGarbage()
      assert.lengthOf(yield* Supervisor.list(), 50)
      assert.isAtMost(results.filter((result) => result.deref() !== undefined).length, 2)
    }).pipe(Effect.provide(Supervisor.layer({ retainResults: 1 })))
  )

  it.effect("goes on when it is to keep nothing of jobs that fail together", () =>
    Effect.gen(function* () {
      let seed = 7
      const next = (below: number) => {
        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
        return Math.floor((seed / 2_147_483_648) * below)
      }
      const rows = () => ({ rows: Array.from({ length: 300 + next(2_000) }, () => "x".repeat(next(40))) })
      for (let batch = 0; batch < 20; batch++) {
        for (let n = 0; n < 3 + (batch % 4); n++) yield* Supervisor.submit(Effect.suspend(() => Effect.fail(rows())))
        yield* Supervisor.awaitAll()
        yield* settle
      }
      assert.strictEqual((yield* Supervisor.counts).failed, 90)
    }).pipe(Effect.provide(Supervisor.layer({ retainBytes: 0 })), Effect.provide(quiet))
  )

  it.effect("keeps results after one whose size is unknown", () =>
    Effect.gen(function* () {
      class Unknown extends Map<string, string> {
        override get size(): number {
          return Number.NaN
        }
      }
      const results = [{ order: 1 }, new Unknown([["a", "b"]]), { order: 2 }]
      const ids = yield* Effect.forEach(results, (result) =>
        Effect.map(Supervisor.submit(Effect.succeed(result)), ({ id }) => id)
      )
      yield* Supervisor.awaitAll()
      for (const [n, id] of ids.entries()) assert.strictEqual(yield* Supervisor.join(id), results[n])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("drops on request what is old when upkeep is off", () =>
    Effect.gen(function* () {
      yield* Supervisor.run(Effect.void)
      yield* TestClock.adjust("2 hours")
      assert.lengthOf(yield* Supervisor.list(), 1)
      yield* Supervisor.prune
      assert.lengthOf(yield* Supervisor.list(), 0)
    }).pipe(Effect.provide(Supervisor.layer({ upkeepEvery: "Infinity" })))
  )

  it.effect("gives long lists page by page", () =>
    Effect.gen(function* () {
      yield* Effect.forEach(Array.from({ length: 10 }), (_, n) => Supervisor.run(Effect.void, { name: `${n}` }))
      const page = yield* Supervisor.list({ offset: 3, limit: 2 })
      assert.deepStrictEqual(
        page.map(({ name }) => name),
        ["3", "4"]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("health", () => {
  it.effect("counts the last minute, and what waits longest", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Effect.forEach(["ok", "no", "ok", "ok"], (end) =>
        Effect.exit(Supervisor.run(end === "ok" ? Effect.void : Effect.fail(end)))
      )
      yield* Supervisor.submit(Deferred.await(gate))
      yield* settle
      yield* Supervisor.submit(Effect.void)
      yield* TestClock.adjust("5 seconds")
      const health = yield* Supervisor.health
      assert.deepStrictEqual(health.lastMinute, { started: 5, succeeded: 3, failed: 1 })
      assert.deepStrictEqual(
        [health.errorRatio, health.oldestWaitingMillis, health.running, health.waiting],
        [0.25, 5_000, 1, 1]
      )
      assert.strictEqual(health.score, Math.round(100 - 50 * 0.25 - (20 * 1) / 10_000))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* Supervisor.health).errorRatio, 0)
      yield* Deferred.succeed(gate, undefined)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })), Effect.provide(quiet))
  )

  it.effect("names a job that ignores its interruption, and for how long", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const job = yield* Supervisor.submit(Effect.uninterruptible(Deferred.await(gate)), { name: "stubborn" })
      yield* settle
      yield* Effect.forkChild(Job.cancel(job))
      yield* settle
      assert.lengthOf((yield* Supervisor.health).stuck, 0)
      yield* TestClock.adjust("7 seconds")
      assert.deepStrictEqual((yield* Supervisor.health).stuck, [{ id: job.id, name: "stubborn", forMillis: 7_000 }])
      yield* Deferred.succeed(gate, undefined)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.live("measures how late the event loop is", () =>
    Effect.gen(function* () {
      yield* Effect.sleep("20 millis")
      const blockedUntil = performance.now() + 150
      while (performance.now() < blockedUntil);
      yield* Effect.sleep("1 millis")
      assert.isAbove((yield* Supervisor.health).eventLoopLagMillis, 50)
    }).pipe(Effect.provide(Supervisor.layer({ upkeepEvery: "50 millis" })))
  )
})

describe("layerConfig", () => {
  const withEnv = (env: Record<string, string>) =>
    Effect.gen(function* () {
      const { concurrency, maxPending } = yield* Supervisor.health
      return { concurrency, maxPending }
    }).pipe(
      Effect.provide(Supervisor.layerConfig({ maxPending: 7 })),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
    )

  it.effect("reads limits from the environment, over those given in code", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* withEnv({ HOLDFAST_CONCURRENCY: "3" }), { concurrency: 3, maxPending: 7 })
    })
  )

  it.effect.each([
    ["HOLDFAST_CONCURRENCY", "0"],
    ["HOLDFAST_MAX_PENDING", "many"],
    ["HOLDFAST_MAX_PENDING", "\t\n"],
    ["HOLDFAST_TIMEOUT", "soon"],
    ["HOLDFAST_AGING", "Infinity"],
    ["HOLDFAST_RETAIN_FOR", "0 seconds"]
  ] as const)("says that %s=%s is wrong", ([key, value]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(withEnv({ [key]: value }))
      assert.include(error.message, key)
    })
  )
})

it.effect("a result that is too large by itself costs no other its place", () =>
  Effect.gen(function* () {
    yield* Supervisor.run(Effect.succeed("small"), { id: "small" })
    for (const id of ["large 1", "large 2"]) {
      yield* Supervisor.run(
        Effect.sync(() => new Uint8Array(100_000)),
        { id }
      )
      assert.match(String(yield* Effect.flip(Supervisor.join(id))), /its record or its result is no longer kept/)
    }
    assert.strictEqual(yield* Supervisor.join("small"), "small")
  }).pipe(Effect.provide(Supervisor.layer({ retainResults: 2, retainBytes: 10_000 })))
)

it.effect("results that were dropped for their size take no place among those that are counted", () =>
  Effect.gen(function* () {
    for (let n = 0; n < 400; n++) {
      const size = n % 4 === 0 ? 10 : 4_000
      yield* Supervisor.run(Effect.succeed("x".repeat(size)), { id: `${n}` })
    }
    const kept = yield* Effect.filter(
      Array.from({ length: 400 }, (_, n) => `${n}`),
      (id) => Effect.map(Supervisor.await(id), Exit.isSuccess)
    )
    assert.deepStrictEqual(kept, ["388", "392", "396"])
  }).pipe(Effect.provide(Supervisor.layer({ retainResults: 3, retainBytes: 4_000 })))
)
