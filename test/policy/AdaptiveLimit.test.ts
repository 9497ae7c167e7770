import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Option, Schema, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { Deadline, PolicyHealth, PolicyReason, type Verdict } from "holdfast/core"
import { AdaptiveLimit } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import * as Gradient from "../../src/policy/adaptive-limit/Gradient.ts"
import { failure, request, scripted, text } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const overloaded = failure(new AiError.InternalProviderError({ description: "overloaded" }))
const tooMany = (retryAfter?: Duration.Duration) => failure(new AiError.RateLimitError({ retryAfter }))

describe("the rule of the limit", () => {
  const Kind = Schema.Literals(["answer", "firstContent"])
  const Step = Schema.Union([
    Schema.TaggedStruct("Refused", {}),
    Schema.TaggedStruct("Window", {
      // Of the limit, in percent: calls that began under a higher limit are still in flight.
      use: int(0, 150),
      latency: Schema.UndefinedOr(Schema.Struct({ kind: Kind, millis: int(0, 2_000) })),
      faults: Schema.Literals([0, 0, 0.05, 0.1, 1]),
      paused: Schema.Boolean
    })
  ])
  const History = Schema.Struct({
    min: int(1, 20),
    span: int(0, 200),
    from: int(0, 200),
    tolerance: Schema.Literals([1, 1.5, 3]),
    steps: Schema.Array(Step)
  })

  /** Goes through a history, and shows each step. */
  const follow = (
    { from, min, span, steps, tolerance }: typeof History.Type,
    visit: (
      before: Gradient.State,
      after: Gradient.State,
      settings: Gradient.Settings,
      window: Gradient.Window | undefined
    ) => void
  ) => {
    const settings = { min, max: min + span, tolerance }
    let state = Gradient.initial(min + Math.min(span, from))
    for (const step of steps) {
      const window = step._tag === "Refused" ? undefined : { ...step, peak: Math.floor((state.limit * step.use) / 100) }
      const after = window === undefined ? Gradient.refused(settings, state) : Gradient.next(settings, state, window)
      visit(state, after, settings, window)
      state = after
    }
  }

  /** The limit, or what it will be again when the baseline has been measured. */
  const lasting = ({ limit, probing }: Gradient.State) => Math.max(limit, probing?.limit ?? 0)

  it.prop("keeps the limit between min and max, whatever happens", [History], ([history]) =>
    follow(history, (_, { limit, probing }, { max, min }) => {
      for (const each of [limit, probing?.limit ?? limit]) assert.isTrue(each >= min && each <= max, String(each))
    })
  )

  it.prop("never grows a limit that was not used up, or while a pause is asked for", [History], ([history]) =>
    follow(history, (before, after, _, window) => {
      if (window === undefined || (window.peak >= Math.floor(before.limit) && !window.paused)) return
      assert.isAtMost(lasting(after), lasting(before))
    })
  )

  it.prop("grows by a tenth at most, or by one", [History], ([history]) =>
    follow(history, (before, after) =>
      assert.isAtMost(lasting(after), lasting(before) + Math.max(1, lasting(before) / 10))
    )
  )

  it.prop("shrinks by a fifth when a call is refused or a tenth of them fail", [History], ([history]) =>
    follow(history, (before, after, { min }, window) => {
      if (window !== undefined && window.faults < 0.1) return
      assert.strictEqual(lasting(after), Math.max(min, before.limit * 0.8))
    })
  )

  it.prop("never shrinks below half at a time", [History], ([history]) =>
    follow(history, (before, after) => assert.isAtLeast(after.limit, before.limit / 2))
  )

  it.prop("keeps the baseline within the latencies seen", [History], ([history]) => {
    const seen: Record<Gradient.Kind, Array<number>> = { answer: [], firstContent: [] }
    follow(history, (_, { baselines }, _settings, window) => {
      if (window?.latency !== undefined) seen[window.latency.kind].push(window.latency.millis)
      for (const kind of ["answer", "firstContent"] as const) {
        const baseline = baselines[kind]
        if (baseline === undefined) continue
        assert.isAtLeast(baseline, Math.min(...seen[kind]) - 1e-9)
        assert.isAtMost(baseline, Math.max(...seen[kind]))
      }
    })
  })

  it.prop("reaches max when calls are as fast as ever, however short they are", [int(0, 2_000)], ([millis]) => {
    const settings = { min: 1, max: 200, tolerance: 1.5 }
    let state = Gradient.initial(20)
    for (let n = 0; n < 40; n++) {
      const window = {
        peak: Math.floor(state.limit),
        latency: { kind: "answer", millis },
        faults: 0,
        paused: false
      } as const
      state = Gradient.next(settings, state, window)
    }
    assert.strictEqual(lasting(state), 200)
  })
})

/** A server that takes so many calls at a time, each for about 400 ms. More wait for their turn, or are refused. */
const server = (whenFull: "queues" | AiError.AiError) => {
  const seen = { capacity: 0, answered: 0, refused: 0, inside: 0, calls: 0 }
  let freeAt: Array<number> = []
  const answer: Effect.Effect<Array<never>, AiError.AiError> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    seen.calls++
    if (whenFull !== "queues" && seen.inside >= seen.capacity) {
      seen.refused++
      return Effect.delay(Effect.fail(whenFull), 100)
    }
    seen.inside++
    const slot = freeAt.indexOf(Math.min(...freeAt))
    const endsAt = Math.max(now, freeAt[slot] ?? now) + 300 + ((seen.calls * 37) % 201)
    if (whenFull === "queues") freeAt[slot] = endsAt
    return Effect.delay(
      Effect.sync(() => {
        seen.answered++
        seen.inside--
        return []
      }),
      endsAt - now
    )
  })
  const provider: ModelProvider.ModelProvider = {
    name: "server",
    model: "m",
    generateText: () => answer,
    streamText: () => Stream.empty
  }
  return {
    provider,
    seen,
    resize: (capacity: number) => {
      seen.capacity = capacity
      freeAt = Array.from({ length: capacity }, (_, slot) => freeAt[slot] ?? 0)
    }
  }
}

/** Puts the policy around a provider, with the health it reports. */
const learning = (provider: ModelProvider.ModelProvider, options: AdaptiveLimit.Options = {}) =>
  Effect.gen(function* () {
    const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
    const limited = yield* AdaptiveLimit.learned(options)(provider).pipe(
      Effect.provideService(PolicyHealth.Registry, registry)
    )
    const health = Effect.map(Effect.all(registry), ([only]) =>
      only?._tag === "AdaptiveLimit" ? only : assert.fail("no health of an adaptive limit")
    )
    return { limited, health }
  })

describe("AdaptiveLimit", () => {
  // Half as many again as it takes make calls wait half as long again: that is the tolerance.
  it.effect.each([
    { name: "queues", whenFull: "queues", lowest: 1, highest: 1.8 },
    { name: "refuses with 429", whenFull: tooMany(), lowest: 0.8, highest: 1.05 },
    { name: "refuses with 503", whenFull: overloaded, lowest: 0.8, highest: 1.25 }
  ] as const)("finds out what a server takes that $name, and follows it", ({ highest, lowest, whenFull }) =>
    Effect.gen(function* () {
      const { provider, resize, seen } = server(whenFull)
      const { health, limited } = yield* learning(provider)
      const options = yield* request
      const caller = Effect.forever(Effect.ignore(limited.generateText(options)))
      yield* Effect.forEach(Array.from({ length: 80 }), () => Effect.forkScoped(caller))
      const phases = [
        { capacity: 10, seconds: 20 },
        { capacity: 40, seconds: 30 },
        // Where calls queue, what 40 took must first be worked off by 5.
        { capacity: 5, seconds: 60 }
      ]
      for (const { capacity, seconds } of phases) {
        resize(capacity)
        yield* TestClock.adjust(Duration.seconds(seconds))
        const { answered } = seen
        const limits: Array<number> = []
        for (let second = 0; second < 10; second++) {
          yield* TestClock.adjust("1 second")
          limits.push((yield* health).limit)
        }
        const median = limits.toSorted((a, b) => a - b)[5] ?? 0
        assert.isAtLeast(median, lowest * capacity)
        assert.isAtMost(median, highest * capacity)
        const possible = (10_000 / 400) * capacity
        assert.isAtLeast(seen.answered - answered, 0.75 * possible)
      }
    }).pipe(ids)
  )

  it.effect("has no more in flight than its limit, answers and streams together, and says so", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 1_000 }])
      const { health, limited } = yield* learning(provider, { initial: 4, maxWaiting: 10 })
      const options = yield* request
      for (let n = 0; n < 9; n++) {
        yield* Effect.forkChild(
          n % 2 === 0 ? limited.generateText(options) : Stream.runDrain(limited.streamText(options))
        )
      }
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* health, { _tag: "AdaptiveLimit", limit: 4, inFlight: 4, waiting: 5, score: 50 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(seen, { calls: 9, open: 0, mostOpen: 4 })
      assert.deepStrictEqual(yield* health, { _tag: "AdaptiveLimit", limit: 4, inFlight: 0, waiting: 0, score: 100 })
    }).pipe(ids)
  )

  it.effect("keeps nothing of calls and streams that are interrupted, in flight or in the line", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ delay: 1_000, closing: 50 }])
      const { health, limited } = yield* learning(provider, { initial: 2 })
      const options = yield* request
      const calls = [limited.generateText(options), Stream.runDrain(limited.streamText(options))]
      const running = yield* Effect.forEach([...calls, ...calls], (call) => Effect.forkChild(call))
      yield* TestClock.adjust("1500 millis")
      const { inFlight, waiting } = yield* health
      assert.deepStrictEqual([inFlight, waiting], [2, 1])
      const interruption = yield* Effect.forkChild(Fiber.interruptAll(running))
      yield* TestClock.adjust("49 millis")
      assert.isUndefined(interruption.pollUnsafe(), "what they hold takes 50 ms to close")
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interruption)
      assert.strictEqual(seen.open, 0)
      assert.deepInclude(yield* health, { limit: 2, inFlight: 0, waiting: 0 })
    }).pipe(ids)
  )

  it.effect("lets a stream hold its place until its end, or until its reader leaves", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 100 }])
      const { health, limited } = yield* learning(provider)
      const options = yield* request
      const whole = yield* Effect.forkChild(Stream.runDrain(limited.streamText(options)))
      const left = yield* Effect.forkChild(limited.streamText(options).pipe(Stream.take(3), Stream.runDrain))
      yield* TestClock.adjust("299 millis")
      assert.strictEqual((yield* health).inFlight, 2)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(left)
      assert.strictEqual((yield* health).inFlight, 1)
      yield* TestClock.adjust("199 millis")
      assert.strictEqual((yield* health).inFlight, 1)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(whole)
      assert.strictEqual((yield* health).inFlight, 0)
    }).pipe(ids)
  )

  /** Streams from callers that never rest: so long until the first content, and then to the end. */
  const streaming = (initial: number) =>
    Effect.gen(function* () {
      const pace = { first: 100, rest: 100 }
      const { provider } = scripted([])
      const [metadata, start, delta, end, finish] = text("ok")
      const { health, limited } = yield* learning(
        {
          ...provider,
          streamText: () =>
            Stream.make(metadata, start, delta, end, finish).pipe(
              Stream.filter((part) => part !== undefined),
              Stream.tap((part) => Effect.sleep(part === delta ? pace.first : part === finish ? pace.rest : 0))
            )
        },
        { initial }
      )
      const caller = Effect.forever(Stream.runDrain(limited.streamText(yield* request)))
      yield* Effect.forEach(Array.from({ length: 40 }), () => Effect.forkScoped(caller))
      return { pace, limit: Effect.map(health, ({ limit }) => limit) }
    })

  it.effect("measures streams by when their first content came, however long they go on", () =>
    Effect.gen(function* () {
      const { limit, pace } = yield* streaming(10)
      yield* TestClock.adjust("5 seconds")
      const before = yield* limit
      pace.rest = 1_000
      yield* TestClock.adjust("10 seconds")
      assert.isAbove(yield* limit, before)
    }).pipe(ids)
  )

  it.effect("shrinks when the first content of streams is late", () =>
    Effect.gen(function* () {
      const { limit, pace } = yield* streaming(10)
      yield* TestClock.adjust("5 seconds")
      const before = yield* limit
      pace.first = 1_000
      yield* TestClock.adjust("10 seconds")
      assert.isBelow(yield* limit, before / 2)
    }).pipe(ids)
  )

  it.effect("shrinks once for all calls that were in flight when they were refused", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 100, error: tooMany() }])
      const { health, limited } = yield* learning(provider, { initial: 10 })
      const options = yield* request
      const ten = Effect.all(
        Array.from({ length: 10 }, () => Effect.flip(limited.generateText(options))),
        {
          concurrency: "unbounded"
        }
      )
      const fiber = yield* Effect.forkChild(ten)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* health).limit, 8)
    }).pipe(ids)
  )

  it.effect("does not grow before Retry-After has passed", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 1, error: tooMany(Duration.seconds(30)) }, { delay: 100 }])
      const { health, limited } = yield* learning(provider, { initial: 10 })
      const caller = Effect.forever(Effect.ignore(limited.generateText(yield* request)))
      yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.forkScoped(caller))
      yield* TestClock.adjust("10 millis")
      assert.strictEqual((yield* health).limit, 8)
      for (let second = 0; second < 30; second++) {
        yield* TestClock.adjust("1 second")
        assert.isAtMost((yield* health).limit, 8)
      }
      yield* TestClock.adjust("10 seconds")
      assert.isAbove((yield* health).limit, 8)
    }).pipe(ids)
  )

  const badRequest = failure(new AiError.InvalidRequestError({ description: "no such model" }))
  const quota = failure(new AiError.QuotaExhaustedError({}))

  it.effect.each([
    { name: "bad requests", error: badRequest, shrinks: false },
    { name: "quotas", error: quota, shrinks: false },
    { name: "overload", error: overloaded, shrinks: true }
  ])("shrinks for what the server is to blame for: $name, $shrinks", ({ error, shrinks }) =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 500, error }])
      const { health, limited } = yield* learning(provider, { initial: 10 })
      const caller = Effect.forever(Effect.ignore(limited.generateText(yield* request)))
      yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.forkScoped(caller))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* health).limit, shrinks ? 8 : 10)
    }).pipe(ids)
  )

  it.effect("shrinks when calls in flight run into their deadlines, not when they are merely given up", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 60_000 }])
      const { health, limited } = yield* learning(provider, { initial: 10 })
      const options = yield* request
      const giveUp = (deadline: number | undefined) =>
        Effect.gen(function* () {
          for (let n = 0; n < 10; n++) {
            yield* Effect.forkScoped(
              Effect.timeoutOption(
                Effect.provideService(limited.generateText(options), Deadline.Current, deadline),
                "1 second"
              )
            )
          }
          yield* TestClock.adjust("1 second")
        })
      for (let round = 0; round < 3; round++) yield* giveUp(undefined)
      assert.strictEqual((yield* health).limit, 10)
      for (let round = 0; round < 3; round++) yield* giveUp((yield* Clock.currentTimeMillis) + 1_000)
      assert.isBelow((yield* health).limit, 10)
    }).pipe(ids)
  )

  it.effect("is not confused by calls shorter than a clock can tell", () =>
    Effect.gen(function* () {
      const limited = yield* AdaptiveLimit.make({ classify: () => ({ blame: "none" }), initial: 4 })
      let inside = 0
      let most = 0
      const query = limited(
        Effect.acquireUseRelease(
          Effect.sync(() => {
            most = Math.max(most, ++inside)
          }),
          () => Effect.yieldNow,
          () => Effect.sync(() => inside--)
        )
      )
      for (let second = 0; second < 30; second++) {
        most = 0
        const burst = Effect.all(
          Array.from({ length: 50 }, () => query),
          { concurrency: "unbounded" }
        )
        yield* burst
        yield* TestClock.adjust("1 second")
      }
      assert.isAbove(most, 4)
    })
  )

  it.effect("refuses calls when too many wait, and when there is too little time", () =>
    Effect.gen(function* () {
      const { provider } = scripted([{ delay: 1_000 }])
      const { limited } = yield* learning(provider, { initial: 1, maxWaiting: 0 })
      const options = yield* request
      yield* Effect.forkScoped(limited.generateText(options))
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(
        PolicyReason.of(yield* Effect.flip(limited.generateText(options))),
        Option.some({ _tag: "QueueFull", limit: 1, maxWaiting: 0 } as const)
      )
      yield* TestClock.adjust("1 second")
      const late = Effect.provideService(limited.generateText(options), Deadline.Current, 1_000)
      assert.deepStrictEqual(
        PolicyReason.of(yield* Effect.flip(late)),
        Option.some({ _tag: "DeadlineTooNear", remainingMillis: 0, neededMillis: 0 } as const)
      )
    }).pipe(ids)
  )

  it.effect("limits any effects, by what their errors are said to mean", () =>
    Effect.gen(function* () {
      const limited = yield* AdaptiveLimit.make({
        classify: (error: 400 | 503) => ({ blame: error === 503 ? "busy" : "none" }),
        initial: 2,
        maxWaiting: 0
      })
      const free = Effect.gen(function* () {
        const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(limited(Effect.sleep("1 second"))))
        yield* TestClock.adjust("1 second")
        const exits = yield* Effect.forEach(fibers, Fiber.await)
        return exits.filter((exit) => exit._tag === "Success").length
      })
      assert.strictEqual(yield* Effect.flip(limited(Effect.fail(400 as const))), 400)
      assert.strictEqual(yield* free, 2)
      assert.strictEqual(yield* Effect.flip(limited(Effect.fail(503 as const))), 503)
      assert.strictEqual(yield* free, 1)
    })
  )

  it.effect("does not grow before the time an error asked to wait for", () =>
    Effect.gen(function* () {
      const widthAfter = Effect.fnUntraced(function* (retryAfter: Duration.Input | undefined) {
        const classify = (blame: "busy"): Verdict.Classification => ({ blame, retryAfter })
        const limited = yield* AdaptiveLimit.make({ classify, initial: 10 })
        yield* Effect.flip(limited(Effect.fail("busy" as const)))
        let [inside, most] = [0, 0]
        const query = Effect.acquireUseRelease(
          Effect.sync(() => (most = Math.max(most, ++inside))),
          () => Effect.sleep("100 millis"),
          () => Effect.sync(() => inside--)
        )
        const burst = Effect.all(
          Array.from({ length: 60 }, () => limited(query)),
          { concurrency: "unbounded" }
        )
        const all = yield* Effect.forkChild(burst.pipe(Effect.repeat({ times: 5 })))
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.join(all)
        return most
      })
      assert.isAbove(yield* widthAfter(undefined), 8)
      assert.strictEqual(yield* widthAfter("1 hour"), 8)
    })
  )

  it.each([
    ["initial", { initial: 0 }],
    ["initial", { initial: 2.5 }],
    ["initial", { initial: 300 }],
    ["initial", { initial: 3, min: 4 }],
    ["min", { min: 0 }],
    ["max", { min: 5, max: 4 }],
    ["max", { max: Infinity }],
    ["tolerance", { tolerance: 0.9 }],
    ["tolerance", { tolerance: NaN }],
    ["window", { window: 0 }],
    ["window", { window: "Infinity" }],
    ["maxWaiting", { maxWaiting: -1 }],
    ["keyConcurrency", { keyConcurrency: 0 }],
    ["aging", { aging: 0 }],
    ["aging", { aging: "Infinity" }],
    ["maxWait", { maxWait: 0 }]
  ] as const)("rejects an option %s that makes no sense: %j", (name, options) => {
    assert.throws(() => AdaptiveLimit.learned(options), RangeError, `AdaptiveLimit option ${name} `)
    assert.throws(
      () => AdaptiveLimit.make({ classify: () => ({ blame: "none" }), ...options }),
      RangeError,
      `AdaptiveLimit option ${name} `
    )
  })

  it.effect.each([
    { options: {}, limit: 20 },
    { options: { min: 30 }, limit: 30 },
    { options: { max: 7 }, limit: 7 },
    { options: { min: 300 }, limit: 300 },
    { options: { initial: 3 }, limit: 3 }
  ])("begins with $limit given $options", ({ limit, options }) =>
    Effect.gen(function* () {
      const { health } = yield* learning(scripted([]).provider, options)
      assert.strictEqual((yield* health).limit, limit)
    })
  )
})
