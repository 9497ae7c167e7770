import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Stream } from "effect"
import { type AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { Caller, CallTrail, PolicyReason } from "holdfast/core"
import { SpendBudget } from "holdfast/policy"
import { FaultyModel } from "holdfast/testing"
import { request } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const prices = { "faulty/faulty-1": { input: 1, output: 10 } }

const budgeted = (options: SpendBudget.Options, ...script: ReadonlyArray<FaultyModel.Behaviour>) =>
  Effect.gen(function* () {
    const { provider, seen } = yield* FaultyModel.make({ script: script.length === 0 ? [{}] : script })
    const budget = yield* SpendBudget.make({ prices, ...options })
    return { limited: yield* budget.policy(provider), seen, spent: budget.spent, options: yield* request }
  })

const one = { input: 1, output: 1 }

const reasonOf = (error: AiError.AiError) => Option.getOrThrow(PolicyReason.of(error))

describe("SpendBudget", () => {
  it.effect("books what each call used, and turns the next one away when it is spent", () =>
    Effect.gen(function* () {
      const { limited, options, seen, spent } = yield* budgeted({ tokens: 30 })
      yield* limited.generateText(options)
      yield* Stream.runDrain(limited.streamText(options))
      assert.deepStrictEqual(yield* spent(), { tokens: 30, money: (20 * 1 + 10 * 10) / 1e6, estimatedTokens: 0 })
      yield* TestClock.adjust("1 hour")
      for (const call of [limited.generateText(options), Stream.runDrain(limited.streamText(options))]) {
        assert.deepStrictEqual(reasonOf(yield* Effect.flip(Effect.asVoid(call))), {
          _tag: "SpendExhausted",
          key: "",
          unit: "tokens",
          limit: 30,
          spent: 30,
          retryAfterMillis: 23 * 3_600_000
        })
      }
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect.each(["constructor", "toString", "__proto__", "hasOwnProperty"])(
    "needs a price of a model that has the name of what every object has: %s",
    (model) =>
      Effect.gen(function* () {
        const { provider } = yield* FaultyModel.make({ script: [{}] })
        const limited = (named: SpendBudget.Options["prices"]) =>
          Effect.flatMap(SpendBudget.make({ money: 1, prices: named }), (budget) =>
            Effect.map(budget.policy({ ...provider, model }), (policed) => ({ policed, budget }))
          )
        const missing = yield* Effect.sandbox(limited(prices)).pipe(Effect.flip, Effect.map(String))
        assert.include(missing, `given for faulty/${model}`)
        const { budget, policed } = yield* limited(Object.fromEntries([[model, { input: 1, output: 10 }]]))
        yield* policed.generateText(yield* request)
        assert.strictEqual((yield* budget.spent()).money, 60 / 1e6)
      }).pipe(ids)
  )

  it.effect("counts money by the price of what was sent, cached and received", () =>
    Effect.gen(function* () {
      const { limited, options, spent } = yield* budgeted({ money: 100 / 1e6 })
      yield* limited.generateText(options)
      assert.strictEqual((yield* spent()).money, 60 / 1e6)
      yield* limited.generateText(options)
      assert.include(reasonOf(yield* Effect.flip(limited.generateText(options))), { unit: "money", spent: 120 / 1e6 })
    }).pipe(ids)
  )

  it.effect("begins anew with each window", () =>
    Effect.gen(function* () {
      const { limited, options, seen, spent } = yield* budgeted({ tokens: 15, window: "1 hour" })
      yield* TestClock.adjust("50 minutes")
      yield* limited.generateText(options)
      yield* Effect.flip(limited.generateText(options))
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* spent()).tokens, 0)
      yield* limited.generateText(options)
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("keeps the budgets of tenants apart, unless they share one", () =>
    Effect.gen(function* () {
      for (const [perTenant, calls] of [
        [true, 2],
        [false, 1]
      ] as const) {
        const { limited, options, seen } = yield* budgeted({ tokens: 15, perTenant })
        for (const tenant of ["acme", "zenith", "acme"]) {
          yield* Effect.ignore(limited.generateText(options)).pipe(Caller.as({ tenant }))
        }
        assert.strictEqual(seen.calls, calls)
      }
    }).pipe(ids)
  )

  it.effect("counts calls in flight by what they are expected to spend", () =>
    Effect.gen(function* () {
      const { limited, options, seen } = yield* budgeted({ tokens: 1_000 }, { latency: { headers: "1 second" } })
      const calls = yield* Effect.forEach(Array.from({ length: 10 }), () =>
        Effect.forkChild(Effect.ignore(limited.generateText(options)))
      )
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.joinAll(calls)
      // Each is expected to take 2 + 500 tokens, and took 15: the second passed the limit, and all is free again.
      assert.strictEqual(seen.calls, 2)
      yield* Effect.forkChild(limited.generateText(options))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(seen.calls, 3)
    }).pipe(ids)
  )

  it.effect("books a cancelled call by its prompt while nothing had arrived, and says so", () =>
    Effect.gen(function* () {
      const { limited, options, spent } = yield* budgeted({ tokens: 10_000 }, { latency: { headers: "1 hour" } })
      const recorder = new CallTrail.Recorder()
      const fiber = yield* limited
        .generateText(options)
        .pipe(Effect.provideService(CallTrail.Current, recorder), Effect.forkChild)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      const { estimatedTokens, tokens } = yield* spent()
      assert.deepStrictEqual([tokens, estimatedTokens], [2, 2])
      assert.deepInclude(recorder.trail.decisions[0]?.decision, { _tag: "SpendRecorded", tokens: 2, estimated: true })
    }).pipe(ids)
  )

  it.effect("books a stream that broke off, or whose reader left, by what had arrived", () =>
    Effect.gen(function* () {
      const content = [{ text: "x".repeat(400), chunks: 4 }]
      const broken = yield* budgeted({ tokens: 10_000 }, { content, fault: { is: "cut", at: { after: 2 } } })
      yield* Effect.flip(Stream.runDrain(broken.limited.streamText(broken.options)))
      assert.strictEqual((yield* broken.spent()).estimatedTokens, 2 + 50)
      const left = yield* budgeted({ tokens: 10_000 }, { content, latency: { gap: 1 } })
      const reading = left.limited.streamText(left.options).pipe(
        Stream.takeUntil((part) => part.type === "text-delta"),
        Stream.runDrain
      )
      yield* reading
      assert.strictEqual((yield* left.spent()).estimatedTokens, 2 + 25)
    }).pipe(ids)
  )

  it.effect("has booked a stream when its last part arrives, which brings the trail", () =>
    Effect.gen(function* () {
      const { limited, options } = yield* budgeted({ tokens: 10_000 })
      const recorder = new CallTrail.Recorder()
      const booked: Array<unknown> = []
      yield* limited.streamText(options).pipe(
        Stream.runForEach(({ type }) =>
          Effect.sync(() => {
            if (type === "finish") booked.push(...recorder.trail.decisions)
          })
        ),
        Effect.provideService(CallTrail.Current, recorder)
      )
      const decision = { _tag: "SpendRecorded", tokens: 15, money: 60 / 1e6, estimated: false }
      assert.deepStrictEqual(booked, [{ atMillis: 0, decision }])
      assert.strictEqual(recorder.trail.decisions.length, 1)
    }).pipe(ids)
  )

  it.effect("books an answer whose provider does not count by its length", () =>
    Effect.gen(function* () {
      const uncounted = [{ content: [{ text: "x".repeat(400) }], usage: { inputTokens: 0, outputTokens: 0 } }]
      const { limited, options, spent } = yield* budgeted({ tokens: 10_000 }, ...uncounted)
      yield* limited.generateText(options)
      yield* Stream.runDrain(limited.streamText(options))
      assert.strictEqual((yield* spent()).estimatedTokens, 2 * (2 + 100))
    }).pipe(ids)
  )

  it.effect.each([
    { inputTokens: 1e15, outputTokens: 5 },
    { inputTokens: Infinity, outputTokens: 5 },
    { inputTokens: NaN, outputTokens: NaN },
    { inputTokens: 10, outputTokens: -1e9 },
    { inputTokens: 10, outputTokens: 5, cachedInputTokens: -1e9 },
    { inputTokens: 10, outputTokens: 5, cachedInputTokens: NaN }
  ])("neither closes nor opens for what no answer can have used: %j", (used) =>
    Effect.gen(function* () {
      const { cachedInputTokens: cacheRead, inputTokens, outputTokens } = used
      const { limited, options, spent } = yield* budgeted({ tokens: 1_000, money: 1 })
      const { provider } = yield* FaultyModel.make({ script: [{}] })
      const lying = { inputTokens: { total: inputTokens, cacheRead }, outputTokens: { total: outputTokens } }
      const budget = yield* SpendBudget.make({ prices, tokens: 1_000, money: 1 })
      const model = yield* budget.policy({
        ...provider,
        generateText: (request) =>
          Effect.map(provider.generateText(request), (parts) =>
            parts.map((part) => (part.type === "finish" ? { ...part, usage: lying } : part))
          )
      })
      yield* limited.generateText(options)
      yield* model.generateText(options)
      const [honest, booked] = [yield* spent(), yield* budget.spent()]
      assert.isTrue(booked.tokens > 0 && booked.tokens <= honest.tokens, `${booked.tokens} tokens`)
      assert.isTrue(booked.money > 0 && booked.money <= 10 * honest.money, `${booked.money} of money`)
    }).pipe(ids)
  )

  it.effect("books nothing for what was refused", () =>
    Effect.gen(function* () {
      const { limited, options, spent } = yield* budgeted(
        { tokens: 10_000 },
        { fault: { is: "refuse", because: "overloaded" } }
      )
      yield* Effect.flip(limited.generateText(options))
      yield* Effect.flip(Stream.runDrain(limited.streamText(options)))
      assert.strictEqual((yield* spent()).tokens, 0)
    }).pipe(ids)
  )

  it.effect("books the prompt alone of failed calls that brought nothing, so that they do not lock a tenant out", () =>
    Effect.gen(function* () {
      const lost: FaultyModel.Behaviour = { fault: { is: "cut", at: "headers" } }
      const page: FaultyModel.Behaviour = { fault: { is: "malformed", at: "content" } }
      const { limited, options, seen, spent } = yield* budgeted({ tokens: 1_000 }, lost, page, {})
      for (const _ of [1, 2]) yield* Effect.flip(limited.generateText(options)).pipe(Caller.as({ tenant: "acme" }))
      assert.deepStrictEqual(yield* spent("acme"), { tokens: 2 * 2, money: (2 * 2) / 1e6, estimatedTokens: 2 * 2 })
      yield* limited.generateText(options).pipe(Caller.as({ tenant: "acme" }))
      assert.strictEqual(seen.calls, 3)
    }).pipe(ids)
  )

  it.effect("expects no longer answer than the provider's settings ask for", () =>
    Effect.gen(function* () {
      const { provider, seen } = yield* FaultyModel.make({ script: [{ latency: { headers: "1 hour" } }] })
      const budget = yield* SpendBudget.make({ tokens: 1_000 })
      const settings = Effect.succeed({ maxOutputTokens: 98 })
      const limited = yield* budget.policy({ ...provider, settings })
      const options = yield* request
      const calls = yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Effect.forkChild(Effect.ignore(limited.generateText(options)))
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(seen.calls, 10) // 2 + 98 tokens each
      yield* Fiber.interruptAll(calls)
      assert.strictEqual((yield* budget.spent()).tokens, 10 * 2)
    }).pipe(ids)
  )

  it.effect("is one budget for all models it is given to", () =>
    Effect.gen(function* () {
      const budget = yield* SpendBudget.make({ tokens: 30 })
      const one = yield* Effect.flatMap(FaultyModel.make(), ({ provider }) => budget.policy(provider))
      const two = yield* Effect.flatMap(FaultyModel.make(), ({ provider }) => budget.policy(provider))
      const options = yield* request
      yield* one.generateText(options)
      yield* two.generateText(options)
      assert.strictEqual(reasonOf(yield* Effect.flip(one.generateText(options)))._tag, "SpendExhausted")
    }).pipe(ids)
  )

  it.effect("dies where a price is missing that a limit of money needs", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make()
      const died = yield* Effect.sandbox(SpendBudget.of({ money: 1, prices: {} })(provider)).pipe(Effect.flip)
      assert.include(String(died), "faulty/faulty-1")
    })
  )

  it("rejects options that make no sense", () => {
    assert.throws(() => SpendBudget.of({}), RangeError, "limit")
    assert.throws(() => SpendBudget.of({ tokens: -1 }), RangeError, "tokens")
    assert.throws(() => SpendBudget.of({ tokens: 1, window: 0 }), RangeError, "window")
    for (const price of [
      { input: -1, output: 1 },
      { input: 1, output: Number.NaN },
      { ...one, cachedInput: Infinity }
    ]) {
      assert.throws(() => SpendBudget.of({ money: 1, prices: { m: price } }), RangeError, "prices")
    }
  })
})
