import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Latch, Layer, Option, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { join } from "node:path"
import { DurableJob, DurableJobError, JobStore, Sqlite } from "holdfast/durable"
import { Supervisor } from "holdfast/supervisor"
import { folder } from "./sqlitePlaces.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

const Shout = DurableJob.make("shout", {
  payload: Schema.Struct({ text: Schema.String, at: Schema.Date }),
  success: Schema.BigInt,
  error: Refused,
  progress: Schema.Finite,
  attempts: Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))
})
const payload = { text: "ahoy", at: new Date(0) }
const lengthOf = Shout.toHandler(({ at, text }) => Effect.succeed(BigInt(text.length + at.getTime())))

const services = (handlers: Parameters<typeof DurableJob.layerWorker<never>>[0], options?: DurableJob.WorkerOptions) =>
  Layer.provideMerge(
    DurableJob.layerWorker(handlers, options),
    Layer.mergeAll(JobStore.layerMemory(), Supervisor.layer({ concurrency: 4 }))
  )

/** What a wait gives; virtual time passes meanwhile. */
const ending = <A, E, R>(wait: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(wait)
    for (let second = 0; second < 20 && fiber.pollUnsafe() === undefined; second++) yield* TestClock.adjust("1 second")
    return yield* Fiber.join(fiber)
  })

const reasonOf = <A, E>(exit: Exit.Exit<A, E | DurableJobError.DurableJobError>) => {
  const [first] = Exit.isFailure(exit) ? exit.cause.reasons : []
  const error = first?._tag === "Fail" ? first.error : undefined
  return error instanceof DurableJobError.DurableJobError ? error.reason : undefined
}

describe("a durable job", () => {
  it.effect("gives what its handler gives, as values of its schemas", () =>
    Effect.gen(function* () {
      const id = yield* Shout.submit(payload)
      assert.deepStrictEqual(yield* ending(Shout.await(id)), Exit.succeed(4n))
    }).pipe(Effect.provide(services([lengthOf])))
  )

  it.effect("fails with the error of its handler, when its schedule has ended", () => {
    let attempts = 0
    const refuse = Shout.toHandler((_, { attempt }) => {
      attempts++
      return Effect.fail(new Refused({ why: `attempt ${attempt}` }))
    })
    return Effect.gen(function* () {
      const id = yield* Shout.submit(payload)
      assert.deepStrictEqual(yield* ending(Shout.await(id)), Exit.fail(new Refused({ why: "attempt 3" })))
      assert.strictEqual(attempts, 3)
      const store = yield* JobStore.JobStore
      const starts = (yield* store.attempts(id)).map(({ startedAtMillis }) => startedAtMillis)
      assert.isTrue(starts.every((at, index) => index === 0 || at - (starts[index - 1] ?? 0) >= 1_000))
      const failed = (yield* Supervisor.list({ state: "failed" })).map(({ name }) => name)
      assert.deepStrictEqual(failed, ["shout", "shout", "shout"])
    }).pipe(Effect.provide(services([refuse])))
  })

  it.effect("interrupts its handler when it is cancelled, and waits for its finalizers", () => {
    const seen: Array<string> = []
    const hang = Shout.toHandler(() =>
      Effect.never.pipe(
        Effect.onInterrupt(() =>
          Effect.delay(
            Effect.sync(() => seen.push("finalized")),
            "3 seconds"
          )
        )
      )
    )
    return Effect.gen(function* () {
      const id = yield* Shout.submit(payload)
      const later = yield* Shout.submit(payload, { delay: "1 hour" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Shout.cancel(id, "enough"), "requested")
      assert.strictEqual(yield* Shout.cancel(later), "cancelled")
      const exit = yield* ending(Shout.await(id))
      assert.deepStrictEqual(reasonOf(exit), new DurableJobError.Cancelled({ reason: "enough" }))
      assert.deepStrictEqual(seen, ["finalized"])
      assert.strictEqual(yield* Shout.cancel(id), "ended")
      const unknown = yield* Effect.flip(Shout.cancel("none"))
      assert.strictEqual(unknown._tag === "DurableJobError" && unknown.reason._tag, "NotFound")
    }).pipe(Effect.provide(services([hang])))
  })

  it.effect("is untouched by whoever gives up waiting for it", () => {
    const hang = Shout.toHandler(() => Effect.delay(Effect.succeed(1n), "5 seconds"))
    return Effect.gen(function* () {
      const id = yield* Shout.submit(payload)
      const gaveUp = yield* ending(Effect.flip(Shout.await(id, { limit: "2 seconds" })))
      assert.include(gaveUp.message, "had not ended after waiting 2s")
      assert.deepStrictEqual(yield* ending(Shout.await(id)), Exit.succeed(1n))
    }).pipe(Effect.provide(services([hang])))
  })

  it.effect("tells its events without gaps from any of them on, and its progress", () => {
    const report = Shout.toHandler((_, attempt) => Effect.as(Effect.delay(attempt.report(0.5), "1 second"), 1n))
    return Effect.gen(function* () {
      const id = yield* Shout.submit(payload)
      const all = yield* ending(Stream.runCollect(Shout.events(id)))
      assert.deepStrictEqual(
        Array.from(all, ({ kind, sequence }) => [sequence, kind]),
        [
          [1, "Submitted"],
          [2, "Started"],
          [3, "Progress"],
          [4, "Completed"]
        ]
      )
      const rest = yield* ending(Stream.runCollect(Shout.events(id, { after: 2 })))
      assert.deepStrictEqual(
        Array.from(rest, ({ sequence }) => sequence),
        [3, 4]
      )
      assert.deepStrictEqual(yield* Shout.progress(id), Option.some(0.5))
    }).pipe(Effect.provide(services([report])))
  })

  it.effect("fails by a typed reason for a payload that does not fit, and holds up nobody", () =>
    Effect.gen(function* () {
      const store = yield* JobStore.JobStore
      yield* store.submit([
        { id: "old", name: "shout", payload: `{"text":{"secret":5},"at":"1970-01-01T00:00:00.000Z"}` }
      ])
      const id = yield* Shout.submit(payload)
      assert.deepStrictEqual(yield* ending(Shout.await(id)), Exit.succeed(4n))
      const reason = reasonOf(yield* ending(Shout.await("old")))
      // Where it is, and nothing of what is there: that would be logged.
      assert.deepStrictEqual(reason, new DurableJobError.Undecodable({ what: "payload", problem: "see text" }))
      yield* store.submit([{ id: "older", name: "shout", payload: "no JSON" }])
      const other = reasonOf(yield* ending(Shout.await("older")))
      assert.include(other?.message, "has a payload that does not fit its schema: see the whole")
    }).pipe(Effect.provide(services([lengthOf], { concurrency: 1 })))
  )

  it.effect("says of a bug and of a time limit that it crashed, and is not tried again", () => {
    const die = Shout.toHandler(({ text }) => (text === "die" ? Effect.die(new Error("a bug")) : Effect.never))
    const limited = Layer.provideMerge(
      DurableJob.layerWorker([die]),
      Layer.mergeAll(JobStore.layerMemory(), Supervisor.layer({ timeout: "2 seconds" }))
    )
    return Effect.gen(function* () {
      const bug = yield* Shout.submit({ ...payload, text: "die" })
      const late = yield* Shout.submit(payload)
      const ofBug = reasonOf(yield* ending(Shout.await(bug)))
      assert.include(ofBug?.message, "a bug")
      const ofLate = reasonOf(yield* ending(Shout.await(late)))
      assert.include(ofLate?.message, "ran longer than its timeout of 2s")
    }).pipe(Effect.provide(limited))
  })

  it.effect("joins the job that has its idempotency key", () =>
    Effect.gen(function* () {
      const options = { idempotencyKey: "k", key: "tenant", priority: "high" } as const
      assert.strictEqual(yield* Shout.submit(payload, options), yield* Shout.submit(payload, options))
    }).pipe(Effect.provide(JobStore.layerMemory()))
  )

  it.effect("runs as many at a time as its worker may", () => {
    let running = 0
    let most = 0
    const count = Shout.toHandler(() =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++running)
        }),
        () => Effect.as(Effect.sleep("1 second"), 1n),
        () => Effect.sync(() => running--)
      )
    )
    return Effect.gen(function* () {
      const ids = yield* Effect.forEach(Array.from({ length: 6 }), () => Shout.submit(payload))
      yield* ending(Effect.forEach(ids, (id) => Shout.await(id)))
      assert.strictEqual(most, 2)
    }).pipe(Effect.provide(services([count], { concurrency: 2 })))
  })

  it.effect("waits in the store while the supervisor has no room for it", () => {
    const crowded = Layer.provideMerge(
      DurableJob.layerWorker([Shout.toHandler(() => Effect.as(Effect.sleep("1 second"), 1n))]),
      Layer.mergeAll(JobStore.layerMemory(), Supervisor.layer({ concurrency: 1, maxPending: 1 }))
    )
    return Effect.gen(function* () {
      const ids = yield* Effect.forEach(Array.from({ length: 4 }), () => Shout.submit(payload))
      const exits = yield* ending(Effect.forEach(ids, (id) => Shout.await(id)))
      assert.deepStrictEqual(exits, [Exit.succeed(1n), Exit.succeed(1n), Exit.succeed(1n), Exit.succeed(1n)])
      const store = yield* JobStore.JobStore
      assert.isTrue((yield* store.list({})).jobs.every(({ attempt }) => attempt === 1))
    }).pipe(Effect.provide(crowded))
  })

  it.effect.each(["drained", "closed"] as const)("is given back, and not counted, when its supervisor is %s", (how) =>
    Effect.gen(function* () {
      const storeContext = yield* Layer.build(JobStore.layerMemory())
      const hang = Shout.toHandler(() => Effect.never)
      const id = yield* Effect.provide(Shout.submit(payload), storeContext)
      yield* Effect.gen(function* () {
        yield* TestClock.adjust("1 second")
        if (how === "drained") yield* ending(Supervisor.drain({ deadline: "1 second" }))
      }).pipe(
        Effect.provide(Layer.provideMerge(DurableJob.layerWorker([hang]), Supervisor.layer())),
        Effect.provide(storeContext)
      )
      const store = yield* Effect.provide(JobStore.JobStore, storeContext)
      const job = Option.getOrThrow(yield* store.get(id))
      assert.strictEqual(job.state, "pending")
      assert.strictEqual(job.attempt, 0)
      // It was not claimed and given back again and again.
      assert.deepStrictEqual(
        (yield* store.attempts(id)).map(({ outcome }) => outcome),
        ["Released"]
      )
    })
  )

  it.live("goes on in the next process that opens its file, as if there had been none before", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "jobs.db")
      const started = yield* Deferred.make<void>()
      const gate = yield* Latch.make()
      const first = Shout.toHandler(() => Effect.andThen(Deferred.succeed(started, undefined), Effect.never))
      const second = Shout.toHandler((_, { attempt }) => Effect.as(gate.await, BigInt(attempt)))
      const process = (handler: typeof first) =>
        Layer.provideMerge(
          DurableJob.layerWorker([handler]),
          Layer.mergeAll(Sqlite.layer({ path, host: "main" }), Supervisor.layer())
        )
      const id = yield* Effect.gen(function* () {
        const submitted = yield* Shout.submit(payload)
        yield* Deferred.await(started)
        return submitted
      }).pipe(Effect.provide(process(first)))
      yield* Effect.gen(function* () {
        const waiting = yield* Effect.forkChild(Shout.await(id))
        yield* gate.open
        assert.deepStrictEqual(yield* Fiber.join(waiting), Exit.succeed(1n))
      }).pipe(Effect.provide(process(second)), Effect.timeout(Duration.seconds(10)))
    })
  )
})
