import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { settle } from "./settle.ts"

describe("progress", () => {
  it.effect("is read by polling, as a fraction between 0 and 1", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const job = yield* Supervisor.submit(
        Effect.andThen(Job.report({ done: 30, total: 120 }, "pages"), Deferred.await(gate))
      )
      yield* settle
      assert.deepStrictEqual((yield* Job.status(job)).progress, { fraction: 0.25, message: "pages" })
      yield* Deferred.succeed(gate, undefined)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is followed as a stream that ends with the last report", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const job = yield* Supervisor.submit(
        Effect.gen(function* () {
          yield* Job.report({ fraction: 0.1 })
          yield* Deferred.await(gate)
          for (let n = 2; n <= 1_000; n++) yield* Job.report({ done: n, total: 1_000 })
        })
      )
      const reading = yield* Effect.forkChild(Stream.runCollect(Job.progress(job)))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      const seen = (yield* Fiber.join(reading)).map(({ fraction }) => fraction)
      assert.deepStrictEqual([seen[0], seen.at(-1)], [0.1, 1])
      assert.isBelow(seen.length, 1_000)
      assert.deepStrictEqual(
        seen,
        seen.toSorted((a, b) => a - b)
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is nothing outside of a job, and keeps to its range", () =>
    Effect.gen(function* () {
      yield* Job.report({ fraction: 0.5 })
      const job = yield* Supervisor.submit(Job.report({ fraction: 7 }))
      yield* Job.join(job)
      assert.strictEqual((yield* Job.status(job)).progress?.fraction, 1)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("awaiting and cancelling many", () => {
  it.effect("waits for all up to a limit, then cancels what is left", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.sleep("5 seconds"), { name: "quick" })
      yield* Supervisor.submit(Effect.never, { name: "slow" })
      const waiting = yield* Effect.forkChild(Effect.flip(Supervisor.awaitAll(undefined, { limit: "10 seconds" })))
      yield* settle
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(waiting)
      assert.deepStrictEqual([error.id, error.reason._tag], ["job-2", "StillRunning"])
      yield* Supervisor.cancelAll(undefined, { reason: "too slow" })
      const { completed, cancelled, running } = yield* Supervisor.counts
      assert.deepStrictEqual([completed, cancelled, running], [1, 1, 0])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("touches only what matches", () =>
    Effect.gen(function* () {
      const [mine, other] = yield* Effect.forEach(["u-1", "u-2"], (user) =>
        Supervisor.submit(Effect.never, { metadata: { user } })
      )
      yield* Supervisor.cancelAll({ metadata: { user: "u-1" } })
      assert(mine !== undefined && other !== undefined)
      yield* settle
      assert.deepStrictEqual(
        [(yield* Job.status(mine)).state, (yield* Job.status(other)).state],
        ["cancelled", "running"]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("the handle of another supervisor", () => {
  // As somebody's own supervisor would make one, which no type can keep out.
  const foreign = { id: "theirs", name: "theirs" } as unknown as Job.Job<number, never>
  const isForeign = (error: unknown) =>
    assert.include(String(error), "Job theirs was not submitted to Holdfast's supervisor, or Holdfast is loaded twice")

  it.effect("is refused by what can fail with a typed error", () =>
    Effect.gen(function* () {
      isForeign(yield* Effect.flip(Job.join(foreign)))
      isForeign(yield* Effect.flip(Job.await(foreign, { limit: "1 second" })))
      isForeign(yield* Effect.flip(Stream.runDrain(Job.progress(foreign))))
      isForeign(yield* Effect.flip(Stream.runDrain(Job.events(foreign))))
    })
  )

  it.effect("is refused by what cannot fail with a defect that says the same", () =>
    Effect.gen(function* () {
      for (const use of [Job.status(foreign), Job.cancel(foreign)]) {
        const exit = yield* Effect.exit(use)
        assert(Exit.isFailure(exit))
        isForeign(Cause.squash(exit.cause))
      }
    })
  )
})
