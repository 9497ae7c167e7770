import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"
import { recordOf } from "../../../src/supervisor/records/JobRecord.ts"
import { settle } from "../settle.ts"
import type * as Outcome from "../../../src/supervisor/records/Outcome.ts"

type Options = Job.CancelOptions & { readonly limit?: "1 second" }

/** What plain JavaScript may hand over. */
const senseless: Record<string, unknown> = {
  "a reason that is null": { reason: null },
  "a reason that is an object": { reason: { code: 7 } },
  "a canceller that is a number": { by: 7 },
  "a canceller that throws": {
    get by() {
      throw new RangeError("by")
    }
  }
}

const doors: Record<
  string,
  (job: Job.Job<never, never>, options: Options) => Effect.Effect<unknown, unknown, Supervisor.Supervisor>
> = {
  "Job.cancel": (job, options) => Job.cancel(job, options),
  "Job.cancelAll": (job, options) => Job.cancelAll([job], options),
  "Supervisor.cancel": (job, options) => Supervisor.cancel(job.id, options),
  "Supervisor.cancelAll": (_, options) => Supervisor.cancelAll({}, options)
}

const isUntouched = (job: Job.Job<never, never>) =>
  Effect.gen(function* () {
    const { state, stoppedAtMillis } = yield* Job.status(job)
    return state === "pending" && stoppedAtMillis === undefined
  })

describe("the options of a cancellation", () => {
  describe.each(Object.entries(doors))("%s", (_, cancel) => {
    it.effect.each(Object.entries(senseless))("refuses %s before anything is touched", ([, options]) =>
      Effect.gen(function* () {
        const job = yield* Supervisor.submit(Effect.never)
        assert.throws(() => cancel(job, options as Options), RangeError)
        assert.isTrue(yield* isUntouched(job))
      }).pipe(Effect.provide(Supervisor.layer()))
    )
  })

  it.effect("have a limit that is refused before anything is touched", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never)
      const options = { limit: "10 secnds" } as unknown as Options
      assert.throws(() => Job.cancelAll([job], options), /Job.cancelAll option limit/)
      assert.throws(() => Supervisor.cancelAll({}, options), /Supervisor.cancelAll option limit/)
      assert.isTrue(yield* isUntouched(job))
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect.each([{ limit: -1 }, { offset: -1 }, { offset: Number.NaN }, { offset: 1.5 }, { offset: "2" }])(
    "have a filter whose range is refused as a list's is: %o",
    (range) =>
      Effect.gen(function* () {
        const job = yield* Supervisor.submit(Effect.never)
        const filter = range as Supervisor.Filter
        assert.throws(() => Supervisor.cancelAll(filter), /Supervisor.cancelAll option (limit|offset) in the filter/)
        assert.throws(() => Supervisor.awaitAll(filter), /Supervisor.awaitAll option (limit|offset) in the filter/)
        assert.isTrue(yield* isUntouched(job))
      }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("leave no job half ended, whatever reason its end is given", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.ensuring(Effect.never, Effect.die("its finalizer failed")))
      const waiting = yield* Supervisor.submit(Effect.never)
      yield* settle
      const stop = { _tag: "Cancel", reason: null } as unknown as Outcome.Stop
      for (const each of [job, waiting]) recordOf(each).supervision.stop(recordOf(each), stop)
      yield* Supervisor.awaitAll()
      assert.deepStrictEqual(
        (yield* Supervisor.list()).map(({ state }) => state),
        ["cancelled", "cancelled"]
      )
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("ran")), "ran")
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, onFailure: () => Effect.void })))
  )
})
