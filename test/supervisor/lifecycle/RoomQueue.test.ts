import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Job, JobError, Supervisor } from "holdfast/supervisor"
import { Lifecycle } from "../../../src/supervisor/lifecycle/Lifecycle.ts"
import { recordOf } from "../../../src/supervisor/records/JobRecord.ts"
import { settle } from "../settle.ts"

const named = (name: string) => Supervisor.submit(Effect.void, { name, whenFull: "wait" })

describe("who waits for room", () => {
  it.effect("for a key that is at its limit keeps no free slot from others, and goes before newcomers of its own", () =>
    Effect.gen(function* () {
      const submit = (key: string, whenFull: "refuse" | "wait" = "refuse") =>
        Supervisor.submit(Effect.never, { key, whenFull })
      const first = yield* submit("a")
      yield* settle
      const waiting = yield* Effect.forkChild(submit("a", "wait"), { startImmediately: true })
      const others = yield* Effect.forkChild(submit("b", "wait"), { startImmediately: true })
      yield* settle
      assert.isDefined(others.pollUnsafe())
      assert.isUndefined(waiting.pollUnsafe())
      yield* submit("c")
      yield* Job.cancel(first)
      assert.strictEqual((yield* Effect.flip(submit("a"))).reason._tag, "QueueFull")
      yield* settle
      assert.isDefined(waiting.pollUnsafe())
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 4, keyConcurrency: 1, maxPending: 0 })))
  )

  it.effect("with an idempotency key joins the job of that key at once when there is one", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.never)
      const queued = yield* Supervisor.submit(Effect.never)
      const submit = (whenFull: "wait" | "1 hour") =>
        Effect.forkChild(Supervisor.submit(Effect.never, { idempotencyKey: "order 17", whenFull }), {
          startImmediately: true
        })
      const first = yield* submit("wait")
      const others = yield* Effect.forEach(["wait", "1 hour", "wait"] as const, submit)
      yield* Job.cancel(queued)
      const { id } = yield* Fiber.join(first)
      yield* settle
      const late = yield* submit("wait")
      yield* settle
      const joined = [...others, late].map((fiber) => fiber.pollUnsafe())
      assert.deepStrictEqual(
        joined.map((exit) => exit?._tag === "Success" && exit.value.id),
        [id, id, id, id]
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )

  it.effect("without an id gets another one when somebody has taken the one it was given", () =>
    Effect.gen(function* () {
      const busy = yield* Supervisor.submit(Effect.never)
      yield* Supervisor.submit(Effect.void)
      const waiting = yield* Effect.forkChild(Supervisor.submit(Effect.succeed("mine"), { whenFull: "wait" }), {
        startImmediately: true
      })
      yield* settle
      yield* Supervisor.submit(Effect.never, { id: "job-3", kind: "call" })
      yield* Job.cancel(busy)
      const job = yield* Fiber.join(waiting)
      assert.strictEqual(yield* Job.join(job), "mine")
      assert.notStrictEqual(job.id, "job-3")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )

  it.effect("is not looked at when others are paused and resumed", () =>
    Effect.gen(function* () {
      const busy = yield* Supervisor.submit(Effect.never)
      const queued = yield* Supervisor.submit(Effect.void)
      const lifecycle = recordOf(busy).supervision
      assert(lifecycle instanceof Lifecycle)
      let looks = 0
      const isHeld = () => ++looks < 0
      const refusal = new JobError.JobError({ id: "x", reason: new JobError.QueueFull({ maxPending: 1 }) })
      const asked = { accept: () => refusal, isHeld, refusal, limit: undefined, waiter: undefined }
      const entry = { ...asked, key: "", name: "import", parent: undefined, idempotencyKey: undefined }
      yield* Effect.forkChild(lifecycle.roomQueue.enter(entry), { startImmediately: true })
      yield* settle
      const before = looks
      yield* Job.pause(queued)
      yield* Job.resume(queued)
      yield* Supervisor.pauseName("mail")
      yield* Supervisor.resumeName("mail")
      assert.strictEqual(looks, before)
      yield* Supervisor.pauseName("import")
      assert.strictEqual(looks, before + 1)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )

  it.effect("keeps its place among the others when its name is paused and resumed", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Supervisor.submit(Deferred.await(gate))
      const queued = yield* Supervisor.submit(Effect.void)
      const order: Array<string> = []
      const enter = (name: string) =>
        Effect.forkChild(
          Effect.tap(named(name), (job) => Effect.sync(() => order.push(`${job.name} ${order.length}`))),
          { startImmediately: true }
        )
      const waiting = yield* Effect.forEach(["a", "b", "a", "b"], enter)
      for (const name of ["a", "b", "a"]) {
        yield* Supervisor.pauseName(name)
        yield* Supervisor.resumeName(name)
      }
      yield* Job.pause(queued)
      yield* Job.resume(queued)
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach(waiting, Fiber.join)
      assert.deepStrictEqual(order, ["a 0", "b 1", "a 2", "b 3"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )

  it.effect("with a paused name keeps nobody else waiting, and is let in when the name is resumed, in order", () =>
    Effect.gen(function* () {
      yield* Supervisor.pauseName("import")
      yield* Supervisor.submit(Effect.void, { name: "import" })
      const waiting = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(named("import"), { startImmediately: true })
      )
      // In the same turn, and in later ones.
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("sent"), { name: "mail" }), "sent")
      yield* settle
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("sent"), { name: "mail" }), "sent")
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("sent"), { name: "mail", whenFull: "wait" }), "sent")
      assert.deepStrictEqual(
        waiting.map((fiber) => fiber.pollUnsafe()),
        [undefined, undefined, undefined]
      )
      yield* Supervisor.resumeName("import")
      const jobs = yield* Effect.forEach(waiting, Fiber.join)
      yield* Job.awaitAll(jobs)
      const started = (yield* Effect.forEach(jobs, Job.status)).map(({ id }) => Number(id.slice(4)))
      assert.deepStrictEqual(
        started,
        started.toSorted((a, b) => a - b)
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 50, maxPending: 1 })))
  )

  it.effect("stands aside when its name is paused while it waits", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      yield* Supervisor.submit(Deferred.await(gate))
      const queued = yield* Supervisor.submit(Effect.void, { name: "import" })
      const first = yield* Effect.forkChild(named("import"), { startImmediately: true })
      const second = yield* Effect.forkChild(named("mail"), { startImmediately: true })
      yield* Supervisor.pauseName("import")
      yield* Deferred.succeed(gate, undefined)
      const mail = yield* Fiber.join(second)
      yield* Job.join(mail)
      assert.isUndefined(first.pollUnsafe())
      // Room for one that is held.
      yield* Job.cancel(queued)
      const late = yield* Fiber.join(first)
      assert.isTrue((yield* Job.status(late)).isPaused)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )

  it.effect("is not asked each time another is let in", () =>
    Effect.gen(function* () {
      let made = 0
      yield* Supervisor.pauseName("import")
      yield* Supervisor.submit(Effect.void, { name: "import" })
      const metadata = {
        get tenant() {
          made++
          return "t"
        }
      }
      const submit = Supervisor.submit(Effect.void, { name: "import", whenFull: "wait", metadata })
      yield* Effect.forEach(Array.from({ length: 1_000 }), () => Effect.forkChild(submit, { startImmediately: true }))
      const covers = yield* Supervisor.health
      assert.strictEqual(covers.waiting, 1)
      for (let n = 0; n < 100; n++) yield* Supervisor.run(Effect.void)
      // Read by its check and its copy when it is submitted, and never again.
      assert.isAtMost(made, 3_000)
    }).pipe(Effect.provide(Supervisor.layer({ maxPending: 1 })))
  )

  it.effect("and gives up when it was let in already, and waits for its slot, leaves no job behind", () =>
    Effect.gen(function* () {
      let ran = 0
      const gate = yield* Deferred.make<void>()
      const work = Effect.sync(() => ran++)
      const owner = yield* Supervisor.submit(
        Effect.gen(function* () {
          yield* Effect.sleep("10 millis")
          const submit = Supervisor.submit(work, { name: "charge", owner: "supervisor", whenFull: "wait" })
          yield* Effect.exit(Effect.timeout(submit, "1 second"))
        })
      )
      yield* settle
      // Takes the slot as soon as the owner lends it, and so makes room for what that submits.
      yield* Supervisor.submit(Deferred.await(gate), { name: "filler" })
      yield* TestClock.adjust("10 millis")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      yield* Job.join(owner)
      yield* Deferred.succeed(gate, undefined)
      yield* Supervisor.awaitAll()
      const [charge] = yield* Supervisor.list({ name: "charge" })
      assert.deepStrictEqual([charge?.state, charge?.startedAtMillis, ran], ["cancelled", undefined, 0])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )

  it.effect("and whose limit passes when it was let in already has its handle", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const owner = yield* Supervisor.submit(
        Effect.gen(function* () {
          yield* Effect.sleep("10 millis")
          return yield* Supervisor.submit(Effect.void, { name: "charge", owner: "supervisor", whenFull: "1 second" })
        })
      )
      yield* settle
      yield* Supervisor.submit(Deferred.await(gate), { name: "filler" })
      yield* TestClock.adjust("10 millis")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      const charge = yield* Job.join(owner)
      yield* Deferred.succeed(gate, undefined)
      yield* Job.join(charge)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
  )
})
