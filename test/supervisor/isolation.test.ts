import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, ManagedRuntime, Random, References, Scheduler, Stream, Tracer } from "effect"
import { Caller } from "holdfast/core"
import { Job, Supervisor } from "holdfast/supervisor"

describe("metadata", () => {
  it.effect("is a copy: neither its submitter nor a reader changes what was submitted", () =>
    Effect.gen(function* () {
      const metadata: Record<string, string> = { user: "u-1" }
      const job = yield* Supervisor.submit(Effect.never, { metadata })
      metadata["user"] = "u-2"
      assert.strictEqual((yield* Job.status(job)).metadata["user"], "u-1")
      assert.lengthOf(yield* Supervisor.list({ metadata: { user: "u-1" } }), 1)
      const [event] = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(1), Stream.runCollect)
      assert(event?._tag === "JobSubmitted")
      assert.strictEqual(event.metadata["user"], "u-1")
      for (const given of [(yield* Job.status(job)).metadata, event.metadata]) {
        Object.assign(given, { user: "a reader wrote this" })
      }
      const [again] = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(1), Stream.runCollect)
      assert(again?._tag === "JobSubmitted")
      assert.deepStrictEqual([(yield* Job.status(job)).metadata, again.metadata], [{ user: "u-1" }, { user: "u-1" }])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is like who cancelled a job: no reader writes into what the others read", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never)
      const { cancelledBy } = yield* Job.cancel(job, { by: "u-1" })
      assert.throws(() => Object.assign(cancelledBy ?? {}, { by: "a reader wrote this" }), TypeError)
      const events = yield* Supervisor.events({ after: 0 }).pipe(Stream.take(2), Stream.runCollect)
      assert.deepStrictEqual(
        events.flatMap((event) => (event._tag === "JobCancelled" ? [event.cancelledBy?.by] : [])),
        ["u-1"]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is not written to through a job's progress either", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.andThen(Job.report({ fraction: 0.5 }), Effect.never))
      const [progress] = yield* Job.progress(job).pipe(Stream.take(1), Stream.runCollect)
      assert.throws(() => Object.assign(progress ?? {}, { fraction: 1 }), TypeError)
      assert.strictEqual((yield* Job.status(job)).progress?.fraction, 0.5)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("what a job has of its submitter", () => {
  const paceOf = Effect.contextWith((context: Context.Context<never>) =>
    Effect.succeed({
      scheduler: Context.get(context, Scheduler.Scheduler),
      maxOps: Context.get(context, Scheduler.MaxOpsBeforeYield),
      preventsYield: Context.get(context, Scheduler.PreventSchedulerYield)
    })
  )

  it.live("is not its pace: jobs submitted synchronously let timers have their turns", () =>
    Effect.gen(function* () {
      const runtime = ManagedRuntime.make(Supervisor.layer())
      const own = yield* Effect.promise(() => runtime.runPromise(paceOf))
      const job = runtime.runSync(Supervisor.submit(paceOf))
      assert.deepStrictEqual(yield* Effect.promise(() => runtime.runPromise(Job.join(job))), own)
      yield* Effect.promise(() => runtime.dispose())
    })
  )

  it.effect("is not its limit of steps, nor that it does not yield", () =>
    Effect.gen(function* () {
      const own = yield* paceOf
      const job = yield* Supervisor.submit(paceOf).pipe(
        Effect.provideService(Scheduler.MaxOpsBeforeYield, 7),
        Effect.provideService(Scheduler.PreventSchedulerYield, true)
      )
      assert.deepStrictEqual(yield* Job.join(job), own)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is of its frames only the last, and of its span only the ids", () =>
    Effect.gen(function* () {
      const links: Array<Tracer.AnySpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          links.push(...options.links.map(({ span }) => span))
          return new Tracer.NativeSpan(options)
        }
      })
      const frames = Effect.map(References.CurrentStackFrame, (frame) => {
        let depth = 0
        for (let each = frame; each !== undefined; each = each.parent) depth++
        return depth
      })
      const submit = Effect.fn("submit")((depth: number): Effect.Effect<number, unknown, Supervisor.Supervisor> =>
        depth === 0
          ? frames
          : Effect.flatMap(Supervisor.submit(submit(depth - 1), { owner: "supervisor" }), (job) => Job.join(job))
      )
      assert.isAtMost(yield* Effect.withTracer(submit(20), tracer), 4)
      assert.lengthOf(links, 20)
      assert.deepStrictEqual(new Set(links.map(({ _tag }) => _tag)), new Set(["ExternalSpan"]))
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("ids", () => {
  const layer = Supervisor.layer({ ids: "random", retain: 1 })

  it.effect("that are random tell nothing, and an unknown one is not found", () =>
    Effect.gen(function* () {
      const jobs = yield* Effect.forEach(Array.from({ length: 50 }), () => Supervisor.submit(Effect.void))
      yield* Supervisor.awaitAll()
      assert.strictEqual(new Set(jobs.map(({ id }) => id)).size, 50)
      for (const { id } of jobs) assert.match(id, /^job-[0-9a-f-]{32,36}$/)
      const [first] = jobs
      assert.strictEqual((yield* Effect.flip(Supervisor.get(first?.id ?? ""))).reason._tag, "NotFound")
      assert.strictEqual((yield* Effect.flip(Supervisor.get("job-1"))).reason._tag, "NotFound")
    }).pipe(Effect.provide(layer))
  )

  it.effect("that are random follow from a seed where there is one", () =>
    Effect.gen(function* () {
      const ids = Effect.forEach([1, 2, 3], () => Effect.map(Supervisor.submit(Effect.void), ({ id }) => id))
      const seeded = (seed: string) => ids.pipe(Effect.provide(Layer.fresh(layer)), Random.withSeed(seed))
      assert.deepStrictEqual(yield* seeded("a"), yield* seeded("a"))
      assert.notDeepEqual(yield* seeded("a"), yield* seeded("b"))
    })
  )

  it("are counted or random", () => {
    // @ts-expect-error no such way
    assert.throws(() => Supervisor.layer({ ids: "uuid" }).pipe(Layer.build, Effect.scoped, Effect.runSync), /ids/)
  })
})

describe("idempotency keys", () => {
  const submit = (tenant: string, name: string) =>
    Supervisor.submit(Effect.never, { idempotencyKey: "order 17", name }).pipe(
      Caller.as({ tenant }),
      Effect.map(({ id }) => id)
    )

  it.effect("join a job of the same tenant and name only", () =>
    Effect.gen(function* () {
      const first = yield* submit("acme", "charge")
      assert.strictEqual(yield* submit("acme", "charge"), first)
      assert.notStrictEqual(yield* submit("zeta", "charge"), first)
      assert.notStrictEqual(yield* submit("acme", "refund"), first)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("a process", () => {
  it("ends by itself although a runtime with a supervisor was not disposed of", async () => {
    const program = `
      import { Effect, ManagedRuntime } from "effect"
      import { Supervisor } from "holdfast/supervisor"
      const runtime = ManagedRuntime.make(Supervisor.layer())
      console.log(await runtime.runPromise(Supervisor.run(Effect.succeed("ran"))))
    `
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--conditions=holdfast-source", "--input-type=module", "--eval", program],
      { timeout: 30_000 }
    )
    assert.strictEqual(stdout, "ran\n")
  })
})
