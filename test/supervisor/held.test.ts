import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Logger, Schedule, Scope, Stream } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const quiet = Logger.layer([])

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** Makes things, and counts those that somebody still holds. */
const watch = () => {
  const made: Array<WeakRef<object>> = []
  return {
    make: (): { readonly large: string } => {
      const thing = { large: "x".repeat(1_000) }
      made.push(new WeakRef(thing))
      return thing
    },
    made,
    held: Effect.gen(function* () {
      let count = made.length
      for (let n = 0; n < 50 && count > 0; n++) {
        yield* Effect.sleep(1)
        collectGarbage()
        count = made.filter((ref) => ref.deref() !== undefined).length
      }
      return count
    })
  }
}

type Make = () => object
type Act = (make: Make) => Effect.Effect<unknown, unknown, Supervisor.Supervisor>

const result = (make: Make) => Effect.andThen(Effect.yieldNow, Effect.sync(make))
const failure = (make: Make) =>
  Effect.andThen(
    Effect.yieldNow,
    Effect.suspend(() => Effect.fail(make()))
  )
const inside = (own: Effect.Effect<unknown, unknown, Supervisor.Supervisor>, make: Make) =>
  Effect.andThen(own, result(make))

let ids = 0

const ways: Record<string, Act> = {
  submitted: (make) => Effect.andThen(Supervisor.submit(result(make)), Supervisor.awaitAll()),
  joined: (make) => Effect.flatMap(Supervisor.submit(result(make)), (job) => Job.join(job)),
  awaited: (make) => Effect.flatMap(Supervisor.submit(result(make)), (job) => Job.await(job, { limit: "1 second" })),
  "awaited in vain": (make) =>
    Effect.flatMap(Supervisor.submit(Effect.delay(result(make), 3)), (job) =>
      Effect.andThen(Effect.exit(Job.await(job, { limit: 1 })), Supervisor.awaitAll())
    ),
  run: (make) => Supervisor.run(result(make)),
  "a call": (make) => Supervisor.run(result(make), { kind: "call" }),
  "joined by idempotency key": (make) =>
    Effect.gen(function* () {
      const options = { idempotencyKey: "one" }
      const jobs = yield* Effect.forEach([1, 2], () => Supervisor.submit(result(make), options))
      yield* Job.awaitAll(jobs)
    }),
  "owner of a job": (make) => Supervisor.run(inside(Supervisor.run(Effect.void), make)),
  "owner of a call": (make) => Supervisor.run(inside(Supervisor.run(Effect.void, { kind: "call" }), make)),
  "owned by a job": (make) => Supervisor.run(Effect.asVoid(Supervisor.run(result(make)))),
  "of a periodic round": (make) =>
    Effect.gen(function* () {
      const made = yield* Deferred.make<void>()
      const round = Effect.tap(result(make), () => Deferred.succeed(made, undefined))
      const job = yield* Supervisor.every(round, { name: "round", schedule: "1 millis" })
      yield* Deferred.await(made)
      yield* Job.cancel(job)
    }),
  failed: (make) => Effect.exit(Supervisor.run(failure(make))),
  "a call that failed": (make) => Effect.exit(Supervisor.run(failure(make), { kind: "call" })),
  "retried by itself": (make) => Effect.exit(Supervisor.run(Effect.retry(failure(make), { times: 2 }))),
  retried: (make) => Effect.exit(Supervisor.run(failure(make), { retry: Schedule.recurs(2) })),
  "cancelled while it ran, with a failing finalizer": (make) =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const work = Effect.onInterrupt(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), () =>
        Effect.die(make())
      )
      const job = yield* Supervisor.submit(work)
      yield* Deferred.await(started)
      yield* Job.cancel(job)
    }),
  "cancelled before it started": (make) =>
    Effect.gen(function* () {
      const thing = make()
      const job = yield* Supervisor.submit(Effect.succeed(thing))
      yield* Job.cancel(job)
    }),
  "left by its caller": (make) =>
    Effect.gen(function* () {
      const thing = make()
      const fiber = yield* Effect.forkChild(Supervisor.run(Effect.andThen(Effect.never, Effect.succeed(thing))))
      yield* Effect.sleep(1)
      yield* Fiber.interrupt(fiber)
    }),
  "an async function": (make) => Supervisor.run(Job.promise(async () => make())),
  "an async function that fails": (make) =>
    Effect.exit(Supervisor.run(Job.promise(() => Promise.reject(Object.assign(new Error("no"), make()))))),
  "owned by an async function": (make) =>
    Supervisor.run(Job.promise(async ({ run, submit }) => void [await run(result(make)), await submit(result(make))])),
  "an async function that is cancelled": (make) =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const work = Job.promise(async ({ run, signal }) => {
        const thing = make()
        await run(Deferred.succeed(started, undefined))
        await new Promise((resolve) => signal.addEventListener("abort", resolve))
        return thing
      })
      const job = yield* Supervisor.submit(work)
      yield* Deferred.await(started)
      yield* Job.cancel(job)
    }),
  traced: (make) =>
    Effect.withSpan(Supervisor.run(inside(Effect.withSpan(Supervisor.run(result(make)), "inner"), make)), "outer"),
  "joined by its id": (make) =>
    Effect.andThen(Supervisor.submit(result(make), { id: `one ${ids++}` }), () => Supervisor.join(`one ${ids - 1}`)),
  "paused, and resumed": (make) =>
    Effect.gen(function* () {
      yield* Supervisor.pauseName("held")
      const job = yield* Supervisor.submit(result(make), { name: "held" })
      yield* Effect.yieldNow
      yield* Supervisor.resumeName("held")
      yield* Job.await(job)
    }),
  "paused, and cancelled": (make) =>
    Effect.gen(function* () {
      const thing = make()
      const job = yield* Supervisor.submit(Effect.succeed(thing))
      yield* Job.pause(job)
      yield* Effect.yieldNow
      yield* Job.cancel(job)
    }),
  followed: (make) =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.andThen(Job.report({ fraction: 0.5 }), result(make)))
      yield* Stream.runDrain(Job.progress(job))
      yield* Supervisor.events({ after: 0 }).pipe(Stream.take(2), Stream.runDrain)
    })
}

describe("after its retention", () => {
  const layers = {
    "no results kept": { retainResults: 0, retainFor: "5 millis", upkeepEvery: "2 millis" },
    "no records kept": { retain: 0, upkeepEvery: "2 millis" },
    "a few milliseconds": { retainFor: "5 millis", upkeepEvery: "2 millis" },
    "no bytes": { retainBytes: 0 }
  } as const

  it.live.each(Object.keys(layers).flatMap((layer) => Object.keys(ways).map((way) => [layer, way] as const)))(
    "nothing of a job is held by the supervisor: %s, %s",
    ([layer, way]) =>
      Effect.gen(function* () {
        const { held, made, make } = watch()
        const act = ways[way]
        assert(act !== undefined)
        for (let n = 0; n < 5; n++) yield* act(make)
        yield* Effect.sleep(10)
        yield* Effect.exit(Supervisor.run(Effect.void))
        assert.isAtLeast(made.length, way === "joined by idempotency key" ? 1 : 5)
        assert.strictEqual(yield* held, 0)
      }).pipe(
        Effect.provide(Supervisor.layer({ ...layers[layer as keyof typeof layers], onFailure: () => Effect.void })),
        Effect.provide(Logger.layer([]))
      )
  )

  it.live("a handle holds what its own job gave, and nothing of its owner's", () =>
    Effect.gen(function* () {
      const { held, make } = watch()
      let child: Job.Job<unknown, unknown> | undefined
      const own = watch()
      const parent = Effect.gen(function* () {
        child = yield* Supervisor.submit(result(own.make))
        yield* Job.join(child)
        return make()
      })
      yield* Supervisor.run(parent)
      yield* Supervisor.run(Effect.void)
      assert.strictEqual(yield* held, 0)
      assert.strictEqual(yield* own.held, 1)
      assert(child !== undefined)
      assert.isTrue(Exit.isSuccess(yield* Job.await(child)))
      assert.strictEqual((yield* Job.status(child)).parentId, "job-1")
    }).pipe(Effect.provide(Supervisor.layer({ retainResults: 0 })))
  )

  it.live("a drained supervisor holds no results for its report", () =>
    Effect.gen(function* () {
      const { held, make } = watch()
      yield* Supervisor.submit(Effect.delay(Effect.sync(make), 5))
      yield* Effect.sleep(1)
      const report = yield* Supervisor.drain()
      assert.deepStrictEqual(
        report.jobs.map(({ outcome }) => outcome),
        ["completed"]
      )
      assert.strictEqual(yield* held, 0)
    }).pipe(Effect.provide(Supervisor.layer({ retainResults: 0 })))
  )

  it.live("an event stays, without its cause and without a gap", () =>
    Effect.gen(function* () {
      yield* Effect.exit(Supervisor.run(Effect.fail("no"), { metadata: { user: "u-1" } }))
      yield* Effect.sleep(10)
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(3), Stream.runCollect)
      const [submitted, , failed] = events
      assert(submitted?._tag === "JobSubmitted" && failed?._tag === "JobFailed")
      assert.deepStrictEqual(submitted.metadata, {})
      assert.include(String(Cause.squash(failed.cause)), "no longer kept")
    }).pipe(
      Effect.provide(Supervisor.layer({ retainFor: "2 millis", upkeepEvery: "1 millis" })),
      Effect.provide(Logger.layer([]))
    )
  )
})

describe("a supervisor that has closed", () => {
  it.live("is held by a handle, and what its jobs gave is not: only what the handle's own job did", () =>
    Effect.gen(function* () {
      const own = watch()
      const others = watch()
      const program = Effect.gen(function* () {
        const job = yield* Supervisor.submit(result(own.make))
        yield* Job.join(job)
        for (const idempotencyKey of [undefined, "one", "two"]) {
          yield* Effect.asVoid(Supervisor.run(result(others.make), { idempotencyKey }))
        }
        return job
      })
      const job = yield* Effect.provide(program, Supervisor.layer())
      assert.strictEqual(yield* others.held, 0)
      assert.strictEqual(yield* own.held, 1)
      assert.isTrue(Exit.isSuccess(yield* Job.await(job)))
      assert.strictEqual((yield* Job.status(job)).state, "completed")
    })
  )

  it.live("which a job of its own closed, is held by no more than that job", () =>
    Effect.gen(function* () {
      const others = watch()
      const scope = yield* Scope.make()
      const supervisor = yield* Scope.provide(Supervisor.make(), scope)
      yield* Effect.asVoid(supervisor.run(result(others.make)))
      const job = yield* supervisor.submit(Scope.close(scope, Exit.void))
      yield* Job.await(job)
      assert.strictEqual(yield* others.held, 0)
      assert.strictEqual((yield* Job.status(job)).state, "completed")
    })
  )
})

describe("the events of a supervisor that has closed", () => {
  it.live("carry no cause any more, so that a handle which is kept holds no failure of others", () =>
    Effect.gen(function* () {
      const { held, made, make } = watch()
      const program = Effect.gen(function* () {
        const job = yield* Supervisor.submit(Effect.void)
        yield* Effect.exit(Supervisor.run(failure(make), { retry: Schedule.recurs(2) }))
        yield* Effect.exit(Supervisor.run(failure(make), { kind: "call" }))
        return job
      })
      const job = yield* Effect.provide(program, Supervisor.layer())
      assert.lengthOf(made, 4)
      assert.strictEqual(yield* held, 0)
      assert.strictEqual((yield* Job.status(job)).state, "completed")
    }).pipe(Effect.provide(quiet))
  )

  it.live("carry none either when the failure hook fails for the job that closed it", () =>
    Effect.gen(function* () {
      const { held, made, make } = watch()
      const scope = yield* Scope.make()
      const gate = yield* Deferred.make<void>()
      const onFailure = () => Effect.andThen(Deferred.await(gate), failure(make))
      const supervisor = yield* Scope.provide(Supervisor.make({ onFailure }), scope)
      const job = yield* supervisor.submit(
        Effect.uninterruptible(Effect.andThen(Scope.close(scope, Exit.void), Effect.die("wrong")))
      )
      yield* Job.await(job)
      yield* Effect.yieldNow
      yield* Deferred.succeed(gate, undefined)
      for (let n = 0; n < 50 && made.length === 0; n++) yield* Effect.sleep(1)
      assert.lengthOf(made, 1)
      assert.strictEqual(yield* held, 0)
      assert.include((yield* Job.status(job)).error, "wrong")
    }).pipe(Effect.provide(quiet))
  )

  it.live("carry what they did for a reader that is slow, until it has read them", () =>
    Effect.gen(function* () {
      const { held, make } = watch()
      const read: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const scope = yield* Scope.make()
      const { events, submit } = yield* Scope.provide(Supervisor.make({ onFailure: () => failure(make) }), scope)
      const reader = yield* events({ after: 0 }).pipe(
        Stream.tap(() => Deferred.await(gate)),
        Stream.runForEach((event) => Effect.sync(() => void ("error" in event && read.push(event.error)))),
        Effect.forkChild
      )
      yield* Effect.replicateEffect(submit(Effect.onInterrupt(Effect.never, () => Effect.die("wrong"))), 2)
      yield* Effect.sleep(1)
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(reader)
      assert.deepStrictEqual(
        read.map((error) => error.includes("xxx")),
        [true, true]
      )
      assert.strictEqual(yield* held, 0)
    }).pipe(Effect.provide(quiet))
  )
})

describe("a supervisor that was drained", () => {
  it.live("holds of a job what its report says, and neither its metadata nor its progress", () =>
    Effect.gen(function* () {
      const handles: Array<WeakRef<Job.Progress>> = []
      const work = Effect.andThen(Job.report({ fraction: 0.5 }, "half"), Effect.sleep(5))
      const note = Effect.flatMap(Supervisor.list(), ([job]) =>
        Effect.sync(() => void (job?.progress && handles.push(new WeakRef(job.progress))))
      )
      yield* Supervisor.submit(Effect.andThen(work, note), { name: "import", metadata: { user: "u-1" } })
      yield* Effect.sleep(1)
      const report = yield* Supervisor.drain()
      assert.deepStrictEqual(
        report.jobs.map(({ name, outcome }) => [name, outcome]),
        [["import", "completed"]]
      )
      for (let n = 0; n < 50 && handles.some((ref) => ref.deref() !== undefined); n++) {
        yield* Effect.sleep(1)
        collectGarbage()
      }
      assert.deepStrictEqual(
        handles.map((ref) => ref.deref()),
        [undefined]
      )
      // The report is its caller's to keep.
      assert.strictEqual((yield* Supervisor.drain()).jobs.length, 0)
    }).pipe(Effect.provide(Supervisor.layer({ retain: 0, eventHistory: 1, progressEvery: "1 hour", upkeepEvery: 1 })))
  )

  it.live.each([
    ["when it has its report", Supervisor.drain({ deadline: 1 })],
    ["when it is given up", Effect.timeoutOption(Supervisor.drain({ deadline: "1 hour" }), 1)]
  ] as const)("holds none of what a job submits that drained it and goes on, for a report to come: %s", ([, drain]) =>
    Effect.gen(function* () {
      const work = Effect.gen(function* () {
        yield* drain
        yield* Effect.replicateEffect(Supervisor.run(Effect.void), 10, { discard: true })
        return (yield* Supervisor.drain({ deadline: 1 })).jobs.map(({ outcome }) => outcome)
      })
      assert.deepStrictEqual(yield* Supervisor.run(work), ["caller"])
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("while its record and events are kept", () => {
  // What work closes over, as an upload, is in the frames of an error that it makes: the engine holds these until its stack is read.
  const closing = (make: Make, end: () => Effect.Effect<unknown, unknown, Supervisor.Supervisor>) =>
    Effect.suspend(() => {
      const thing = make()
      return Effect.andThen(
        Effect.sync(() => thing.toString()),
        Effect.suspend(() => (thing === undefined ? Effect.void : end()))
      )
    })
  const errorWays: Record<string, Act> = {
    "ran out of time": (make) =>
      Supervisor.run(
        closing(make, () => Effect.never),
        { timeout: "1 millis" }
      ),
    "ran out of time as an async function": (make) => {
      const thing = make()
      const work = Job.promise(async ({ signal }) => {
        await new Promise((resolve) => signal.addEventListener("abort", resolve))
        return thing
      })
      return Supervisor.run(work, { timeout: "1 millis" })
    },
    "failed with an error of its own": (make) => Supervisor.run(closing(make, () => Effect.fail(new Error("wrong")))),
    "died of a bug": (make) => Supervisor.run(closing(make, () => Effect.die(new Error("wrong")))),
    "failed with what an error caused": (make) =>
      Supervisor.run(closing(make, () => Effect.fail(new Error("wrong", { cause: new Error("because") })))),
    "failed with an error of ours": (make) => Supervisor.run(closing(make, () => Supervisor.get("nobody"))),
    "failed as a call": (make) =>
      Supervisor.run(
        closing(make, () => Effect.fail(new Error("wrong"))),
        { kind: "call" }
      ),
    "failed, tried again": (make) =>
      Supervisor.run(
        closing(make, () => Effect.fail(new Error("wrong"))),
        { retry: Schedule.recurs(2) }
      ),
    "gave errors as its result": (make) =>
      Supervisor.run(closing(make, () => Effect.succeed({ settled: [{ reason: new Error("wrong") }] }))),
    "asked why another was cancelled": (make) =>
      Effect.gen(function* () {
        const job = yield* Supervisor.submit(Effect.never)
        yield* Job.cancel(job)
        yield* Supervisor.run(closing(make, () => Job.join(job)))
      }),
    "cancelled, with a failing finalizer": (make) =>
      Effect.gen(function* () {
        const job = yield* Supervisor.submit(
          Effect.onInterrupt(
            closing(make, () => Effect.never),
            () => Effect.die(new Error("wrong"))
          )
        )
        yield* Effect.sleep("1 millis")
        yield* Job.cancel(job)
      })
  }

  it.live.each(Object.keys(errorWays))("nothing is held that its work closed over, when it %s", (way) =>
    Effect.gen(function* () {
      const { held, made, make } = watch()
      const act = errorWays[way]
      assert(act !== undefined)
      for (let n = 0; n < 5; n++) yield* Effect.exit(act(make))
      // The engine keeps one or two for a while: what was called last.
      assert.isAtLeast(made.length, 5)
      assert.isAtMost(yield* held, 1)
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )
})

describe("what events carry", () => {
  it.live("is kept up to a number of bytes, also the causes of a job that goes on trying", () =>
    Effect.gen(function* () {
      const { held, made, make } = watch()
      yield* Effect.exit(Supervisor.run(failure(make), { retry: Schedule.recurs(20) }))
      yield* Effect.sleep(1)
      assert.lengthOf(made, 21)
      assert.isAtMost(yield* held, 4)
    }).pipe(Effect.provide(Supervisor.layer({ retainBytes: 6_000 })), Effect.provide(Logger.layer([])))
  )

  it.live("reaches whoever reads it when it happens, however little is kept", () =>
    Effect.gen(function* () {
      const reading = yield* Supervisor.events().pipe(
        Stream.filter((event) => event._tag === "JobFailed"),
        Stream.map((event) => Cause.squash(event.cause)),
        Stream.take(2),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* Effect.yieldNow
      const jobs = yield* Effect.forEach(["one", "two"], (error) => Supervisor.submit(Effect.fail(error)))
      yield* Job.awaitAll(jobs)
      assert.deepStrictEqual(yield* Fiber.join(reading), ["one", "two"])
    }).pipe(Effect.provide(Supervisor.layer({ retain: 0, retainBytes: 0 })), Effect.provide(Logger.layer([])))
  )
})

describe("results", () => {
  it.effect("are kept up to a number of bytes, the latest ones", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 10; n++) yield* Supervisor.run(Effect.succeed("x".repeat(1_000)), { id: `${n}` })
      const kept = yield* Effect.forEach(Array.from({ length: 10 }), (_, n) => Supervisor.await(`${n}`))
      assert.deepStrictEqual(kept.map(Exit.isSuccess), [...Array(7).fill(false), true, true, true])
      assert.lengthOf(yield* Supervisor.list(), 10)
    }).pipe(Effect.provide(Supervisor.layer({ retainBytes: 6_000 })))
  )
})
