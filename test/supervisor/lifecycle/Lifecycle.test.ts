import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, References } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

describe("Lifecycle", () => {
  it.effect("ends a job whose submitter's context cannot be read, and frees its slot", () =>
    Effect.gen(function* () {
      const annotations = {
        get user(): string {
          throw new Error("not in this request")
        }
      }
      const job = yield* Effect.provideService(
        Supervisor.submit(Effect.void, { name: "mail" }),
        References.CurrentLogAnnotations,
        annotations
      )
      const exit = yield* Job.await(job)
      assert(Exit.isFailure(exit))
      assert.match(String(Cause.squash(exit.cause)), /not in this request/)
      assert.strictEqual((yield* Job.status(job)).state, "failed")
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("ran")), "ran")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("refuses a job by a typed error also when a logger throws for its warning", () =>
    Effect.gen(function* () {
      yield* Supervisor.submit(Effect.never)
      const error = yield* Effect.flip(Supervisor.submit(Effect.void))
      assert.strictEqual(error.reason._tag, "QueueFull")
    }).pipe(
      Effect.provide([
        Supervisor.layer({ concurrency: 1, maxPending: 0 }),
        Logger.layer([
          Logger.make(() => {
            throw new Error("no room on the disk")
          })
        ])
      ])
    )
  )
})
