import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Logger, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, type JobError, Supervisor } from "holdfast/supervisor"
import { SeededScheduler } from "holdfast/testing"
import { settle } from "../settle.ts"

type Service = Supervisor.Supervisor["Service"]

/** A supervisor, and what closes it. */
const closable = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const supervisor = yield* Scope.provide(Supervisor.make({ stuckAfter: "5 seconds" }), scope)
  return { supervisor, close: Scope.close(scope, Exit.void) }
})

const ways: ReadonlyArray<
  readonly [string, (by: Service, close: Effect.Effect<void>) => Effect.Effect<unknown, unknown>]
> = [
  ["runs", (by, close) => by.run(close)],
  ["runs, as its finalizer", (by, close) => by.run(Effect.ensuring(Effect.void, close))],
  ["runs, and that cannot be interrupted", (by, close) => by.run(Effect.uninterruptible(close))],
  ["submits", (by, close) => Effect.flatMap(by.submit(close), Job.await)],
  ["runs in a job", (by, close) => by.run(by.run(close))],
  ["makes a call", (by, close) => by.run(close, { kind: "call" })],
  ["runs as a round", (by, close) => Effect.flatMap(by.every(close, { name: "round", schedule: "1 hour" }), Job.await)]
]

type Work = Effect.Effect<void, JobError.JobError, Supervisor.Supervisor>

describe("a closed supervisor", () => {
  it.effect.each([
    ["Effects", (child: Effect.Effect<never>) => Supervisor.run(child, { name: "child" })],
    ["async functions", (child: Effect.Effect<never>) => Job.promise(({ run }) => run(child, { name: "child" }))]
  ] as const)("has cancelled jobs that waited for a child which had not begun, and failed none: %s", ([, work]) =>
    Effect.gen(function* () {
      const hooked: Array<string> = []
      const layer = Supervisor.layer({
        concurrency: 2,
        onFailure: ({ job }) => Effect.sync(() => hooked.push(`${job.name}: ${job.error}`))
      })
      const jobs = yield* Effect.gen(function* () {
        yield* Supervisor.pauseName("child")
        const parents = yield* Effect.forEach([1, 2, 3], (n) =>
          Supervisor.submit(work(Effect.never), { name: `parent ${n}` })
        )
        yield* settle
        return parents
      }).pipe(Effect.provide(layer))
      const states = yield* Effect.forEach(jobs, Job.status)
      assert.deepStrictEqual(
        states.map(({ state }) => state),
        ["cancelled", "cancelled", "cancelled"]
      )
      assert.deepStrictEqual(hooked, [])
    })
  )

  it.effect.each([
    ["closing", (work: Work) => Effect.andThen(work, settle)],
    ["cancelling all", (work: Work) => Effect.andThen(Effect.andThen(work, settle), Supervisor.cancelAll())],
    ["the end of their owner", (work: Work) => Supervisor.run(Effect.andThen(work, settle), { name: "owner" })]
  ] as const)("%s cancels a job together with an older one that it joined, and fails neither", ([, end]) =>
    Effect.gen(function* () {
      const hooked: Array<string> = []
      const layer = Supervisor.layer({ onFailure: ({ job }) => Effect.sync(() => hooked.push(job.name)) })
      const jobs: Array<Job.Job<unknown, unknown>> = []
      const work = Effect.gen(function* () {
        yield* Supervisor.pauseName("held")
        const held = yield* Supervisor.submit(Effect.never, { name: "held" })
        jobs.push(held, yield* Supervisor.submit(Job.join(held), { name: "waits" }))
      })
      yield* Effect.provide(end(work), layer)
      const states = yield* Effect.forEach(jobs, (job) => Effect.map(Job.status(job), ({ state }) => state))
      assert.deepStrictEqual(states, ["cancelled", "cancelled"])
      assert.deepStrictEqual(hooked, [])
    })
  )

  it.effect("has cancelled a job that would run another in the moment of closing, and failed it not", () =>
    Effect.gen(function* () {
      const { close, supervisor } = yield* closable
      const closed = Effect.forkDetach(close, { startImmediately: true })
      const job = yield* supervisor.submit(Effect.andThen(closed, supervisor.run(Effect.never)))
      yield* settle
      const { error, state } = yield* Job.status(job)
      assert.strictEqual(state, "cancelled", error)
    })
  )

  it.effect("stays closed when it is asked to drain", () =>
    Effect.gen(function* () {
      const { close, supervisor } = yield* closable
      yield* close
      assert.deepStrictEqual((yield* supervisor.drain()).jobs, [])
      const { reason } = yield* Effect.flip(supervisor.submit(Effect.void))
      assert(reason._tag === "NotAccepting")
      assert.strictEqual(reason.because, "closed")
    })
  )
})

describe("closing a supervisor in a job that it", () => {
  it.effect.each(ways)("%s returns, when all others have ended", ([, way]) =>
    Effect.gen(function* () {
      const { close, supervisor } = yield* closable
      const seen: Array<string> = []
      const note = (what: string) => Effect.sync(() => seen.push(what))
      yield* supervisor.submit(
        Effect.ensuring(Effect.never, Effect.andThen(Effect.sleep("1 second"), note("other ended")))
      )
      yield* settle
      const events = yield* Effect.forkChild(Stream.runCollect(supervisor.events({ after: 0 })))
      const closing = yield* Effect.forkChild(Effect.exit(way(supervisor, Effect.ensuring(close, note("closed")))))
      yield* settle
      assert.deepStrictEqual(seen, [])
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.isDefined(closing.pollUnsafe())
      assert.deepStrictEqual(seen, ["other ended", "closed"])
      const refused = yield* Effect.flip(supervisor.submit(Effect.void))
      assert.include(refused.message, "was refused: closed")
      // Also the end of the job that closed it is told.
      assert.deepStrictEqual((yield* supervisor.counts).running, 0)
      const ended = (yield* Fiber.join(events)).filter(({ _tag }) => _tag === "JobCompleted" || _tag === "JobCancelled")
      const { calls, ...jobs } = yield* supervisor.counts
      assert.isAtLeast(ended.length, jobs.completed + jobs.cancelled + calls.completed + calls.cancelled)
    })
  )

  const waits: Record<string, (by: Service, closes: Effect.Effect<void>) => Effect.Effect<unknown, unknown>> = {
    "a wait that cannot be interrupted": (by, closes) =>
      Effect.flatMap(by.submit(closes), (closer) => by.submit(Effect.uninterruptible(Job.join(closer)))),
    "such a wait that begins while it closes": (by, closes) =>
      Effect.flatMap(by.submit(closes), (closer) =>
        by.submit(Effect.uninterruptible(Effect.delay(Job.join(closer), "1 second")))
      ),
    "a wait until what it ran has ended": (by, closes) => by.submit(by.run(closes, { owner: "supervisor" })),
    "an owner of one that waits": (by, closes) =>
      Effect.flatMap(by.submit(closes), (closer) =>
        by.submit(Effect.andThen(by.submit(Effect.uninterruptible(Job.join(closer))), Effect.never))
      )
  }
  it.effect.each(Object.keys(waits))("returns, though a job cannot end before it: %s", (way) =>
    Effect.gen(function* () {
      const { close, supervisor } = yield* closable
      const events = yield* Effect.forkChild(Stream.runCollect(supervisor.events()))
      yield* settle
      const gate = yield* Deferred.make<void>()
      yield* waits[way]?.(supervisor, Effect.andThen(Deferred.await(gate), close)) ?? Effect.die(way)
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual((yield* supervisor.counts).running, 0)
      assert.isDefined(events.pollUnsafe())
    })
  )

  it.effect("runs through a layer that is closed with it returns", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Supervisor.layer(), scope)
      const exit = yield* Effect.exit(Effect.provide(Supervisor.run(Scope.close(scope, Exit.void)), context))
      assert.isTrue(Exit.isSuccess(exit))
    })
  )

  it.effect("owns is found by the fiber that closes it, also when it was made in a job of another supervisor", () =>
    Effect.gen(function* () {
      const exit = yield* Supervisor.run(
        Effect.gen(function* () {
          const { close, supervisor } = yield* closable
          return yield* Effect.exit(supervisor.run(close))
        })
      )
      assert.isTrue(Exit.isSuccess(exit))
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("a supervisor that waits for a job which ignores its interruption", () => {
  const logged = () => {
    const lines: Array<string> = []
    return [lines, Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])] as const
  }

  it.effect("says so once, and names it, when it closes", () => {
    const [lines, layer] = logged()
    return Effect.gen(function* () {
      const { close, supervisor } = yield* closable
      const gate = yield* Deferred.make<void>()
      yield* supervisor.submit(Effect.uninterruptible(Deferred.await(gate)), { name: "stubborn" })
      yield* settle
      const closing = yield* Effect.forkChild(close)
      yield* settle
      yield* TestClock.adjust("4 seconds")
      assert.lengthOf(lines, 0)
      yield* TestClock.adjust("10 seconds")
      assert.lengthOf(lines, 1)
      assert.include(lines[0], "waits for jobs that ignore their interruption: stubborn (job-1). A promise that waits")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      assert.lengthOf(lines, 1)
    }).pipe(Effect.provide(layer))
  })

  it.effect("says so when the caller that ran it was interrupted", () => {
    const [lines, layer] = logged()
    return Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const caller = yield* Effect.forkChild(
        Supervisor.run(Effect.uninterruptible(Deferred.await(gate)), { name: "stubborn" })
      )
      yield* settle
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(caller))
      yield* settle
      yield* TestClock.adjust("5 seconds")
      assert.include(lines.join(), "whoever ran job stubborn (job-1) was interrupted, and waits for it to end")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(interrupting)
    }).pipe(Effect.provide([Supervisor.layer(), layer]))
  })

  it("does not wait until it would have said so when the job ends at once, wherever a fiber is preempted", () => {
    const late: Array<SeededScheduler.Point> = []
    const caller = Effect.gen(function* () {
      const running = yield* Effect.forkChild(Supervisor.run(Effect.never))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(running)
      return Number(yield* Clock.monotonicTimeNanos)
    }).pipe(Effect.provide(Supervisor.layer()))
    const points = SeededScheduler.points(caller)
    for (const preempt of points) {
      const { exit } = SeededScheduler.run(caller, { preempt })
      if (!Exit.isSuccess(exit) || exit.value > 0) late.push(preempt)
    }
    assert.deepStrictEqual([late, points.length > 0], [[], true])
  })
})
