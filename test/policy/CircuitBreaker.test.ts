import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger, Option, Random, References, Schema, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { CircuitBreaker as Circuits } from "effect/persistence"
import { TestClock } from "effect/testing"
import { Caller, CallTrail, PolicyHealth, PolicyReason } from "holdfast/core"
import { CircuitBreaker } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { type Answer, failure, request, scripted, text } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const down = failure(new AiError.InternalProviderError({ description: "down" }))
const downFor = (seconds: number) =>
  failure(
    new AiError.InternalProviderError({
      description: "down",
      metadata: { provider: { retryAfterMillis: seconds * 1_000 } }
    })
  )
const noQuota = failure(new AiError.QuotaExhaustedError({}))
const invalid = failure(new AiError.InvalidRequestError({}))
const busy = failure(new AiError.RateLimitError({}))

// No jitter: what is open for 5 seconds is open for exactly that.
const withoutJitter = Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 0 })

/** A breaker around a provider that answers each call as the last `answers(…)` said, and how that goes. */
const breaking = (policy: ModelProvider.Policy = CircuitBreaker.perModel()) =>
  Effect.gen(function* () {
    const script: [Answer] = [{}]
    const { provider, seen } = scripted(script)
    const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
    const guarded = yield* Effect.provideService(policy(provider), PolicyHealth.Registry, registry)
    const options = yield* request
    const outcome = (call: Effect.Effect<unknown, AiError.AiError, IdGenerator.IdGenerator>) =>
      Effect.match(ids(call), {
        onSuccess: () => "ok",
        onFailure: (error) => {
          const reason = Option.getOrUndefined(PolicyReason.of(error))
          return reason?._tag === "CircuitOpen" ? reason.retryAfterMillis : error.reason._tag
        }
      })
    const generate = outcome(guarded.generateText(options))
    return {
      seen,
      guarded,
      options,
      answers: (answer: Answer) => void (script[0] = answer),
      /** "ok", the reason's tag or, when the circuit is open, the milliseconds until it is not. */
      generate,
      stream: outcome(Stream.runDrain(guarded.streamText(options))),
      times: (n: number) => Effect.forEach(Array.from({ length: n }), () => generate),
      health: Effect.filterOrElse(
        registry[0] ?? Effect.die("not registered"),
        (health) => health._tag === "CircuitBreaker",
        () => Effect.die("not a breaker's")
      )
    }
  }).pipe(ids)

const open = (breaker: { answers: (answer: Answer) => void; times: (n: number) => Effect.Effect<unknown> }) => {
  breaker.answers({ error: down })
  return breaker.times(5)
}

describe("CircuitBreaker", () => {
  it.effect("opens after faults in a row, and turns calls away before anything is sent", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      breaker.answers({ error: down })
      yield* breaker.times(4)
      breaker.answers({})
      yield* breaker.generate
      breaker.answers({ error: down })
      assert.deepStrictEqual(yield* breaker.times(7), [
        ...Array.from({ length: 5 }, () => "InternalProviderError"),
        5_000,
        5_000
      ])
      assert.strictEqual(breaker.seen.calls, 10)
    }).pipe(withoutJitter, ids)
  )

  it.effect("says which circuit is open, until when, and that a later attempt can succeed", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      yield* open(breaker)
      yield* TestClock.adjust("2 seconds")
      const error = yield* Effect.flip(breaker.guarded.generateText(breaker.options))
      const streamed = yield* Effect.flip(Stream.runDrain(breaker.guarded.streamText(breaker.options)))
      const reason = { _tag: "CircuitOpen", key: "scripted/m", retryAfterMillis: 3_000 } as const
      assert.deepStrictEqual(PolicyReason.of(error), Option.some(reason))
      assert.deepStrictEqual(PolicyReason.of(streamed), Option.some(reason))
      assert.isTrue(error.isRetryable)
    }).pipe(withoutJitter, ids)
  )

  it.effect(
    "opens when half of the last calls failed, but not before there were enough, nor for what was long ago",
    () =>
      Effect.gen(function* () {
        const breaker = yield* breaking()
        const alternate = Effect.fnUntraced(function* (n: number) {
          for (let each = 0; each < n; each++) {
            breaker.answers(each % 2 === 0 ? {} : { error: down })
            yield* breaker.generate
          }
          breaker.answers({})
          return yield* breaker.guarded.readiness ?? Effect.die("no reading")
        })
        assert.strictEqual(yield* alternate(8), "ready")
        yield* TestClock.adjust("31 seconds")
        assert.strictEqual(yield* alternate(8), "ready")
        assert.strictEqual(yield* alternate(2), "circuitOpen")
      }).pipe(ids)
  )

  it.effect("lets one call probe, turns others away meanwhile, and closes when it succeeds", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      yield* open(breaker)
      yield* TestClock.adjust("5 seconds")
      breaker.answers({ delay: 1_000 })
      const probe = yield* Effect.forkChild(breaker.generate)
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* breaker.generate, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(probe), "ok")
      breaker.answers({})
      assert.deepStrictEqual(yield* breaker.times(2), ["ok", "ok"])
      assert.strictEqual(breaker.seen.calls, 8)
    }).pipe(withoutJitter, ids)
  )

  it.effect.each(["call", "stream"] as const)("lets another call probe when a %s has probed for five minutes", (how) =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      yield* open(breaker)
      yield* TestClock.adjust("5 seconds")
      breaker.answers({ delay: 86_400_000 })
      const probe = yield* Effect.forkChild(how === "call" ? breaker.generate : breaker.stream)
      yield* TestClock.adjust("299 seconds")
      breaker.answers({})
      const before = yield* breaker.generate
      const readiness = breaker.guarded.readiness ?? Effect.die("no reading")
      assert.strictEqual(yield* readiness, "circuitOpen")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* readiness, "circuitHalfOpen")
      assert.deepStrictEqual([before, yield* breaker.generate], [0, "ok"])
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* breaker.generate, "ok")
    }).pipe(withoutJitter)
  )

  it.effect("is open twice as long after each failed probe, up to the maximum", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking(CircuitBreaker.perModel({ open: "5 seconds", maxOpen: "30 seconds" }))
      yield* open(breaker)
      const waits: Array<string | number> = []
      for (let probe = 0; probe < 5; probe++) {
        const wait = yield* breaker.generate
        waits.push(wait)
        yield* TestClock.adjust(Duration.millis(Number(wait)))
        assert.strictEqual(yield* breaker.generate, "InternalProviderError")
      }
      assert.deepStrictEqual(waits, [5_000, 10_000, 20_000, 30_000, 30_000])
    }).pipe(withoutJitter, ids)
  )

  it.effect("opens at once for quota errors: for the maximum, or for as long as was said", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      breaker.answers({ error: noQuota })
      assert.deepStrictEqual(yield* breaker.times(2), ["QuotaExhaustedError", 300_000])
      const said = yield* breaking()
      const metadata = { provider: { retryAfterMillis: 3_600_000 } }
      said.answers({ error: failure(new AiError.QuotaExhaustedError({ metadata })) })
      assert.deepStrictEqual(yield* said.times(2), ["QuotaExhaustedError", 3_600_000])
    }).pipe(withoutJitter, ids)
  )

  it.effect("never lets a call through earlier than the provider asked for", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      breaker.answers({ error: downFor(60) })
      yield* breaker.times(5)
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(yield* breaker.generate, 1)
    }).pipe(withoutJitter, ids)
  )

  it.effect("does not count what says nothing about the provider: bad requests, rate limits, interruption", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking(CircuitBreaker.perModel({ consecutive: 1 }))
      breaker.answers({ error: invalid })
      yield* breaker.times(20)
      breaker.answers({ error: busy })
      yield* breaker.times(20)
      breaker.answers({ delay: 1_000 })
      const fiber = yield* Effect.forkChild(breaker.generate)
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(fiber)
      const reading = yield* Effect.forkChild(
        breaker.guarded.streamText(breaker.options).pipe(Stream.take(1), Stream.runDrain)
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(reading)
      const health = yield* breaker.health
      assert.deepStrictEqual([health.score, health.circuits[0]?.successRatio, breaker.seen.open], [100, 1, 0])
      breaker.answers({ error: down })
      assert.deepStrictEqual(yield* breaker.times(2), ["InternalProviderError", 5_000])
    }).pipe(withoutJitter, ids)
  )

  describe("streams", () => {
    const broken: Answer = { parts: text("half").slice(0, 3), error: down }

    it.effect("counts those that break off in the middle, and those that never begin", () =>
      Effect.gen(function* () {
        for (const answer of [broken, { error: down }]) {
          const breaker = yield* breaking(CircuitBreaker.perModel({ consecutive: 2 }))
          breaker.answers(answer)
          assert.deepStrictEqual(
            [yield* breaker.stream, yield* breaker.stream, yield* breaker.stream],
            ["InternalProviderError", "InternalProviderError", 5_000]
          )
        }
      }).pipe(withoutJitter, ids)
    )

    it.effect("come through unchanged, and count as successes when they have ended", () =>
      Effect.gen(function* () {
        const breaker = yield* breaking(CircuitBreaker.perModel({ consecutive: 2 }))
        breaker.answers(broken)
        yield* breaker.stream
        breaker.answers({})
        const parts = yield* Stream.runCollect(breaker.guarded.streamText(breaker.options))
        assert.deepStrictEqual(parts, [...text("ok")])
        breaker.answers(broken)
        assert.strictEqual(yield* breaker.stream, "InternalProviderError")
        assert.strictEqual(yield* breaker.stream, "InternalProviderError")
        assert.strictEqual(yield* breaker.stream, 5_000)
      }).pipe(withoutJitter, ids)
    )

    it.effect(
      "close the circuit with the first content of a probe, and let the next one probe when it is left before",
      () =>
        Effect.gen(function* () {
          const breaker = yield* breaking()
          yield* open(breaker)
          yield* TestClock.adjust("5 seconds")
          breaker.answers({ delay: 1_000 })
          const left = yield* Effect.forkChild(breaker.stream)
          yield* TestClock.adjust(0)
          assert.strictEqual(yield* breaker.generate, 0)
          yield* Fiber.interrupt(left)
          const read = yield* Effect.forkChild(breaker.stream)
          // The metadata and the start of the text have arrived, its first piece has not.
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(yield* breaker.generate, 0)
          yield* TestClock.adjust("1 second")
          breaker.answers({})
          assert.strictEqual(yield* breaker.generate, "ok")
          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(yield* Fiber.join(read), "ok")
        }).pipe(withoutJitter, ids)
    )

    it.effect("that were probes still count when they break off later", () =>
      Effect.gen(function* () {
        const breaker = yield* breaking(CircuitBreaker.perModel({ consecutive: 2 }))
        yield* open(breaker)
        yield* TestClock.adjust("5 seconds")
        breaker.answers(broken)
        assert.strictEqual(yield* breaker.stream, "InternalProviderError")
        assert.strictEqual((yield* breaker.health).circuits[0]?.successRatio, 0.5)
        assert.strictEqual((yield* breaker.health).circuits[0]?.state, "closed")
      }).pipe(withoutJitter, ids)
    )
  })

  it.effect("lets the next call probe when a probe is interrupted or says nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      yield* open(breaker)
      yield* TestClock.adjust("5 seconds")
      breaker.answers({ delay: 1_000 })
      const fiber = yield* Effect.forkChild(breaker.generate)
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(fiber)
      breaker.answers({ error: invalid })
      assert.strictEqual(yield* breaker.generate, "InvalidRequestError")
      breaker.answers({})
      assert.strictEqual(yield* breaker.generate, "ok")
    }).pipe(withoutJitter, ids)
  )

  it.effect("does not let calls from before it opened change what came after", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking(CircuitBreaker.perModel({ consecutive: 2 }))
      breaker.answers({ delay: 8_000, error: down })
      const stragglers = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 9 }, () => breaker.generate),
          { concurrency: 9 }
        )
      )
      yield* TestClock.adjust(0)
      yield* open(breaker)
      yield* TestClock.adjust("5 seconds")
      breaker.answers({})
      yield* breaker.times(2)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(stragglers)
      assert.strictEqual(yield* breaker.generate, "ok")
      assert.strictEqual((yield* breaker.health).circuits[0]?.successRatio, 1)
    }).pipe(withoutJitter, ids)
  )

  it.effect("leaves its decisions on the call's trail", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking(CircuitBreaker.perModel({ consecutive: 1 }))
      const decisions = Effect.fnUntraced(function* (call: Effect.Effect<unknown>) {
        const recorder = new CallTrail.Recorder()
        yield* Effect.provideService(call, CallTrail.Current, recorder)
        return recorder.trail.decisions.map(({ decision }) => decision)
      })
      const key = "scripted/m"
      breaker.answers({ error: down })
      assert.deepStrictEqual(yield* decisions(breaker.generate), [{ _tag: "CircuitOpened", key, forMillis: 5_000 }])
      yield* TestClock.adjust("5 seconds")
      breaker.answers({})
      const closing = [
        { _tag: "CircuitProbed", key },
        { _tag: "CircuitClosed", key }
      ] as const
      assert.deepStrictEqual(yield* decisions(breaker.stream), [...closing])
      assert.deepStrictEqual(yield* decisions(breaker.generate), [])
    }).pipe(withoutJitter, ids)
  )

  it.effect("tells its health: state, success ratio and score of each key", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      assert.deepStrictEqual(yield* breaker.health, { _tag: "CircuitBreaker", circuits: [], score: 100 })
      yield* breaker.times(3)
      breaker.answers({ error: down })
      yield* breaker.generate
      const key = "scripted/m"
      assert.deepStrictEqual((yield* breaker.health).circuits, [
        { key, state: "closed", successRatio: 0.75, retryAfterMillis: undefined, score: 75 }
      ])
      yield* breaker.times(4)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* breaker.health).circuits, [
        { key, state: "open", successRatio: 0.375, retryAfterMillis: 4_000, score: 0 }
      ])
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* breaker.health).circuits[0]?.state, "halfOpen")
    }).pipe(withoutJitter, ids)
  )

  it.effect("tells who asks what a call would meet, and else what is inside says", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ error: noQuota }])
      const guarded = yield* CircuitBreaker.perModel()({ ...provider, readiness: Effect.succeed("saturated") })
      const readiness = guarded.readiness ?? Effect.die("no reading")
      assert.strictEqual(yield* readiness, "saturated")
      yield* Effect.flip(guarded.generateText(yield* request))
      assert.strictEqual(yield* readiness, "circuitOpen")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* readiness, "circuitHalfOpen")
    }).pipe(ids)
  )

  it.effect("says that the circuit is open while a probe is under way, and no longer when it was abandoned", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking()
      yield* open(breaker)
      yield* TestClock.adjust("5 seconds")
      breaker.answers({ delay: 1_000 })
      const readiness = breaker.guarded.readiness ?? Effect.die("no reading")
      const probe = yield* Effect.forkChild(breaker.generate)
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* readiness, "circuitOpen")
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* readiness, "circuitHalfOpen")
    }).pipe(ids)
  )

  it.effect("keeps tenants apart when asked to, and forgets the key not used for longest", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking(CircuitBreaker.perModel({ perTenant: true, maxKeys: 2 }))
      const by = (tenant: string) => Caller.as({ tenant })(breaker.generate)
      breaker.answers({ error: noQuota })
      yield* by("a")
      breaker.answers({})
      assert.deepStrictEqual([yield* by("a"), yield* by("b"), yield* by("a")], [300_000, "ok", 300_000])
      assert.deepStrictEqual(
        (yield* breaker.health).circuits.map(({ key }) => key),
        ["scripted/m#b", "scripted/m#a"]
      )
      yield* by("c")
      assert.deepStrictEqual([yield* by("a"), (yield* breaker.health).circuits.length], [300_000, 2])
    }).pipe(withoutJitter, ids)
  )

  it.effect("keeps no more circuits than it may when many tenants come at one moment", () =>
    Effect.gen(function* () {
      const breaker = yield* breaking(CircuitBreaker.perModel({ perTenant: true, maxKeys: 2 }))
      breaker.answers({ error: noQuota })
      // Whether the last place is free is seen at one moment, and taken at another.
      yield* Effect.forEach(
        Array.from({ length: 50 }, (_, tenant) => `${tenant}`),
        (tenant) => Effect.andThen(Effect.yieldNow, Caller.as({ tenant })(breaker.generate)),
        { concurrency: "unbounded" }
      ).pipe(Effect.provideService(References.MaxOpsBeforeYield, 5))
      assert.isAtMost((yield* breaker.health).circuits.length, 3)
    }).pipe(withoutJitter, ids)
  )

  describe("make", () => {
    it.effect("guards any effect, key by key, and fails with the reason itself", () =>
      Effect.gen(function* () {
        const breaker = yield* CircuitBreaker.make({
          classify: (error: "down" | "bad") => ({ blame: error === "down" ? "fault" : "none" }),
          consecutive: 1
        })
        yield* Effect.flip(breaker("a")(Effect.fail("bad" as const)))
        yield* Effect.flip(breaker("a")(Effect.fail("down" as const)))
        const refused = yield* Effect.flip(breaker("a")(Effect.die("must not run")))
        assert.deepInclude(refused, { _tag: "CircuitOpen", key: "a", retryAfterMillis: 5_000 })
        assert.strictEqual(yield* breaker("b")(Effect.succeed(1)), 1)
      }).pipe(withoutJitter)
    )
  })

  const Step = Schema.Union([
    Schema.TaggedStruct("Call", {
      answer: Schema.Literals(["ok", "down", "invalid", "noQuota"]),
      stream: Schema.Boolean
    }),
    Schema.TaggedStruct("Wait", { millis: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20_000 })) })
  ])
  const answers = { ok: {}, down: { error: down }, invalid: { error: invalid }, noQuota: { error: noQuota } } as const

  it.effect.prop("sends nothing before the time it has told, and one call after it", [Schema.Array(Step)], ([steps]) =>
    Effect.gen(function* () {
      const breaker = yield* breaking(CircuitBreaker.perModel({ consecutive: 2 }))
      let now = 0
      let until = 0
      for (const step of steps) {
        if (step._tag === "Wait") {
          yield* TestClock.adjust(Duration.millis(step.millis))
          now += step.millis
          continue
        }
        breaker.answers(answers[step.answer])
        const before = breaker.seen.calls
        const outcome = yield* step.stream ? breaker.stream : breaker.generate
        assert.strictEqual(breaker.seen.calls - before, now < until ? 0 : 1)
        if (now < until) assert.strictEqual(outcome, until - now)
        else if (typeof outcome === "number") assert.fail("turned away with nothing to wait for")
        const circuit = (yield* breaker.health).circuits[0]
        until = now + (circuit?.retryAfterMillis ?? 0)
      }
    }).pipe(ids)
  )

  it("rejects options that make no sense", () => {
    assert.throws(() => CircuitBreaker.perModel({ ratio: 0 }), RangeError, "ratio")
    assert.throws(() => CircuitBreaker.perModel({ consecutive: 0.5 }), RangeError, "consecutive")
    assert.throws(() => CircuitBreaker.perModel({ minCalls: 0 }), RangeError, "minCalls")
    assert.throws(() => CircuitBreaker.perModel({ maxKeys: 0 }), RangeError, "maxKeys")
    assert.throws(() => CircuitBreaker.perModel({ window: Duration.infinity }), RangeError, "window")
    assert.throws(() => CircuitBreaker.perModel({ open: "1 minute", maxOpen: "1 second" }), RangeError, "maxOpen")
    assert.throws(() => CircuitBreaker.shared({ storeTimeout: 0 }), RangeError, "storeTimeout")
  })
})

describe("CircuitBreaker.shared", () => {
  const store = Circuits.layerStoreMemory()

  it.effect("opens for all when one opens, and lets one of all probe", () =>
    Effect.gen(function* () {
      const first = yield* sharing({ consecutive: 2 })
      const second = yield* sharing({ consecutive: 2 })
      first.answers({ error: down })
      yield* first.times(2)
      assert.deepStrictEqual([yield* second.generate, second.seen.calls], [5_000, 0])
      yield* TestClock.adjust("5 seconds")
      second.answers({ delay: 1_000 })
      const probe = yield* Effect.forkChild(second.generate)
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* first.generate, 0)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(probe)
      first.answers({})
      assert.strictEqual(yield* first.generate, "ok")
    }).pipe(withoutJitter, ids, Effect.provide(store))
  )

  const sharing = (options: CircuitBreaker.SharedOptions) =>
    Effect.flatMap(Effect.context<Circuits.CircuitBreakerStore>(), (context) =>
      breaking((next) => Effect.provideContext(CircuitBreaker.shared(options)(next), context))
    )

  /** A store that can be frozen: it then never answers. */
  const freezing = Effect.gen(function* () {
    const state = { frozen: false, asked: 0 }
    const real = yield* Circuits.CircuitBreakerStore
    const slow = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        state.asked++
        return state.frozen ? Effect.never : effect
      })
    const layer = Layer.succeed(Circuits.CircuitBreakerStore, {
      admit: (key) => slow(real.admit(key)),
      record: (options) => slow(real.record(options)),
      state: real.state
    })
    return { state, layer }
  }).pipe(Effect.provide(store))

  it.effect("goes on by circuits of this process while the store is frozen, and comes back to it", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* freezing
      yield* Effect.gen(function* () {
        const breaker = yield* sharing({ consecutive: 2 })
        state.frozen = true
        const waiting = yield* Effect.forkChild(breaker.generate)
        yield* TestClock.adjust("50 millis")
        assert.strictEqual(yield* Fiber.join(waiting), "ok")
        // Nobody waits for the store for the next second, and this process still protects itself.
        breaker.answers({ error: down })
        assert.deepStrictEqual(yield* breaker.times(3), ["InternalProviderError", "InternalProviderError", 5_000])
        assert.strictEqual(state.asked, 1)
        state.frozen = false
        yield* TestClock.adjust("5 seconds")
        breaker.answers({})
        assert.strictEqual(yield* breaker.generate, "ok")
        assert.strictEqual(state.asked, 2)
      }).pipe(Effect.provide(layer))
    }).pipe(withoutJitter, ids)
  )

  it.effect("asks the store once before each call, and after it only when that changes something", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* freezing
      yield* Effect.gen(function* () {
        const breaker = yield* sharing({ consecutive: 2 })
        yield* breaker.times(3)
        assert.strictEqual(state.asked, 3)
        breaker.answers({ error: down, delay: 10 })
        const failing = yield* Effect.forkChild(
          Effect.all(
            Array.from({ length: 9 }, () => breaker.generate),
            { concurrency: 9 }
          )
        )
        yield* TestClock.adjust("10 millis")
        yield* Fiber.join(failing)
        // Two faults open it; those of the other seven come too late to matter. Open, nobody asks.
        assert.strictEqual(state.asked, 3 + 9 + 1)
        yield* breaker.times(5)
        assert.strictEqual(state.asked, 3 + 9 + 1)
      }).pipe(Effect.provide(layer))
    }).pipe(withoutJitter, ids)
  )

  it.effect("lets the next call probe when who was to probe left before the store's answer arrived", () =>
    Effect.gen(function* () {
      const real = yield* Circuits.CircuitBreakerStore
      const slow = Layer.succeed(Circuits.CircuitBreakerStore, {
        ...real,
        admit: (key) => Effect.tap(real.admit(key), Effect.sleep(20))
      })
      yield* Effect.gen(function* () {
        const breaker = yield* sharing({ consecutive: 1 })
        breaker.answers({ error: down })
        const failing = yield* Effect.forkChild(breaker.generate)
        yield* TestClock.adjust("20 millis")
        yield* Fiber.join(failing)
        yield* TestClock.adjust("5 seconds")
        breaker.answers({})
        const leaving = yield* Effect.forkChild(breaker.generate)
        yield* TestClock.adjust("10 millis")
        yield* Fiber.interrupt(leaving)
        yield* TestClock.adjust("10 millis")
        const next = yield* Effect.forkChild(breaker.generate)
        yield* TestClock.adjust("20 millis")
        assert.deepStrictEqual([yield* Fiber.join(next), breaker.seen.calls], ["ok", 2])
      }).pipe(Effect.provide(slow))
    }).pipe(withoutJitter, ids, Effect.provide(store))
  )

  it.effect("keeps nobody from leaving, and lets go of a result, while the store is frozen", () =>
    Effect.gen(function* () {
      const { layer, state } = yield* freezing
      yield* Effect.gen(function* () {
        const breaker = yield* sharing({ consecutive: 1 })
        state.frozen = true
        const leaving = yield* Effect.forkChild(breaker.generate)
        yield* TestClock.adjust(0)
        yield* Fiber.interrupt(leaving)
        assert.strictEqual(breaker.seen.calls, 0)
        // Frozen after the call was let through: its failure would be recorded.
        state.frozen = false
        breaker.answers({ error: down, delay: 10 })
        const failing = yield* Effect.forkChild(breaker.generate)
        yield* TestClock.adjust(0)
        state.frozen = true
        yield* TestClock.adjust("60 millis")
        assert.strictEqual(yield* Fiber.join(failing), "InternalProviderError")
      }).pipe(Effect.provide(layer))
    }).pipe(withoutJitter, ids)
  )

  it.effect.each([{}, { error: down }] as const)(
    "tells the store again, when it is back, what became of a probe that ended while it was frozen",
    (answer) =>
      Effect.gen(function* () {
        const { layer, state } = yield* freezing
        yield* Effect.gen(function* () {
          const breaker = yield* sharing({ consecutive: 1 })
          breaker.answers({ error: down })
          yield* breaker.generate
          yield* TestClock.adjust("5 seconds")
          breaker.answers({ ...answer, delay: 10 })
          const probing = yield* Effect.forkChild(breaker.generate)
          yield* TestClock.adjust(0)
          state.frozen = true
          yield* TestClock.adjust("2 seconds")
          yield* Fiber.join(probing)
          state.frozen = false
          yield* TestClock.adjust("2 seconds")
          breaker.answers({})
          assert.strictEqual(yield* breaker.generate, answer.error === undefined ? "ok" : 8_110)
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(yield* breaker.generate, "ok")
        }).pipe(Effect.provide(layer))
      }).pipe(withoutJitter, ids, Effect.provide(Logger.layer([])))
  )

  /** A store that says something else about one circuit, the last of those that are asked for. */
  const odd = (admit: Circuits.CircuitBreakerStore["Service"]["admit"]) =>
    Effect.map(Circuits.CircuitBreakerStore, (real) => {
      const said = { admit, asked: 0 }
      const layer = Layer.succeed(Circuits.CircuitBreakerStore, {
        ...real,
        admit: (key) => {
          if (!key.endsWith("odd")) return real.admit(key)
          said.asked++
          return said.admit(key)
        }
      })
      return { said, layer }
    })
  const asOdd = Caller.as({ tenant: "odd" })
  const rejecting = (reason: Circuits.CircuitBreakerErrorReason) =>
    Effect.fail(new Circuits.CircuitBreakerError({ reason }))

  it.effect.each<[string, Circuits.CircuitBreakerStore["Service"]["admit"]]>([
    ["is open for a century", (key) => rejecting(new Circuits.CircuitOpen({ key, retryAfter: Duration.days(36_525) }))],
    ["is what no circuit is", () => Effect.succeed({ generation: NaN } as Circuits.Admission)],
    ["cannot be asked for", () => rejecting(new Circuits.CircuitBreakerStoreError({ message: "WRONGTYPE" }))],
    ["makes the driver throw", () => assert.fail("a bug")]
  ])("goes by a circuit of this process for one that %s, and by the store for all others", ([, admit]) =>
    Effect.gen(function* () {
      const { layer, said } = yield* odd(admit)
      yield* Effect.gen(function* () {
        const breaker = yield* sharing({ consecutive: 2, perTenant: true })
        const other = yield* sharing({ consecutive: 2, perTenant: true })
        assert.strictEqual(yield* asOdd(breaker.generate), "ok")
        breaker.answers({ error: down })
        const failed = "InternalProviderError"
        assert.deepStrictEqual(yield* asOdd(breaker.times(3)), [failed, failed, 5_000])
        assert.deepStrictEqual([said.asked, yield* breaker.times(2)], [3, [failed, failed]])
        // The store was asked for the others all the while.
        assert.strictEqual(yield* other.generate, 5_000)
      }).pipe(Effect.provide(layer))
    }).pipe(withoutJitter, ids, Effect.provide([store, Logger.layer([])]))
  )

  it.effect("waits five minutes at most for whoever is said to probe", () =>
    Effect.gen(function* () {
      const { layer, said } = yield* odd((key) => rejecting(new Circuits.CircuitHalfOpen({ key })))
      yield* Effect.gen(function* () {
        const breaker = yield* sharing({ consecutive: 2, perTenant: true })
        const asked = asOdd(breaker.generate)
        assert.strictEqual(yield* asked, 0)
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual(yield* asked, 0)
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual([yield* asked, yield* asked], ["ok", "ok"])
        // Once it says something else, it is believed again.
        const { admit } = said
        said.admit = (key) => rejecting(new Circuits.CircuitOpen({ key, retryAfter: Duration.seconds(1) }))
        assert.strictEqual(yield* asked, 1_000)
        yield* TestClock.adjust("1 second")
        said.admit = admit
        assert.strictEqual(yield* asked, 0)
      }).pipe(Effect.provide(layer))
    }).pipe(withoutJitter, ids, Effect.provide([store, Logger.layer([])]))
  )
})
