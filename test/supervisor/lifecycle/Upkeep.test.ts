import { assert, it } from "@effect/vitest"
import { Clock, Cron, Effect, Exit, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Job, StatusLine, Supervisor } from "holdfast/supervisor"
import { settle } from "../settle.ts"

const counted = Effect.map(TestClock.make(), (test) => {
  let sleeps = 0
  const clock: typeof test = {
    ...test,
    sleep: (duration) => {
      sleeps++
      return test.sleep(duration)
    }
  }
  return { clock, sleeps: () => sleeps }
})

it.effect.each([
  ["by default", {}, 100],
  ["with results kept for less", { retainResultsFor: "30 minutes" }, 200],
  ["with all kept for ever", { retainFor: "Infinity" }, 2]
] as const)("a test that moves its clock by three days passes few rounds: %s", ([, options, most]) =>
  Effect.gen(function* () {
    const { clock, sleeps } = yield* counted
    const days = Effect.andThen(Supervisor.run(Effect.void), clock.adjust("3 days"))
    yield* days.pipe(Effect.provide(Supervisor.layer(options)), Effect.provideService(Clock.Clock, clock))
    assert.isAtMost(sleeps(), most)
  })
)

it.effect(
  "a test that moves its clock by ten years passes no round while nothing is kept, and the due ones afterwards",
  () =>
    Effect.gen(function* () {
      const { clock, sleeps } = yield* counted
      const years = Effect.gen(function* () {
        yield* clock.adjust("3650 days")
        const idle = sleeps()
        yield* Supervisor.run(Effect.succeed("kept"))
        yield* clock.adjust("3650 days")
        return [idle, (yield* Supervisor.list()).length]
      })
      const seen = yield* years.pipe(Effect.provide(Supervisor.layer()), Effect.provideService(Clock.Clock, clock))
      assert.deepStrictEqual(seen, [0, 0])
      assert.isAtMost(sleeps(), 5)
    })
)

it.effect("a test that moves its clock by hours passes few rounds while a job waits for one that ignores its end", () =>
  Effect.gen(function* () {
    const { clock, sleeps } = yield* counted
    const { promise, resolve } = Promise.withResolvers<void>()
    const deaf = Job.promise(() => promise)
    const hours = Effect.gen(function* () {
      const owner = yield* Supervisor.submit(Supervisor.run(deaf))
      yield* settle
      const cancelling = yield* Effect.forkChild(Job.cancel(owner))
      yield* settle
      yield* clock.adjust("12 hours")
      resolve()
      yield* Fiber.join(cancelling)
    })
    yield* hours.pipe(Effect.provide(Supervisor.layer()), Effect.provideService(Clock.Clock, clock))
    assert.isAtMost(sleeps(), 200)
  }).pipe(Effect.provide(Logger.layer([])))
)

it.effect("a test sees each record and each result dropped in the second in which it becomes too old", () =>
  Effect.gen(function* () {
    const kept = Effect.gen(function* () {
      const jobs = yield* Supervisor.list()
      const results = yield* Effect.filter(jobs, ({ id }) =>
        Effect.map(Supervisor.await(id), (exit) => exit._tag === "Success")
      )
      return [jobs.length, results.length]
    })
    for (const minute of [0, 1, 2]) {
      if (minute > 0) yield* TestClock.adjust("7 minutes")
      yield* Supervisor.run(Effect.succeed(minute))
    }
    // They ended at 0, 7 and 14 minutes.
    const seen: Array<ReadonlyArray<number>> = []
    for (const seconds of [60 * 16 - 1, 1, 60 * 7 - 1, 1, 60 * 23 - 1, 1, 60 * 7 - 1, 1]) {
      yield* TestClock.adjust(seconds * 1_000)
      seen.push(yield* kept)
    }
    assert.deepStrictEqual(seen, [
      [3, 3],
      [3, 2],
      [3, 2],
      [3, 1],
      [3, 0],
      [2, 0],
      [2, 0],
      [1, 0]
    ])
  }).pipe(Effect.provide(Supervisor.layer({ retainResultsFor: "30 minutes" })))
)

it.effect("a test that moves its clock by three days passes three rounds of a nightly job, and few sleeps", () =>
  Effect.gen(function* () {
    const { clock, sleeps } = yield* counted
    const nightly = Effect.gen(function* () {
      const job = yield* Supervisor.every(Effect.void, {
        name: "nightly",
        schedule: Cron.parseUnsafe("0 4 * * *", "UTC")
      })
      yield* clock.adjust("3 days")
      return (yield* Job.status(job)).rounds?.started
    })
    const layer = Supervisor.layer({ upkeepEvery: "Infinity" })
    const started = yield* nightly.pipe(Effect.provide(layer), Effect.provideService(Clock.Clock, clock))
    assert.strictEqual(started, 3)
    assert.isAtMost(sleeps(), 10)
  })
)

const deaf = Effect.uninterruptible(Effect.sleep("1 hour"))

/** What is logged as a warning while `program` runs. */
const warnings = <A, E>(program: (lines: Array<string>) => Effect.Effect<A, E, Supervisor.Supervisor>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void (logLevel === "Warn" && lines.push(String(message))))
  const layers = Layer.merge(Supervisor.layer({ concurrency: 200 }), Logger.layer([logger]))
  return Effect.provide(program(lines), layers)
}

it.effect(
  "warns once of each job that ignores its cancellation or its time limit, and of none that waits for one",
  () =>
    warnings((lines) =>
      Effect.gen(function* () {
        const late = yield* Supervisor.submit(deaf, { name: "a\nb", timeout: "3 seconds" })
        const owner = yield* Supervisor.submit(Effect.andThen(Supervisor.submit(deaf), Effect.never), { name: "owner" })
        yield* Supervisor.submit(Effect.sleep("3 seconds"), { name: "ends" })
        yield* TestClock.adjust("1 second")
        yield* Effect.forkChild(Job.cancel(owner, { reason: "enough" }))
        yield* TestClock.adjust("6 seconds")
        assert.deepStrictEqual(lines, [
          "job job-4 was cancelled 5s ago (parent ended) and still runs: it ignores its interruption, or its async function its signal"
        ])
        const { stuck } = yield* Supervisor.health
        assert.deepStrictEqual(
          stuck.map(({ id }) => id),
          ["job-4", "job-2"]
        )
        assert.include(StatusLine.render(yield* Supervisor.health), "stuck job-4")
        yield* TestClock.adjust("30 minutes")
        assert.deepStrictEqual(lines.slice(1), [
          "job a\\nb (job-1) ran out of its time of 3s 5s ago and still runs: it ignores its interruption, or its async function its signal"
        ])
        yield* TestClock.adjust("1 hour")
        assert.isTrue(Exit.isFailure(yield* Job.await(late)))
        assert.lengthOf(lines, 2)
      })
    )
)

it.effect("names some of very many jobs that are stuck at once", () =>
  warnings((lines) =>
    Effect.gen(function* () {
      yield* Effect.replicateEffect(Supervisor.submit(deaf), 100)
      yield* TestClock.adjust("1 second")
      yield* Supervisor.cancelAll({}, { limit: "0 millis" }).pipe(Effect.forkChild)
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(lines, 11)
      assert.include(lines[9], "job job-10 was cancelled 5s ago")
      assert.strictEqual(lines[10], "90 more jobs that are to end still run")
      yield* TestClock.adjust("1 hour")
    })
  )
)
