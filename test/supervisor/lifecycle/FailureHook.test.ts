import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Layer, Logger, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"
import { SupervisorLaws } from "holdfast/testing"
import { hostile } from "../../core/hostile.ts"
import { settle } from "../settle.ts"

const quiet = Logger.layer([])

const printing = Logger.map(Logger.formatLogFmt, (line) => line)

const endings = (count: number) =>
  Supervisor.events({ after: 0 }).pipe(
    Stream.map((event) => event._tag),
    Stream.filter((tag) => tag !== "JobSubmitted" && tag !== "JobStarted"),
    Stream.take(count),
    Stream.runCollect
  )

describe("a failure is heard of, logged and emitted once", () => {
  for (const [name, make] of Object.entries(hostile)) {
    for (const fail of [(value: unknown) => Effect.fail(value), (value: unknown) => Effect.die(value)]) {
      it.effect(`when it is ${name}${fail(1).toString().includes("Die") ? " as a defect" : ""}`, () => {
        let heard = 0
        const lines: Array<string> = []
        const logger = Logger.make((options) => void lines.push(printing.log(options)))
        return Effect.gen(function* () {
          const job = yield* Supervisor.submit(fail(make()))
          yield* Job.await(job)
          const { error } = yield* Job.status(job)
          assert.isString(error)
          assert.deepStrictEqual([heard, lines.length, yield* endings(1)], [1, 1, ["JobFailed"]])
        }).pipe(
          Effect.provide([Supervisor.layer({ onFailure: () => Effect.sync(() => heard++) }), Logger.layer([logger])])
        )
      })
    }
  }

  it.effect.each([0, 1])("by the loggers of the job, also in the hook, when it fails in its step %i", (step) => {
    const lines: Array<unknown> = []
    const mine = Logger.layer([Logger.make((options) => void lines.push(options.message))])
    return Effect.gen(function* () {
      const work = Effect.andThen(Effect.repeat(Effect.yieldNow, { times: step }), Effect.fail("no"))
      const job = yield* Effect.provide(Supervisor.submit(step === 0 ? Effect.fail("no") : work), mine)
      yield* Job.await(job)
      yield* settle
      assert.strictEqual(lines.length, 2, String(lines))
    }).pipe(Effect.provide([Supervisor.layer({ onFailure: () => Effect.logInfo("heard") }), quiet]))
  })

  it.effect("by every other logger when one throws, which is an event", () => {
    const heard: Array<string> = []
    const lines: Array<unknown> = []
    const broken = Logger.make(() => {
      throw new Error("disk full")
    })
    return Effect.gen(function* () {
      yield* Job.await(yield* Supervisor.submit(Effect.fail("no")))
      assert.deepStrictEqual(yield* endings(2), ["FailureLogFailed", "JobFailed"])
      assert.deepStrictEqual([heard, lines.length], [["no"], 1])
    }).pipe(
      Effect.provide([
        Supervisor.layer({ onFailure: ({ job }) => Effect.sync(() => heard.push(job.error ?? "")) }),
        Logger.layer([broken, Logger.make(({ message }) => lines.push(message))])
      ])
    )
  })

  it.effect.each([
    [
      "a promise",
      (): unknown => Promise.reject(new Error("nobody hears of it")),
      /got a promise: return Effect.promise\(async/
    ],
    ["no Effect", (): unknown => 5, /must return an Effect, got 5$/],
    ["nothing", (): unknown => undefined, /must return an Effect, got undefined$/]
  ] as const)("also by a hook that returns %s, and what it must return is an event", ([, onFailure, message]) => {
    // What plain JavaScript would hand over.
    const given = onFailure as unknown as () => Effect.Effect<void>
    return Effect.gen(function* () {
      yield* Job.await(yield* Supervisor.submit(Effect.fail("no")))
      const [failed] = yield* Supervisor.events({ after: 0 }).pipe(
        Stream.filter((event) => event._tag === "FailureHookFailed"),
        Stream.take(1),
        Stream.runCollect
      )
      assert(failed !== undefined)
      const error = Cause.squash(failed.cause)
      assert.instanceOf(error, RangeError)
      assert.match(String(error), message)
    }).pipe(Effect.provide([Supervisor.layer({ onFailure: given }), quiet]))
  })

  it.effect("also by a hook that throws at once, which is an event", () => {
    let heard = 0
    const onFailure = () => {
      heard++
      throw new Error("hook broke")
    }
    return Effect.gen(function* () {
      yield* Job.await(yield* Supervisor.submit(Effect.fail("no")))
      assert.deepStrictEqual([yield* endings(2), heard], [["JobFailed", "FailureHookFailed"], 1])
    }).pipe(Effect.provide([Supervisor.layer({ onFailure }), quiet]))
  })
})

describe("the failure hook", () => {
  it.effect("holds no slot and keeps nobody waiting", () => {
    const release = Deferred.makeUnsafe<void>()
    return Effect.gen(function* () {
      assert(Exit.isFailure(yield* Job.await(yield* Supervisor.submit(Effect.fail("no")))))
      assert.strictEqual(yield* Supervisor.run(Effect.succeed("next")), "next")
      yield* Deferred.succeed(release, undefined)
    }).pipe(Effect.provide([Supervisor.layer({ concurrency: 1, onFailure: () => Deferred.await(release) }), quiet]))
  })

  it.effect("may submit, find and cancel: what it submits is nobody's child", () => {
    const seen: Array<unknown> = []
    const onFailure: Supervisor.Options<Supervisor.Supervisor>["onFailure"] = ({ job }) =>
      job.name !== "first"
        ? Effect.void
        : Effect.gen(function* () {
            seen.push((yield* Supervisor.get(job.id)).state)
            yield* Supervisor.cancelAll({ name: "other" })
            const again = yield* Supervisor.submit(Effect.succeed("made good"), { name: "again" })
            seen.push((yield* Job.status(again)).parentId, yield* Job.join(again))
          })
    return Effect.gen(function* () {
      const other = yield* Supervisor.submit(Effect.never, { name: "other" })
      yield* Supervisor.submit(Effect.fail("no"), { name: "first" })
      yield* Job.await(other)
      yield* settle
      assert.deepStrictEqual(seen, ["failed", undefined, "made good"])
    }).pipe(Effect.provide([Supervisor.layer({ onFailure }), quiet]))
  })

  it.effect("may drain without waiting for itself", () => {
    const done = Deferred.makeUnsafe<boolean>()
    const onFailure = () => Effect.flatMap(Supervisor.drain(), ({ clean }) => Deferred.succeed(done, clean))
    return Effect.gen(function* () {
      yield* Supervisor.submit(Effect.fail("no"))
      assert.isTrue(yield* Deferred.await(done))
    }).pipe(Effect.provide([Supervisor.layer({ onFailure }), quiet]))
  })

  it.effect("is waited for by a drain in a job that it submits", () => {
    const order: Array<string> = []
    const drains = Effect.andThen(
      Supervisor.drain({ deadline: "2 seconds" }),
      Effect.sync(() => order.push("drained"))
    )
    const onFailure = () =>
      Supervisor.submit(drains).pipe(
        Effect.andThen(Effect.sleep("1 second")),
        Effect.andThen(Effect.sync(() => void order.push("heard")))
      )
    return Effect.gen(function* () {
      yield* Supervisor.submit(Effect.fail("no"))
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(order, ["heard", "drained"])
    }).pipe(Effect.provide([Supervisor.layer({ onFailure }), quiet]))
  })

  it.effect("is waited for by a drain until its deadline", () => {
    let heard = 0
    const onFailure = () =>
      Effect.delay(
        Effect.sync(() => heard++),
        "1 second"
      )
    return Effect.gen(function* () {
      yield* Supervisor.submit(Effect.fail("no"))
      yield* settle
      const draining = yield* Effect.forkChild(Supervisor.drain({ deadline: "2 seconds" }))
      yield* TestClock.adjust("1 second")
      assert.isTrue((yield* Fiber.join(draining)).clean)
      assert.strictEqual(heard, 1)
    }).pipe(Effect.provide([Supervisor.layer({ onFailure }), quiet]))
  })

  it.effect("is given up at its limit also when it ignores that, and keeps neither others nor closing", () =>
    Effect.gen(function* () {
      let begun = 0
      const scope = yield* Scope.make()
      const onFailure = () =>
        Effect.andThen(
          Effect.sync(() => begun++),
          Effect.uninterruptible(Effect.never)
        )
      const supervisor = yield* Scope.provide(Supervisor.make({ onFailure, onFailureTimeout: "1 second" }), scope)
      for (let n = 0; n < 40; n++) yield* supervisor.submit(Effect.fail("no"))
      yield* settle
      for (let seconds = 0; seconds < 3; seconds++) yield* TestClock.adjust("1 second")
      assert.strictEqual(begun, 40)
      const failed = Stream.filter(supervisor.events({ after: 0 }), ({ _tag }) => _tag === "FailureHookFailed")
      assert.strictEqual((yield* Stream.runCollect(Stream.take(failed, 40))).length, 40)
      yield* supervisor.submit(Effect.fail("the last"))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
    }).pipe(Effect.provide(quiet))
  )

  it.effect("runs a few at a time; closing waits for them and says which it could not tell", () =>
    Effect.gen(function* () {
      let running = 0
      let most = 0
      const scope = yield* Scope.make()
      const onFailure = () =>
        Effect.andThen(
          Effect.sync(() => (most = Math.max(most, ++running))),
          Effect.ensuring(
            Effect.never,
            Effect.sync(() => running--)
          )
        )
      const supervisor = yield* Scope.provide(Supervisor.make({ onFailure, onFailureTimeout: "1 second" }), scope)
      const tags = yield* Effect.forkChild(Stream.runCollect(supervisor.events({ after: 0 })))
      yield* Effect.forEach(Array.from({ length: 40 }), () => supervisor.submit(Effect.fail("no")))
      yield* settle
      assert.deepStrictEqual([running, most], [16, 16])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      const events = (yield* Fiber.join(tags)).flatMap((event) => (event._tag === "FailureHookFailed" ? [event] : []))
      assert.deepStrictEqual([running, most, events.length], [0, 16, 40])
      assert.isTrue(events.every(({ cause }) => Cause.squash(cause) instanceof Cause.TimeoutError))
    }).pipe(Effect.provide(quiet))
  )
})

describe("a failure that closing keeps from the hook", () => {
  it.live("is logged before closing returns, and a logger that throws over it is an event", () =>
    Effect.gen(function* () {
      const job = { work: [], end: "succeed" } as const
      const { breaches } = yield* SupervisorLaws.replay(Supervisor.make, {
        // On a machine that is so busy that the hook has no turn before closing gives it up.
        order: { seed: 1_437_430_707 },
        limits: { concurrency: 1, maxPending: 20, retain: 50, retainResults: 1, stuckAfter: 1, eventHistory: 500 },
        hook: "throw",
        logger: "throw",
        clients: [
          [
            { do: "submit", job: { ...job, name: "a", end: "fail once", finalizer: "slow" } },
            { do: "run", job: { ...job, name: "b" }, leaveAfter: 2 },
            { do: "submit", job: { ...job, name: "d" } }
          ]
        ]
      })
      assert.deepStrictEqual(breaches, [])
    })
  )
})

describe("a report of progress that makes no sense", () => {
  it.effect("is dropped and counted, and fails no job", () =>
    Effect.gen(function* () {
      const senseless = [
        { done: 0, total: Number.NaN },
        { fraction: Number.NaN },
        { done: Infinity, total: Infinity },
        { done: Number.NaN, total: 10 },
        { fraction: -1 },
        { fraction: "half" },
        undefined,
        null,
        5
      ] as unknown as ReadonlyArray<Job.ReportedProgress>
      const job = yield* Supervisor.submit(
        Effect.andThen(
          Job.report({ fraction: 0.5 }),
          Effect.forEach(senseless, (report) => Job.report(report))
        )
      )
      yield* Job.join(job)
      assert.deepInclude((yield* Job.status(job)).progress, { fraction: 0.5 })
      assert.strictEqual((yield* Supervisor.health).droppedReports, senseless.length)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("a hook whose calls ignore their end", () => {
  it.effect("is not called while 1,000 are left, which a warning, events and the health say, and then again", () => {
    const lines: Array<unknown> = []
    const gate = Deferred.makeUnsafe<void>()
    let called = 0
    const stubborn = Effect.suspend(() => {
      called++
      return Effect.uninterruptible(Deferred.await(gate))
    })
    const layer = Supervisor.layer({ onFailure: () => stubborn, onFailureTimeout: "1 second", eventHistory: 20_000 })
    return Effect.gen(function* () {
      const fail = (count: number) =>
        Effect.forEach(Array.from({ length: count }), () => Effect.exit(Supervisor.run(Effect.fail("no"))), {
          concurrency: count
        })
      yield* fail(1_020)
      for (let n = 0; n < 70; n++) yield* Effect.andThen(TestClock.adjust("1 second"), settle)
      const { ignoring, missed } = (yield* Supervisor.health).failureHook
      assert.strictEqual(ignoring + missed, 1_020)
      assert.isAtLeast(ignoring, 1_000)
      assert.isAtMost(ignoring, 1_016)
      lines.length = 0
      const { position } = yield* Supervisor.snapshot()
      yield* fail(3)
      yield* settle
      const news = yield* Supervisor.events({ after: position }).pipe(Stream.take(12), Stream.runCollect)
      assert.strictEqual(news.filter(({ _tag }) => _tag === "FailureHookFailed").length, 3)
      assert.strictEqual(lines.filter((line) => String(line).startsWith("the failure hook failed")).length, 3)
      assert.strictEqual((yield* Supervisor.health).failureHook.missed, missed + 3)
      yield* Deferred.succeed(gate, undefined)
      yield* settle
      const before = called
      yield* fail(1)
      yield* settle
      assert.strictEqual(called, before + 1)
      assert.strictEqual((yield* Supervisor.health).failureHook.ignoring, 0)
    }).pipe(Effect.provide([layer, Logger.layer([Logger.make(({ message }) => void lines.push(message))])]))
  })
})

describe("a hook is not called for what it brought about", () => {
  type Onward = (more: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown, Supervisor.Supervisor>
  const unreadable = {
    get user(): string {
      throw new Error("not in this request")
    }
  }
  const ways: Record<string, Onward> = {
    "a job that it submits": (fail) => Supervisor.submit(fail, { name: "alert" }),
    "a job that it runs": (fail) => Supervisor.run(fail, { name: "alert" }),
    "a job that such a job submits": (fail) =>
      Supervisor.submit(Supervisor.submit(fail, { name: "alert", owner: "supervisor" })),
    "a round of what it repeats": (fail) => Supervisor.every(fail, { name: "alert", schedule: "1 hour" }),
    "a job whose context cannot be read": () =>
      Effect.provideService(
        Supervisor.submit(Effect.void, { name: "alert" }),
        References.CurrentLogAnnotations,
        unreadable
      )
  }
  it.effect.each(Object.keys(ways))("%s: log, event and health say so", (name) => {
    const lines: Array<string> = []
    let calls = 0
    const onFailure: Supervisor.Options<Supervisor.Supervisor>["onFailure"] = () =>
      // Without the bound it would go on for ever, and this test with it.
      ++calls > 3 ? Effect.void : Effect.ignore(ways[name]?.(Effect.fail("no mail server")) ?? Effect.void)
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function* () {
      yield* Supervisor.submit(Effect.fail("no"), { name: "first" })
      for (let n = 0; n < 5; n++) yield* settle
      assert.strictEqual(calls, 1)
      const events = yield* Supervisor.events({ after: 0 }).pipe(
        Stream.takeUntil(({ _tag }) => _tag === "FailureHookFailed"),
        Stream.runCollect
      )
      const last = events.at(-1)
      assert(last?._tag === "FailureHookFailed")
      assert.include(last.error, "the job comes from a call of it")
      assert.strictEqual((yield* Supervisor.health).failureHook.missed, 1)
      assert.strictEqual(lines.filter((line) => line.startsWith("job failed")).length, 2)
      assert.strictEqual(lines.filter((line) => line.startsWith("the failure hook failed")).length, 1)
    }).pipe(Effect.provide(Layer.provideMerge(Supervisor.layer({ onFailure }), Logger.layer([logger]))))
  })

  it.effect("but for what the hook of another supervisor did, once", () =>
    Effect.gen(function* () {
      const heard: Array<string> = []
      const fail = (name: string) => (supervisor: Supervisor.Supervisor["Service"]) =>
        supervisor.submit(Effect.fail("no"), { name })
      const alerts: Deferred.Deferred<Supervisor.Supervisor["Service"]> = Deferred.makeUnsafe()
      const hook = (next: Effect.Effect<unknown, unknown>) => ({
        onFailure: ({ job }: Supervisor.JobFailure) =>
          Effect.andThen(
            Effect.sync(() => heard.push(job.name)),
            heard.length > 5 ? Effect.void : next
          ).pipe(Effect.asVoid)
      })
      const work = yield* Supervisor.make(hook(Effect.flatMap(Deferred.await(alerts), fail("alert"))))
      yield* Deferred.succeed(alerts, yield* Supervisor.make(hook(Effect.suspend(() => fail("again")(work)))))
      yield* fail("work")(work)
      for (let n = 0; n < 5; n++) yield* settle
      assert.deepStrictEqual(heard, ["work", "alert"])
    }).pipe(Effect.scoped, Effect.provide(quiet))
  )
})
