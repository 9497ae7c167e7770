import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Option, Schema, Stream } from "effect"
import { IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { Caller, CallTrail, Deadline, PolicyHealth, PolicyReason } from "holdfast/core"
import { Bulkhead } from "holdfast/policy"
import { request, scripted } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

/** How many functions are under way. */
const stackDepth = (): number => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = Infinity
  const depth = new Error("how deep").stack?.split("\n").length ?? 0
  Error.stackTraceLimit = stackTraceLimit
  return depth
}

describe("Bulkhead", () => {
  it.effect("keeps calls and streams together within the limit", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 100 }])
      const limited = yield* Bulkhead.limit({ concurrency: 3 })(provider)
      const options = yield* request
      const calls = Array.from({ length: 10 }, (_, n) =>
        n % 2 === 0 ? limited.generateText(options) : Stream.runDrain(limited.streamText(options))
      )
      const fiber = yield* Effect.forkChild(Effect.all(calls, { concurrency: "unbounded" }))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(seen, { calls: 10, open: 0, mostOpen: 3 })
    }).pipe(ids)
  )

  it.effect("refuses one call more than may wait, and takes the next when one has left", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 100 }])
      const limited = yield* Bulkhead.limit({ concurrency: 1, maxWaiting: 1 })(provider)
      const options = yield* request
      const running = yield* Effect.forkChild(limited.generateText(options))
      const waiting = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust(0)
      const error = yield* Effect.flip(limited.generateText(options))
      assert.deepStrictEqual(
        PolicyReason.of(error),
        Option.some({ _tag: "QueueFull", limit: 1, maxWaiting: 1 } as const)
      )
      yield* Fiber.interrupt(waiting)
      const next = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
      yield* Fiber.join(next)
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("has the permit back when a call fails, is interrupted, or its reader leaves", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 1_000 }])
      const limited = yield* Bulkhead.limit({ concurrency: 1, maxWaiting: 0 })(provider)
      const options = yield* request
      const first = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(first)
      const reading = yield* Effect.forkChild(limited.streamText(options).pipe(Stream.take(1), Stream.runDrain))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reading)
      const last = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(last)
      assert.deepStrictEqual([seen.calls, seen.open], [3, 0])
    }).pipe(ids)
  )

  it.effect("shares its permits between any effects it wraps", () =>
    Effect.gen(function* () {
      const within = yield* Bulkhead.make({ concurrency: 1, maxWaiting: 0 })
      const slow = yield* Effect.forkChild(within(Effect.sleep("1 second")))
      yield* TestClock.adjust(0)
      assert.strictEqual((yield* Effect.flip(within(Effect.void)))._tag, "QueueFull")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(slow)
      assert.strictEqual(yield* within(Effect.succeed("in")), "in")
    })
  )

  const who = (tenant: string, priority = 0) => Caller.as({ tenant, priority })

  /** Wraps effects by a bulkhead, starts them, and keeps in what order they were let in. */
  const line = (options: Bulkhead.Options) =>
    Effect.map(Bulkhead.make(options), (within) => {
      const order: Array<string> = []
      const start = (name: string, millis = 100) =>
        within(
          Effect.andThen(
            Effect.sync(() => order.push(name)),
            Effect.sleep(millis)
          )
        )
      return { order, start, within }
    })

  it.effect("lets tenants take turns, whatever one of them has waiting", () =>
    Effect.gen(function* () {
      const { order, start } = yield* line({ concurrency: 1 })
      for (let n = 0; n < 50; n++) yield* Effect.forkChild(start("big").pipe(who("big")))
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(start("small").pipe(who("small")))
      yield* TestClock.adjust("1 second")
      assert.isAtMost(order.indexOf("small"), 2)
      assert.include(order, "small")
    })
  )

  it.effect("lets the urgent go first, and one who has waited for long before newer urgent ones", () =>
    Effect.gen(function* () {
      const { order, start } = yield* line({ concurrency: 1, aging: "1 second" })
      yield* Effect.forkChild(start("first", 20_000))
      yield* TestClock.adjust(0)
      yield* Effect.forkChild(start("patient"))
      yield* TestClock.adjust("5 seconds")
      yield* Effect.forkChild(start("urgent").pipe(Caller.as({ priority: "high" })))
      yield* Effect.forkChild(start("idle").pipe(Caller.as({ priority: "low" })))
      yield* TestClock.adjust("6 seconds")
      yield* Effect.forkChild(start("late urgent").pipe(Caller.as({ priority: "high" })))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(order, ["first", "urgent", "patient", "late urgent", "idle"])
    })
  )

  it.effect("lets a tenant in after its waiting, whatever stream of more urgent new tenants comes", () =>
    Effect.gen(function* () {
      const { order, start } = yield* line({ concurrency: 1, aging: "1 second" })
      yield* Effect.forkChild(start("first").pipe(who("first")))
      yield* Effect.forkChild(start("patient").pipe(who("patient", -10)))
      for (let n = 0; n < 150 && !order.includes("patient"); n++) {
        yield* Effect.forkChild(start("new").pipe(who(`single-use ${n}`, 0)))
        yield* TestClock.adjust("100 millis")
      }
      // Ten points, each worth a second of ten calls.
      assert.isAtMost(Math.abs(order.indexOf("patient") - 100), 2)
    })
  )

  it.effect("lets through no more of one tenant than allowed, and others past them", () =>
    Effect.gen(function* () {
      const { order, start } = yield* line({ concurrency: 4, keyConcurrency: 2 })
      for (let n = 0; n < 5; n++) yield* Effect.forkChild(start("a", 1_000).pipe(who("a")))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(order, ["a", "a"])
      for (const name of ["b", "none", "none"]) {
        yield* Effect.forkChild(start(name, 1_000).pipe(name === "b" ? who("b") : (self) => self))
      }
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(order, ["a", "a", "b", "none"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(order.toSorted(), ["a", "a", "a", "a", "b", "none", "none"])
    })
  )

  it.effect("refuses a call whose turn has not come within maxWait", () =>
    Effect.gen(function* () {
      const { start, within } = yield* line({ concurrency: 1, maxWait: "2 seconds" })
      const running = yield* Effect.forkChild(start("long", 60_000))
      yield* TestClock.adjust(0)
      const waiting = yield* Effect.forkChild(Effect.flip(within(Effect.void)))
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const refused = { _tag: "QueueFull", limit: 1, maxWaiting: 10_000, waitedMillis: 2_000 } as const
      assert.deepInclude(yield* Fiber.join(waiting), refused)
      yield* Fiber.interrupt(running)
      assert.strictEqual(yield* within(Effect.succeed("in")), "in")
    })
  )

  const within =
    (millis: number) =>
    <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.provideService(self, Deadline.Current, now + millis))

  it.effect("refuses work that cannot meet its deadline before it is sent, at once when it can be known", () =>
    Effect.gen(function* () {
      const { order, start } = yield* line({ concurrency: 2 })
      const learned = yield* Effect.forkChild(Effect.all(Array.from({ length: 4 }, () => start("learned", 1_000))))
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(learned)
      assert.deepInclude(yield* Effect.flip(start("too late").pipe(within(999))), {
        _tag: "DeadlineTooNear",
        remainingMillis: 999,
        neededMillis: 1_000
      } as const)
      const inTime = yield* Effect.forkChild(start("in time", 1_000).pipe(within(1_000)))
      // One more is let in, and two wait: the second of them would begin in two seconds and end in three.
      for (const name of ["b", "c", "d"]) yield* Effect.forkChild(start(name, 1_000))
      yield* TestClock.adjust(0)
      const refused = yield* Effect.flip(start("behind").pipe(within(2_000)))
      assert.deepInclude(refused, { _tag: "DeadlineTooNear", remainingMillis: 2_000, neededMillis: 2_500 })
      yield* Effect.forkChild(start("urgent").pipe(Caller.as({ priority: "high" }), within(2_000)))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(inTime)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(order.slice(4), ["in time", "b", "urgent", "c", "d"])
    })
  )

  it.effect("refuses who waits as soon as too little time is left, never sends it, and nobody waits longer", () =>
    Effect.gen(function* () {
      const { order, start } = yield* line({ concurrency: 1 })
      const unknown = yield* Effect.forkChild(start("slow", 60_000))
      yield* TestClock.adjust(0)
      // Nothing is known of how long calls take: it waits until its deadline.
      const patient = yield* Effect.forkChild(Effect.flip(start("never").pipe(within(5_000))))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(patient.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepInclude(yield* Fiber.join(patient), {
        _tag: "DeadlineTooNear",
        remainingMillis: 0,
        neededMillis: 0
      } as const)
      yield* Fiber.interrupt(unknown)
      for (let n = 0; n < 3; n++) {
        const one = yield* Effect.forkChild(start("learned", 2_000))
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(one)
      }
      yield* Effect.forkChild(start("slower than usual", 10_000))
      yield* TestClock.adjust(0)
      const hopeless = yield* Effect.forkChild(Effect.flip(start("never").pipe(within(7_000))))
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(hopeless.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.include(yield* Fiber.join(hopeless), { _tag: "DeadlineTooNear", remainingMillis: 1_999 })
      yield* TestClock.adjust("1 minute")
      assert.notInclude(order, "never")
    })
  )

  it.effect("forgets how long calls took, so that a slow spell does not refuse for ever", () =>
    Effect.gen(function* () {
      const { start } = yield* line({ concurrency: 3 })
      const slow = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 3 }, () => start("slow", 10_000)),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(slow)
      const urgent = Effect.exit(start("urgent", 0).pipe(within(5_000)))
      assert.isTrue(Exit.isFailure(yield* urgent))
      yield* TestClock.adjust("31 seconds")
      const fiber = yield* Effect.forkChild(urgent)
      yield* TestClock.adjust(0)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    })
  )

  it.effect("refuses model calls with an error that is not retryable, and says on the trail who waited", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 1_000 }])
      const limited = yield* Bulkhead.limit({ concurrency: 1 })(provider)
      const options = yield* request
      const trail = new CallTrail.Recorder()
      const calls = Effect.all(
        Array.from({ length: 3 }, () => limited.generateText(options)),
        { concurrency: "unbounded" }
      ).pipe(Effect.provideService(CallTrail.Current, trail))
      const fiber = yield* Effect.forkChild(calls)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        trail.trail.decisions.map(({ decision }) => decision),
        [1_000, 2_000].map((millis) => ({ _tag: "Waited", policy: "Bulkhead", millis }) as const)
      )
      const error = yield* Effect.flip(limited.generateText(options).pipe(within(500)))
      assert.strictEqual(Option.getOrUndefined(PolicyReason.of(error))?._tag, "DeadlineTooNear")
      assert.strictEqual(seen.calls, 3)
    }).pipe(ids)
  )

  it.effect("is part of its model's health", () =>
    Effect.gen(function* () {
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const { provider } = scripted([{ delay: 1_000 }])
      const limited = yield* Bulkhead.limit({ concurrency: 1, maxWaiting: 4 })(provider).pipe(
        Effect.provideService(PolicyHealth.Registry, registry)
      )
      const options = yield* request
      for (let n = 0; n < 4; n++) yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* Effect.all(registry), [
        { _tag: "Bulkhead", concurrency: 1, inFlight: 1, waiting: 3, maxWaiting: 4, score: 25 }
      ])
    }).pipe(ids)
  )

  const Step = Schema.Union([
    Schema.TaggedStruct("Call", {
      tenant: Schema.Literals(["a", "b", "c"]),
      priority: Schema.Literals([-10, 0, 10]),
      millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 })),
      deadline: Schema.Literals([5, 40, 1_000])
    }),
    Schema.TaggedStruct("Interrupt", { at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })) }),
    Schema.TaggedStruct("Pass", { millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })) })
  ])

  it.effect.prop(
    "never lets in more than the limits, and has every permit back whatever happens to the calls",
    [Schema.Array(Step)],
    ([steps]) =>
      Effect.gen(function* () {
        const limited = yield* Bulkhead.make({ concurrency: 3, keyConcurrency: 2, maxWaiting: 5, maxWait: 60 })
        const inside: Array<string> = []
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (const step of steps) {
          if (step._tag === "Pass") yield* TestClock.adjust(step.millis)
          else if (step._tag === "Interrupt") {
            const fiber = fibers[step.at]
            if (fiber !== undefined) yield* Fiber.interrupt(fiber)
          } else {
            const { deadline, millis, priority, tenant } = step
            const work = Effect.acquireUseRelease(
              Effect.sync(() => {
                inside.push(tenant)
                assert.isAtMost(inside.length, 3)
                assert.isAtMost(inside.filter((other) => other === tenant).length, 2)
              }),
              () => Effect.sleep(millis),
              () => Effect.sync(() => inside.splice(inside.indexOf(tenant), 1))
            )
            const call = Effect.flatMap(Clock.currentTimeMillis, (now) =>
              limited(work).pipe(who(tenant, priority), Effect.provideService(Deadline.Current, now + deadline))
            )
            fibers.push(yield* Effect.forkChild(Effect.ignore(call)))
          }
        }
        yield* TestClock.adjust("1 minute")
        for (const fiber of fibers) assert.isFalse(Exit.hasDies(yield* Fiber.await(fiber)))
        // All three slots are free again.
        const three = yield* Effect.forkChild(
          Effect.forEach(["a", "a", "b"], (tenant) => limited(Effect.sleep(10)).pipe(who(tenant)), {
            concurrency: "unbounded"
          })
        )
        yield* TestClock.adjust(10)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(three)))
      })
  )

  it.effect("lets in any number of calls one after the other that end as soon as they are in", () =>
    Effect.gen(function* () {
      for (const maxWait of [undefined, "1 minute"] as const) {
        const within = yield* Bulkhead.make({ concurrency: 1, maxWait })
        const first = yield* Effect.forkChild(within(Effect.sleep("1 second")))
        yield* TestClock.adjust(0)
        let deepest = 0
        const depth = Effect.sync(() => {
          deepest = Math.max(deepest, stackDepth())
        })
        const all = yield* Effect.forkChild(
          Effect.replicateEffect(within(depth), 100, { concurrency: "unbounded", discard: true })
        )
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(first)
        yield* Fiber.join(all)
        assert.isBelow(deepest, 200)
      }
    })
  )

  it("rejects limits that make no sense", () => {
    assert.throws(() => Bulkhead.make({ concurrency: 1, aging: Infinity }), RangeError, "aging")
    assert.throws(() => Bulkhead.make({ concurrency: 1, keyConcurrency: 0 }), RangeError, "keyConcurrency")
    assert.throws(() => Bulkhead.make({ concurrency: 1, aging: 0 }), RangeError, "aging")
    assert.throws(() => Bulkhead.make({ concurrency: 1, maxWait: 0 }), RangeError, "maxWait")
    assert.throws(() => Bulkhead.limit({ concurrency: 0 }), RangeError, "concurrency")
    assert.throws(() => Bulkhead.limit({ concurrency: 1, maxWaiting: -1 }), RangeError, "maxWaiting")
  })
})
