import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Logger, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Job, StatusLine, Supervisor } from "holdfast/supervisor"
import { settle } from "./settle.ts"

const none = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }

const idle: Supervisor.Health = {
  jobs: none,
  calls: none,
  accepting: true,
  running: 0,
  concurrency: 50,
  waiting: 0,
  maxPending: 10_000,
  oldestWaitingMillis: undefined,
  lastMinute: { started: 0, succeeded: 0, failed: 0 },
  errorRatio: 0,
  stuck: [],
  failingPeriodic: [],
  paused: { jobs: 0, names: [] },
  droppedReports: 0,
  failureHook: { ignoring: 0, missed: 0 },
  eventLoopLagMillis: 0,
  score: 100
}

const busy: Supervisor.Health = {
  ...idle,
  running: 50,
  waiting: 1_234,
  oldestWaitingMillis: 12_345,
  calls: { ...none, running: 7 },
  lastMinute: { started: 400, succeeded: 300, failed: 100 },
  errorRatio: 0.25,
  score: 85
}

const quiet = Logger.layer([])
const line = Effect.map(Supervisor.health, (health) => StatusLine.render(health))

describe("StatusLine", () => {
  it("says little of a supervisor at rest", () => {
    assert.strictEqual(StatusLine.render(idle), "jobs 0/50 | waiting 0 | 0/min, 0% failed | health 100")
  })

  it("says of a busy one how long the first has waited, how many calls run, and what failed", () => {
    assert.strictEqual(
      StatusLine.render(busy),
      "jobs 50/50 | waiting 1234 (12.3s) | calls 7 | 400/min, 25% failed | health 85"
    )
  })

  it("writes times in the unit that fits", () => {
    const waited = (oldestWaitingMillis: number) =>
      /\((.*)\)/.exec(StatusLine.render({ ...busy, oldestWaitingMillis }))?.[1]
    assert.deepStrictEqual([0, 999, 1_000, 59_900, 60_000, 3_725_000].map(waited), [
      "0ms",
      "999ms",
      "1.0s",
      "59.9s",
      "1m",
      "1h 2m 5s"
    ])
  })

  it("begins with the drain", () => {
    assert.match(StatusLine.render({ ...idle, accepting: false }), /^draining \| jobs 0\/50 \|/)
  })

  it("names the first that is stuck, and how many more there are", () => {
    const stuck = [
      { id: "job-1", name: "upload", forMillis: 61_000 },
      { id: "job-2", name: "other", forMillis: 7_000 }
    ]
    assert.include(StatusLine.render({ ...idle, stuck: stuck.slice(0, 1) }), "| stuck upload 1m 1s |")
    assert.include(StatusLine.render({ ...idle, stuck }), "| stuck upload 1m 1s +1 |")
  })

  it("names the first periodic job that fails, and how often it did in a row", () => {
    const failingPeriodic = [
      { id: "job-1", name: "clean up", inARow: 3 },
      { id: "job-2", name: "warm up", inARow: 1 },
      { id: "job-3", name: "check", inARow: 1 }
    ]
    assert.include(StatusLine.render({ ...idle, failingPeriodic }), "| failing clean up ×3 +2 |")
  })

  it("mentions the event loop's lag from 100 milliseconds", () => {
    assert.notInclude(StatusLine.render({ ...idle, eventLoopLagMillis: 99 }), "lag")
    assert.include(StatusLine.render({ ...idle, eventLoopLagMillis: 100 }), "| lag 100ms |")
  })

  it("is cut to the width, and not when it fits", () => {
    const whole = StatusLine.render(busy)
    assert.strictEqual(StatusLine.render(busy, { width: 16 }), "jobs 50/50 | wa…")
    assert.strictEqual(StatusLine.render(busy, { width: whole.length }), whole)
    assert.strictEqual(StatusLine.render(busy, { width: whole.length - 1 }), `${whole.slice(0, -2)}…`)
    assert.strictEqual(StatusLine.render(busy, { width: 0 }), "")
  })

  const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))
  it.prop(
    "is one line within its width, whatever the numbers",
    [Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 })), Count, Count, Schema.Boolean],
    ([width, count, millis, accepting]) => {
      const health = {
        ...busy,
        accepting,
        waiting: count,
        oldestWaitingMillis: millis,
        eventLoopLagMillis: millis,
        stuck: [{ id: "job-1", name: "upload", forMillis: millis }]
      }
      const whole = StatusLine.render(health)
      assert.isAtMost(StatusLine.render(health, { width }).length, width)
      assert.notMatch(whole, /NaN|Infinity|undefined|\n/)
    }
  )

  it.effect("shows what a real supervisor does: runs, waits, ends", () =>
    Effect.gen(function* () {
      const first = yield* Supervisor.submit(Effect.sleep("5 seconds"))
      yield* Supervisor.submit(Effect.fail("no"))
      yield* settle
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* line, "jobs 1/1 | waiting 1 (1.5s) | 0/min, 0% failed | health 100")
      yield* TestClock.adjust("5 seconds")
      yield* settle
      yield* Job.join(first)
      assert.strictEqual(yield* line, "jobs 0/1 | waiting 0 | 2/min, 50% failed | health 75")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* line, "jobs 0/1 | waiting 0 | 0/min, 0% failed | health 100")
    }).pipe(Effect.provide([Supervisor.layer({ concurrency: 1, maxPending: 1_000 }), quiet]))
  )

  it.effect("shows a drain, and the job that ignores it", () =>
    Effect.gen(function* () {
      const release = yield* Deferred.make<void>()
      yield* Supervisor.submit(Effect.uninterruptible(Deferred.await(release)), { name: "stubborn" })
      yield* settle
      const drain = yield* Effect.forkChild(Supervisor.drain({ deadline: "1 second" }))
      yield* settle
      assert.strictEqual(yield* line, "draining | jobs 1/50 | waiting 0 | 0/min, 0% failed | health 100")
      yield* TestClock.adjust("7 seconds")
      yield* settle
      assert.strictEqual(
        yield* line,
        "draining | jobs 1/50 | waiting 0 | 0/min, 0% failed | stuck stubborn 6.0s | health 90"
      )
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(drain)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("shows a periodic job that keeps failing until a round goes well", () =>
    Effect.gen(function* () {
      let broken = true
      const check = Effect.suspend(() => (broken ? Effect.fail("no") : Effect.void))
      yield* Supervisor.every(check, { name: "check", schedule: "10 minutes" })
      const tenMinutes = Effect.andThen(TestClock.adjust(Duration.minutes(10)), settle)
      yield* settle
      assert.include(yield* line, "| failing check ×1 |")
      yield* tenMinutes
      yield* tenMinutes
      assert.include(yield* line, "| failing check ×3 | health 40")
      broken = false
      yield* tenMinutes
      assert.notInclude(yield* line, "failing")
    }).pipe(Effect.provide([Supervisor.layer(), quiet]))
  )

  it.live("shows that something blocked the event loop", () =>
    Effect.gen(function* () {
      yield* Effect.sleep("20 millis")
      yield* Effect.sync(() => {
        const end = performance.now() + 300
        while (performance.now() < end);
      })
      yield* Effect.sleep("1 millis")
      assert.match(yield* line, /\| lag \d{3}ms \|/)
    }).pipe(Effect.provide(Supervisor.layer({ upkeepEvery: "50 millis" })))
  )
})

it("stays one line, and does nothing to a terminal, whatever jobs are called", () => {
  const name = "two\nlines \u001b[31mred\u2028"
  const health = {
    ...idle,
    stuck: [{ id: "1", name, forMillis: 1 }],
    failingPeriodic: [{ id: "2", name, inARow: 1 }]
  }
  const line = StatusLine.render(health)
  assert.include(line, "stuck two\\nlines \\u001b[31mred\\u2028 1ms")
  assert.include(line, "failing two\\nlines \\u001b[31mred\\u2028 ×1")
  assert.strictEqual(/\p{Cc}|\u2028/u.exec(line), null)
})
