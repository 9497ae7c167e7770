/** What is shown of a handle, and how handles compare: behind one stand all jobs of its supervisor. */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Equal, Hash, HashMap, HashSet, Logger } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const formats = { json: Logger.formatJson, logfmt: Logger.formatLogFmt, simple: Logger.formatSimple }

/** Two handles of different jobs among many others, whose metadata is nobody else's to see. */
const among = Effect.gen(function* () {
  for (let n = 0; n < 200; n++) yield* Supervisor.submit(Effect.never, { metadata: { token: "secret of others" } })
  const job = yield* Supervisor.submit(Effect.never, { name: "mine" })
  const periodic = yield* Supervisor.every(Effect.void, { name: "mine too", schedule: "1 hour" })
  return [job, periodic] as const
})

describe("a handle", () => {
  it.effect("is shown as its id and its name", () =>
    Effect.gen(function* () {
      for (const job of yield* among) {
        const shown = { _id: "Job", id: job.id, name: job.name }
        assert.deepStrictEqual(JSON.parse(JSON.stringify({ job })), { job: shown })
        assert.strictEqual(inspect(job, { depth: Infinity }), inspect(shown))
        for (const format of Object.values(formats)) {
          const lines: Array<string> = []
          const logger = Logger.layer([Logger.map(format, (line) => void lines.push(line))])
          yield* Effect.provide(Effect.log("started", job), logger)
          assert.include(lines.join(), job.id)
          assert.isBelow(lines.join().length, 300)
        }
      }
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 10 })))
  )

  it.effect("is shown so in the error of a job", () =>
    Effect.gen(function* () {
      const [child] = yield* among
      const failed = yield* Supervisor.submit(Effect.fail({ _tag: "Stuck", child }), { owner: "supervisor" })
      yield* Job.await(failed)
      assert.strictEqual(
        (yield* Job.status(failed)).error,
        `{ _tag: "Stuck", child: { _id: "Job", id: "${child.id}", name: "mine" } }`
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 300 })), Effect.provide(Logger.layer([])))
  )

  it.effect("equals those of the same job, and no others", () =>
    Effect.gen(function* () {
      const [job, periodic] = yield* among
      assert.isFalse(Equal.equals(job, periodic))
      assert.isFalse(Equal.equals(job, yield* Supervisor.submit(Effect.never, { name: "mine" })))
      assert.isTrue(Equal.equals(job, yield* Supervisor.find(job.id)))
      assert.strictEqual(HashSet.size(HashSet.make<ReadonlyArray<object>>(job, periodic, job)), 2)
      assert.strictEqual(HashMap.size(HashMap.make([job, 1], [periodic, 2])), 2)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 10 })))
  )

  it.effect("equals one that was found when its result was dropped", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const job = yield* Supervisor.submit(Effect.as(Deferred.await(gate), { large: true }))
      yield* Deferred.succeed(gate, undefined)
      yield* Job.join(job)
      const found = yield* Supervisor.find(job.id)
      assert.notStrictEqual<object>(found, job)
      assert.isTrue(Equal.equals(job, found) && Hash.hash(job) === Hash.hash(found))
      const other = yield* Effect.provide(Supervisor.submit(Effect.void), Supervisor.layer())
      assert.isFalse(Equal.equals(job, other))
    }).pipe(Effect.provide(Supervisor.layer({ retainResults: 0 })))
  )
})
