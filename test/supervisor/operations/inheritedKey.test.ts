/** A job's own jobs have its key: what that is, and that nobody waits for the place of whoever waits for it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { settle, whileTimePasses } from "../settle.ts"

type Work<A> = Effect.Effect<A, unknown, Supervisor.Supervisor>

/** The key of the job in which it is run. */
const ownKey = Effect.map(Supervisor.list({ state: "running" }), (jobs) => jobs.at(-1)?.key)

describe("a job has the key", () => {
  const inJob = <A>(work: Work<A>) => Supervisor.run(work, { key: "acme" })
  const ways: ReadonlyArray<readonly [key: string, of: string, work: Work<string | undefined>]> = [
    ["acme", "its owner, which runs it", inJob(Supervisor.run(ownKey))],
    ["acme", "its owner, which submits it", inJob(Effect.flatMap(Supervisor.submit(ownKey), Job.join))],
    ["acme", "its owner's owner", inJob(Supervisor.run(Supervisor.run(ownKey)))],
    [
      "acme",
      "its owner, which is an async function",
      inJob(Job.promise(({ run }) => run(() => 1).then(() => run(ownKey))))
    ],
    [
      "acme",
      "an async function that submits it",
      inJob(
        Effect.flatMap(
          Job.promise(({ submit }) => submit(ownKey)),
          Job.join
        )
      )
    ],
    [
      "acme",
      "the job that made the call in which it is",
      inJob(Supervisor.run(Supervisor.run(ownKey), { kind: "call" }))
    ],
    ["zeta", "its own", inJob(Supervisor.run(ownKey, { key: "zeta" }))],
    ["", "nobody, as it says", inJob(Supervisor.run(ownKey, { key: "" }))],
    ["", "nobody, as its owner says", inJob(Supervisor.run(Supervisor.run(ownKey), { key: "" }))],
    ["", "nobody when it is handed over", inJob(Supervisor.run(ownKey, { owner: "supervisor" }))],
    ["zeta", "its own when it is handed over", inJob(Supervisor.run(ownKey, { owner: "supervisor", key: "zeta" }))],
    ["", "nobody in another supervisor", inJob(Effect.provide(Supervisor.run(ownKey), Supervisor.layer()))]
  ]

  it.live.each(ways)("%s: of %s", ([key, , work]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* work, key)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("of the job in which that was started of whose rounds it is", () =>
    Effect.gen(function* () {
      const seen = yield* Deferred.make<string | undefined>()
      const round = Supervisor.run(Effect.flatMap(ownKey, (key) => Deferred.succeed(seen, key)))
      const start = Supervisor.every(round, { name: "n", schedule: "1 second" })
      yield* Supervisor.submit(Effect.andThen(start, Effect.never), { key: "acme" })
      assert.strictEqual(yield* Deferred.await(seen), "acme")
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("with one place for a key", () => {
  const layer = Supervisor.layer({ concurrency: 3, keyConcurrency: 1 })
  const acme = { key: "acme" }

  /** Notes how many of the jobs that do this did so at once. */
  const busy = () => {
    const seen = { now: 0, most: 0, done: 0 }
    const work = Effect.acquireUseRelease(
      Effect.sync(() => (seen.most = Math.max(seen.most, ++seen.now))),
      () => Effect.sleep(2),
      () => Effect.sync(() => void (seen.now--, seen.done++))
    )
    return { seen, work }
  }
  const fanOut = <A>(work: Work<A>) => Effect.replicateEffect(Supervisor.run(work), 4, { concurrency: "unbounded" })
  const inAsync = <A>(work: Work<A>) => Job.promise(({ run }) => Promise.all([run(work), run(work)]))

  const shapes: ReadonlyArray<readonly [what: string, done: number, (work: Work<void>) => Work<unknown>]> = [
    ["three deep", 1, (work) => Supervisor.run(Supervisor.run(Supervisor.run(work)))],
    ["four at once", 4, fanOut],
    ["four at once, each with four", 16, (work) => fanOut(fanOut(work))],
    ["of an async function", 2, inAsync],
    ["of async functions in one", 4, (work) => inAsync(inAsync(work))],
    ["through a call", 1, (work) => Supervisor.run(Supervisor.run(work), { kind: "call" })],
    [
      "submitted, and waited for together",
      2,
      (work) => Effect.flatMap(Effect.replicateEffect(Supervisor.submit(work), 2), (jobs) => Job.awaitAll(jobs))
    ],
    [
      "given up by a limit",
      1,
      (work) =>
        Effect.flatMap(Supervisor.submit(work), (job) =>
          Effect.andThen(Effect.ignore(Job.await(job, { limit: 1 })), Job.join(job))
        )
    ],
    [
      "given up by a timeout, and run again",
      2,
      (work) => Effect.andThen(Effect.timeoutOption(Supervisor.run(work), 1), Supervisor.run(work))
    ]
  ]

  it.effect.each(shapes)("a job's own jobs run one after the other: %s", ([, done, shape]) =>
    Effect.gen(function* () {
      const { seen, work } = busy()
      const others = yield* Effect.replicateEffect(Supervisor.submit(work, acme), 2)
      const both = Effect.andThen(Supervisor.run(shape(work), acme), Job.awaitAll(others))
      yield* Effect.timeout(whileTimePasses(both), "1 minute")
      assert.deepStrictEqual(seen, { now: 0, most: 1, done: done + 2 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("one that goes on beside its owner begins when that waits, unless it has no key", () =>
    Effect.gen(function* () {
      const states = Effect.map(Supervisor.list(), (jobs) => jobs.map(({ state }) => state))
      const owner = Effect.gen(function* () {
        const own = yield* Supervisor.submit(Effect.never)
        yield* Supervisor.submit(Effect.never, { key: "" })
        yield* Effect.sleep(5)
        return yield* Job.join(own)
      })
      yield* Supervisor.submit(owner, acme)
      yield* settle
      assert.deepStrictEqual(yield* states, ["running", "pending", "running"])
      yield* TestClock.adjust(5)
      yield* settle
      assert.deepStrictEqual(yield* states, ["running", "running", "running"])
    }).pipe(Effect.provide(layer))
  )
})

describe("an idempotency key", () => {
  const submit = (options: Supervisor.SubmitOptions = {}) =>
    Effect.map(Supervisor.submit(Effect.never, { idempotencyKey: "contract.pdf", ...options }), ({ id }) => id)

  it.effect("is of the job's key: the same one of another key means another job", () =>
    Effect.gen(function* () {
      const acme = yield* submit({ key: "acme" })
      const others = [yield* submit({ key: "zeta" }), yield* submit(), yield* submit({ key: "acme", name: "other" })]
      assert.strictEqual(new Set([acme, ...others]).size, 4)
      assert.strictEqual(yield* submit({ key: "acme" }), acme)
      assert.strictEqual(yield* submit({ key: "" }), others[1])
      assert.strictEqual(yield* submit({ key: "acme", kind: "call" }), acme)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is of the key that a job has from its owner, and a job handed over has none from it", () =>
    Effect.gen(function* () {
      const inJob = (key: string, options?: Supervisor.SubmitOptions) => Supervisor.run(submit(options), { key })
      const none = yield* submit()
      const acme = yield* submit({ key: "acme" })
      assert.strictEqual(yield* inJob("acme"), acme)
      assert.notInclude([none, acme], yield* inJob("zeta"))
      assert.strictEqual(yield* inJob("acme", { owner: "supervisor" }), none)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("of what repeats is of the key of the job that starts it", () =>
    Effect.gen(function* () {
      const start = Supervisor.every(Effect.void, { name: "n", idempotencyKey: "k", schedule: "1 hour" })
      const started = yield* Effect.forEach(["acme", "zeta", "acme"], (key) =>
        Effect.flatMap(Deferred.make<string>(), (seen) => {
          const work = Effect.flatMap(start, ({ id }) => Deferred.succeed(seen, id))
          return Effect.andThen(Supervisor.submit(Effect.andThen(work, Effect.never), { key }), Deferred.await(seen))
        })
      )
      assert.strictEqual(started[0], started[2])
      assert.notStrictEqual(started[0], started[1])
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})
