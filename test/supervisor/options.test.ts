import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Stream } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"
import {
  atLeast0,
  endless,
  given,
  isRefused,
  orNull,
  senseless,
  type Table,
  texts,
  times,
  waits,
  walk,
  wholes
} from "../optionWalk.ts"

const tables: ReadonlyArray<Table> = [
  [
    "Job.cancel",
    "src/supervisor/operations/CancelOptions.ts",
    "Options",
    (option, value) => Effect.flatMap(Supervisor.submit(Effect.void), (job) => Job.cancel(job, given(option, value))),
    { reason: texts, by: texts }
  ],
  [
    "Job.await",
    "src/supervisor/operations/WaitOptions.ts",
    "Options",
    (option, value) => Effect.flatMap(Supervisor.submit(Effect.void), (job) => Job.await(job, given(option, value))),
    { limit: waits }
  ],
  [
    "Job.promise",
    "src/supervisor/operations/PromiseWork.ts",
    "PromiseOptions",
    (option, value) => Effect.sync(() => Job.promise(async () => {}, given<{ catch: () => void }>(option, value))),
    { catch: ["a function"] }
  ],
  [
    "Supervisor",
    "src/supervisor/lifecycle/Settings.ts",
    "Limits",
    (option, value) => Effect.sync(() => Supervisor.layer(given<Supervisor.Options>(option, value))),
    {
      ...orNull({ concurrency: wholes, keyConcurrency: wholes, maxPending: atLeast0, aging: times }),
      ids: [],
      timeout: endless,
      ...orNull({
        retain: atLeast0,
        retainBytes: atLeast0,
        retainFor: endless,
        retainResults: atLeast0,
        retainResultsFor: endless,
        eventHistory: wholes,
        upkeepEvery: endless,
        progressEvery: endless,
        stuckAfter: endless
      })
    }
  ],
  [
    "Supervisor",
    "src/supervisor/Supervisor.ts",
    "Options",
    (option, value) => Effect.sync(() => Supervisor.layer(given<Supervisor.Options>(option, value))),
    { onFailure: ["a function"], onFailureTimeout: times }
  ],
  [
    "Supervisor.submit",
    "src/supervisor/operations/SubmitOptions.ts",
    "Options",
    (option, value) => Supervisor.submit(Effect.void, given(option, value)),
    {
      name: texts,
      id: ["a text"],
      timeout: endless,
      metadata: [],
      kind: [],
      key: texts,
      priority: ["0", "-0", "-1", "1.5", "2^31"],
      whenFull: waits,
      retry: [],
      idempotencyKey: ["a text"],
      owner: []
    }
  ],
  [
    "Supervisor.every",
    "src/supervisor/operations/PeriodicOptions.ts",
    "Options",
    (option, value) =>
      Supervisor.every(
        Effect.void,
        given(option, value, option === "name" ? { schedule: "1 hour" } : { name: "n", schedule: "1 hour" })
      ),
    {
      id: ["a text"],
      idempotencyKey: ["a text"],
      name: texts,
      schedule: times,
      overlap: [],
      jitter: [...times, "0", "-0"],
      timeout: endless,
      metadata: []
    }
  ],
  [
    "Supervisor.drain",
    "src/supervisor/operations/Drain.ts",
    "Options",
    (option, value) => Supervisor.drain(given(option, value)),
    { deadline: waits, interruptLimit: waits }
  ],
  [
    "Supervisor.list",
    "src/supervisor/records/Filter.ts",
    "Filter",
    (option, value) => Supervisor.list(given(option, value)),
    {
      state: ["an array"],
      name: texts,
      kind: [],
      key: texts,
      metadata: [],
      offset: atLeast0,
      limit: [...atLeast0, "Infinity"]
    }
  ]
]

walk(tables)

describe("what a function is given beside its options", () => {
  const whole = ["NaN", "-1", "1.5", "Infinity", "a text", "true", "a symbol"]
  it.effect.each(whole)("refuses an `after` of %s", (said) =>
    Effect.gen(function* () {
      const after = senseless[said] as number
      const followed = Stream.runDrain(Stream.take(Supervisor.events({ after }), 1))
      assert.isTrue(yield* isRefused(followed, "Supervisor.events", "after"))
      const ofJob = Effect.flatMap(Supervisor.submit(Effect.void), (job) => Stream.runDrain(Job.events(job, { after })))
      assert.isTrue(yield* isRefused(ofJob, "Job.events", "after"))
    })
  )

  it.effect.each(["NaN", "-1", "a text", "true", "an object", "a symbol", "a function"])(
    "refuses a `limit` of %s",
    (said) =>
      Effect.gen(function* () {
        const limit = senseless[said] as number
        const wait = Effect.flatMap(Supervisor.submit(Effect.void), (job) => Job.await(job, { limit }))
        assert.isTrue(yield* isRefused(wait, "Job.await", "limit"))
        const all = Effect.flatMap(Supervisor.submit(Effect.void), (job) => Job.awaitAll([job], { limit }))
        assert.isTrue(yield* isRefused(all, "Job.awaitAll", "limit"))
      })
  )

  const texts = ["NaN", "null", "an object", "a symbol", "a function", "true"]
  it.effect.each(texts)("refuses a name of %s to pause or resume, and such an id", (said) =>
    Effect.gen(function* () {
      const value = senseless[said] as string
      const refusal = (use: Effect.Effect<unknown, unknown, Supervisor.Supervisor>) =>
        Effect.map(Effect.flip(Effect.sandbox(use)), (cause) => String(Cause.squash(cause)))
      assert.match(
        yield* refusal(Supervisor.pauseName(value)),
        /^RangeError: Supervisor.pauseName option name must be a text, got /
      )
      assert.match(
        yield* refusal(Supervisor.resumeName(value)),
        /^RangeError: Supervisor.resumeName option name must be /
      )
      for (const use of [Supervisor.find, Supervisor.get, Supervisor.cancel, Supervisor.join, Supervisor.pause]) {
        assert.match(yield* refusal(use(value)), /^RangeError: the id of a job is a text; this is /)
      }
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  const long = "x".repeat(1_001)
  it.effect.each([
    ["name", { name: long }, "at most 1000 characters long, got 1001"],
    ["id", { id: long }, "at most 1000 characters long, got 1001"],
    ["key", { key: long }, "at most 1000 characters long, got 1001"],
    ["idempotencyKey", { idempotencyKey: long }, "at most 1000 characters long, got 1001"],
    ["metadata", { metadata: { a: "x".repeat(9_990), [long]: 1 } }, "at most 10000 characters together, got 10992"]
  ] as const)("refuses a %s that is too long", ([name, options, must]) =>
    Effect.gen(function* () {
      assert.isTrue(yield* isRefused(Supervisor.submit(Effect.void, options), "Supervisor.submit", name))
      const cause = yield* Effect.flip(Effect.sandbox(Supervisor.submit(Effect.void, options)))
      assert.include(String(Cause.squash(cause)), `option ${name} must be ${must}`)
      if (name === "key") return
      const periodic = Supervisor.every(Effect.void, { name: "n", schedule: "1 hour", ...options })
      assert.isTrue(yield* isRefused(periodic, "Supervisor.every", name))
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("keeps the first 1,000 characters of why a job is cancelled, and by whom", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never)
      const { cause, cancelledBy } = yield* Job.cancel(job, { reason: `r${long}`, by: `b${long}` })
      assert.lengthOf(cancelledBy?.by ?? "", 1_000)
      assert.isBelow(String(cause === undefined ? "" : Cause.squash(cause)).length, 1_100)
      const report = yield* Job.cancelAll([job, job])
      assert.lengthOf(report.jobs, 1)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})
