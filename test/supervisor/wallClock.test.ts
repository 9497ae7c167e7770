import { assert, describe, it } from "@effect/vitest"
import { Clock, Cron, Effect, Logger, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { jumpingClock } from "./jumpingClock.ts"
import { settle } from "./settle.ts"

const hour = 3_600_000
type Jump = (millis: number) => Effect.Effect<void>

const jumping = <A, E>(
  program: (jump: Jump) => Effect.Effect<A, E, Supervisor.Supervisor>,
  options: Supervisor.Options = {}
) =>
  Effect.flatMap(jumpingClock, ({ clock, jump }) =>
    program(jump).pipe(Effect.provide(Supervisor.layer(options)), Effect.provideService(Clock.Clock, clock))
  )

describe("a wall clock that is set", () => {
  it.effect.each([hour, -hour])("changes no order, by %i ms", (by) =>
    jumping(
      (jump) =>
        Effect.gen(function* () {
          const order: Array<string> = []
          const work = (name: string) => Effect.sync(() => order.push(name))
          yield* Supervisor.submit(Effect.sleep("1 second"))
          yield* Supervisor.submit(work("critical"), { priority: "critical" })
          yield* Supervisor.submit(work("normal"))
          yield* TestClock.adjust("1 millis")
          yield* jump(by)
          yield* Supervisor.submit(work("low"), { priority: "low" })
          yield* Supervisor.submit(work("late critical"), { priority: "critical" })
          assert.strictEqual((yield* Supervisor.health).oldestWaitingMillis, 1)
          yield* TestClock.adjust("2 seconds")
          assert.deepStrictEqual(order, ["critical", "late critical", "normal", "low"])
        }),
      { concurrency: 1 }
    )
  )

  it.effect.each([2 * hour, -2 * hour])("changes no retention, no rate and no time limit, by %i ms", (by) =>
    jumping(
      (jump) =>
        Effect.gen(function* () {
          yield* Supervisor.run(Effect.void)
          const late = yield* Supervisor.submit(Effect.never, { timeout: "1 minute" })
          yield* TestClock.adjust("1 second")
          yield* jump(by)
          yield* Supervisor.prune
          assert.lengthOf(yield* Supervisor.list(), 2)
          assert.deepStrictEqual((yield* Supervisor.health).lastMinute, { started: 2, succeeded: 1, failed: 0 })
          yield* TestClock.adjust("58 seconds")
          assert.strictEqual((yield* Job.status(late)).state, "running")
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual((yield* Job.status(late)).state, "failed")
          yield* TestClock.adjust("59 minutes")
          assert.lengthOf(yield* Supervisor.list(), 1)
        }),
      { retainFor: "1 hour" }
    )
  )

  it.effect.each([hour, -hour])(
    "dates what happens by how it is set then, and leaves older dates alone, by %i ms",
    (by) =>
      Effect.andThen(
        TestClock.setTime(10 * hour),
        jumping((jump) =>
          Effect.gen(function* () {
            const job = yield* Supervisor.submit(Effect.sleep("10 seconds"))
            yield* TestClock.adjust("5 seconds")
            const before = yield* Job.status(job)
            yield* jump(by)
            yield* TestClock.adjust("5 seconds")
            const after = yield* Job.status(job)
            assert.deepStrictEqual(
              [before.submittedAtMillis, after.submittedAtMillis, after.startedAtMillis, after.endedAtMillis],
              [10 * hour, 10 * hour, 10 * hour, 10 * hour + 10_000 + by]
            )
            const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(3), Stream.runCollect)
            assert.deepStrictEqual(
              events.map((event) => ("atMillis" in event ? event.atMillis : 0)),
              [10 * hour, 10 * hour, 10 * hour + 10_000 + by]
            )
          })
        )
      )
  )

  const rounds = (cron: Cron.Cron, start: number, program: (jump: Jump) => Effect.Effect<void>) =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      return yield* jumping(
        (jump) =>
          Effect.gen(function* () {
            const begun: Array<number> = []
            const round = Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.sync(() => begun.push(now)))
            yield* Supervisor.every(round, { name: "round", schedule: cron })
            yield* TestClock.adjust(0)
            yield* program(jump)
            return begun.map((at) => new Date(at).toISOString().slice(0, 16))
          }),
        { upkeepEvery: "Infinity" }
      )
    })

  const hourly = Cron.parseUnsafe("0 * * * *", "UTC")
  const at = (time: string) => Date.parse(`2026-03-10T${time}:00Z`)
  const day = (times: ReadonlyArray<string>) => times.map((time) => `2026-03-10T${time}`)

  it.effect("set back, gives no slot of a cron a second round and begins none early", () =>
    Effect.gen(function* () {
      const begun = yield* rounds(hourly, at("03:30"), (jump) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("45 minutes") // 04:15
          yield* jump(-hour) // 03:15
          yield* TestClock.adjust("2 hours") // 05:15
        })
      )
      assert.deepStrictEqual(begun, day(["04:00", "05:00"]))
    })
  )

  it.effect("set back while a cron sleeps, is waited for", () =>
    Effect.gen(function* () {
      const begun = yield* rounds(hourly, at("03:59"), (jump) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("59 seconds")
          yield* jump(-500)
          yield* TestClock.adjust("10 minutes")
        })
      )
      assert.deepStrictEqual(begun, day(["04:00"]))
    })
  )

  it.effect("set forward over slots of a cron, begins one round within half a minute", () =>
    Effect.gen(function* () {
      const begun = yield* rounds(hourly, at("03:10"), (jump) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("1 minute")
          yield* jump(3 * hour)
          yield* TestClock.adjust("1 minute")
        })
      )
      assert.deepStrictEqual(begun, day(["06:11"]))
    })
  )

  it.effect("set forward by a year and back again, lets a cron go on", () =>
    Effect.gen(function* () {
      const begun = yield* rounds(hourly, at("03:59"), (jump) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("2 minutes")
          yield* jump(365 * 24 * hour)
          yield* TestClock.adjust("1 minute")
          yield* jump(-365 * 24 * hour)
          yield* TestClock.adjust("2 hours")
        })
      )
      // The slot of five o'clock had its round when it had passed.
      assert.deepStrictEqual(begun, ["2026-03-10T04:00", "2027-03-10T04:01", "2026-03-10T06:00"])
    })
  )

  it.effect.each([
    ["to summer", "2026-03-29T00:30:00Z", ["2026-03-29T01:30", "2026-03-30T00:30"]],
    ["to winter", "2026-10-25T00:00:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]]
  ] as const)("has one round a day when the clocks change %s", ([, start, expected]) =>
    Effect.gen(function* () {
      const nightly = Cron.parseUnsafe("30 2 * * *", "Europe/Berlin")
      const begun = yield* rounds(nightly, Date.parse(start), (jump) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("2 hours") // the night, whose hour is left out or comes twice
          yield* jump(21 * hour) // the day, in which a cron would look at the clock 2,520 times
          yield* TestClock.adjust("3 hours") // the night after
        })
      )
      assert.deepStrictEqual(begun, Array.from<string>(expected))
    })
  )
})

it.effect.each([hour, -hour])("a wall clock that is set by %i ms changes no schedule, of rounds and of a retry", (by) =>
  Effect.gen(function* () {
    const { clock, jump } = yield* jumpingClock
    yield* Effect.gen(function* () {
      let rounds = 0
      let attempts = 0
      const round = Effect.sync(() => void rounds++)
      yield* Supervisor.every(round, { name: "fixed", schedule: Schedule.fixed("1 second") })
      const trying = Effect.suspend(() => Effect.fail(++attempts))
      const retry = Schedule.upTo(Schedule.spaced("1 second"), { duration: "10 seconds" })
      const job = yield* Supervisor.submit(trying, { retry })
      for (let second = 0; second < 20; second++) {
        if (second === 3) yield* jump(by)
        yield* settle
        assert.strictEqual(rounds, second + 1)
        yield* TestClock.adjust("1 second")
      }
      assert.isAtLeast(attempts, 10)
      assert.isAtMost(attempts, 12)
      assert.strictEqual((yield* Job.status(job)).state, "failed")
    }).pipe(Effect.provide([Supervisor.layer(), Logger.layer([])]), Effect.provideService(Clock.Clock, clock))
  })
)
