import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, References, Schedule, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Job, JobError, Supervisor } from "holdfast/supervisor"
import { settle, whileTimePasses } from "../settle.ts"

const quiet = Logger.layer([])

describe("priority and key", () => {
  it.effect("urgent jobs start first, and tenants take turns", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const add = (name: string, options: Supervisor.SubmitOptions) =>
        Supervisor.submit(
          Effect.sync(() => order.push(name)),
          { name, ...options }
        )
      for (const n of [1, 2, 3]) yield* add(`big-${n}`, { key: "big" })
      yield* add("small", { key: "small" })
      yield* add("low", { key: "big", priority: "low" })
      yield* add("urgent", { key: "big", priority: "critical" })
      yield* Supervisor.awaitAll()
      assert.deepStrictEqual(order, ["urgent", "small", "big-1", "big-2", "big-3", "low"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("no more of a key run than its limit, and others pass by", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const jobs = yield* Effect.forEach(["a", "a", "a", "b", "", "", ""], (key) =>
        Supervisor.submit(Deferred.await(gate), { key })
      )
      yield* settle
      const states = Effect.map(Effect.forEach(jobs, Job.status), (all) => all.map(({ state }) => state))
      assert.deepStrictEqual(yield* states, [
        "running",
        "running",
        "pending",
        "running",
        "running",
        "running",
        "running"
      ])
      yield* Deferred.succeed(gate, undefined)
      yield* Supervisor.awaitAll()
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 10, keyConcurrency: 2 })))
  )
})

describe("a full queue", () => {
  const full = Effect.gen(function* () {
    const gate = yield* Deferred.make<void>()
    yield* Supervisor.submit(Deferred.await(gate))
    yield* settle
    yield* Supervisor.submit(Effect.void)
    return gate
  })
  const layer = Supervisor.layer({ concurrency: 1, maxPending: 1 })

  it.effect("is waited for by those who choose to, in order", () =>
    Effect.gen(function* () {
      const gate = yield* full
      const order: Array<number> = []
      const entering = yield* Effect.forEach([1, 2, 3], (n) =>
        Effect.forkChild(
          Supervisor.submit(
            Effect.sync(() => order.push(n)),
            { whenFull: "wait" }
          )
        )
      )
      yield* settle
      assert.strictEqual((yield* Supervisor.counts).pending, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach(yield* Effect.forEach(entering, Fiber.join), Job.join)
      assert.deepStrictEqual(order, [1, 2, 3])
    }).pipe(Effect.provide(layer), Effect.provide(quiet))
  )

  it.effect("is waited for no longer than was said", () =>
    Effect.gen(function* () {
      yield* full
      const entering = yield* Effect.forkChild(Effect.flip(Supervisor.submit(Effect.void, { whenFull: "1 second" })))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(entering)).reason._tag, "QueueFull")
    }).pipe(Effect.provide(layer), Effect.provide(quiet))
  )

  it.effect("forgets a submit that is interrupted while it waits", () =>
    Effect.gen(function* () {
      const gate = yield* full
      let ran = false
      const entering = yield* Effect.forkChild(
        Supervisor.submit(
          Effect.sync(() => (ran = true)),
          { whenFull: "wait" }
        )
      )
      yield* settle
      yield* Fiber.interrupt(entering)
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      yield* Supervisor.awaitAll()
      assert.deepStrictEqual([ran, (yield* Supervisor.counts).completed], [false, 2])
    }).pipe(Effect.provide(layer), Effect.provide(quiet))
  )

  it.effect("forgets a run that is interrupted while it waits", () =>
    Effect.gen(function* () {
      const gate = yield* full
      let ran = false
      const running = yield* Effect.forkChild(
        Supervisor.run(
          Effect.sync(() => (ran = true)),
          { whenFull: "wait" }
        )
      )
      yield* settle
      yield* Fiber.interrupt(running)
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      assert.isFalse(ran)
    }).pipe(Effect.provide(layer), Effect.provide(quiet))
  )

  it.effect("refuses those who wait once the supervisor drains", () =>
    Effect.gen(function* () {
      const gate = yield* full
      const entering = yield* Effect.forkChild(Effect.flip(Supervisor.submit(Effect.void, { whenFull: "wait" })))
      yield* settle
      yield* Effect.forkChild(Supervisor.drain())
      assert.strictEqual((yield* Fiber.join(entering)).reason._tag, "NotAccepting")
      yield* Deferred.succeed(gate, undefined)
    }).pipe(Effect.provide(layer), Effect.provide(quiet))
  )

  it.effect("is warned of once, until there is room again", () => {
    const warnings: Array<unknown> = []
    return Effect.gen(function* () {
      yield* full
      yield* Effect.replicateEffect(Effect.exit(Supervisor.submit(Effect.void)), 5)
      assert.lengthOf(warnings, 1)
    }).pipe(
      Effect.provide(layer),
      Effect.provide(
        Logger.layer([Logger.make(({ logLevel, message }) => logLevel === "Warn" && warnings.push(message))])
      )
    )
  })
})

describe("retry", () => {
  it.effect("tries a failed job again in its slot, with attempts visible", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const job: Job.Job<string, string> = yield* Supervisor.submit(
        Effect.suspend(() => {
          attempts.push(attempts.length + 1)
          return attempts.length < 3 ? Effect.fail("busy") : Effect.succeed("done")
        }),
        { retry: Schedule.spaced("1 millis") }
      )
      assert.strictEqual(yield* whileTimePasses(Job.join(job)), "done")
      assert.strictEqual((yield* Job.status(job)).attempt, 3)
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(5), Stream.runCollect)
      assert.deepStrictEqual(
        events.map((event) => (event._tag === "JobRetrying" ? [event._tag, event.attempt] : event._tag)),
        ["JobSubmitted", "JobStarted", ["JobRetrying", 1], ["JobRetrying", 2], "JobCompleted"]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("leaves the jobs of a failed attempt to the job, and the next attempt joins them by their key", () =>
    Effect.gen(function* () {
      let attempts = 0
      let pages = 0
      const page = Effect.andThen(
        Effect.sync(() => pages++),
        Effect.sleep("1 second")
      )
      const work = Effect.gen(function* () {
        const child = yield* Supervisor.submit(page, { idempotencyKey: "page 1" })
        if (++attempts < 3) return yield* Effect.fail("busy")
        return yield* Job.join(child)
      })
      yield* whileTimePasses(Supervisor.run(work, { retry: Schedule.spaced("100 millis") }))
      assert.deepStrictEqual([attempts, pages], [3, 1])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("ends with the job's last failure, reported once", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.fail("busy"), { retry: Schedule.recurs(2) })
      assert.strictEqual(yield* Effect.flip(Job.join(job)), "busy")
      assert.deepStrictEqual([(yield* Job.status(job)).attempt, logged.length], [3, 1])
    }).pipe(
      Effect.provide(Supervisor.layer()),
      Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))]))
    )
  })
})

describe("idempotencyKey", () => {
  it.effect("joins the running, and then the finished, first job", () =>
    Effect.gen(function* () {
      let runs = 0
      const submit = Supervisor.submit(
        Effect.delay(
          Effect.sync(() => ++runs),
          5
        ),
        { idempotencyKey: "order-1" }
      )
      const [first, second] = yield* Effect.all([submit, submit])
      assert.strictEqual(first.id, second.id)
      assert.deepStrictEqual(yield* whileTimePasses(Effect.all([Job.join(first), Job.join(second)])), [1, 1])
      assert.strictEqual(yield* Job.join(yield* submit), 1)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  // A run of the same job by each of several callers, the first to come being the one that starts it.
  const runners = (count: number, options: Supervisor.SubmitOptions = {}) =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<string>()
      const run = Supervisor.run(Deferred.await(gate), { id: "shared", idempotencyKey: "order-1", ...options })
      const callers = yield* Effect.forEach(Array.from({ length: count }), () =>
        Effect.tap(Effect.forkChild(run), () => settle)
      )
      return { callers, gate }
    })

  it.effect("keeps a job going when the first of those who run it leaves", () =>
    Effect.gen(function* () {
      const { callers, gate } = yield* runners(2)
      const [first, second] = callers
      assert(first !== undefined && second !== undefined)
      yield* Fiber.interrupt(first)
      assert.strictEqual((yield* Supervisor.get("shared")).state, "running")
      yield* Deferred.succeed(gate, "done")
      assert.strictEqual(yield* Fiber.join(second), "done")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("ends a job with the last of those who run it", () =>
    Effect.gen(function* () {
      const { callers } = yield* runners(3)
      yield* Effect.forEach(callers.toReversed(), (caller) => Fiber.interrupt(caller))
      assert.strictEqual((yield* Supervisor.get("shared")).state, "cancelled")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("keeps a job going that somebody submitted, whoever else runs it and leaves", () =>
    Effect.gen(function* () {
      const submit = Supervisor.submit(Effect.never, { idempotencyKey: "order-1" })
      const { callers } = yield* runners(1)
      yield* submit
      yield* Effect.forEach(callers, (caller) => Fiber.interrupt(caller))
      assert.strictEqual((yield* Supervisor.get("shared")).state, "running")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("keeps no job going for those that it owns", () =>
    Effect.gen(function* () {
      const options = { id: "shared", idempotencyKey: "order-1" }
      const child = Supervisor.submit(Supervisor.run(Effect.void, options))
      const caller = yield* Effect.forkChild(Supervisor.run(Effect.andThen(child, Effect.never), options))
      yield* settle
      yield* Fiber.interrupt(caller)
      assert.strictEqual((yield* Supervisor.get("shared")).state, "cancelled")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("counts those who run a job from the moment it is let into a full queue", () =>
    Effect.gen(function* () {
      const blocker = yield* Supervisor.submit(Effect.never)
      const { callers } = yield* runners(2, { whenFull: "wait" })
      const [first, second] = callers
      assert(first !== undefined && second !== undefined)
      yield* Job.cancel(blocker)
      yield* settle
      yield* Fiber.interrupt(second)
      assert.strictEqual((yield* Supervisor.get("shared")).state, "running")
      yield* Fiber.interrupt(first)
      assert.strictEqual((yield* Supervisor.get("shared")).state, "cancelled")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 0 })), Effect.provide(quiet))
  )

  it.effect("is free again when the job's record is dropped", () =>
    Effect.gen(function* () {
      let runs = 0
      const run = Supervisor.run(
        Effect.sync(() => ++runs),
        { idempotencyKey: "order-1" }
      )
      yield* run
      yield* Supervisor.run(Effect.void)
      assert.strictEqual(yield* run, 2)
    }).pipe(Effect.provide(Supervisor.layer({ retain: 1 })))
  )
})

describe("jobs that wait for jobs", () => {
  const nested = (depth: number): Effect.Effect<number, unknown, Supervisor.Supervisor> =>
    depth === 0 ? Effect.succeed(0) : Effect.map(Supervisor.run(Effect.suspend(() => nested(depth - 1))), (n) => n + 1)

  it.effect("complete at concurrency 1, ten levels deep, also with others waiting", () =>
    Effect.gen(function* () {
      const jobs = yield* Effect.forEach([1, 2, 3, 4, 5], () => Supervisor.submit(nested(10)))
      assert.deepStrictEqual(yield* Effect.forEach(jobs, Job.join), [10, 10, 10, 10, 10])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, keyConcurrency: 1 })))
  )

  it.effect("go first with what they have begun: a child runs before jobs that have not started", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const note = (name: string) =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => order.push(name))
        )
      yield* Supervisor.submit(Effect.andThen(Supervisor.run(note("child")), note("parent")))
      yield* Supervisor.submit(note("other"))
      yield* Supervisor.awaitAll()
      assert.deepStrictEqual(order, ["child", "parent", "other"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("have a slot again before they go on", () =>
    Effect.gen(function* () {
      let busy = 0
      let most = 0
      const compute = Effect.acquireUseRelease(
        Effect.sync(() => (most = Math.max(most, ++busy))),
        () => Effect.sleep(1),
        () => Effect.sync(() => busy--)
      )
      const job = Effect.gen(function* () {
        yield* compute
        yield* Supervisor.run(compute)
        yield* compute
      })
      yield* Effect.forEach(Array.from({ length: 8 }), () => Supervisor.submit(job))
      yield* whileTimePasses(Supervisor.awaitAll())
      assert.deepStrictEqual([most, busy], [2, 0])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2 })))
  )

  it.effect("keep their slot while they wait for a call, which takes none", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const calling = Supervisor.run(Deferred.await(gate), { kind: "call" })
      yield* Effect.replicateEffect(Supervisor.submit(calling), 5)
      yield* settle
      const { calls, pending, running } = yield* Supervisor.counts
      assert.deepStrictEqual([running, pending, calls.running], [2, 3, 2])
      yield* Deferred.succeed(gate, undefined)
      yield* Supervisor.awaitAll()
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2 })))
  )

  it.effect("lend the slot of the job that makes a call when that call waits for a job", () =>
    Effect.gen(function* () {
      const inner = Supervisor.run(Effect.succeed("inner"))
      assert.strictEqual(yield* Supervisor.run(Supervisor.run(inner, { kind: "call" })), "inner")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("can follow each other's progress at concurrency 1", () =>
    Effect.gen(function* () {
      const seen = yield* Supervisor.run(
        Effect.gen(function* () {
          const child = yield* Supervisor.submit(Job.report({ fraction: 0.5 }))
          return yield* Stream.runCollect(Job.progress(child))
        })
      )
      assert.deepStrictEqual(
        seen.map(({ fraction }) => fraction),
        [0.5]
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("lend their slot until all that they wait for at once has ended", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const running: Array<number> = []
      const look = Effect.map(Supervisor.health, (health) => running.push(health.running))
      const waiting = yield* Supervisor.submit(
        Effect.gen(function* () {
          const slow = yield* Supervisor.submit(Deferred.await(gate))
          const quick = yield* Supervisor.submit(Effect.void)
          yield* Effect.all([Job.join(slow), Effect.andThen(Job.join(quick), look)], { concurrency: 2 })
          yield* look
        })
      )
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      yield* Job.join(waiting)
      // First the slow one alone, in the end the one that waited.
      assert.deepStrictEqual(running, [1, 1])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2 })))
  )

  it.effect("complete at concurrency 1 when they wait for many at once", () =>
    Effect.gen(function* () {
      const child = (n: number) => Supervisor.run(Effect.as(Effect.sleep(1), n))
      const parent = Effect.forEach([1, 2, 3, 4], child, { concurrency: "unbounded" })
      const jobs = yield* Effect.forEach([1, 2, 3], () => Supervisor.submit(parent))
      const results = yield* whileTimePasses(Effect.forEach(jobs, Job.join))
      assert.deepStrictEqual(
        results,
        [1, 2, 3].map(() => [1, 2, 3, 4])
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("all lend their slots when they wait for one call that waits for a job", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const end = yield* Deferred.make<string>()
      const inner = Effect.andThen(Deferred.await(gate), Supervisor.run(Deferred.await(end)))
      const call = yield* Supervisor.submit(inner, { kind: "call" })
      const jobs = yield* Effect.forEach([1, 2, 3], () => Supervisor.submit(Job.join(call)))
      const running = Effect.andThen(
        settle,
        Effect.map(Supervisor.health, (health) => health.running)
      )
      assert.strictEqual(yield* running, 3)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* running, 1)
      yield* Deferred.succeed(end, "inner")
      assert.deepStrictEqual(yield* Effect.forEach(jobs, Job.join), ["inner", "inner", "inner"])
      assert.strictEqual(yield* running, 0)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 3 })))
  )

  it.effect("lend their slot when they wait for a periodic job whose rounds wait for jobs", () =>
    Effect.gen(function* () {
      let rounds = 0
      const round = Supervisor.run(Effect.sync(() => ++rounds))
      const periodic = Effect.flatMap(
        Supervisor.every(round, { name: "rounds", schedule: Schedule.upTo(Schedule.spaced("1 second"), { times: 2 }) }),
        Job.join
      )
      yield* whileTimePasses(Supervisor.run(periodic))
      assert.strictEqual(rounds, 3)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("take no slot when they have ended and a fiber they left behind still waits", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const other = yield* Supervisor.submit(Deferred.await(gate))
      const left = yield* Supervisor.run(Effect.forkDetach(Job.join(other)))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(left)
      assert.strictEqual((yield* Supervisor.health).running, 0)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2 })))
  )

  it.effect("are cancelled at once although no slot is free for them", () =>
    Effect.gen(function* () {
      const child = yield* Deferred.make<void>()
      const waiting = yield* Supervisor.submit(
        Effect.gen(function* () {
          yield* Supervisor.run(Deferred.await(child))
          return yield* Effect.never
        })
      )
      yield* settle
      const other = yield* Supervisor.submit(Effect.never)
      yield* Deferred.succeed(child, undefined)
      yield* settle
      assert.strictEqual((yield* Job.cancel(waiting)).state, "cancelled")
      yield* Job.cancel(other)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("handed to the supervisor outlive the job that submitted them", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Supervisor.run(
        Supervisor.submit(Deferred.await(gate), { id: "handed over", owner: "supervisor" }).pipe(Effect.asVoid)
      )
      const { parentId, state } = yield* Supervisor.get("handed over")
      assert.deepStrictEqual([parentId, state === "pending" || state === "running"], [undefined, true])
      yield* Deferred.succeed(gate, undefined)
      assert(Exit.isSuccess(yield* Supervisor.await("handed over")))
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

it.effect(
  "a layer is there for the work that it is provided to, and not for a job whose submit it was provided to",
  () =>
    Effect.gen(function* () {
      let isOpen = false
      const set = (value: boolean) => Effect.sync(() => void (isOpen = value))
      const layer = Layer.effectDiscard(Effect.acquireRelease(set(true), () => set(false)))
      const work = Effect.delay(
        Effect.sync(() => isOpen),
        "1 second"
      )
      const jobs = [
        yield* Effect.provide(Supervisor.submit(work), layer),
        yield* Supervisor.submit(Effect.provide(work, layer))
      ]
      assert.deepStrictEqual(yield* whileTimePasses(Effect.forEach(jobs, Job.join)), [false, true])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
)

it.effect("what outlives its job starts nothing for it any more, but jobs of the supervisor", () =>
  Effect.gen(function* () {
    const seen: Array<unknown> = []
    const scope = yield* Effect.scope
    const start = (options: Supervisor.SubmitOptions) =>
      Effect.map(Effect.exit(Supervisor.run(Effect.succeed("served"), options)), (exit) =>
        seen.push(Exit.isSuccess(exit) ? exit.value : String(Cause.squash(exit.cause)).replace(/job-\d+/, "N"))
      )
    const later = Effect.delay(Effect.andThen(start({}), start({ owner: "supervisor" })), "1 second")
    yield* Supervisor.run(Effect.forkIn(later, scope), { id: "first" })
    yield* TestClock.adjust("1 second")
    yield* settle
    assert.deepStrictEqual(seen, ["JobError: Job N was refused: the job that would own it, first, is ending", "served"])
  }).pipe(Effect.scoped, Effect.provide(Supervisor.layer()))
)

describe("what a job logs and traces", () => {
  it.effect("carries its id, name and parent", () => {
    const seen: Array<unknown> = []
    const collect = Logger.make(({ fiber }) => {
      const { jobId, jobName, parentJobId, request } = fiber.getRef(References.CurrentLogAnnotations)
      seen.push([jobId, jobName, parentJobId, request])
    })
    return Effect.gen(function* () {
      yield* Supervisor.run(Supervisor.run(Effect.log("hello"), { name: "inner" }), { name: "outer" }).pipe(
        Effect.annotateLogs("request", "r-1")
      )
      assert.deepStrictEqual(seen, [["job-2", "inner", "job-1", "r-1"]])
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(Logger.layer([collect])))
  })

  it.effect("carries nothing of the job that submitted it, when that does not own it", () => {
    const seen: Array<unknown> = []
    const collect = Logger.make(({ fiber }) => {
      const { jobAttempt, jobName, parentJobId } = fiber.getRef(References.CurrentLogAnnotations)
      seen.push([jobName, jobAttempt, parentJobId])
    })
    return Effect.gen(function* () {
      let attempt = 0
      const inner = Supervisor.submit(Effect.log("hello"), { name: "inner", owner: "supervisor" })
      const middle = Effect.suspend(() => Effect.andThen(++attempt < 2 ? Effect.fail("no") : Effect.void, inner))
      yield* Supervisor.run(Supervisor.run(middle, { name: "middle", retry: Schedule.recurs(1) }))
      yield* Supervisor.awaitAll()
      assert.deepStrictEqual(seen, [["inner", 1, undefined]])
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(Logger.layer([collect])))
  })

  it.effect("is a span of its own, linked to the submitter's", () =>
    Effect.gen(function* () {
      const submitter = yield* Effect.currentSpan
      const job = yield* Supervisor.run(Effect.currentSpan, { name: "summarise" })
      assert.strictEqual(job.name, "summarise")
      assert.deepStrictEqual(job.parent._tag, "None")
      assert.deepStrictEqual(
        job.links.map(({ span }) => span.spanId),
        [submitter.spanId]
      )
      assert.strictEqual(job.attributes.get("holdfast.job.id"), "job-1")
    }).pipe(
      Effect.withSpan("request"),
      Effect.provide(Supervisor.layer()),
      Effect.provideService(Tracer.DisablePropagation, false)
    )
  )
})

describe("a retry that is waited for", () => {
  const failing = Effect.fail("database is down")
  const retry = Schedule.spaced("1 hour")

  it.effect("is told at once, and a job that runs out of time meanwhile says what it failed with", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(failing, { retry, timeout: "1 minute" })
      yield* settle
      const told = yield* Supervisor.events({ after: 2 }).pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(
        told.map((event) => event._tag === "JobRetrying" && [event.attempt, event.error]),
        [[1, "database is down"]]
      )
      yield* TestClock.adjust("1 minute")
      const error = yield* Effect.flip(Job.join(job))
      assert(error instanceof JobError.JobError)
      assert.strictEqual(error.reason._tag, "TimedOut")
      const { attempt, error: text } = yield* Job.status(job)
      assert.strictEqual(attempt, 1)
      assert.match(String(text), /ran longer than its timeout.*; database is down$/)
    }).pipe(Effect.provide([Supervisor.layer(), Logger.layer([])]))
  )

  it.effect("is no failure to report when the job is cancelled", () => {
    const heard: Array<string> = []
    return Effect.gen(function* () {
      const job = yield* Supervisor.submit(failing, { retry })
      yield* settle
      assert.strictEqual((yield* Job.cancel(job)).state, "cancelled")
      yield* settle
      assert.deepStrictEqual(heard, [])
    }).pipe(
      Effect.provide(Supervisor.layer({ onFailure: ({ job }) => Effect.sync(() => void heard.push(job.id)) })),
      Effect.provide(Logger.layer([]))
    )
  })

  it.effect("comes for an error that cannot be read, which stays what it was", () =>
    Effect.gen(function* () {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      const job = yield* Supervisor.submit(Effect.fail(proxy), { retry: Schedule.recurs(1) })
      const exit = yield* Job.await(job)
      assert(Exit.isFailure(exit))
      const [reason] = exit.cause.reasons
      assert.isTrue(reason !== undefined && Cause.isFailReason(reason) && Object.is(reason.error, proxy))
      assert.strictEqual((yield* Job.status(job)).attempt, 2)
    }).pipe(Effect.provide([Supervisor.layer(), Logger.layer([])]))
  )
})

it.effect.each(["job", "call"] as const)(
  "a %s that was run with an idempotency key gives its result to who comes later",
  (kind) =>
    Effect.gen(function* () {
      const options = { kind, idempotencyKey: "one" }
      assert.strictEqual(yield* Supervisor.run(Effect.succeed(1), options), 1)
      assert.strictEqual(yield* Supervisor.run(Effect.succeed(2), options), 1)
    }).pipe(Effect.provide(Supervisor.layer()))
)
