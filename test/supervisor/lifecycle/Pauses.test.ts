import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { maxNames } from "../../../src/supervisor/lifecycle/Pauses.ts"
import { settle } from "../settle.ts"

const states = Effect.map(Supervisor.list(), (jobs) => jobs.map(({ name, state }) => `${name}: ${state}`))

describe("a paused job", () => {
  it.effect("does not start, counts as pending, and goes on when it is resumed", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.succeed("done"), { name: "a" })
      assert.isTrue((yield* Job.pause(job)).isPaused)
      yield* Supervisor.run(Effect.void, { name: "b" })
      const { jobs, paused, waiting } = yield* Supervisor.health
      assert.deepStrictEqual(
        [yield* states, jobs.pending, waiting, paused.jobs],
        [["a: pending", "b: completed"], 1, 1, 1]
      )
      yield* Job.resume(job)
      assert.strictEqual(yield* Job.join(job), "done")
      assert.isFalse((yield* Job.status(job)).isPaused)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("tells so in its events, once for each change", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.void, { id: "a" })
      yield* Job.pause(job)
      yield* Supervisor.pause("a")
      yield* Supervisor.resume("a")
      yield* Job.resume(job)
      yield* Job.join(job)
      assert.deepStrictEqual(
        (yield* Stream.runCollect(Job.events(job, { after: 0 }))).map(({ _tag }) => _tag),
        ["JobSubmitted", "JobPaused", "JobResumed", "JobStarted", "JobCompleted"]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("keeps its place and its age", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const add = (name: string) =>
        Supervisor.submit(
          Effect.sync(() => order.push(name)),
          { name }
        )
      const busy = yield* Supervisor.submit(Effect.never)
      yield* settle
      const [first] = [yield* add("first"), yield* add("second")]
      yield* Job.pause(first)
      yield* TestClock.adjust("1 second")
      yield* add("third")
      yield* Job.resume(first)
      yield* Job.cancel(busy)
      yield* Supervisor.awaitAll()
      assert.deepStrictEqual(order, ["first", "second", "third"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("is not touched when it runs or has ended", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never)
      yield* settle
      assert.isFalse((yield* Job.pause(job)).isPaused)
      yield* Job.cancel(job)
      assert.isFalse((yield* Job.pause(job)).isPaused)
      assert.strictEqual((yield* Supervisor.health).paused.jobs, 0)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is cancelled and drained like any that is pending", () =>
    Effect.gen(function* () {
      const pausedJob = Effect.flatMap(Supervisor.submit(Effect.void), (job) => Effect.as(Job.pause(job), job))
      const [cancelled, drained] = [yield* pausedJob, yield* pausedJob]
      assert.strictEqual((yield* Job.cancel(cancelled)).state, "cancelled")
      const report = yield* Supervisor.drain()
      assert.deepStrictEqual(
        report.jobs.map(({ id, outcome }) => [id, outcome]),
        [[drained.id, "not started"]]
      )
      assert.deepStrictEqual((yield* Supervisor.health).paused.jobs, 0)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("does not hold up the job that waits for it, nor the slot", () =>
    Effect.gen(function* () {
      yield* Supervisor.pauseName("child")
      const parent = yield* Supervisor.submit(Supervisor.run(Effect.succeed(1), { name: "child" }))
      yield* Supervisor.run(Effect.void)
      yield* Supervisor.resumeName("child")
      assert.strictEqual(yield* Job.join(parent), 1)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("takes up room in the queue, and none of that of jobs for which a slot is free", () =>
    Effect.gen(function* () {
      yield* Supervisor.pauseName("held")
      const submit = Supervisor.submit(Effect.succeed("in"), { name: "held" })
      yield* submit
      yield* submit
      assert.strictEqual((yield* Effect.flip(submit)).reason._tag, "QueueFull")
      const patient = yield* Effect.forkChild(
        Effect.flatMap(Supervisor.submit(Effect.succeed("late"), { name: "held", whenFull: "wait" }), Job.join)
      )
      yield* Supervisor.run(Effect.void)
      assert.isUndefined(patient.pollUnsafe())
      yield* Supervisor.resumeName("held")
      assert.strictEqual(yield* Fiber.join(patient), "late")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2, maxPending: 2 })))
  )
})

describe("a paused name", () => {
  it.effect("holds those that wait and those to come; those that run go on, and calls", () =>
    Effect.gen(function* () {
      const running = yield* Supervisor.submit(Effect.delay(Effect.void, "1 second"), { name: "a" })
      yield* settle
      const waiting = yield* Supervisor.submit(Effect.void, { name: "a" })
      yield* Supervisor.pauseName("a")
      const later = yield* Supervisor.submit(Effect.void, { name: "a" })
      yield* Supervisor.run(Effect.void, { name: "a", kind: "call" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Job.status(running)).state, "completed")
      assert.deepStrictEqual((yield* Supervisor.health).paused, { jobs: 2, names: ["a"] })
      yield* Job.pause(later)
      yield* Supervisor.resumeName("a")
      yield* settle
      assert.deepStrictEqual(
        [(yield* Job.status(waiting)).state, (yield* Job.status(later)).state],
        ["completed", "pending"]
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("is one of at most so many", () =>
    Effect.gen(function* () {
      for (let n = 0; n < maxNames; n++) yield* Supervisor.pauseName(`name ${n}`)
      const refused = yield* Effect.flip(Supervisor.pauseName("one more"))
      assert.strictEqual(refused.message, `Job one more was not paused: ${maxNames} names are paused already`)
      yield* Supervisor.pauseName("name 0")
      yield* Supervisor.resumeName("name 0")
      yield* Supervisor.pauseName("one more")
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("a paused periodic job", () => {
  it.effect("begins no round until it is resumed", () =>
    Effect.gen(function* () {
      let rounds = 0
      const job = yield* Supervisor.every(
        Effect.sync(() => rounds++),
        { name: "tick", schedule: "1 second" }
      )
      yield* settle
      yield* TestClock.adjust("1500 millis")
      yield* settle
      assert.isTrue((yield* Job.pause(job)).isPaused)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(rounds, 2)
      yield* Job.resume(job)
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(rounds, 4)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})
