import { assert, describe, it } from "@effect/vitest"
import { Cron, Effect, Fiber, Logger, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { settle } from "../settle.ts"

const quiet = Logger.layer([])

/** Moves time in small steps, so that everything due happens on its way. */
const pass = (seconds: number) =>
  Effect.replicateEffect(Effect.andThen(TestClock.adjust("100 millis"), settle), seconds * 10)

describe("periodic jobs", () => {
  it.effect("begin a round at once and then on each interval", () =>
    Effect.gen(function* () {
      let rounds = 0
      yield* Supervisor.every(
        Effect.sync(() => rounds++),
        { name: "count", schedule: "10 seconds" }
      )
      yield* pass(35)
      assert.strictEqual(rounds, 4)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("go on after a failed round, and show repeated failure in health", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.every(Effect.fail("no"), { name: "flaky", schedule: "1 second" })
      yield* pass(2.5)
      const { rounds } = yield* Job.status(job)
      assert.deepStrictEqual(rounds, { started: 3, failed: 3, skipped: 0, failedInARow: 3 })
      const health = yield* Supervisor.health
      assert.deepStrictEqual(health.failingPeriodic, [{ id: job.id, name: "flaky", inARow: 3 }])
      assert.lengthOf(yield* Supervisor.list({ name: "flaky", state: "failed" }), 3)
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  const overlapping = (overlap: "skip" | "queue" | "cancel previous") =>
    Effect.gen(function* () {
      let ended = 0
      let inside = 0
      let most = 0
      const round = Effect.acquireUseRelease(
        Effect.sync(() => (most = Math.max(most, ++inside))),
        () =>
          Effect.andThen(
            Effect.sleep("25 seconds"),
            Effect.sync(() => ended++)
          ),
        () => Effect.sync(() => inside--)
      )
      const job = yield* Supervisor.every(round, { name: "slow", schedule: "10 seconds", overlap })
      yield* pass(59)
      const { rounds } = yield* Job.status(job)
      return [rounds?.started, rounds?.skipped, ended, most]
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))

  it.effect("skip a round while the one before runs", () =>
    Effect.map(overlapping("skip"), (seen) => assert.deepStrictEqual(seen, [2, 4, 2, 1]))
  )

  it.effect("let rounds follow each other, never side by side", () =>
    Effect.map(overlapping("queue"), (seen) => assert.deepStrictEqual(seen, [3, 0, 2, 1]))
  )

  it.effect("cancel the round before", () =>
    Effect.map(overlapping("cancel previous"), (seen) => assert.deepStrictEqual(seen, [6, 0, 0, 1]))
  )

  it.effect("follow a cron, which says when the first begins", () =>
    Effect.gen(function* () {
      let rounds = 0
      yield* Supervisor.every(
        Effect.sync(() => rounds++),
        { name: "hourly", schedule: Cron.parseUnsafe("0 * * * *") }
      )
      yield* TestClock.adjust("30 minutes")
      yield* settle
      const before = rounds
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual([before, rounds], [0, 1])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("complete when their schedule ends", () =>
    Effect.gen(function* () {
      let rounds = 0
      const job = yield* Supervisor.every(
        Effect.sync(() => rounds++),
        { name: "three", schedule: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 })) }
      )
      yield* pass(3)
      yield* Job.join(job)
      assert.strictEqual(rounds, 3)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("put off the first round by a random part of the jitter", () =>
    Effect.gen(function* () {
      let begun = 0
      yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Supervisor.every(
          Effect.sync(() => begun++),
          { name: "spread", schedule: "1 hour", jitter: "10 seconds" }
        )
      )
      yield* pass(5)
      const half = begun
      yield* pass(5.1)
      assert.isAbove(half, 0)
      assert.isBelow(half, 20)
      assert.strictEqual(begun, 20)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("take no slot, and end with a drain that lets the round they are in finish", () =>
    Effect.gen(function* () {
      let ended = 0
      const round = Effect.andThen(
        Effect.sleep("3 seconds"),
        Effect.sync(() => ended++)
      )
      yield* Supervisor.every(round, { name: "watch", schedule: "10 seconds" })
      yield* pass(1)
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("ran")), "ran")
      const draining = yield* Effect.forkChild(Supervisor.drain())
      yield* pass(2.5)
      const report = yield* Fiber.join(draining)
      assert.deepStrictEqual(
        report.jobs.map((job) => [job.name, job.outcome]),
        [
          ["watch", "completed"],
          ["watch", "completed"]
        ]
      )
      assert.strictEqual(ended, 1)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )
})
