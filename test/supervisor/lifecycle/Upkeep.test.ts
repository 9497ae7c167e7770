import { assert, it } from "@effect/vitest"
import { Clock, Cron, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"

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
