import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { settle } from "../settle.ts"

describe("SlotLending", () => {
  it.effect("lets a job that is cancelled go on at once which waits for its slot and cannot be interrupted there", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const holder = Supervisor.submit(Deferred.await(gate), { name: "holder", owner: "supervisor" })
      // It gives up its wait, and ends while the one that it waited for has the slot.
      const child = Effect.exit(Effect.timeout(Effect.flatMap(holder, Job.join), "1 second"))
      const waiter = yield* Supervisor.submit(Effect.uninterruptible(Supervisor.run(Effect.interruptible(child))))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual((yield* Job.status(waiter)).state, "running")
      const cancelling = yield* Effect.forkChild(Job.cancel(waiter))
      yield* settle
      assert.isDefined(cancelling.pollUnsafe())
      yield* Deferred.succeed(gate, undefined)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.live(
    "lets more jobs wait for one call than a function takes arguments",
    () =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const inner = yield* Supervisor.submit(Effect.never)
        const call = yield* Supervisor.submit(Effect.andThen(Deferred.await(gate), Job.await(inner)), { kind: "call" })
        const waiters = yield* Effect.forEach(Array.from({ length: 130_000 }), () =>
          Supervisor.submit(Job.await(call), { kind: "call" })
        )
        yield* Deferred.succeed(gate, undefined)
        yield* Effect.yieldNow
        yield* Job.cancel(inner)
        yield* Job.awaitAll(waiters)
        assert.strictEqual((yield* Supervisor.counts).calls.failed, 0)
      }).pipe(Effect.provide(Supervisor.layer({ eventHistory: 10, retain: 0 }))),
    60_000
  )

  it.effect.each(["job", "call", "periodic"] as const)(
    "lends the slot of a job that waits through a %s of another supervisor",
    (kind) =>
      Effect.gen(function* () {
        const [own, other] = yield* Effect.forEach([1, 2], () =>
          Effect.map(Layer.build(Layer.fresh(Supervisor.layer({ concurrency: 1 }))), (context) =>
            Context.get(context, Supervisor.Supervisor)
          )
        )
        assert(own !== undefined && other !== undefined)
        const tool = Effect.flatMap(own.submit(Effect.succeed("a tool's answer"), { owner: "supervisor" }), Job.join)
        const agent = Effect.flatMap(other.submit(tool, { kind }), Job.join)
        assert.strictEqual(yield* own.run(agent), "a tool's answer")
      }).pipe(Effect.scoped)
  )
})
