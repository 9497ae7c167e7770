/** Mends that no generated program sees: each is taken out of a copy, and what it mended has to show there, and only there. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Logger, ManagedRuntime, Scheduler } from "effect"
import type * as Copied from "holdfast/supervisor"
import { copyOf } from "./mutants/copy.ts"
import type { Mutant } from "./mutants/mutants.ts"

setFlagsFromString("--expose-gc")
const collectGarbage: () => void = runInNewContext("gc")

type Copy = typeof Copied

/** Whether all is well with a supervisor. */
type IsWell = (copy: Copy) => Promise<boolean>

/** Runs a program with a supervisor of the copy. */
const within =
  (
    program: (copy: Copy) => Effect.Effect<boolean, unknown, Copied.Supervisor.Supervisor>,
    options: Copied.Supervisor.Options = {}
  ): IsWell =>
  async (copy) => {
    const layers = Layer.merge(copy.Supervisor.layer(options), Logger.layer([]))
    const exit = await Effect.runPromiseExit(Effect.provide(program(copy), layers))
    return Exit.isSuccess(exit) && exit.value
  }

/** Whether something is no longer held by anybody, soon. */
const isFree = async (made: WeakRef<object>): Promise<boolean> => {
  for (let n = 0; n < 10 && made.deref() !== undefined; n++) {
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
  }
  return made.deref() === undefined
}

/** Makes something, to be asked about later. */
const make = (made: Array<WeakRef<object>>): object => {
  const thing = { large: "x".repeat(100) }
  made.push(new WeakRef(thing))
  return thing
}

const firstIsFree = ([first]: ReadonlyArray<WeakRef<object>>) =>
  Effect.promise(async () => first !== undefined && (await isFree(first)))

const isRefused = (effect: Effect.Effect<unknown, unknown, Copied.Supervisor.Supervisor>) =>
  Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) && String(exit.cause).includes("RangeError"))

/** How many timers keep the process. */
const timers = () => process.getActiveResourcesInfo().filter((each) => each === "Timeout").length

/** Jobs or calls in each other. */
const nested = (
  { Supervisor }: Pick<Copy, "Supervisor">,
  depth: number,
  kind: "job" | "call",
  bottom: Effect.Effect<boolean, unknown, Copied.Supervisor.Supervisor> = Effect.succeed(true)
): Effect.Effect<boolean, unknown, Copied.Supervisor.Supervisor> =>
  depth === 0
    ? bottom
    : Supervisor.run(
        Effect.suspend(() => nested({ Supervisor }, depth - 1, kind, bottom)),
        { kind }
      )

/** How many functions are on the stack. */
const framesNow = (): number => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = Infinity
  try {
    return new Error().stack?.split("\n").length ?? 0
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

interface Planted extends Pick<Mutant, "fault" | "file" | "search" | "replace"> {
  readonly isWell: IsWell
}

const planted: ReadonlyArray<Planted> = [
  {
    fault: "what has ended is held: a child's handle holds what its owner gave",
    file: "lifecycle/Lifecycle.ts",
    search: "    record.parent = undefined\n",
    replace: "",
    isWell: within(
      ({ Job, Supervisor }) =>
        Effect.gen(function* () {
          const made: Array<WeakRef<object>> = []
          const child = yield* Supervisor.run(
            Effect.flatMap(Supervisor.submit(Effect.void), (job) => Effect.as(Job.join(job), { job, own: make(made) }))
          ).pipe(Effect.map(({ job }) => job))
          yield* Supervisor.run(Effect.void)
          return (yield* firstIsFree(made)) && child.id === "job-2"
        }),
      { retainResults: 0 }
    )
  },
  {
    fault: "what has ended is held: a result stays when it is no longer kept",
    file: "records/JobTable.ts",
    search: "if (this.known.get(jobId) === record) this.known.set(jobId, record.withoutResult())",
    replace: "",
    isWell: within(
      ({ Supervisor }) =>
        Effect.gen(function* () {
          const made: Array<WeakRef<object>> = []
          yield* Effect.asVoid(Supervisor.run(Effect.sync(() => make(made))))
          yield* Supervisor.run(Effect.void)
          return yield* firstIsFree(made)
        }),
      { retainResults: 0 }
    )
  },
  {
    fault: "what has ended is held: results have no bound in bytes",
    file: "records/JobTable.ts",
    search:
      "if (bytes > this.retention.resultBytes) return this.dropResult(record)\n    while (this.bytes > this.retention.resultBytes) {",
    replace: "while (this.bytes < 0) {",
    isWell: within(
      ({ Supervisor }) =>
        Effect.gen(function* () {
          for (let n = 0; n < 3; n++) yield* Supervisor.run(Effect.succeed("x".repeat(1_000)))
          return Exit.isFailure(yield* Supervisor.await("job-1"))
        }),
      { retainBytes: 3_000 }
    )
  },
  {
    fault: "what has ended is held: a job's span holds that of its submitter",
    file: "lifecycle/JobFiber.ts",
    search: "span: Tracer.externalSpan({ sampled, spanId, traceId })",
    replace: "span: submitter",
    isWell: within(({ Job, Supervisor }) =>
      Effect.gen(function* () {
        const job = yield* Effect.withSpan(Supervisor.submit(Effect.currentSpan), "submitter")
        const { links } = yield* Job.join(job)
        return links.length === 1 && links.every(({ span }) => span._tag === "ExternalSpan")
      })
    )
  },
  {
    fault: "what has ended is held: a handle holds what all jobs of a closed supervisor gave",
    file: "lifecycle/Lifecycle.ts",
    search: "    this.turns.soon(() => this.table.clear())\n",
    replace: "",
    isWell: async ({ Job, Supervisor }) => {
      const made: Array<WeakRef<object>> = []
      const program = Effect.gen(function* () {
        const job = yield* Supervisor.submit(Effect.void)
        yield* Job.join(job)
        yield* Effect.asVoid(Supervisor.run(Effect.sync(() => make(made))))
        return job
      })
      const job = await Effect.runPromise(Effect.provide(program, Supervisor.layer()))
      return (await Effect.runPromise(firstIsFree(made))) && job.id === "job-1"
    }
  },
  {
    fault: "an option that makes no sense is taken",
    file: "operations/SubmitOptions.ts",
    search: `if (timeout !== undefined) options.millis("timeout", timeout, { endless: true })`,
    replace: "",
    isWell: within(({ Supervisor }) => isRefused(Supervisor.submit(Effect.void, { timeout: Number.NaN })))
  },
  {
    fault: "an interval of 0 is taken",
    file: "operations/PeriodicOptions.ts",
    search: `    check.millis("schedule", schedule)\n`,
    replace: "",
    isWell: within(({ Supervisor }) => isRefused(Supervisor.every(Effect.void, { name: "n", schedule: 0 })))
  },
  {
    fault: "a report that makes no sense is stored",
    file: "records/ReportedProgress.ts",
    search: `typeof value === "number" && Number.isFinite(value) && value >= 0`,
    replace: "true",
    isWell: within(({ Job, Supervisor }) =>
      Effect.gen(function* () {
        const job = yield* Supervisor.submit(Job.report({ done: Number.NaN, total: 2 }))
        yield* Job.join(job)
        return (yield* Job.status(job)).progress === undefined
      })
    )
  },
  {
    fault: "a submitter's metadata is kept as it is",
    file: "operations/Submit.ts",
    search: "options.metadata === undefined ? noMetadata : { ...options.metadata }",
    replace: "options.metadata ?? noMetadata",
    isWell: within(({ Job, Supervisor }) =>
      Effect.gen(function* () {
        const metadata = { user: "u-1" }
        const job = yield* Supervisor.submit(Effect.void, { metadata })
        metadata.user = "u-2"
        return (yield* Job.status(job)).metadata["user"] === "u-1"
      })
    )
  },
  {
    fault: "the metadata of rounds to come is whatever their submitter makes of it",
    file: "operations/Periodic.ts",
    search: "{ ...given, metadata: { ...given.metadata } }",
    replace: "given",
    isWell: within(({ Supervisor }) =>
      Effect.gen(function* () {
        const metadata = { user: "u-1" }
        const seen = yield* Deferred.make<string | number | boolean | undefined>()
        const round = Effect.flatMap(Supervisor.list({ name: "n" }), (jobs) =>
          Deferred.succeed(seen, jobs.at(-1)?.metadata["user"])
        )
        yield* Supervisor.every(round, { name: "n", schedule: "1 hour", metadata })
        metadata.user = "u-2"
        return (yield* Deferred.await(seen)) === "u-1"
      })
    )
  },
  {
    fault: "the depth of jobs is that of the stack",
    file: "records/JobRecord.ts",
    search: "  while (record !== undefined && record.number > number) record = record.parent\n  return record\n",
    replace: "  return record.number > number && record.parent ? firstNotAfter(record.parent, number) : record\n",
    isWell: within(
      (copy) => {
        const waits = Effect.map(Effect.flip(copy.Supervisor.await("job-1")), String)
        return nested(
          copy,
          20_000,
          "job",
          Effect.map(waits, (error) => error.includes("waited for by itself"))
        )
      },
      { concurrency: 1 }
    )
  },
  {
    fault: "calls in each other start on each other's stack",
    file: "lifecycle/CallStack.ts",
    search: "  if (depth >= maxDepth) return later()\n",
    replace: "",
    isWell: within((copy) =>
      Effect.gen(function* () {
        let frames = 0
        const bottom = Effect.sync(() => (frames = framesNow()) > 0)
        yield* nested(copy, 40, "call", bottom)
        const few = frames
        yield* nested(copy, 100, "call", bottom)
        return frames < 2 * few
      })
    )
  },
  {
    fault: "a report wakes everybody who waits for the end",
    file: "lifecycle/Lifecycle.ts",
    search: "    this.progressEvents.note(record)\n",
    replace: "    this.progressEvents.note(record)\n    this.turns.wake(record.takeEndListeners())\n",
    isWell: within(({ Job, Supervisor }) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const work = Effect.andThen(Deferred.await(gate), Job.report({ fraction: 0.5 }))
        const waiting = yield* Effect.forkChild(Job.join(yield* Supervisor.submit(Effect.andThen(work, Effect.never))))
        const turns = Effect.repeat(Effect.yieldNow, { times: 20 })
        yield* turns
        yield* Deferred.succeed(gate, undefined)
        yield* turns
        return waiting.pollUnsafe() === undefined
      })
    )
  },
  {
    fault: "a job goes at the pace of who submitted it",
    file: "lifecycle/JobScheduler.ts",
    search: "if (scheduler !== this.scheduler) context =",
    replace: "if (false) context =",
    isWell: async ({ Job, Supervisor }) => {
      const runtime = ManagedRuntime.make(Supervisor.layer())
      try {
        const own = await runtime.runPromise(Effect.service(Scheduler.Scheduler))
        const job = runtime.runSync(Supervisor.submit(Effect.service(Scheduler.Scheduler)))
        return (await runtime.runPromise(Job.join(job))) === own
      } finally {
        await runtime.dispose()
      }
    }
  },
  {
    fault: "upkeep holds the process",
    file: "lifecycle/Upkeep.ts",
    search: "      timer.unref?.()\n",
    replace: "",
    isWell: (copy) => {
      const before = timers()
      return within(() =>
        Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => timers() === before)
        )
      )(copy)
    }
  }
]

describe("a mend that is taken out is missed", () => {
  it.each(planted)("$fault", { timeout: 60_000 }, async ({ isWell, ...fault }) => {
    const load = async (mutant?: Mutant) => copyOf(mutant, "supervisor")<Copy>("supervisor/index.ts")
    assert.isTrue(await isWell(await load()), "without the fault")
    assert.isFalse(await isWell(await load({ ...fault, breaks: "" })), "with it")
  })
})
