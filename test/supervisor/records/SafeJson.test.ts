import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Stream } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const circular = (): Error => {
  const error = new Error("no answer")
  return Object.assign(error, { request: { error } })
}

const failures: Readonly<Record<string, () => unknown>> = {
  "an error with the request it was made for": () =>
    Object.assign(new Error("no answer"), { config: { headers: { Authorization: "Bearer SECRET" } } }),
  "an error that goes round in a circle": circular,
  "an error with a BigInt": () => Object.assign(new Error("no answer"), { length: 1n }),
  "an error whose toJSON throws": () =>
    Object.assign(new Error("no answer"), {
      toJSON: () => {
        throw new Error("not written")
      }
    })
}

describe("JSON of a status and of events says a failure's text and nothing of its fields", () => {
  it.effect.each(Object.keys(failures))("%s", (name) =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.suspend(() => Effect.fail(failures[name]?.())))
      yield* Job.await(job)
      const status = yield* Job.status(job)
      const events = yield* Stream.runCollect(Job.events(job, { after: 0 }))
      for (const written of [JSON.stringify(status), JSON.stringify(events), JSON.stringify({ jobs: [status] })]) {
        assert.include(written, `"error":"Error: no answer"`)
        assert.notInclude(written, "SECRET")
        assert.notInclude(written, `"cause"`)
      }
      assert.isDefined(status.cause)
      assert.notInclude(Object.keys(status), "toJSON")
    }).pipe(Effect.provide([Supervisor.layer(), Logger.layer([])]))
  )

  it.effect("and none is empty", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.fail(""))
      yield* Job.await(job)
      assert.strictEqual((yield* Job.status(job)).error, "(empty)")
    }).pipe(Effect.provide([Supervisor.layer(), Logger.layer([])]))
  )
})
