import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option, Schema, Scope, Stream } from "effect"
import { AiError, IdGenerator, type Response } from "effect/ai"
import { TestClock } from "effect/testing"
import { Caller, CallTrail, Deadline, PolicyHealth, PolicyReason, ResponseHeaders } from "holdfast/core"
import { RateLimit, Retry } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { failure, request } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const finish = (
  usage: { readonly input?: number; readonly output?: number; readonly cached?: number } = {},
  headers?: Record<string, string>
): Response.FinishPartEncoded => ({
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: usage.input, cacheRead: usage.cached }, outputTokens: { total: usage.output } },
  response: headers === undefined ? undefined : { status: 200, headers }
})

interface Served {
  readonly parts?: ReadonlyArray<Response.FinishPartEncoded>
  readonly error?: AiError.AiError
  readonly delay?: number
  /** Told before the answer. */
  readonly early?: ResponseHeaders.Headers
}

/** A provider that notes when it was called, and answers the nth call by a function of n. */
const noting = (answer: (n: number) => Served = () => ({}), name = "noting") => {
  const sent: Array<number> = []
  const once = Effect.gen(function* () {
    sent.push(yield* Clock.currentTimeMillis)
    const { delay = 0, early, error, parts = [finish({ input: 1, output: 1 })] } = answer(sent.length)
    if (early !== undefined) yield* ResponseHeaders.received(early)
    yield* Effect.sleep(delay)
    return error === undefined ? [...parts] : yield* error
  })
  const provider: ModelProvider.ModelProvider = {
    name,
    model: "m",
    generateText: () => once,
    streamText: () => Stream.unwrap(Effect.map(once, Stream.fromIterable))
  }
  return { provider, sent }
}

const busy = (retryAfterMillis: number) =>
  failure(new AiError.RateLimitError({ retryAfter: Duration.millis(retryAfterMillis) }))

/** Forks so many calls, and lets the time pass. */
const herd = (provider: ModelProvider.ModelProvider, count: number, time: Parameters<typeof TestClock.adjust>[0]) =>
  Effect.gen(function* () {
    const options = yield* request
    const all = Array.from({ length: count }, () => provider.generateText(options))
    const fiber = yield* Effect.forkChild(Effect.all(all, { concurrency: "unbounded" }))
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

const nth = <A>(all: ReadonlyArray<A>, n: number): A => all.at(n) ?? assert.fail(`there is no ${n}`)

const perSecond = (limit: number, burst?: number) => ({ requests: { limit, window: "1 second" as const }, burst })

describe("RateLimit.of", () => {
  it.effect("lets a burst go at once and the others one by one at the pace of the limit", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting()
      const limited = yield* RateLimit.of(perSecond(20))(provider)
      yield* herd(limited, 60, "10 seconds")
      assert.deepStrictEqual(
        sent.slice(0, 20).filter((at) => at > 0),
        []
      )
      const gaps = sent.slice(21).map((at, index) => at - nth(sent, index + 20))
      assert.deepStrictEqual([Math.min(...gaps), Math.max(...gaps)], [50, 50])
      // The bucket over there begins to refill a little later than ours was sent to.
      assert.isAtMost(nth(sent, -1), 2_100)
    }).pipe(ids)
  )

  it.effect("returns the answer unchanged and sends once what may go at once", () =>
    Effect.gen(function* () {
      const parts = [finish({ input: 7, output: 3 })]
      const { provider, sent } = noting(() => ({ parts }))
      const limited = yield* RateLimit.of(perSecond(5))(provider)
      assert.deepStrictEqual(yield* limited.generateText(yield* request), parts)
      assert.deepStrictEqual(yield* Stream.runCollect(limited.streamText(yield* request)), parts)
      assert.strictEqual(sent.length, 2)
    }).pipe(ids)
  )

  it.effect("limits requests and tokens together, and counts what was really used", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting(() => ({ parts: [finish({ input: 10, output: 10 })], delay: 10 }))
      const limited = yield* RateLimit.of({
        ...perSecond(100),
        tokens: { limit: 100, window: "1 second" },
        estimate: () => ({ inputTokens: 25, outputTokens: 25 })
      })(provider)
      // Two estimates of 50 fill the limit; 10 ms later 60 of them are back.
      yield* herd(limited, 4, "10 seconds")
      assert.deepStrictEqual(sent.slice(0, 2), [0, 0])
      assert.strictEqual(sent[2], 10)
      assert.isAbove(nth(sent, 3), 10)
    }).pipe(ids)
  )

  it.effect("does not count what Anthropic and Groq read from their cache", () =>
    Effect.gen(function* () {
      const usage = { parts: [finish({ input: 100, cached: 90, output: 0 })] }
      const available = (name: string) =>
        Effect.gen(function* () {
          const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
          const { provider } = noting(() => usage, name)
          const limited = yield* RateLimit.of({ inputTokens: { limit: 1_000, window: "1 second" } })(provider).pipe(
            Effect.provideService(PolicyHealth.Registry, registry)
          )
          yield* limited.generateText(yield* request)
          const [health] = yield* Effect.all(registry)
          return health?._tag === "RateLimit" ? health.keys[0]?.limits[0]?.available : undefined
        })
      assert.deepStrictEqual([yield* available("anthropic"), yield* available("openai")], [990, 900])
    }).pipe(ids)
  )

  it.effect("settles also when the call fails or is interrupted: output that never came is given back", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting((n) =>
        n === 1 ? { error: failure(new AiError.InternalProviderError({ description: "down" })) } : { delay: 60_000 }
      )
      const limited = yield* RateLimit.of({
        outputTokens: { limit: 100, window: "1 hour" },
        estimate: () => ({ inputTokens: 0, outputTokens: 100 })
      })(provider)
      yield* Effect.flip(limited.generateText(yield* request))
      const second = yield* Effect.forkChild(limited.generateText(yield* request))
      yield* TestClock.adjust(0)
      assert.strictEqual(sent.length, 2)
      // Interrupted: how much had been generated is not known, the estimate stands.
      yield* Fiber.interrupt(second)
      const third = yield* Effect.forkChild(limited.generateText(yield* request))
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(sent.length, 2)
      yield* Fiber.interrupt(third)
    }).pipe(ids)
  )

  it.effect("lets the urgent go first, then first come first served, and nobody wait for ever", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const limited = yield* RateLimit.make({ ...perSecond(1), aging: "1 second" })
      const call = (name: string, priority: number) =>
        limited(Effect.sync(() => order.push(name))).pipe(Caller.as({ priority }), Effect.forkChild)
      yield* call("at once", 0)
      yield* call("old", 0)
      yield* call("old too", 0)
      yield* TestClock.adjust("900 millis")
      yield* call("urgent", 10)
      yield* call("low", -10)
      yield* TestClock.adjust("3 seconds")
      // Ten seconds later somebody new is no more urgent than who has waited.
      yield* call("new", 0)
      yield* call("new, a bit urgent", 1)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(order, ["at once", "urgent", "old", "old too", "new, a bit urgent", "new", "low"])
    })
  )

  it.effect("lets a call through after its waiting, whatever stream of more urgent ones comes", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const limited = yield* RateLimit.make({ ...perSecond(1), aging: "10 seconds" })
      const call = (name: string, priority: number) =>
        limited(Effect.sync(() => order.push(name))).pipe(Caller.as({ priority }), Effect.forkChild)
      yield* call("at once", 0)
      yield* call("patient", -10)
      for (let n = 0; n < 150 && !order.includes("patient"); n++) {
        yield* call("new", 0)
        yield* TestClock.adjust("1 second")
      }
      // Ten points, each worth ten seconds of one call.
      assert.isAtMost(Math.abs(order.indexOf("patient") - 100), 2)
    })
  )

  it.effect("takes an interrupted call out of the line and gives its turn to the next", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting()
      const limited = yield* RateLimit.of(perSecond(1))(provider)
      const options = yield* request
      yield* limited.generateText(options)
      const first = yield* Effect.forkChild(limited.generateText(options))
      const second = yield* Effect.forkChild(Stream.runDrain(limited.streamText(options)))
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("600 millis")
      yield* Fiber.join(second)
      assert.deepStrictEqual(sent, [0, 1_100])
    }).pipe(ids)
  )

  it.effect("refuses what would wait too long, what waits with too many, and what is larger than the limit", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting(() => ({ parts: [finish()] }))
      const limited = yield* RateLimit.of({
        requests: { limit: 60, window: "1 minute" },
        inputTokens: { limit: 40, window: "1 minute" },
        burst: 1,
        maxWait: "3 seconds",
        maxWaiting: 1,
        estimate: () => ({ inputTokens: size, outputTokens: 0 })
      })(provider)
      const options = yield* request
      let size = 4
      const reasonOf = Effect.map(Effect.flip(limited.generateText(options)), PolicyReason.of)
      yield* limited.generateText(options)
      assert.deepStrictEqual(
        yield* reasonOf,
        Option.some({
          _tag: "RateLimited",
          key: "noting/m",
          dimension: "inputTokens",
          retryAfterMillis: 6_100
        } as const)
      )
      size = 0
      const waiting = yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* reasonOf, Option.some({ _tag: "QueueFull", limit: 60, maxWaiting: 1 } as const))
      size = 81
      assert.deepStrictEqual(
        yield* reasonOf,
        Option.some({
          _tag: "LargerThanLimit",
          key: "noting/m",
          dimension: "inputTokens",
          needed: 81,
          limit: 40
        } as const)
      )
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(waiting)
      assert.strictEqual(sent.length, 2)
    }).pipe(ids)
  )

  it.effect("refuses at once a call whose time will be over before its turn", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting()
      const limited = yield* RateLimit.of(perSecond(1))(provider)
      const call = Effect.exit(limited.generateText(yield* request)).pipe(
        Effect.provideService(Deadline.Current, 3_000)
      )
      const calls = yield* Effect.replicateEffect(Effect.forkChild(call), 5)
      yield* TestClock.adjust(0)
      assert.isDefined(calls[4]?.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      const ends = yield* Effect.forEach(calls, Fiber.join)
      assert.deepStrictEqual(
        ends.map((exit) => Option.flatMap(Exit.findErrorOption(exit), PolicyReason.of)),
        [0, 0, 0, 1, 1].map((isLate) =>
          isLate === 0
            ? Option.none()
            : Option.some({ _tag: "DeadlineTooNear", remainingMillis: 3_000, neededMillis: 3_100 } as const)
        )
      )
      assert.strictEqual(sent.length, 3)
    }).pipe(ids)
  )

  it.effect("refuses those who wait when a pause outlasts their time", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting((n) => (n === 1 ? { error: busy(60_000), delay: 100 } : {}))
      const limited = yield* RateLimit.of(perSecond(1))(provider)
      const options = yield* request
      const rejected = yield* Effect.forkChild(Effect.exit(limited.generateText(options)))
      const waiting = yield* limited
        .generateText(options)
        .pipe(Effect.flip, Effect.provideService(Deadline.Current, 10_000), Effect.forkChild)
      yield* TestClock.adjust("200 millis")
      const end = waiting.pollUnsafe()
      assert(end !== undefined && Exit.isSuccess(end))
      assert.strictEqual(Option.getOrThrow(PolicyReason.of(end.value))._tag, "DeadlineTooNear")
      yield* Fiber.join(rejected)
      assert.strictEqual(sent.length, 1)
    }).pipe(ids)
  )

  it.effect("says on the call's trail how long it waited", () =>
    Effect.gen(function* () {
      const { provider } = noting()
      const limited = yield* RateLimit.of(perSecond(1))(provider)
      const recorder = new CallTrail.Recorder()
      yield* limited.generateText(yield* request).pipe(Effect.provideService(CallTrail.Current, recorder))
      assert.deepStrictEqual(recorder.trail.decisions, [])
      const second = yield* limited
        .generateText(yield* request)
        .pipe(Effect.provideService(CallTrail.Current, recorder), Effect.forkChild)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(second)
      assert.deepStrictEqual(
        recorder.trail.decisions.map(({ decision }) => decision),
        [{ _tag: "Waited", policy: "RateLimit", millis: 1_100 }]
      )
    }).pipe(ids)
  )

  it.effect("gives each tenant the limits for itself where it is told to", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting()
      const limited = yield* RateLimit.of({ ...perSecond(1), perTenant: true })(provider)
      const options = yield* request
      yield* limited.generateText(options).pipe(Caller.as({ tenant: "a" }))
      yield* limited.generateText(options).pipe(Caller.as({ tenant: "b" }))
      assert.deepStrictEqual(sent, [0, 0])
    }).pipe(ids)
  )

  it.effect("does not let what is no number of tokens into the limits", () =>
    Effect.gen(function* () {
      const tokens = { limit: 1_000, window: "1 second" } as const
      const { provider, sent } = noting(() => ({ parts: [finish({ input: NaN, output: NaN })] }))
      const limited = yield* RateLimit.of({ tokens })(provider)
      yield* herd(limited, 3, "1 minute")
      assert.strictEqual(sent.length, 3)

      const estimated = yield* RateLimit.of({ tokens, estimate: () => ({ inputTokens: NaN, outputTokens: 0 }) })(
        provider
      )
      const died = yield* Effect.exit(estimated.generateText(yield* request))
      assert(Exit.isFailure(died))
      assert.match(String(Cause.squash(died.cause)), /RangeError: RateLimit option inputTokens must be/)
    }).pipe(ids)
  )

  it.effect("lets a call that is larger than what may go at once wait only until as much is there", () =>
    Effect.gen(function* () {
      // A minute's 6,000 tokens are 100 a second, of which 600 may go at once.
      const limits = { tokens: { limit: 6_000, window: "1 minute" }, maxWait: "7 seconds" } as const
      const limited = yield* RateLimit.make(limits)
      const tokens = { inputTokens: 1_000 }
      yield* limited(Effect.void, { inputTokens: 600 })
      const large = yield* Effect.forkChild(limited(Effect.void, tokens))
      yield* TestClock.adjust("7 seconds")
      yield* Fiber.join(large)
      const refused = yield* Effect.flip(limited(Effect.void, tokens))
      assert.strictEqual(refused._tag, "RateLimited")
    })
  )

  it.effect("lets a call go that needs nothing of a limit others have overdrawn", () =>
    Effect.gen(function* () {
      const limited = yield* RateLimit.make({
        ...perSecond(1),
        tokens: { limit: 600, window: "1 minute" },
        maxWait: "2 seconds"
      })
      yield* limited(Effect.void, { inputTokens: 1_000 })
      const free = yield* Effect.forkChild(limited(Effect.void))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(free)
    })
  )

  it.effect("lets calls go by a limit of less than one in its window", () =>
    Effect.gen(function* () {
      const limited = yield* RateLimit.make({ requests: { limit: 0.4, window: "1 second" } })
      const two = yield* Effect.forkChild(Effect.all([limited(Effect.void), limited(Effect.void)]))
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(two)
    })
  )

  it("rejects options that make no sense", () => {
    const second = "1 second"
    assert.throws(() => RateLimit.of({ requests: { limit: 0, window: second } }), RangeError, "requests.limit")
    assert.throws(() => RateLimit.of({ tokens: { limit: 1, window: 0 } }), RangeError, "tokens.window")
    assert.throws(() => RateLimit.adaptive({ burst: 0 }), RangeError, "burst")
    assert.throws(() => RateLimit.adaptive({ maxWaiting: -1 }), RangeError, "maxWaiting")
    assert.throws(() => RateLimit.adaptive({ maxWait: "-1 seconds" }), RangeError, "maxWait")
    assert.throws(() => RateLimit.adaptive({ aging: 0 }), RangeError, "aging")
    assert.throws(() => RateLimit.of({ requests: { limit: Infinity, window: second } }), RangeError, "requests.limit")
    assert.throws(() => RateLimit.shared({ storeTimeout: 0 }), RangeError, "storeTimeout")
  })
})

describe("RateLimit.adaptive", () => {
  const headers = (left: number) => {
    const remaining = Math.max(0, left)
    return {
      "x-ratelimit-limit-requests": "20",
      "x-ratelimit-remaining-requests": String(remaining),
      "x-ratelimit-reset-requests": `${(20 - remaining) * 50}ms`
    }
  }

  it.effect("lets no more go at once than it is told, of limits it learns and while it knows none", () =>
    Effect.gen(function* () {
      for (const told of [headers(19), undefined]) {
        const { provider, sent } = noting(() => ({ parts: [finish({}, told)] }))
        const limited = yield* RateLimit.adaptive({ burst: 3 })(provider)
        yield* limited.generateText(yield* request)
        yield* TestClock.adjust("10 seconds")
        yield* herd(limited, 8, "10 seconds")
        const [, ...others] = sent
        assert.strictEqual(others.filter((at) => at === others[0]).length, 3)
      }
    }).pipe(ids)
  )

  it.effect("learns the limit from headers, told early or with the answer", () =>
    Effect.gen(function* () {
      for (const early of [true, false]) {
        const { provider, sent } = noting((n) =>
          early ? { early: headers(20 - n), delay: 30_000 } : { parts: [finish({}, headers(20 - n))] }
        )
        const start = yield* Clock.currentTimeMillis
        const limited = yield* RateLimit.adaptive()(provider)
        yield* herd(limited, 40, "60 seconds")
        const after = sent.map((at) => at - start)
        assert.isAtMost(after.filter((at) => at === 0).length, 20)
        assert.isAtLeast(nth(after, -1), 1_000)
        assert.isAtMost(nth(after, -1), 1_200)
      }
    }).pipe(ids)
  )

  it.effect("sends nothing before Retry-After, then one by one, and lets the rejected call go before newcomers", () =>
    Effect.gen(function* () {
      const order: Array<number> = []
      const { provider, sent } = noting((n) => (n === 1 ? { error: busy(5_000) } : {}))
      const limited = yield* RateLimit.adaptive(perSecond(1))(provider)
      const named = (call: number): ModelProvider.ModelProvider => ({
        ...limited,
        generateText: (options) => Effect.tap(limited.generateText(options), () => Effect.sync(() => order.push(call)))
      })
      const options = yield* request
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (const call of [1, 2, 3]) {
        const provider = yield* Retry.transient({ base: 0 })(named(call))
        fibers.push(yield* Effect.forkChild(provider.generateText(options)))
        yield* TestClock.adjust("1 millis")
      }
      yield* TestClock.adjust("4995 millis")
      assert.strictEqual(sent.length, 1)
      yield* TestClock.adjust("1 minute")
      yield* Effect.forEach(fibers, Fiber.join)
      assert.isAtLeast(nth(sent, 1), 5_000)
      assert.isAtLeast(nth(sent, 2) - nth(sent, 1), 500)
      assert.isAtLeast(nth(sent, 3) - nth(sent, 2), 500)
      assert.deepStrictEqual(order, [1, 2, 3])
    }).pipe(ids)
  )

  it.effect("pauses for a provider that is unwell and says when to come back", () =>
    Effect.gen(function* () {
      const overloaded = failure(
        new AiError.InternalProviderError({
          description: "overloaded",
          metadata: { provider: { retryAfterMillis: 7_000 } }
        })
      )
      const { provider, sent } = noting((n) => (n === 1 ? { error: overloaded } : {}))
      const limited = yield* RateLimit.adaptive()(provider)
      yield* Effect.flip(limited.generateText(yield* request))
      const next = yield* Effect.forkChild(limited.generateText(yield* request))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(next)
      assert.deepStrictEqual(sent, [0, 7_000])
    }).pipe(ids)
  )

  it.effect("limits streams: one that was rejected pauses the key, one whose reader leaves keeps its estimate", () =>
    Effect.gen(function* () {
      const { provider, sent } = noting((n) =>
        n === 1 ? { error: busy(5_000) } : { parts: [finish(), finish()], early: { "request-id": "r" } }
      )
      const limited = yield* RateLimit.adaptive({
        outputTokens: { limit: 100, window: "1 hour" },
        estimate: () => ({ inputTokens: 0, outputTokens: 50 })
      })(provider)
      const stream = limited.streamText(yield* request)
      yield* Effect.flip(Stream.runDrain(stream))
      const heard: Array<ResponseHeaders.Headers> = []
      const reading = yield* stream.pipe(
        Stream.take(1),
        Stream.provideService(ResponseHeaders.Listener, (headers) => void heard.push(headers)),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(reading)
      assert.isAtLeast(nth(sent, 1), 5_000)
      assert.deepStrictEqual(heard, [{ "request-id": "r" }])
      // What was rejected took nothing, so there is room for one more and no other.
      yield* Stream.runDrain(stream)
      const waiting = yield* Effect.forkChild(Stream.runDrain(stream))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(sent.length, 3)
      yield* Fiber.interrupt(waiting)
    }).pipe(ids)
  )

  it.effect("tells its health: who waits, for what, and for how long nothing goes", () =>
    Effect.gen(function* () {
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const { provider } = noting((n) => (n === 2 ? { error: busy(4_000) } : { parts: [finish({}, headers(19))] }))
      const limited = yield* RateLimit.adaptive()(provider).pipe(Effect.provideService(PolicyHealth.Registry, registry))
      yield* limited.generateText(yield* request)
      yield* Effect.flip(limited.generateText(yield* request))
      const waiting = yield* Effect.forkChild(limited.generateText(yield* request))
      yield* TestClock.adjust(0)
      const [health] = yield* Effect.all(registry)
      assert(health?._tag === "RateLimit")
      const { limits, pausedMillis, ...key } = nth(health.keys, 0)
      assert.deepStrictEqual(
        [key, health.score, health.storeAvailable],
        [{ key: "noting/m", waiting: 1, unreadable: [] }, 0, undefined]
      )
      assert.isAtLeast(pausedMillis, 4_000)
      assert.deepStrictEqual(
        limits.map(({ dimension, learned, limit, windowMillis }) => [dimension, limit, windowMillis, learned]),
        [["requests", 20, 1_000, true]]
      )
      yield* Fiber.interrupt(waiting)
    }).pipe(ids)
  )
})

describe("RateLimit.make", () => {
  const Call = Schema.Struct({
    after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })),
    priority: Schema.Literals([-10, 0, 0, 0, 10]),
    leavesAfter: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 900 })))
  })

  it.effect.prop(
    "never exceeds the limit, never lets the less urgent go first, and serves everybody who stays",
    [Schema.Array(Call), Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))],
    ([calls, burst]) =>
      Effect.gen(function* () {
        const limited = yield* RateLimit.make({ ...perSecond(10, burst), aging: "1 hour" })
        interface Gone {
          readonly number: number
          readonly priority: number
          readonly came: number
          readonly at: number
        }
        const gone: Array<Gone> = []
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        const leaving = new Set<number>()
        for (const [number, { after, leavesAfter, priority }] of calls.entries()) {
          yield* TestClock.adjust(after)
          const came = yield* Clock.currentTimeMillis
          const go = Effect.map(Clock.currentTimeMillis, (at) => void gone.push({ number, priority, came, at }))
          const staying = limited(go).pipe(Caller.as({ priority }))
          if (leavesAfter !== undefined) leaving.add(number)
          fibers.push(
            yield* Effect.forkChild(leavesAfter === undefined ? staying : Effect.timeoutOption(staying, leavesAfter))
          )
          yield* TestClock.adjust(0)
        }
        yield* TestClock.adjust("1 hour")
        yield* Effect.forEach(fibers, Fiber.join)
        assert.deepStrictEqual(
          calls.flatMap((_, number) =>
            leaving.has(number) || gone.some((one) => one.number === number) ? [] : [number]
          ),
          []
        )
        for (const [index, first] of gone.entries()) {
          const within = (millis: number) => gone.filter(({ at }) => at >= first.at && at - first.at <= millis).length
          for (const millis of [0, 100, 500, 2_000]) assert.isAtMost(within(millis), burst + millis / 100 + 1e-9)
          // Nobody who went later had come before and was as urgent, or was there and was more urgent.
          const overtaken = gone
            .slice(index + 1)
            .filter(
              ({ came, number, priority }) =>
                came < first.at && (priority > first.priority || (priority === first.priority && number < first.number))
            )
          assert.deepStrictEqual(overtaken, [])
        }
      })
  )

  it.effect("learns from what is told of how an effect ended", () =>
    Effect.gen(function* () {
      const sent: Array<number> = []
      const limited = yield* RateLimit.make({
        name: "search",
        classify: () => ({ blame: "busy", retryAfter: "2 seconds" })
      })
      const call = Effect.flatMap(Clock.currentTimeMillis, (at) =>
        sent.push(at) === 1 ? Effect.fail("rejected") : Effect.void
      )
      yield* Effect.flip(limited(call))
      const next = yield* Effect.forkChild(limited(call))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(next)
      assert.isAtLeast(nth(sent, 1), 2_000)
    })
  )

  it.effect("has back what a call took that was interrupted as it was let go", () =>
    Effect.gen(function* () {
      const limited = yield* RateLimit.make({
        inputTokens: { limit: 10, window: "1 hour" },
        reports: (exit) => ({ inputTokens: Exit.isSuccess(exit) ? Number(exit.value) : undefined })
      })
      const first = yield* Effect.forkChild(limited(Effect.delay(Effect.succeed(0), "1 second"), { inputTokens: 10 }))
      yield* TestClock.adjust(0)
      const seconds: Array<Fiber.Fiber<unknown, unknown>> = []
      // Both are let go at the same instant, and the second is interrupted before it has run.
      const interrupting = Effect.suspend(() => Fiber.interruptAll(seconds)).pipe(Effect.as(5))
      const head = yield* Effect.forkChild(limited(interrupting, { inputTokens: 5 }))
      yield* TestClock.adjust(0)
      let hasRun = false
      const running = Effect.sync(() => {
        hasRun = true
        return 5
      })
      seconds.push(yield* Effect.forkChild(limited(running, { inputTokens: 5 })))
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach([first, head], Fiber.join)
      assert.isFalse(hasRun)
      const third = yield* Effect.forkChild(limited(Effect.succeed(5), { inputTokens: 5 }))
      yield* TestClock.adjust(0)
      assert.isDefined(third.pollUnsafe())
      yield* Fiber.interrupt(third)
    })
  )

  it.effect("leaves nothing alive when its calls are interrupted", () =>
    Effect.gen(function* () {
      const limited = yield* RateLimit.make(perSecond(1))
      const scope = yield* Scope.make()
      for (let n = 0; n < 100; n++) yield* Effect.forkIn(limited(Effect.never), scope)
      yield* TestClock.adjust("5 seconds")
      yield* Scope.close(scope, Exit.void)
      const after = yield* Effect.forkChild(limited(Effect.succeed("free")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(after), "free")
    })
  )
})
