import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Cron, Effect, Exit, Fiber, Logger, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { SeededScheduler, SupervisorLaws } from "holdfast/testing"
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

  it.effect("count their rounds from the first status on, also when they are cancelled before they start", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.every(Effect.void, { name: "soon", schedule: "1 hour" })
      const none = { started: 0, failed: 0, skipped: 0, failedInARow: 0 }
      const { rounds, state } = yield* Job.status(job)
      assert.deepStrictEqual([state, rounds], ["pending", none])
      assert.deepStrictEqual((yield* Job.cancel(job)).rounds, none)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("begin their first round before a clock is moved, and are in the way of none once they have ended", () =>
    Effect.gen(function* () {
      const begun: Array<number> = []
      const round = Effect.map(Clock.currentTimeMillis, (now) => void begun.push(now))
      const job = yield* Supervisor.every(round, { name: "quick", schedule: "10 seconds" })
      // At once, as whoever tests their own program does.
      yield* TestClock.adjust("35 seconds")
      assert.deepStrictEqual(begun, [0, 10_000, 20_000, 30_000])
      const { rounds } = yield* Job.status(job)
      assert.deepStrictEqual(rounds, { started: 4, failed: 0, skipped: 0, failedInARow: 0 })
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect.each(["skip", "queue", "cancel previous"] as const)("count each round that failed once: %s", (overlap) =>
    Effect.gen(function* () {
      const job = yield* Supervisor.every(Effect.fail("no"), { name: "flaky", schedule: "10 seconds", overlap })
      yield* TestClock.adjust("35 seconds")
      yield* settle
      const { rounds } = yield* Job.status(job)
      assert.deepStrictEqual(rounds, { started: 4, failed: 4, skipped: 0, failedInARow: 4 })
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  it.effect("tell once of each round that others were skipped for, and count them all", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.every(Effect.sleep("2500 millis"), { name: "slow", schedule: "500 millis" })
      yield* pass(5)
      const events = yield* Supervisor.events({ after: 0 }).pipe(
        Stream.takeUntil((event) => event._tag === "JobSubmitted" && event.sequence > 5),
        Stream.filter((event) => event._tag === "RoundSkipped"),
        Stream.runCollect
      )
      assert.lengthOf(events, 1)
      assert.isAtLeast((yield* Job.status(job)).rounds?.skipped ?? 0, 4)
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

  it("let rounds follow each other also where two are due by the time that one has ended", async () => {
    const every = { millis: 9, overlap: "queue" } as const
    const program: SupervisorLaws.Program = {
      order: { seed: 117590089 },
      limits: { concurrency: 1, maxPending: 20, retain: 0, eventHistory: 3 },
      hook: "note",
      clients: [
        [
          { do: "submit", job: { name: "a", work: [], end: "succeed" } },
          { do: "submit", job: { name: "c", work: [], end: "succeed", finalizer: "slow", kind: "periodic", every } }
        ],
        [
          { do: "sleep", millis: 3 },
          { do: "read", after: 3, count: 5, pause: 2 },
          { do: "cancel", job: "a" }
        ]
      ],
      rest: 60
    }
    const { breaches } = await Effect.runPromise(SupervisorLaws.replay(Supervisor.make, program))
    assert.deepStrictEqual(breaches, [])
  })

  it("come to rest also where a drain begins as one is to follow another", () => {
    const program = Effect.gen(function* () {
      yield* Supervisor.every(Effect.sleep(15), { name: "slow", schedule: 10, overlap: "queue" })
      yield* Effect.sleep(30)
      yield* Supervisor.drain({ deadline: "1 second" })
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
    const restless = SeededScheduler.points(program).filter((preempt) =>
      Exit.isFailure(SeededScheduler.run(program, { preempt, maxSteps: 5_000 }).exit)
    )
    assert.deepStrictEqual(restless, [])
  })

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

  it.effect("begin after each slot of a cron by a random part of the jitter, and leave none out", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(1970, 0, 1, 3, 59))
      const begun: Array<number> = []
      const round = Effect.clockWith((clock) =>
        Effect.sync(() => void begun.push(clock.currentTimeMillisUnsafe() - Date.UTC(1970, 0, 1, 4)))
      )
      const schedule = Cron.parseUnsafe("0,5 4 * * *", "UTC")
      const jobs = yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Supervisor.every(round, { name: "nightly", schedule, jitter: "10 minutes" })
      )
      yield* TestClock.adjust("16 minutes")
      assert.isTrue(
        begun.every((millis) => millis >= 0 && millis <= 900_000),
        String(begun)
      )
      assert.isAbove(new Set(begun).size, 20)
      yield* TestClock.adjust("1 day")
      const rounds = (yield* Effect.forEach(jobs, Job.status)).map((status) => status.rounds?.started)
      assert.deepStrictEqual(
        rounds,
        Array.from(jobs, () => 4)
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("are refused a cron that never comes, by its pattern", () =>
    Effect.gen(function* () {
      const schedule = Cron.parseUnsafe("0 0 30 2 *")
      const exit = yield* Effect.exit(Supervisor.every(Effect.void, { name: "x", schedule }))
      assert.isTrue(Exit.hasDies(exit))
      const refusal = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.instanceOf(refusal, RangeError)
      assert.include(String(refusal), "schedule")
      assert.include(String(refusal), "0 0 30 2 *")
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

  it.effect("are one when they are started twice with one key, and are found by the id they were given", () =>
    Effect.gen(function* () {
      let rounds = 0
      const start = Supervisor.every(
        Effect.sync(() => rounds++),
        { name: "monitor", id: "monitor-1", idempotencyKey: "monitor", schedule: "1 second" }
      )
      const [first, second] = [yield* start, yield* start]
      yield* pass(1)
      assert.deepStrictEqual([first.id, second.id, rounds], ["monitor-1", "monitor-1", 2])
      assert.strictEqual((yield* Supervisor.get("monitor-1")).rounds?.started, 2)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("that have ended, or were asked to, are started anew by their key", () =>
    Effect.gen(function* () {
      let rounds = 0
      const round = Effect.sync(() => rounds++)
      const start = Supervisor.every(round, { name: "monitor", idempotencyKey: "monitor", schedule: "1 second" })
      const first = yield* start
      yield* settle
      const cancelling = yield* Effect.forkChild(Job.cancel(first), { startImmediately: true })
      const second = yield* start
      yield* Fiber.join(cancelling)
      yield* settle
      yield* Job.cancel(second)
      const third = yield* start
      yield* settle
      assert.strictEqual(new Set([first.id, second.id, third.id]).size, 3)
      assert.deepStrictEqual([(yield* start).id, rounds], [third.id, 3])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("are not joined with what was submitted by the same name and key, nor the other way round", () =>
    Effect.gen(function* () {
      const options = { name: "monitor", idempotencyKey: "monitor" }
      const before = yield* Supervisor.submit(Effect.never, options)
      const job = yield* Supervisor.every(Effect.void, { ...options, schedule: "1 second" })
      const after = yield* Supervisor.submit(Effect.never, options)
      yield* settle
      assert.deepStrictEqual([before.id === job.id, after.id], [false, before.id])
      assert.strictEqual((yield* Job.status(job)).rounds?.started, 1)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("go on as they were started, whatever becomes of the options", () =>
    Effect.gen(function* () {
      const metadata: Record<string, string> = { user: "u-1" }
      const options = { name: "watch", metadata, overlap: "skip" as const, schedule: "1 second" as const, timeout: 500 }
      const job = yield* Supervisor.every(Effect.never, options)
      yield* settle
      metadata["user"] = "u-2"
      Object.assign(options, { name: "other", timeout: "1 hour", schedule: 1, overlap: "queue" })
      yield* pass(1.5)
      const rounds = yield* Supervisor.list({ kind: "periodic" })
      assert.deepStrictEqual(
        rounds.map(({ metadata: facts, name }) => [name, facts["user"]]),
        rounds.map(() => ["watch", "u-1"])
      )
      assert.strictEqual((yield* Job.status(job)).rounds?.failed, 2)
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  it.effect.each([
    ["schedule", { schedule: 0 }],
    ["schedule", { schedule: NaN }],
    ["schedule", { schedule: Infinity }],
    ["schedule", { schedule: -1 }],
    ["jitter", { jitter: Infinity }],
    ["jitter", { jitter: NaN }],
    ["timeout", { timeout: 0 }],
    ["timeout", { timeout: NaN }],
    ["overlap", { overlap: "never" as "skip" }]
  ] as const)("reject the option %s where it makes no sense: %o", ([name, options]) =>
    Effect.gen(function* () {
      const started = Supervisor.every(Effect.void, { name: "a", schedule: "1 second", ...options })
      const exit = yield* Effect.exit(started)
      assert(Exit.isFailure(exit))
      const error = Cause.squash(exit.cause)
      assert.instanceOf(error, RangeError)
      assert.include(String(error), `Supervisor.every option ${name} must be`)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})
