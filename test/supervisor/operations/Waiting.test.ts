import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, type JobError, Supervisor } from "holdfast/supervisor"
import { settle, whileTimePasses } from "../settle.ts"

const quiet = Logger.layer([])

const reasonOf = <A, E>(exit: Exit.Exit<A, E>) => (Exit.isSuccess(exit) ? "Success" : String(exit.cause))

/** Ways to wait inside a job, each given up after 20 milliseconds, and what becomes of the job that was waited for. */
const givingUp: Readonly<
  Record<string, { readonly wait: Effect.Effect<unknown, unknown, Supervisor.Supervisor>; readonly child: string }>
> = {
  "Effect.timeout around Supervisor.run": {
    wait: Effect.timeoutOption(Supervisor.run(Effect.never, { name: "child" }), "20 millis"),
    child: "cancelled"
  },
  "Job.await with a limit": {
    wait: Effect.flatMap(Supervisor.submit(Effect.never, { name: "child", owner: "supervisor" }), (child) =>
      Effect.exit(Job.await(child, { limit: "20 millis" }))
    ),
    child: "untouched"
  },
  "Effect.timeout around Job.join": {
    wait: Effect.flatMap(Supervisor.submit(Effect.never, { name: "child", owner: "supervisor" }), (child) =>
      Effect.timeoutOption(Job.join(child), "20 millis")
    ),
    child: "untouched"
  },
  "Job.awaitAll with a limit": {
    wait: Effect.flatMap(Supervisor.submit(Effect.never, { name: "child", owner: "supervisor" }), (child) =>
      Effect.exit(Job.awaitAll([child], { limit: "20 millis" }))
    ),
    child: "untouched"
  },
  "Supervisor.join with a limit": {
    wait: Effect.flatMap(Supervisor.submit(Effect.never, { name: "child", owner: "supervisor" }), ({ id }) =>
      Effect.exit(Supervisor.join(id, { limit: "20 millis" }))
    ),
    child: "untouched"
  },
  "wait for all, then cancel": {
    wait: Effect.andThen(
      Supervisor.submit(Effect.never, { name: "child" }),
      Supervisor.awaitAll({ name: "child" }, { limit: "20 millis" }).pipe(
        Effect.catchReason("JobError", "StillRunning", () => Supervisor.cancelAll({ name: "child" }))
      )
    ),
    child: "cancelled"
  }
}

describe("a job that gives up a wait", () => {
  for (const [way, { child, wait }] of Object.entries(givingUp)) {
    for (const concurrency of [1, 5]) {
      it.effect(`goes on at once, whatever holds the slots: ${way}, concurrency ${concurrency}`, () =>
        Effect.gen(function* () {
          const parents = yield* Effect.replicateEffect(Supervisor.submit(wait, { name: "parent" }), concurrency)
          yield* settle
          yield* TestClock.adjust("20 millis")
          yield* settle
          const states = yield* Effect.forEach(parents, Job.status)
          assert.deepStrictEqual(
            states.map(({ state }) => state),
            parents.map(() => "completed" as const)
          )
          const children = yield* Supervisor.list({ name: "child" })
          assert.deepStrictEqual(
            children.map(({ state }) => (state === "cancelled" ? "cancelled" : "untouched")),
            parents.map(() => child)
          )
        }).pipe(Effect.provide(Supervisor.layer({ concurrency })), Effect.provide(quiet))
      )
    }
  }

  it.effect("goes on above the limit, and nothing starts until it is below again", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const child = yield* Deferred.make<void>()
      const parent = yield* Supervisor.submit(
        Effect.gen(function* () {
          const job = yield* Supervisor.submit(Deferred.await(child), { owner: "supervisor" })
          yield* Effect.exit(Job.await(job, { limit: "1 second" }))
          yield* Deferred.await(gate)
        })
      )
      yield* settle
      yield* TestClock.adjust("1 second")
      const next = yield* Supervisor.submit(Effect.void)
      yield* settle
      assert.strictEqual((yield* Supervisor.health).running, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Job.join(parent)
      yield* settle
      assert.deepStrictEqual([(yield* Supervisor.health).running, (yield* Job.status(next)).state], [1, "pending"])
      yield* Deferred.succeed(child, undefined)
      yield* Job.join(next)
      assert.strictEqual((yield* Supervisor.health).running, 0)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("goes on at once also while it waits for its slot", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const parent = yield* Supervisor.submit(
        Effect.gen(function* () {
          const child = yield* Supervisor.submit(Deferred.await(gate))
          return yield* Job.await(child, { limit: "1 second" })
        })
      )
      yield* settle
      // The child's slot goes to a job that was lent it and does not let go.
      yield* Supervisor.submit(Effect.never, { priority: "critical" })
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      // The child had ended in time.
      assert(Exit.isSuccess(yield* Job.join(parent)))
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("by running it awaits the finalizers of what it ran", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const child = Effect.onExit(Effect.never, () =>
        Effect.andThen(
          Effect.sleep("1 second"),
          Effect.sync(() => order.push("finalizer"))
        )
      )
      yield* Supervisor.run(
        Effect.andThen(
          Effect.timeoutOption(Supervisor.run(child), "20 millis"),
          Effect.sync(() => order.push("went on"))
        )
      ).pipe(whileTimePasses)
      assert.deepStrictEqual(order, ["finalizer", "went on"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("of room in a full queue goes on at once", () =>
    Effect.gen(function* () {
      const parent = yield* Supervisor.submit(
        Effect.gen(function* () {
          yield* Supervisor.submit(Effect.never, { owner: "supervisor" })
          yield* Supervisor.submit(Effect.never, { owner: "supervisor" })
          const submit = (name: string) =>
            Supervisor.submit(Effect.void, { name, owner: "supervisor", whenFull: "1 second" })
          // The first is let in, for the slot that is lent; it is not given back. There is no room for the second.
          return [(yield* submit("let in")).name, (yield* Effect.flip(submit("refused"))).reason._tag]
        })
      )
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual((yield* Job.status(parent)).state, "completed")
      assert.deepStrictEqual(yield* Job.join(parent), ["let in", "QueueFull"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 2 })), Effect.provide(quiet))
  )
})

describe("a job that cancels another", () => {
  it.effect("lends its slot while it waits, also to a finalizer that runs a job, and goes on at once", () =>
    Effect.gen(function* () {
      const undo = Effect.ignore(Supervisor.run(Effect.void, { owner: "supervisor", name: "undo" }))
      const target = yield* Supervisor.submit(
        Effect.gen(function* () {
          yield* Effect.addFinalizer(() => undo)
          return yield* Job.join(yield* Supervisor.submit(Effect.never, { owner: "supervisor", priority: "low" }))
        })
      )
      const canceller = yield* Supervisor.submit(Job.cancel(target))
      assert.strictEqual((yield* Job.join(canceller)).state, "cancelled")
      assert.strictEqual((yield* Supervisor.list({ name: "undo" })).at(0)?.state, "completed")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })), Effect.provide(quiet))
  )
})

/** Ways to follow, inside a job, what becomes of a job that has no slot yet. */
const following: Readonly<
  Record<string, (child: Job.Job<void, never>) => Stream.Stream<unknown, unknown, Supervisor.Supervisor>>
> = {
  "Job.events": (child) => Job.events(child),
  "Job.progress": (child) => Job.progress(child),
  "Supervisor.events of the job": ({ id }) => Supervisor.events({ job: id }),
  "Supervisor.events of all": ({ id }) =>
    Supervisor.events().pipe(
      Stream.filter((event) => event._tag === "JobCompleted" && event.jobId === id),
      Stream.take(1)
    )
}

describe("a job that follows another", () => {
  for (const [way, follow] of Object.entries(following)) {
    it.effect(`lends its slot while it waits for news: ${way}`, () =>
      Effect.gen(function* () {
        const parent = yield* Supervisor.submit(
          Effect.flatMap(Supervisor.submit(Job.report({ fraction: 1 })), (child) => Stream.runDrain(follow(child)))
        )
        yield* settle
        assert.strictEqual((yield* Job.status(parent)).state, "completed")
        assert.strictEqual((yield* Supervisor.health).running, 0)
      }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
    )

    it.effect(`has its slot again when it goes on: ${way}`, () =>
      Effect.gen(function* () {
        let atOnce = 0
        let most = 0
        const work = Effect.acquireUseRelease(
          Effect.sync(() => void (most = Math.max(most, ++atOnce))),
          () => Effect.yieldNow,
          () => Effect.sync(() => void atOnce--)
        )
        const child = yield* Deferred.make<Job.Job<void, never>>()
        const parents = yield* Effect.replicateEffect(
          Supervisor.submit(
            Effect.andThen(
              Effect.flatMap(Deferred.await(child), (job) => Stream.runDrain(follow(job))),
              work
            )
          ),
          3
        )
        const job = yield* Supervisor.submit(Effect.andThen(Effect.sleep("1 second"), Job.report({ fraction: 1 })))
        yield* Deferred.succeed(child, job)
        yield* settle
        yield* TestClock.adjust("1 second")
        yield* settle
        yield* Job.awaitAll(parents)
        assert.strictEqual(most, 1)
      }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
    )
  }

  it.effect("does not wait for its own news", () =>
    Effect.gen(function* () {
      const self = yield* Deferred.make<Job.Job<void, JobError.JobError>>()
      const job = yield* Supervisor.submit(
        Effect.flatMap(Deferred.await(self), (own) => Stream.runDrain(Job.events(own)))
      )
      yield* Deferred.succeed(self, job)
      assert.include(reasonOf(yield* Job.await(job)), "cannot be waited for by itself")
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )
})

describe("a wait for oneself", () => {
  it.effect("fails, whether for oneself or for a job that owns the one that waits", () =>
    Effect.gen(function* () {
      const inner = Effect.gen(function* () {
        const owner = yield* Supervisor.find("owner")
        const self = yield* Supervisor.find("self")
        const waits = [
          Job.join(owner),
          Job.await(owner),
          Job.awaitAll([owner]),
          Supervisor.join("owner"),
          Job.join(self)
        ]
        return yield* Effect.forEach(waits, (wait) => Effect.map(Effect.exit(wait), reasonOf))
      })
      const seen = yield* Supervisor.run(Supervisor.run(inner, { id: "self" }), { id: "owner" })
      for (const reason of seen) assert.include(reason, "cannot be waited for by itself, or by a job that it owns")
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("Supervisor.join", () => {
  it.effect("gives the result of a job by its id, fails as it failed, and waits no longer than its limit", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.succeed(42), { id: "good" })
      yield* Supervisor.submit(Effect.fail("bad"), { id: "bad" })
      yield* Supervisor.submit(Effect.never, { id: "slow" })
      assert.strictEqual(yield* Supervisor.join("good"), 42)
      assert.strictEqual(yield* Effect.flip(Supervisor.join("bad", { limit: "1 second" })), "bad")
      const late = yield* Effect.forkChild(Effect.flip(Supervisor.join("slow", { limit: "1 second" })))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.include(String(yield* Fiber.join(late)), "had not ended after waiting 1s")
      assert.include(String(yield* Effect.flip(Supervisor.join("nobody"))), "is not known")
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )
})

describe("cancelAll", () => {
  it.effect("reports what became of every job by its limit, and goes on accepting", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.never, { name: "runs" })
      yield* Supervisor.submit(Effect.uninterruptible(Effect.sleep("1 hour")), { name: "stubborn" })
      yield* settle
      yield* Supervisor.submit(Effect.never, { name: "waits" })
      const cancelling = yield* Effect.forkChild(Supervisor.cancelAll({}, { limit: "10 seconds" }))
      yield* settle
      yield* TestClock.adjust("10 seconds")
      const { clean, jobs } = yield* Fiber.join(cancelling)
      assert.deepStrictEqual(
        jobs.map(({ name, outcome, stuckForMillis }) => [name, outcome, stuckForMillis]),
        [
          ["runs", "cancelled", undefined],
          ["stubborn", "still running", 10_000],
          ["waits", "not started", undefined]
        ]
      )
      assert.isFalse(clean)
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("more")), "more")
      yield* TestClock.adjust("1 hour")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2 })))
  )

  it.effect("counts only the jobs that it does not leave out", () =>
    Effect.gen(function* () {
      yield* Supervisor.every(Effect.void, { name: "tick", schedule: "1 hour" })
      const job = yield* Supervisor.submit(Effect.never)
      const other = yield* Supervisor.submit(Effect.never)
      yield* settle
      const { jobs } = yield* Supervisor.run(Supervisor.cancelAll({ limit: 1 }))
      assert.deepStrictEqual(
        jobs.map(({ id }) => id),
        [job.id]
      )
      assert.strictEqual((yield* Job.status(other)).state, "running")
      yield* Supervisor.cancelAll({ offset: 0, limit: 1 })
      yield* Supervisor.awaitAll({ limit: 1 })
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it("says which of its two limits was given what belongs into the other", () => {
    // What no type lets through, a program without types gives all the same.
    const any = (value: unknown) => value as never
    assert.throws(
      () => Supervisor.cancelAll({ limit: any("10 seconds") }),
      /limit in the filter must be a whole number/
    )
    assert.throws(() => Supervisor.cancelAll({}, { limit: any(10) }), /must be a time with its unit/)
    assert.throws(() => Supervisor.awaitAll({}, { limit: any(10) }), /must be a time with its unit/)
  })
})

describe("depth and width", () => {
  const depths = { job: 20_000, call: 5_000 }

  const nested = (depth: number, kind: "job" | "call"): Effect.Effect<number, unknown, Supervisor.Supervisor> =>
    depth === 0
      ? Effect.succeed(0)
      : Effect.map(
          Supervisor.run(
            Effect.suspend(() => nested(depth - 1, kind)),
            { kind }
          ),
          (below) => below + 1
        )

  for (const kind of ["job", "call"] as const) {
    it.live(`of ${kind}s in each other has no end`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* nested(depths[kind], kind), depths[kind])
      }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
    )

    it.live(`of ${kind}s in each other ends with the outermost`, () =>
      Effect.gen(function* () {
        const bottom = yield* Deferred.make<void>()
        const inner = Effect.andThen(Deferred.succeed(bottom, undefined), Effect.never)
        const down = (depth: number): Effect.Effect<unknown, unknown, Supervisor.Supervisor> =>
          depth === 0
            ? inner
            : Supervisor.run(
                Effect.suspend(() => down(depth - 1)),
                { kind }
              )
        const top = yield* Supervisor.submit(down(depths[kind]), { kind })
        yield* Deferred.await(bottom)
        assert.strictEqual((yield* Job.cancel(top)).state, "cancelled")
        assert.lengthOf(yield* Supervisor.list({ state: ["pending", "running"] }), 0)
      }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, retain: 10 })))
    )
  }

  it.live("lets a job at the end of a long chain of calls lend for all of them", () =>
    Effect.gen(function* () {
      const down = (depth: number): Effect.Effect<string, unknown, Supervisor.Supervisor> =>
        depth === 0
          ? Supervisor.run(Effect.succeed("bottom"))
          : Supervisor.run(
              Effect.suspend(() => down(depth - 1)),
              { kind: "call" }
            )
      assert.strictEqual(yield* Supervisor.run(down(5_000)), "bottom")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.live("many jobs may wait for one, and return one after the other", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const one = yield* Supervisor.submit(Deferred.await(gate))
      const jobs = yield* Effect.replicateEffect(Supervisor.submit(Job.join(one), { key: "many" }), 5_000)
      while ((yield* Supervisor.counts).pending > 0) yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      yield* Job.awaitAll(jobs)
      assert.strictEqual((yield* Supervisor.health).running, 0)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 3, keyConcurrency: 2, retain: 10 })))
  )

  it.effect("a report wakes those that follow the progress, and none of the thousands that merely wait", () =>
    Effect.gen(function* () {
      let followed = 0
      const reports = Array.from({ length: 1_000 }, (_, n) => Job.report({ done: n + 1, total: 1_000 }))
      const gate = yield* Deferred.make<void>()
      const told = yield* Deferred.make<void>()
      const job = yield* Supervisor.submit(
        Effect.andThen(
          Deferred.await(gate),
          Effect.andThen(
            Effect.forEach(reports, (report) => Effect.andThen(report, Effect.yieldNow)),
            Deferred.await(told)
          )
        )
      )
      const waiting = yield* Effect.replicateEffect(Effect.forkChild(Job.join(job)), 3_000)
      yield* Effect.forkChild(Stream.runForEach(Job.progress(job), () => Effect.sync(() => followed++)))
      yield* settle
      const steps = () => waiting.reduce((sum, { currentOpCount }) => sum + currentOpCount, 0)
      const before = steps()
      yield* Deferred.succeed(gate, undefined)
      while ((yield* Job.status(job)).progress?.fraction !== 1) yield* Effect.yieldNow
      yield* settle
      assert.strictEqual(steps(), before)
      assert.isAbove(followed, 100)
      yield* Deferred.succeed(told, undefined)
      yield* Fiber.joinAll(waiting)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})
