import { assert, describe, it } from "@effect/vitest"
import { Effect, Latch, Stream } from "effect"
import { Job, JobError, Supervisor } from "holdfast/supervisor"

describe("Supervisor.progress", () => {
  it.effect("follows what a job reports, by its id, from the last report until it ends", () =>
    Effect.gen(function* () {
      const [reported, read] = [yield* Latch.make(), yield* Latch.make()]
      const work = Effect.gen(function* () {
        yield* Job.report({ fraction: 0.25 }, "passed over")
        yield* Job.report({ fraction: 0.5 }, "half")
        yield* reported.open
        yield* read.await
        yield* Job.report({ fraction: 1 }, "all")
      })
      yield* Supervisor.submit(work, { id: "import" })
      yield* reported.await
      const seen = yield* Supervisor.progress("import").pipe(
        Stream.tap(() => read.open),
        Stream.runCollect
      )
      assert.deepStrictEqual(
        seen.map(({ fraction, message }) => [fraction, message]),
        [
          [0.5, "half"],
          [1, "all"]
        ]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("fails for an id that was never given", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Stream.runDrain(Supervisor.progress("none")))
      assert.deepStrictEqual([error.id, error.reason], ["none", new JobError.NotFound()])
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("a wait by id", () => {
  it.effect("refuses a limit that makes no sense before it looks for the job", () =>
    Effect.gen(function* () {
      const limit = Number.NaN
      assert.throws(() => Supervisor.join("none", { limit }), /^Supervisor.join option limit/)
      assert.throws(() => Supervisor.await("none", { limit }), /^Supervisor.await option limit/)
      assert.deepStrictEqual(
        (yield* Effect.flip(Supervisor.await("none", { limit: 1 }))).reason,
        new JobError.NotFound()
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})
