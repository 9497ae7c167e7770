import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Schema, Stream } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"
import { LeakDetector } from "holdfast/testing"
import { whileTimePasses } from "./settle.ts"

const Program = Schema.Array(
  Schema.Struct({
    work: Schema.Literals(["succeed", "fail", "die", "sleep", "never", "child", "slow finalizer"]),
    timeout: Schema.UndefinedOr(Schema.Literals([1, 5])),
    then: Schema.Literals(["leave", "cancel", "join", "give up waiting"])
  })
)

const works: Record<string, Effect.Effect<unknown, unknown, Supervisor.Supervisor>> = {
  succeed: Effect.void,
  fail: Effect.fail("no"),
  die: Effect.die("no"),
  sleep: Effect.sleep(3),
  never: Effect.never,
  child: Effect.andThen(Supervisor.submit(Effect.never), Effect.sleep(2)),
  "slow finalizer": Effect.onExit(Effect.never, () => Effect.sleep(2))
}

describe("closing the supervisor's layer", () => {
  it.effect.prop("leaves no fiber behind, whatever was submitted and however it was waited for", [Program], ([steps]) =>
    Effect.gen(function* () {
      yield* Supervisor.events().pipe(Stream.runDrain, Effect.forkChild)
      yield* Effect.forEach(steps, ({ then, timeout, work }) =>
        Effect.gen(function* () {
          const job = yield* Supervisor.submit(works[work] ?? Effect.void, { timeout })
          if (then === "cancel") yield* Effect.forkChild(Job.cancel(job))
          if (then === "join") yield* Effect.forkChild(Job.join(job))
          if (then === "give up waiting") yield* Job.await(job, { limit: 4 }).pipe(Effect.ignore)
        })
      )
    }).pipe(
      Effect.provide(Supervisor.layer({ concurrency: 2, onFailure: () => Effect.sleep(1) })),
      Effect.provide(Logger.layer([])),
      (program) => LeakDetector.check(program, { handles: false }),
      whileTimePasses
    )
  )

  it.live("leaves no timer behind when a job ends before its time limit", () =>
    Effect.gen(function* () {
      yield* LeakDetector.check(
        Supervisor.run(Effect.void, { timeout: "1 hour" }).pipe(Effect.provide(Supervisor.layer()))
      )
      const leaky = LeakDetector.check(Effect.forkDetach(Effect.sleep("1 hour")), { settle: "5 millis" })
      assert.strictEqual((yield* Effect.flip(leaky)).fibers, 1)
    })
  )
})
