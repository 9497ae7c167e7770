/** Every way into a supervisor passes the same gate. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Job, JobError, Supervisor } from "holdfast/supervisor"
import { settle } from "../settle.ts"

const quiet = Logger.layer([])

describe("a job that is joined by its idempotencyKey", () => {
  for (const [known, joining] of [
    ["job", "call"],
    ["call", "job"],
    ["job", "job"],
    ["job", "periodic"]
  ] as const) {
    it.effect(`keeps its own way to start: a ${known}, joined as ${joining}`, () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const busy = yield* Supervisor.submit(Deferred.await(gate))
        yield* settle
        const first = yield* Supervisor.submit(Effect.as(Deferred.await(gate), "first"), {
          idempotencyKey: "k",
          kind: known
        })
        const again = yield* Supervisor.submit(Effect.succeed("again"), { idempotencyKey: "k", kind: joining })
        yield* settle
        assert.strictEqual(again.id, first.id)
        assert.strictEqual((yield* Job.status(first)).state, known === "job" ? "pending" : "running")
        assert.strictEqual((yield* Supervisor.health).running, 1)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Job.join(again), "first")
        yield* Job.join(busy)
        assert.strictEqual((yield* Supervisor.health).running, 0)
        assert.strictEqual(yield* Supervisor.run(Effect.succeed("next")), "next")
      }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
    )
  }
})

describe("a full queue", () => {
  it.effect("is no reason for a newcomer to go before those who wait for room", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const busy = yield* Supervisor.submit(Deferred.await(gate))
      yield* settle
      const patient = yield* Effect.forkChild(Supervisor.submit(Effect.void, { name: "patient", whenFull: "wait" }))
      yield* settle
      // It comes in the turn in which the slot is free, before anybody is let in.
      const newcomer = yield* Effect.forkChild(
        Effect.andThen(Job.await(busy), Effect.flip(Supervisor.submit(Effect.void, { name: "newcomer" })))
      )
      yield* settle
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(newcomer)).reason._tag, "QueueFull")
      yield* Job.join(yield* Fiber.join(patient))
      assert.deepStrictEqual(
        (yield* Supervisor.list()).slice(1).map(({ name }) => name),
        ["patient"]
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 0 })), Effect.provide(quiet))
  )

  it.effect("refuses who waits for room when a drain begins, and whose slot is taken waits for that", () =>
    Effect.gen(function* () {
      let waited: string | undefined
      const gate = yield* Deferred.make<void>()
      const stranger = { owner: "supervisor", whenFull: "wait" } as const
      yield* Supervisor.submit(
        Effect.gen(function* () {
          yield* Effect.sleep("1 second")
          waited = (yield* Effect.flip(Supervisor.submit(Effect.void, stranger))).message
        }),
        { name: "waits for room" }
      )
      yield* settle
      yield* Supervisor.submit(Deferred.await(gate), { name: "takes the slot" })
      // Lets the first lend its slot, and fills the queue again.
      const filler = yield* Effect.forkChild(Supervisor.submit(Effect.void, { name: "filler", whenFull: "wait" }))
      yield* TestClock.adjust("1 second")
      yield* settle
      yield* Fiber.join(filler)
      const draining = yield* Effect.forkChild(Supervisor.drain())
      yield* settle
      assert.deepStrictEqual([(yield* Supervisor.health).running, waited], [1, undefined])
      yield* Deferred.succeed(gate, undefined)
      assert.isTrue((yield* Fiber.join(draining)).clean)
      assert.include(String(waited), "was refused: draining")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })), Effect.provide(quiet))
  )

  it.effect("lets the jobs of a running job in, unless that says what to do", () =>
    Effect.gen(function* () {
      const work = Effect.gen(function* () {
        const children = yield* Effect.replicateEffect(Supervisor.submit(Effect.succeed("child")), 3)
        const refused = yield* Effect.flip(Supervisor.submit(Effect.void, { whenFull: "refuse" }))
        const strange = yield* Effect.flip(Supervisor.submit(Effect.void, { owner: "supervisor" }))
        return [...(yield* Effect.forEach(children, Job.join)), refused.reason._tag, strange.reason._tag]
      })
      assert.deepStrictEqual(yield* Supervisor.run(work), ["child", "child", "child", "QueueFull", "QueueFull"])
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })), Effect.provide(quiet))
  )

  it.effect("is waited for not at all with a limit of no time", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.never)
      const refusal = yield* Effect.flip(Supervisor.submit(Effect.void, { whenFull: 0 }))
      assert.strictEqual(refusal.reason._tag, "QueueFull")
      yield* TestClock.adjust("1 hour")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 0 })), Effect.provide(quiet))
  )
})

describe("retry", () => {
  type Failing = Supervisor.Supervisor
  const wrapped: Record<string, (child: Effect.Effect<never>) => Effect.Effect<unknown, unknown, Failing>> = {
    "as it is": (child) => Supervisor.run(child, { id: "child" }),
    "as the cause of another error": (child) =>
      Effect.mapError(Supervisor.run(child, { id: "child" }), (cause) => new Error("import failed", { cause })),
    "in the catch of an async function": (child) =>
      Job.promise(async ({ run }) => {
        try {
          return await run(child, { id: "child" })
        } catch (error) {
          throw new Error("import failed", { cause: error })
        }
      }),
    "among the errors of several": (child) =>
      Job.promise(({ run }) => Promise.any([run(child, { id: "child" }), run(Effect.fail("no"))]))
  }
  it.effect.each(Object.keys(wrapped))("does not start a child again whose cancellation it sees: %s", (way) =>
    Effect.gen(function* () {
      let started = 0
      const child = Effect.andThen(
        Effect.sync(() => ++started),
        Effect.never
      )
      const parent = yield* Supervisor.submit(wrapped[way]?.(child) ?? Effect.die(way), { retry: Schedule.recurs(5) })
      yield* settle
      yield* Supervisor.cancel("child", { reason: "not wanted" })
      const { error } = yield* Effect.andThen(Job.await(parent), Job.status(parent))
      assert.include(error, "was cancelled: not wanted")
      assert.strictEqual(started, 1)
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )

  it.effect("tries again what failed by itself, whatever its cause is", () =>
    Effect.gen(function* () {
      let started = 0
      const error = new Error("busy", {
        cause: new JobError.JobError({ id: "other", reason: new JobError.NotFound() })
      })
      const unreadable = new Proxy(new Error(), {
        get: () => {
          throw new Error("no")
        }
      })
      const circle = new Error("round")
      circle.cause = circle
      const { proxy: revoked, revoke } = Proxy.revocable({}, {})
      revoke()
      const failing = Effect.suspend(() => Effect.fail([error, circle, unreadable, revoked, undefined][started++]))
      yield* Effect.exit(Supervisor.run(failing, { retry: Schedule.recurs(4) }))
      assert.strictEqual(started, 5)
    }).pipe(Effect.provide(Supervisor.layer()), Effect.provide(quiet))
  )
})
