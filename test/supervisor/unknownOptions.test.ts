import { assert, it } from "@effect/vitest"
import { Cron, Effect, Logger, Stream } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"
import { settle } from "./settle.ts"

// What plain JavaScript would hand over.
const any = <A>(value: unknown): A => value as A

type Use = (options: unknown) => Effect.Effect<unknown, unknown, Supervisor.Supervisor>

const ofJob = (use: (job: Job.Job<void, never>) => Effect.Effect<unknown, unknown, Supervisor.Supervisor>) =>
  Effect.flatMap(Supervisor.submit(Effect.void, { id: "j" }), use)

/** Everything that takes options: a name that it does not have, the one that was meant, and who does. */
const tables: ReadonlyArray<readonly [string, string, string, Use]> = [
  [
    "Supervisor",
    "concurency",
    "concurrency",
    (given) => Effect.sync(() => Supervisor.layer(any<Supervisor.Options>(given)))
  ],
  ["Supervisor", "onFailur", "onFailure", (given) => Effect.scoped(Supervisor.make(any<Supervisor.Options>(given)))],
  [
    "Supervisor",
    "prefx",
    "prefix",
    (given) => Effect.sync(() => Supervisor.layerConfig(any<Supervisor.Options>(given)))
  ],
  ["Supervisor.submit", "nam", "name", (given) => Supervisor.submit(Effect.void, any<Supervisor.SubmitOptions>(given))],
  ["Supervisor.submit", "timout", "timeout", (given) => Supervisor.run(Effect.void, any(given))],
  ["Supervisor.every", "shedule", "schedule", (given) => Supervisor.every(Effect.void, any(given))],
  ["Supervisor.drain", "deadLine", "deadline", (given) => Supervisor.drain(any(given))],
  ["Supervisor.list", "names", "name", (given) => Supervisor.list(any(given))],
  ["Supervisor.select", "metaData", "metadata", (given) => Supervisor.select(any(given))],
  ["Supervisor.snapshot", "states", "state", (given) => Supervisor.snapshot(any(given))],
  ["Supervisor.cancelAll", "names", "name", (given) => Supervisor.cancelAll(any(given))],
  ["Supervisor.awaitAll", "kinds", "kind", (given) => Supervisor.awaitAll(any(given))],
  ["Supervisor.events", "jobs", "job", (given) => Stream.runDrain(Stream.take(Supervisor.events(any(given)), 1))]
]

const more: ReadonlyArray<readonly [string, string, string, Use]> = [
  ["Job.await", "limt", "limit", (given) => ofJob((job) => Job.await(job, any(given)))],
  ["Supervisor.join", "limits", "limit", (given) => ofJob(({ id }) => Supervisor.join(id, any(given)))],
  ["Job.awaitAll", "limt", "limit", (given) => ofJob((job) => Job.awaitAll([job], any(given)))],
  ["Job.awaitAll", "limt", "limit", (given) => Supervisor.awaitAll({}, any(given))],
  ["Job.cancel", "reasn", "reason", (given) => ofJob((job) => Job.cancel(job, any(given)))],
  ["Supervisor.cancel", "reasn", "reason", (given) => ofJob(({ id }) => Supervisor.cancel(id, any(given)))],
  ["Job.cancelAll", "limt", "limit", (given) => ofJob((job) => Job.cancelAll([job], any(given)))],
  ["Supervisor.cancelAll", "By", "by", (given) => Supervisor.cancelAll({}, any(given))],
  ["Job.events", "aftr", "after", (given) => ofJob((job) => Stream.runDrain(Job.events(job, any(given))))]
]

/** The message with which options are refused. */
const refusal = (use: Use, options: unknown) =>
  Effect.suspend(() => use(options)).pipe(
    Effect.andThen(() => Effect.die("taken")),
    Effect.catchDefect((defect) => Effect.succeed(defect instanceof RangeError ? defect.message : defect)),
    Effect.provide([Supervisor.layer(), Logger.layer([])])
  )

it.effect.each([...tables, ...more])("%s has no option %s, and says that %s is meant", ([owner, given, meant, use]) =>
  Effect.gen(function* () {
    assert.strictEqual(yield* refusal(use, { [given]: 1 }), `${owner} has no option ${given}: did you mean ${meant}?`)
    assert.match(String(yield* refusal(use, { zzzzzz: 1 })), / has no option zzzzzz: it has .*\b/)
    assert.strictEqual(yield* refusal(use, "soon"), `${owner} options must be an object, got a text`)
    assert.strictEqual(yield* refusal(use, null), `${owner} options must be an object, got null`)
    for (const other of [
      [],
      new Map([[meant, 1]]),
      new Set([1]),
      Promise.resolve({ [meant]: 1 }),
      new URLSearchParams()
    ]) {
      assert.match(String(yield* refusal(use, other)), / options must be an object, got \[/)
    }
  })
)

it.effect.each(["state", "name", "kind", "key", "metadata"])(
  "a filter whose %s is undefined chooses nobody's jobs: it is refused",
  (field) =>
    ofJob(() =>
      Effect.gen(function* () {
        const others = yield* Supervisor.submit(Effect.never)
        const missing = { [field]: undefined }
        for (const use of [Supervisor.cancelAll, Supervisor.awaitAll, Supervisor.list, Supervisor.select]) {
          assert.match(
            String(yield* refusal((filter) => use(any(filter)), missing)),
            new RegExp(`^Supervisor\\.\\w+ option ${field} must be left out to choose all, got undefined$`)
          )
        }
        assert.throws(() => Supervisor.cancelAll(any(missing)), /^Supervisor.cancelAll option/)
        assert.isUndefined((yield* Job.status(others)).cause)
        // How many are wanted chooses nobody.
        assert.lengthOf(yield* Supervisor.list({ limit: undefined, offset: undefined }), 2)
      })
    ).pipe(Effect.provide(Supervisor.layer()))
)

it.effect("a filter that is no plain object, or whose metadata is none, chooses nobody's jobs: it is refused", () =>
  ofJob(() =>
    Effect.gen(function* () {
      const others = yield* Supervisor.submit(Effect.never, { metadata: { user: "u-2" } })
      yield* settle
      const user = { user: "u-1" }
      const metadata = [new Map(Object.entries(user)), Promise.resolve(user), Object.create(user), {}, [], new Set()]
      const filters = [[], new Set([others]), Object.create({ metadata: user }), Promise.resolve({}), /name/]
      for (const filter of [...filters, ...metadata.map((each) => ({ metadata: each }))]) {
        for (const use of [Supervisor.cancelAll, Supervisor.awaitAll, Supervisor.list, Supervisor.select]) {
          assert.match(String(yield* refusal((given) => use(any(given)), filter)), /^Supervisor\.\w+ (options?|takes) /)
        }
      }
      assert.strictEqual((yield* Job.status(others)).state, "running")
    })
  ).pipe(Effect.provide(Supervisor.layer()))
)

it.effect("Job.cancel, which waits without a limit, has no option limit", () =>
  Effect.gen(function* () {
    const message = yield* refusal((given) => ofJob((job) => Job.cancel(job, any(given))), { limit: "1 second" })
    assert.strictEqual(message, "Job.cancel has no option limit: it has reason, by")
  })
)

it.effect("Job.join takes no options, and says where a limit goes; an index is none", () =>
  ofJob((job) =>
    Effect.gen(function* () {
      // What plain JavaScript would hand over.
      const join: (job: unknown, options: unknown) => unknown = any(Job.join)
      for (const options of [{ limit: "5 seconds" }, "5 seconds", null]) {
        assert.throws(() => join(job, options), /^Job.join takes no options: give a limit to Job.await\(/)
      }
      assert.deepStrictEqual(yield* Effect.forEach([job, job], Job.join), [undefined, undefined])
      assert.isUndefined(yield* Effect.flatMap(Effect.succeed(job), Job.join))
    })
  ).pipe(Effect.provide(Supervisor.layer()))
)

it.effect("Supervisor.events follows a job by its id, and says so to whoever hands over a handle", () =>
  Effect.gen(function* () {
    const message = yield* refusal(() => ofJob((job) => Stream.runDrain(Supervisor.events({ job: any(job) }))), {})
    assert.match(
      String(message),
      /^Supervisor.events option job must be the id of a job \(with a handle, use Job.events\), got /
    )
  })
)

it.effect.each<readonly [string, Use, RegExp]>([
  ["a number in quotes", () => Effect.sync(() => Supervisor.layer({ concurrency: any("5") })), /at least 1, got "5"$/],
  [
    "a word that whenFull does not have",
    () => Supervisor.submit(Effect.void, { whenFull: any("drop") }),
    /^Supervisor.submit option whenFull must be refuse, wait, or a duration of at least 0 ms, got "drop"$/
  ],
  [
    "a level that there is not",
    () => Supervisor.submit(Effect.void, { priority: any("urgent") }),
    /option priority must be a finite number below 2\^53 or a level \(low, normal, high, critical\), got "urgent"$/
  ],
  [
    "the text of a cron",
    () => Supervisor.every(Effect.void, { name: "nightly", schedule: any("0 4 * * *") }),
    /option schedule must be .* Cron.parseUnsafe\("0 4 \* \* \*"\), got "0 4 \* \* \*"$/
  ],
  [
    "an async function to repeat",
    () =>
      Supervisor.every(
        any<Effect.Effect<void>>(async () => {}),
        { name: "nightly", schedule: Cron.parseUnsafe("0 4 * * *", "UTC") }
      ),
    /^Supervisor.every takes an Effect: make one of an async function by Job.promise, got a function$/
  ],
  [
    "what is no work, by a promise that rejects",
    () =>
      Supervisor.run(
        Job.promise(async ({ run }) => {
          const running = run(any<() => number>(5))
          await running
        })
      ).pipe(Effect.orDie),
    /^Job.promise takes an async function, not 5$/
  ],
  ["a promise", () => Job.promise(any(Promise.resolve(1))), /^Job.promise takes an async function, not its promise/],
  [
    "a promise to run in a job",
    () =>
      Supervisor.run(Job.promise(({ run }) => run<number>(any<() => number>(Promise.resolve(1))))).pipe(Effect.orDie),
    /^Job.promise takes an async function, not its promise/
  ],
  [
    "an id to Job.cancel",
    () => Job.cancel(any<Job.Job<void, never>>("job-1")),
    /this is an id: use Supervisor.join, Supervisor.cancel/
  ],
  [
    "an id to Job.join",
    () => Effect.suspend(() => Job.join(any<Job.Job<void, never>>("job-1"))),
    /this is an id: use Supervisor.join/
  ],
  [
    "nothing to Job.status",
    () => Job.status(any<Job.Job<void, never>>(undefined)),
    /^a job's handle is .*; this is undefined$/
  ],
  [
    "a number before the first event of a job",
    () => Effect.suspend(() => Stream.runDrain(Supervisor.events({ job: "job-1", after: -1 }))),
    /^Supervisor.events option after must be a whole number of at least 0, got -1$/
  ]
])("%s is refused with what to write instead", ([, use, expected]) =>
  Effect.gen(function* () {
    assert.match(String(yield* refusal(use, {})), expected)
  })
)
