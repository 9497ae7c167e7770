import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { settle, whileTimePasses } from "../settle.ts"

const quiet = Logger.layer([])

const outcomes = ({ jobs }: Supervisor.DrainReport) => jobs.map(({ name, outcome }) => `${name}: ${outcome}`)

describe("a drain", () => {
  it.effect("keeps to the limits it was called with", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.uninterruptible(Effect.sleep("1 minute")))
      yield* settle
      const options = { deadline: "1 second", interruptLimit: "1 second" }
      const draining = yield* Effect.forkChild(Supervisor.drain(options as Supervisor.DrainOptions))
      yield* settle
      Object.assign(options, { deadline: "1 hour", interruptLimit: "1 hour" })
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(draining.pollUnsafe()?._tag, "Success")
      yield* TestClock.adjust("1 minute")
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("a drain inside a job", () => {
  it.effect("gives its report at once when nothing else runs, and names its caller and the owners of that", () =>
    Effect.gen(function* () {
      const report = yield* Supervisor.run(Supervisor.run(Supervisor.drain(), { name: "handler" }), { name: "server" })
      assert.deepStrictEqual([outcomes(report), report.clean], [["server: caller", "handler: caller"], true])
      yield* settle
      assert.deepStrictEqual(
        (yield* Supervisor.list()).map(({ state }) => state),
        ["completed", "completed"]
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("waits for the others, which have its slot, and interrupts them at the deadline", () =>
    Effect.gen(function* () {
      const needsSlots = Supervisor.run(Effect.andThen(Effect.sleep("1 second"), Effect.void), { name: "child" })
      yield* Supervisor.submit(Effect.andThen(Effect.yieldNow, needsSlots), { name: "parent" })
      yield* Supervisor.submit(Effect.never, { name: "endless", owner: "supervisor" })
      const handler = yield* Supervisor.submit(Supervisor.drain({ deadline: "10 seconds" }), {
        name: "handler",
        priority: "critical"
      })
      yield* settle
      const report = yield* whileTimePasses(Job.join(handler))
      assert.deepStrictEqual(outcomes(report), ["parent: not started", "endless: not started", "handler: caller"])
      assert.strictEqual((yield* Job.status(handler)).state, "completed")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("interrupts the others at the deadline, and neither itself nor its owners", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.never, { name: "endless" })
      const handler = Supervisor.run(Supervisor.drain({ deadline: "10 seconds" }), { name: "handler" })
      const server = yield* Supervisor.submit(handler, { name: "server" })
      yield* settle
      yield* TestClock.adjust("10 seconds")
      const report = yield* Job.join(server)
      assert.deepStrictEqual(outcomes(report), ["endless: cancelled", "server: caller", "handler: caller"])
      assert.deepStrictEqual(
        (yield* Supervisor.list()).map(({ name, state, stoppedAtMillis }) => [name, state, stoppedAtMillis]),
        [
          ["endless", "cancelled", 10_000],
          ["server", "completed", undefined],
          ["handler", "completed", undefined]
        ]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("lends its slot: what running jobs still need goes first", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      // It keeps its slot while its child needs one.
      const parent = Effect.gen(function* () {
        yield* Effect.sleep("1 second")
        yield* Supervisor.submit(Deferred.succeed(done, undefined), { name: "child" })
        yield* Deferred.await(done)
      })
      yield* Supervisor.submit(parent, { name: "parent" })
      const handler = yield* Supervisor.submit(Supervisor.drain({ deadline: "10 seconds" }), { name: "handler" })
      const report = yield* whileTimePasses(Job.join(handler))
      assert.deepStrictEqual(outcomes(report), ["parent: completed", "handler: caller", "child: completed"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2 })))
  )

  it.effect("does not wait for another job that drains, nor that one for it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const draining = Effect.andThen(Deferred.await(gate), Supervisor.drain())
      const both = yield* Effect.forEach(["one", "two"], (name) => Supervisor.submit(draining, { name }))
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      const [one, two] = yield* Effect.forEach(both, Job.join)
      // The one that called last had its report first.
      assert(one !== undefined && two !== undefined)
      assert.deepStrictEqual(outcomes(two), ["one: caller", "two: caller"])
      assert.deepStrictEqual([outcomes(one), one.clean, two.clean], [["one: caller", "two: completed"], true, true])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect(
    "neither waits for those who wait for its caller nor interrupts them, whoever they are and whenever they begin",
    () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const drains = Effect.andThen(Deferred.await(gate), Supervisor.drain({ deadline: "10 seconds" }))
        const handler = yield* Supervisor.submit(drains, { name: "handler" })
        const together = yield* Supervisor.submit(Job.awaitAll([handler, yield* Supervisor.submit(Effect.void)]), {
          name: "together"
        })
        const other = yield* Supervisor.submit(Job.join(together), { name: "through another" })
        yield* Supervisor.submit(Effect.andThen(Supervisor.submit(Job.join(other)), Effect.sleep("3 seconds")), {
          name: "owner"
        })
        const call = yield* Supervisor.submit(Job.join(handler), { name: "call", kind: "call" })
        yield* Supervisor.submit(Job.join(call), { name: "through a call" })
        yield* Supervisor.submit(Effect.delay(Job.join(handler), "1 second"), { name: "late" })
        yield* Supervisor.submit(Effect.sleep("2 seconds"), { name: "other" })
        yield* settle
        yield* Deferred.succeed(gate, undefined)
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* TestClock.adjust("1 second")
        yield* settle
        const report = yield* Job.await(handler, { limit: 0 })
        assert(report._tag === "Success")
        assert.deepStrictEqual(outcomes(report.value), [
          "handler: caller",
          "together: caller",
          "through another: caller",
          "owner: caller",
          "call: caller",
          "through a call: caller",
          "late: caller",
          "other: completed",
          "job-10: caller"
        ])
        yield* TestClock.adjust("1 second")
        yield* settle
        const { cancelled, running } = yield* Supervisor.counts
        assert.deepStrictEqual([cancelled, running], [0, 0])
      }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("waits for a child that somebody who waits for it submits while it waits for the failure hook", () =>
    Effect.gen(function* () {
      const hooked = yield* Deferred.make<void>()
      const program = Effect.gen(function* () {
        const draining = yield* Supervisor.submit(
          Effect.andThen(Effect.sleep("1 second"), Supervisor.drain({ deadline: "1 minute" })),
          { name: "draining" }
        )
        yield* Supervisor.submit(Effect.andThen(Effect.sleep("2 seconds"), Effect.fail("late")), { name: "failing" })
        const waiting = Effect.gen(function* () {
          yield* Effect.forkChild(Job.join(draining))
          yield* Deferred.await(hooked)
          yield* Supervisor.submit(Effect.sleep("5 seconds"), { name: "child" })
          yield* Job.join(draining)
        })
        yield* Supervisor.submit(waiting, { name: "waiting" })
        return yield* Job.join(draining)
      })
      const hook = () => Effect.andThen(Effect.sleep("1 second"), Effect.asVoid(Deferred.succeed(hooked, undefined)))
      const report = yield* whileTimePasses(program.pipe(Effect.provide(Supervisor.layer({ onFailure: hook }))))
      assert.deepStrictEqual(outcomes(report), [
        "draining: caller",
        "failing: failed",
        "waiting: caller",
        "child: completed"
      ])
    }).pipe(Effect.provide(quiet))
  )

  it.effect("leaves alone at its deadline who waits for its caller", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const drains = Effect.andThen(Deferred.await(gate), Supervisor.drain({ deadline: "10 seconds" }))
      const handler = yield* Supervisor.submit(drains, { name: "handler" })
      const joiner = yield* Supervisor.submit(Job.join(handler), { name: "joiner" })
      yield* Supervisor.submit(Effect.never, { name: "endless" })
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      yield* TestClock.adjust("10 seconds")
      const report = yield* Job.join(joiner)
      assert.deepStrictEqual(outcomes(report), ["handler: caller", "joiner: caller", "endless: cancelled"])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("waits for another job that drained and then goes on, and interrupts it at the deadline", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const draining = (deadline: "1 second" | "10 seconds") =>
        Effect.andThen(Deferred.await(gate), Supervisor.drain({ deadline }))
      yield* Supervisor.submit(Effect.andThen(draining("1 second"), Effect.sleep("1 minute")), { name: "hasty" })
      const patient = yield* Supervisor.submit(draining("10 seconds"), { name: "patient" })
      yield* Supervisor.submit(Effect.fail("no"), { name: "failing" })
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      const report = yield* whileTimePasses(Job.join(patient))
      assert.deepStrictEqual([outcomes(report), report.clean], [["hasty: cancelled", "patient: caller"], true])
    }).pipe(Effect.provide([Supervisor.layer({ onFailure: () => Effect.sleep("3 seconds") }), quiet]))
  )
})

describe("a drain", () => {
  it.effect("treats the children of running jobs alike, whenever they were submitted", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Supervisor.submit(
        Effect.gen(function* () {
          const before = yield* Supervisor.submit(Effect.void, { name: "before" })
          yield* Deferred.await(gate)
          const since = yield* Supervisor.submit(Effect.void, { name: "since" })
          yield* Job.awaitAll([before, since])
        }),
        { name: "parent" }
      )
      yield* Supervisor.submit(Effect.void, { name: "stranger" })
      yield* settle
      const draining = yield* Effect.forkChild(Supervisor.drain())
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(outcomes(yield* Fiber.join(draining)), [
        "parent: completed",
        "stranger: not started",
        "before: completed",
        "since: completed"
      ])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("begins no round that is due in the same step", () =>
    Effect.gen(function* () {
      let rounds = 0
      // Its timer was set first and has its turn first.
      const draining = yield* Effect.forkChild(Effect.delay(Supervisor.drain(), "1 second"), {
        startImmediately: true
      })
      yield* Supervisor.every(
        Effect.sync(() => rounds++),
        { name: "tick", schedule: "1 second" }
      )
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.isTrue((yield* Fiber.join(draining)).clean)
      yield* settle
      assert.strictEqual(rounds, 1)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("waits until its deadline for a running job whose child is paused, and accounts for both", () =>
    Effect.gen(function* () {
      const child = Supervisor.submit(Effect.void, { name: "child" })
      yield* Supervisor.pauseName("child")
      yield* Supervisor.submit(Effect.flatMap(child, Job.join), { name: "parent" })
      yield* settle
      const draining = yield* Effect.forkChild(Supervisor.drain({ deadline: "10 seconds" }))
      yield* settle
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(draining.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const report = yield* Fiber.join(draining)
      assert.deepStrictEqual([outcomes(report), report.clean], [["parent: cancelled", "child: not started"], true])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("ends as soon as a paused child of a running job is resumed and has ended", () =>
    Effect.gen(function* () {
      yield* Supervisor.pauseName("child")
      yield* Supervisor.submit(Supervisor.run(Effect.void, { name: "child" }), { name: "parent" })
      yield* Supervisor.submit(Effect.void, { name: "child" })
      yield* settle
      const draining = yield* Effect.forkChild(Supervisor.drain())
      yield* settle
      yield* Supervisor.resumeName("child")
      assert.deepStrictEqual(outcomes(yield* Fiber.join(draining)), [
        "parent: completed",
        "child: not started",
        "child: completed"
      ])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("lets the jobs of a running job wait for room", () =>
    Effect.gen(function* () {
      const child = Effect.flatMap(Supervisor.submit(Effect.sleep(10), { whenFull: "wait" }), Job.join)
      const parent = yield* Supervisor.submit(
        Effect.andThen(
          Effect.sleep(20),
          Effect.forEach([1, 2, 3, 4, 5], () => Effect.as(child, "ran"), { concurrency: "unbounded" })
        )
      )
      yield* settle
      yield* whileTimePasses(Supervisor.drain())
      assert.deepStrictEqual(
        yield* Job.join(parent),
        Array.from({ length: 5 }, () => "ran")
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })), Effect.provide(quiet))
  )
})

it.effect("a drain that begins while another is under way names no job that had ended by then", () =>
  Effect.gen(function* () {
    const names = ({ jobs }: Supervisor.DrainReport) => jobs.map(({ name }) => name)
    yield* Supervisor.submit(Effect.sleep(20), { name: "quick" })
    yield* Supervisor.submit(Effect.sleep(200), { name: "slow" })
    yield* settle
    const first = yield* Effect.forkChild(Supervisor.drain())
    yield* settle
    yield* TestClock.adjust(100)
    yield* settle
    const second = yield* Effect.forkChild(Supervisor.drain())
    yield* settle
    yield* TestClock.adjust(100)
    assert.deepStrictEqual(
      [names(yield* Fiber.join(first)), names(yield* Fiber.join(second))],
      [["quick", "slow"], ["slow"]]
    )
  }).pipe(Effect.provide(Supervisor.layer()))
)
