import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Logger, Ref, References, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, JobError, Supervisor } from "holdfast/supervisor"
import { settle } from "./settle.ts"

const reasonOf = (exit: Exit.Exit<unknown, unknown>): string => {
  assert(Exit.isFailure(exit))
  const error = Cause.squash(exit.cause)
  return error instanceof JobError.JobError ? error.reason._tag : String(error)
}

/** Work that says when it has started, and then goes on until it is interrupted. */
const endless = (finalizer: Effect.Effect<void> = Effect.void) => {
  const started = Deferred.makeUnsafe<void>()
  return {
    started: Deferred.await(started),
    work: Effect.onInterrupt(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), () => finalizer)
  }
}

const quiet = Logger.layer([])

describe("submit", () => {
  it.effect("gives the handle before the work has begun, and runs it without being awaited", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<string>()
      let begun = false
      const job = yield* Supervisor.submit(
        Effect.suspend(() => {
          begun = true
          return Deferred.succeed(done, "ran")
        })
      )
      assert.isFalse(begun)
      assert.strictEqual((yield* Job.status(job)).state, "pending")
      assert.strictEqual(yield* Deferred.await(done), "ran")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("keeps the name, the id and the metadata it was given", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.void, { id: "a-1", name: "summarise", metadata: { user: "u-1" } })
      const status = yield* Supervisor.get("a-1")
      assert.deepStrictEqual([job.id, job.name, status.metadata], ["a-1", "summarise", { user: "u-1" }])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("refuses a second job with a known id", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.void, { id: "a" })
      assert.strictEqual(reasonOf(yield* Effect.exit(Supervisor.submit(Effect.void, { id: "a" }))), "DuplicateId")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("does not count those as waiting for whom a slot is free", () =>
    Effect.gen(function* () {
      const jobs = yield* Effect.replicateEffect(Supervisor.submit(Effect.void), 3)
      yield* Effect.forEach(jobs, Job.join)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 3, maxPending: 0 })))
  )

  it.effect("refuses one job more than may wait", () =>
    Effect.gen(function* () {
      const first = endless()
      yield* Supervisor.submit(first.work)
      yield* first.started
      yield* Supervisor.submit(Effect.void)
      assert.strictEqual(reasonOf(yield* Effect.exit(Supervisor.submit(Effect.void))), "QueueFull")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )

  it.effect.each([0, 3])(
    "counts as waiting those whose key is at its limit, whatever slots are free, up to %i",
    (maxPending) =>
      Effect.gen(function* () {
        const submit = (key: string) => Effect.exit(Supervisor.submit(Effect.never, { key }))
        for (let n = 0; n < 10; n++) {
          const accepted = (yield* submit("tenant a"))._tag === "Success"
          assert.strictEqual(accepted, n <= maxPending)
          if (n === 2) yield* settle
        }
        yield* settle
        const { running, waiting } = yield* Supervisor.health
        assert.deepStrictEqual({ running, waiting }, { running: 1, waiting: maxPending })
        // A slot that is free is there for others.
        for (const key of ["tenant b", "tenant c"]) assert.isTrue((yield* submit(key))._tag === "Success")
        assert.isFalse((yield* submit("tenant b"))._tag === "Success")
      }).pipe(Effect.provide(Supervisor.layer({ concurrency: 10, keyConcurrency: 1, maxPending })))
  )

  it.effect("lets a job into a free slot also while more wait than may, for a running job submitted them", () =>
    Effect.gen(function* () {
      const waits = Supervisor.submit(Effect.never, { key: "busy" })
      yield* waits
      yield* Supervisor.submit(Effect.andThen(Effect.andThen(waits, waits), Effect.never))
      yield* settle
      assert.strictEqual((yield* Supervisor.health).waiting, 2)
      yield* Supervisor.submit(Effect.never, { key: "free" })
      assert.strictEqual((yield* Effect.flip(waits)).reason._tag, "QueueFull")
      assert.strictEqual((yield* Effect.flip(Supervisor.submit(Effect.never))).reason._tag, "QueueFull")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 3, keyConcurrency: 1, maxPending: 1 })))
  )

  it.effect("runs the work in the caller's context, in a scope of its own", () =>
    Effect.gen(function* () {
      const released = yield* Ref.make(false)
      const job = yield* Supervisor.submit(Effect.acquireRelease(Effect.succeed("held"), () => Ref.set(released, true)))
      assert.strictEqual(yield* Job.join(job), "held")
      assert.isTrue(yield* Ref.get(released))
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it("rejects options out of range by name", () => {
    assert.throws(() => Supervisor.layer({ concurrency: 0 }), /concurrency must be a whole number of at least 1, got 0/)
    assert.throws(() => Supervisor.layer({ retain: 1.5 }), /retain/)
    assert.throws(() => Supervisor.layer({ aging: "Infinity" }), /aging must be a finite duration above 0/)
  })
})

describe("limits", () => {
  it.effect("starts waiting jobs in the order in which they came", () =>
    Effect.gen(function* () {
      const order: Array<number> = []
      const jobs = yield* Effect.forEach([1, 2, 3, 4, 5], (n) => Supervisor.submit(Effect.sync(() => order.push(n))))
      yield* Effect.forEach(jobs, Job.join)
      assert.deepStrictEqual(order, [1, 2, 3, 4, 5])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect.prop(
    "never runs more jobs than the limit, whatever ends them",
    [
      Schema.Array(
        Schema.Struct({
          millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })),
          end: Schema.Literals(["succeed", "fail", "die", "cancel", "time out"])
        })
      ),
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 }))
    ],
    ([jobs, limit]) =>
      Effect.gen(function* () {
        let running = 0
        let most = 0
        const handles = yield* Effect.forEach(jobs, ({ end, millis }) => {
          const ending = { succeed: Effect.void, fail: Effect.fail("no"), die: Effect.die("no") }
          const work = Effect.acquireUseRelease(
            Effect.sync(() => (most = Math.max(most, ++running))),
            () =>
              Effect.andThen(Effect.sleep(millis), end === "cancel" || end === "time out" ? Effect.never : ending[end]),
            () =>
              Effect.andThen(
                Effect.sleep(1),
                Effect.sync(() => running--)
              )
          )
          return Supervisor.submit(work, end === "time out" ? { timeout: millis + 1 } : {})
        })
        const cancels = yield* Effect.forkChild(
          Effect.forEach(handles, (job, at) => (jobs[at]?.end === "cancel" ? Job.cancel(job) : Effect.void))
        )
        const end = yield* Effect.forkChild(Effect.forEach(handles, (job) => Job.await(job)))
        while (end.pollUnsafe() === undefined) {
          yield* TestClock.adjust(1)
          yield* settle
        }
        yield* Fiber.join(cancels)
        assert.isAtMost(most, limit)
        assert.strictEqual(running, 0)
        const { calls, ...counts } = yield* Supervisor.counts
        assert.strictEqual(counts.completed + counts.failed + counts.cancelled, jobs.length)
        assert.strictEqual(calls.completed, 0)
      }).pipe(Effect.provide(Supervisor.layer({ concurrency: limit })), Effect.provide(quiet)),
    { arbitrary: { runs: 60 } }
  )

  it.effect("gives the slot back only when the finalizers have run", () =>
    Effect.gen(function* () {
      const holding = yield* Deferred.make<void>()
      const first = endless(Deferred.await(holding))
      const job = yield* Supervisor.submit(first.work)
      yield* first.started
      const next = yield* Supervisor.submit(Effect.void)
      const cancelling = yield* Effect.forkChild(Job.cancel(job))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        [(yield* Job.status(job)).state, (yield* Job.status(next)).state, cancelling.pollUnsafe()],
        ["running", "pending", undefined]
      )
      yield* Deferred.succeed(holding, undefined)
      assert.strictEqual((yield* Fiber.join(cancelling)).state, "cancelled")
      yield* Job.join(next)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("lets calls through while every slot is taken", () =>
    Effect.gen(function* () {
      const first = endless()
      yield* Supervisor.submit(first.work)
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("answer"), { kind: "call" }), "answer")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )
})

describe("timeout", () => {
  it.effect("interrupts the work, runs its finalizers, and fails the job with the limit", () =>
    Effect.gen(function* () {
      let finalized = false
      const { work } = endless(Effect.sync(() => (finalized = true)))
      const job = yield* Supervisor.submit(work, { timeout: "20 seconds" })
      const waiting = yield* Effect.forkChild(Effect.exit(Job.join(job)))
      yield* settle
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual((yield* Job.status(job)).state, "running")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(reasonOf(yield* Fiber.join(waiting)), "TimedOut")
      assert.isTrue(finalized)
      assert.strictEqual((yield* Job.status(job)).state, "failed")
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  it.effect("can be matched by its reason", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never, { timeout: 1 })
      const answer = yield* Effect.forkChild(
        Job.join(job).pipe(Effect.catchReason("JobError", "TimedOut", ({ after }) => Effect.succeed(after)))
      )
      yield* settle
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(answer), Duration.millis(1))
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  it.effect("of the supervisor holds for jobs without one, and not for calls", () =>
    Effect.gen(function* () {
      const call = yield* Supervisor.submit(Effect.never, { kind: "call" })
      const job = yield* Supervisor.submit(Effect.never)
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual(reasonOf(yield* Job.await(job)), "TimedOut")
      assert.strictEqual((yield* Job.status(call)).state, "running")
    }).pipe(Effect.provide(Supervisor.layer({ timeout: "1 second" })), Effect.provide(quiet))
  )
})

describe("cancel", () => {
  it.effect("takes a pending job out before it ever starts", () =>
    Effect.gen(function* () {
      const first = endless()
      yield* Supervisor.submit(first.work)
      yield* first.started
      let ran = false
      const waiting = yield* Supervisor.submit(Effect.sync(() => (ran = true)))
      const status = yield* Job.cancel(waiting, { reason: "user left" })
      assert.deepStrictEqual([status.state, status.startedAtMillis, ran], ["cancelled", undefined, false])
      assert.strictEqual((yield* Supervisor.counts).pending, 0)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("gives the first reason to whoever joins", () =>
    Effect.gen(function* () {
      const { started, work } = endless()
      const job = yield* Supervisor.submit(work)
      yield* started
      yield* Effect.all([Job.cancel(job, { reason: "first" }), Supervisor.cancel(job.id, { reason: "second" })], {
        concurrency: 2
      })
      const reason = yield* Job.join(job).pipe(
        Effect.catchReason("JobError", "Cancelled", ({ reason }) => Effect.succeed(reason))
      )
      assert.strictEqual(reason, "first")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("leaves a job that has ended as it is", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.succeed(1))
      yield* Job.join(job)
      assert.strictEqual((yield* Job.cancel(job)).state, "completed")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("of the job by itself ends it", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(
        Effect.andThen(Supervisor.cancel("me", { reason: "enough" }), Effect.never),
        {
          id: "me"
        }
      )
      assert.strictEqual(reasonOf(yield* Job.await(job)), "Cancelled")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("keeps what a finalizer added, and reports it", () =>
    Effect.gen(function* () {
      const { started, work } = endless(Effect.die("finalizer broke"))
      const job = yield* Supervisor.submit(work)
      yield* started
      const status = yield* Job.cancel(job)
      assert.strictEqual(status.state, "cancelled")
      assert.include(Cause.pretty(status.cause ?? Cause.empty), "finalizer broke")
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )
})

describe("waiting", () => {
  it.effect("join fails as the job failed, and dies as it died", () =>
    Effect.gen(function* () {
      const failing = yield* Supervisor.submit(Effect.fail("typed" as const))
      const dying = yield* Supervisor.submit(Effect.die("defect"))
      assert.strictEqual(yield* Effect.flip(Job.join(failing)), "typed")
      const exit = yield* Effect.exit(Job.join(dying))
      assert(Exit.isFailure(exit))
      assert.isTrue(Cause.hasDies(exit.cause))
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  it.effect("gives up at its limit and leaves the job alone", () =>
    Effect.gen(function* () {
      const { started, work } = endless()
      const job = yield* Supervisor.submit(work)
      yield* started
      const waiting = yield* Effect.forkChild(Effect.exit(Supervisor.await(job.id, { limit: "300 seconds" })))
      yield* settle
      yield* TestClock.adjust("300 seconds")
      assert.strictEqual(reasonOf(yield* Fiber.join(waiting)), "StillRunning")
      assert.strictEqual((yield* Job.status(job)).state, "running")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("interrupted, leaves the job alone and forgets the waiter", () =>
    Effect.gen(function* () {
      const { started, work } = endless()
      const job = yield* Supervisor.submit(work)
      yield* started
      const waiting = yield* Effect.forkChild(Job.join(job))
      yield* settle
      yield* Fiber.interrupt(waiting)
      assert.strictEqual((yield* Job.status(job)).state, "running")
      yield* Job.cancel(job)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("for itself is refused", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Supervisor.await("me"), { id: "me" })
      assert.strictEqual(reasonOf(yield* Job.await(job)), "WaitsForItself")
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  it.effect("for all, from inside a job, leaves out that job and its owners", () =>
    Effect.gen(function* () {
      let ended = false
      yield* Supervisor.submit(
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => (ended = true))
        )
      )
      yield* Supervisor.run(Supervisor.run(Supervisor.awaitAll()))
      assert.isTrue(ended)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("works on a handle after the record was dropped, and says Expired by id", () =>
    Effect.gen(function* () {
      const first = yield* Supervisor.submit(Effect.succeed("first"))
      const second = yield* Supervisor.submit(Effect.succeed("second"))
      yield* Job.join(second)
      assert.strictEqual(yield* Job.join(first), "first")
      assert.strictEqual(reasonOf(yield* Effect.exit(Supervisor.get(first.id))), "Expired")
      assert.strictEqual(reasonOf(yield* Effect.exit(Supervisor.await("job-99"))), "NotFound")
    }).pipe(Effect.provide(Supervisor.layer({ retain: 1 })))
  )
})

describe("list and counts", () => {
  it.effect("filter by state, name, kind and metadata", () =>
    Effect.gen(function* () {
      const { started, work } = endless()
      yield* Supervisor.submit(work, { name: "long", metadata: { user: "u-1", n: 1 } })
      const short = yield* Supervisor.submit(Effect.void, { name: "short", metadata: { user: "u-1", n: 2 } })
      yield* Supervisor.run(Effect.void, { name: "model", kind: "call" })
      yield* started
      yield* Job.join(short)
      const names = (filter?: Supervisor.Filter) =>
        Effect.map(Supervisor.list(filter), (jobs) => jobs.map((job) => job.name).sort())
      assert.deepStrictEqual(yield* names(), ["long", "model", "short"])
      assert.deepStrictEqual(yield* names({ state: ["pending", "running"] }), ["long"])
      assert.deepStrictEqual(yield* names({ metadata: { user: "u-1" } }), ["long", "short"])
      assert.deepStrictEqual(yield* names({ metadata: { user: "u-1", n: 2 }, state: "completed" }), ["short"])
      assert.deepStrictEqual(yield* names({ kind: "call" }), ["model"])
      assert.deepStrictEqual(yield* names({ name: "nobody" }), [])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("count every job once, also those whose records are dropped", () =>
    Effect.gen(function* () {
      const jobs = yield* Effect.forEach(Array.from({ length: 20 }), (_, n) =>
        Supervisor.submit(n % 2 === 0 ? Effect.void : Effect.fail("odd"))
      )
      yield* Effect.forEach(jobs, (job) => Job.await(job))
      const { calls: _, ...counts } = yield* Supervisor.counts
      assert.deepStrictEqual(counts, { pending: 0, running: 0, completed: 10, failed: 10, cancelled: 0 })
      assert.lengthOf(yield* Supervisor.list(), 3)
    }).pipe(Effect.provide(Supervisor.layer({ retain: 3 })), Effect.provide(quiet))
  )
})

describe("failures", () => {
  it.effect("are logged once with their cause and the job's name, and given to the hook", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const heard: Array<string> = []
      const collect = Logger.make(({ cause, fiber, message }) => {
        const { jobName } = fiber.getRef(References.CurrentLogAnnotations)
        logged.push(`${String(message)} ${String(jobName)} ${Cause.pretty(cause).split("\n")[0]}`)
      })
      yield* Effect.gen(function* () {
        const job = yield* Supervisor.submit(Effect.fail(new Error("no route")), { name: "trip" })
        yield* Job.await(job)
      }).pipe(
        Effect.provide(
          Supervisor.layer({
            onFailure: ({ job }) => Effect.sync(() => heard.push(`${job.name} ${job.state}`))
          })
        ),
        Effect.provide(Logger.layer([collect]))
      )
      assert.deepStrictEqual(logged, ["job failed trip Error: no route"])
      assert.deepStrictEqual(heard, ["trip failed"])
    })
  )

  it.effect("by running out of time are given to the hook too", () => {
    const heard: Array<string> = []
    return Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never, { name: "slow", timeout: "1 second" })
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* Job.await(job)
      assert.deepStrictEqual(heard, ["slow TimedOut"])
    }).pipe(
      Effect.provide(
        Supervisor.layer({
          onFailure: ({ cause, job }) =>
            Effect.andThen(
              Effect.yieldNow,
              Effect.sync(() => heard.push(`${job.name} ${reasonOf(Exit.failCause(cause))}`))
            )
        })
      ),
      Effect.provide(quiet)
    )
  })

  it.effect("of the hook are recorded and harm nobody", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.fail("no"))
      yield* Job.await(job)
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("next")), "next")
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(4), Stream.runCollect)
      assert.deepStrictEqual(
        events.map((event) => event._tag),
        ["JobSubmitted", "JobStarted", "JobFailed", "FailureHookFailed"]
      )
    }).pipe(Effect.provide(Supervisor.layer({ onFailure: () => Effect.die("hook broke") })), Effect.provide(quiet))
  )

  it.effect("in a hook that does not end are given up after its limit", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.fail("no"))
      const waiting = yield* Effect.forkChild(Job.await(job))
      yield* settle
      yield* TestClock.adjust("5 seconds")
      assert(Exit.isFailure(yield* Fiber.join(waiting)))
    }).pipe(Effect.provide(Supervisor.layer({ onFailure: () => Effect.never })), Effect.provide(quiet))
  )

  it.effect("of calls are their caller's: recorded and counted, not logged", () =>
    Effect.gen(function* () {
      const logged: Array<unknown> = []
      yield* Effect.gen(function* () {
        yield* Effect.flip(Supervisor.run(Effect.fail("busy"), { kind: "call" }))
        assert.strictEqual((yield* Supervisor.counts).calls.failed, 1)
      }).pipe(
        Effect.provide(Supervisor.layer()),
        Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))]))
      )
      assert.lengthOf(logged, 0)
    })
  )
})

describe("closing the scope", () => {
  it.effect("ends every job and waits for its finalizers", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const supervisor = yield* Effect.provideService(Supervisor.make({ concurrency: 2 }), Scope.Scope, scope)
      let finalized = 0
      const finalizer = Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => finalized++)
      )
      const all = [endless(finalizer), endless(finalizer), endless(finalizer)] as const
      const jobs = yield* Effect.forEach(all, ({ work }) => supervisor.submit(work))
      yield* all[1].started
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(finalized, 2)
      assert.deepStrictEqual(
        (yield* Effect.forEach(jobs, Job.status)).map((job) => job.state),
        ["cancelled", "cancelled", "cancelled"]
      )
      assert.strictEqual(reasonOf(yield* Effect.exit(supervisor.submit(Effect.void))), "NotAccepting")
    })
  )

  it.effect("ends the event streams after their last event", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const supervisor = yield* Effect.provideService(Supervisor.make(), Scope.Scope, scope)
      yield* supervisor.submit(Effect.never)
      const reading = yield* Effect.forkChild(Stream.runCollect(supervisor.events({ after: 0 })))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(reading)).at(-1)?._tag, "JobCancelled")
    })
  )
})

describe("child jobs", () => {
  it.effect("end before the job that owns them does", () =>
    Effect.gen(function* () {
      let childFinalized = false
      const child = endless(Effect.sync(() => (childFinalized = true)))
      const parent = yield* Supervisor.submit(
        Effect.andThen(Supervisor.submit(child.work, { id: "child" }), child.started)
      )
      yield* Job.join(parent)
      assert.isTrue(childFinalized)
      const status = yield* Supervisor.get("child")
      assert.deepStrictEqual([status.state, status.parentId], ["cancelled", parent.id])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("are cancelled with the job that owns them", () =>
    Effect.gen(function* () {
      const child = endless()
      const parent = yield* Supervisor.submit(
        Effect.andThen(Supervisor.submit(child.work, { id: "child" }), Effect.never)
      )
      yield* child.started
      yield* Job.cancel(parent)
      assert.strictEqual((yield* Supervisor.get("child")).state, "cancelled")
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("run", () => {
  it.effect("ends the job with its caller", () =>
    Effect.gen(function* () {
      const { started, work } = endless()
      const caller = yield* Effect.forkChild(Supervisor.run(work, { id: "owned" }))
      yield* started
      yield* Fiber.interrupt(caller)
      assert.strictEqual((yield* Supervisor.get("owned")).state, "cancelled")
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("drain", () => {
  it.effect("starts nothing new, lets running jobs finish, and accounts for every job by name", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const running = yield* Supervisor.submit(Deferred.await(gate), { name: "running" })
      yield* settle
      yield* Supervisor.submit(Effect.void, { name: "waiting" })
      const draining = yield* Effect.forkChild(Supervisor.drain())
      yield* settle
      assert.strictEqual(reasonOf(yield* Effect.exit(Supervisor.submit(Effect.void))), "NotAccepting")
      yield* Deferred.succeed(gate, undefined)
      yield* Job.join(running)
      const report = yield* Fiber.join(draining)
      assert.deepStrictEqual(
        report.jobs.map((job) => [job.name, job.outcome]),
        [
          ["running", "completed"],
          ["waiting", "not started"]
        ]
      )
      assert.isTrue(report.clean)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("interrupts what has not ended by the deadline", () =>
    Effect.gen(function* () {
      const { started, work } = endless()
      yield* Supervisor.submit(work, { name: "slow" })
      yield* started
      const draining = yield* Effect.forkChild(Supervisor.drain({ deadline: "10 seconds" }))
      yield* settle
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(
        (yield* Fiber.join(draining)).jobs.map((job) => job.outcome),
        ["cancelled"]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("returns although a job cannot be interrupted, and says which", () =>
    Effect.gen(function* () {
      const release = yield* Deferred.make<void>()
      yield* Supervisor.submit(Effect.uninterruptible(Deferred.await(release)), { name: "stubborn" })
      yield* settle
      const draining = yield* Effect.forkChild(Supervisor.drain({ deadline: "10 seconds" }))
      yield* settle
      yield* TestClock.adjust("10 seconds")
      yield* settle
      yield* TestClock.adjust("1 second")
      const report = yield* Fiber.join(draining)
      assert.deepStrictEqual(
        [report.clean, report.jobs.map((job) => [job.name, job.outcome])],
        [false, [["stubborn", "still running"]]]
      )
      yield* Deferred.succeed(release, undefined)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("lets a running job submit the rest of its work, and reports that too", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Supervisor.submit(
        Effect.andThen(Deferred.await(gate), Supervisor.run(Effect.void, { name: "its call", kind: "call" })),
        { name: "job" }
      )
      yield* settle
      const draining = yield* Effect.forkChild(Supervisor.drain())
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(
        (yield* Fiber.join(draining)).jobs.map((job) => [job.name, job.outcome]),
        [
          ["job", "completed"],
          ["its call", "completed"]
        ]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("events", () => {
  it.effect("carry 1, 2, 3, … and resume after any number", () =>
    Effect.gen(function* () {
      const jobs = yield* Effect.forEach([1, 2, 3], () => Supervisor.submit(Effect.void))
      yield* Effect.forEach(jobs, Job.join)
      const after = (n: number) =>
        Supervisor.events({ after: n }).pipe(
          Stream.take(9 - n),
          Stream.runCollect,
          Effect.map((events) => events.map((event) => ("sequence" in event ? event.sequence : event)))
        )
      assert.deepStrictEqual(yield* after(0), [1, 2, 3, 4, 5, 6, 7, 8, 9])
      assert.deepStrictEqual(yield* after(6), [7, 8, 9])
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})
