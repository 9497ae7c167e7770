import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Logger, References, Schedule, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { settle, whileTimePasses } from "./settle.ts"

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

  it.effect("leaves the first caller's job alone when one that joined it goes", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<string>()
      const run = Supervisor.run(Deferred.await(gate), { idempotencyKey: "order-1" })
      const first = yield* Effect.forkChild(run)
      yield* settle
      const second = yield* Effect.forkChild(run)
      yield* settle
      yield* Fiber.interrupt(second)
      yield* Deferred.succeed(gate, "done")
      assert.strictEqual(yield* Fiber.join(first), "done")
    }).pipe(Effect.provide(Supervisor.layer()))
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

  it.effect("have a slot again also when they waited for two at once", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      let running = 0
      const waiting = yield* Supervisor.submit(
        Effect.gen(function* () {
          const slow = yield* Supervisor.submit(Deferred.await(gate))
          const quick = yield* Supervisor.submit(Effect.void)
          const afterQuick = Effect.andThen(
            Job.join(quick),
            Effect.map(Supervisor.health, (health) => (running = health.running))
          )
          yield* Effect.all([Job.join(slow), afterQuick], { concurrency: 2 })
        })
      )
      yield* settle
      assert.strictEqual(running, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Job.join(waiting)
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
