import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

/** Runs jobs that give 1,000 bytes each, and counts the results that somebody still holds afterwards. */
const heldOf = (jobs: number) =>
  Effect.gen(function* () {
    const results: Array<WeakRef<object>> = []
    const work = Effect.sync(() => {
      const result = new Uint8Array(1_000)
      results.push(new WeakRef(result))
      return result
    })
    for (let n = 0; n < jobs; n++) yield* Supervisor.run(work)
    yield* Effect.sleep(1)
    collectGarbage()
    return results.filter((result) => result.deref() !== undefined).length
  })

describe("JobTable", () => {
  it.live.each([
    { retainResultsFor: "30 minutes" },
    { retainResults: 500 },
    { retainResults: 500, retainResultsFor: "30 minutes" }
  ] as const)("keeps results within their size also when they are kept shorter than records: %o", (limits) =>
    Effect.gen(function* () {
      assert.isAtMost(yield* heldOf(50), 6)
      assert.lengthOf(yield* Supervisor.list(), 50)
    }).pipe(Effect.provide(Supervisor.layer({ retainBytes: 5_000, ...limits })))
  )

  it.live("holds no result of a record that was dropped before its result would be", () =>
    Effect.gen(function* () {
      assert.isAtMost(yield* heldOf(50), 3)
    }).pipe(Effect.provide(Supervisor.layer({ retain: 2, retainResults: 1, retainResultsFor: "2 hours" })))
  )

  it.effect("keeps the record and the idempotency key of a periodic job that was started inside a job", () =>
    Effect.gen(function* () {
      const sync = { name: "sync", idempotencyKey: "sync", schedule: Schedule.recurs(1) }
      const owner = Effect.gen(function* () {
        const periodic = yield* Supervisor.every(Effect.void, { ...sync, id: "sync" })
        const again = yield* Supervisor.every(Effect.void, sync)
        yield* Job.join(periodic)
        return [periodic.id, again.id]
      })
      assert.deepStrictEqual(yield* Supervisor.run(owner), ["sync", "sync"])
      assert.strictEqual((yield* Supervisor.get("sync")).state, "completed")
      assert.lengthOf(yield* Supervisor.list({ kind: "periodic" }), 1)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("lets an idempotency key go with the record, so that it never finds another job of the same id", () =>
    Effect.gen(function* () {
      const options = { id: "mail", idempotencyKey: "mail" }
      yield* Supervisor.run(Effect.succeed("first"), { ...options, kind: "periodic" })
      const other = yield* Supervisor.submit(Effect.succeed("another"), { id: "mail" })
      const again = yield* Supervisor.submit(Effect.succeed("again"), { idempotencyKey: "mail" })
      assert.notStrictEqual(again.id, other.id)
      assert.strictEqual(yield* Job.join(again), "again")
    }).pipe(Supervisor.run, Effect.provide(Supervisor.layer({ retain: 0 })))
  )

  it.effect.each([{ ids: "counted" }, { ids: "random" }] as const)(
    "says of ids that nobody gave out that they are not known: %o",
    (limits) =>
      Effect.gen(function* () {
        yield* Supervisor.run(Effect.void)
        for (const id of ["job-0", "job--5", "job--0", "job-2", "job-01", "job-", ""]) {
          assert.strictEqual((yield* Effect.flip(Supervisor.get(id))).reason._tag, "NotFound", id)
        }
      }).pipe(Effect.provide(Supervisor.layer({ ...limits, retain: 0 })))
  )
})
