import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { AttemptAllowance, PolicyHealth } from "holdfast/core"
import { Retry, RetryBudget } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { failure, request, scripted } from "./scripted.ts"

const overloaded = failure(new AiError.InternalProviderError({ description: "overloaded" }))
const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const stack = (next: ModelProvider.ModelProvider, ...policies: ReadonlyArray<ModelProvider.Policy>) =>
  Effect.gen(function* () {
    let provider = next
    for (const policy of policies.toReversed()) provider = yield* policy(provider)
    return provider
  })

/** Lets calls fail one after the other, `forms` by turns, with all the time they want. */
const fail = (provider: ModelProvider.ModelProvider, calls: number) =>
  Effect.gen(function* () {
    const options = yield* request
    for (let call = 0; call < calls; call++) {
      const failing = call % 2 === 0 ? provider.generateText(options) : Stream.runDrain(provider.streamText(options))
      const fiber = yield* Effect.forkChild(Effect.flip(failing))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(yield* Fiber.join(fiber), overloaded)
    }
  })

const quick: Retry.Options = { times: 3, base: 1 }

describe("RetryBudget", () => {
  it.effect("adds up what nested retries allow, and never multiplies it", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ error: overloaded }])
      yield* fail(yield* stack(provider, Retry.transient(quick), Retry.transient(quick)), 1)
      assert.strictEqual(seen.calls, 7)
      yield* fail(yield* stack(provider, Retry.transient(quick), Retry.transient(quick)), 2)
      assert.strictEqual(seen.calls, 21)
    }).pipe(ids)
  )

  it.effect("bounds the attempts of one call by maxAttempts, whatever is inside", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ error: overloaded }])
      const bounded = RetryBudget.of({ maxAttempts: 3, minPerSecond: 1_000 })
      yield* fail(yield* stack(provider, bounded, Retry.transient(quick), Retry.transient(quick)), 2)
      assert.strictEqual(seen.calls, 6)
    }).pipe(ids)
  )

  it.effect("lets an outage cost hardly more requests than there are calls", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ error: overloaded }])
      const budget = RetryBudget.of({ ratio: 0.1, minPerSecond: 1, window: "10 seconds" })
      const bounded = yield* stack(provider, budget, Retry.transient(quick))
      yield* fail(bounded, 100)
      assert.strictEqual(seen.calls, 100 + 10)
    }).pipe(ids)
  )

  it.effect("gives what has left the window back", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{ error: overloaded }])
      const budget = RetryBudget.of({ ratio: 0, minPerSecond: 0.3, window: "10 seconds" })
      const bounded = yield* stack(provider, budget, Retry.transient(quick))
      yield* fail(bounded, 3)
      assert.strictEqual(seen.calls, 3 + 3)
      yield* TestClock.adjust("10 seconds")
      yield* fail(bounded, 1)
      assert.strictEqual(seen.calls, 6 + 4)
    }).pipe(ids)
  )

  it.effect("keeps the share of each provider by itself", () =>
    Effect.gen(function* () {
      const one = scripted([{ error: overloaded }])
      const two = scripted([{ error: overloaded }])
      const budget = RetryBudget.of({ ratio: 0, minPerSecond: 0.3, window: "10 seconds" })
      const both = (next: ModelProvider.ModelProvider) =>
        Effect.map(
          Effect.all([
            Retry.transient(quick)({ ...one.provider, model: "one" }),
            Retry.transient(quick)({ ...two.provider, model: "two" })
          ]),
          ([first, second]): ModelProvider.ModelProvider => ({
            ...next,
            generateText: (options) => Effect.catch(first.generateText(options), () => second.generateText(options)),
            streamText: (options) => Stream.catch(first.streamText(options), () => second.streamText(options))
          })
        )
      yield* fail(yield* stack(one.provider, budget, both), 1)
      assert.deepStrictEqual([one.seen.calls, two.seen.calls], [4, 4])
    }).pipe(ids)
  )

  it.effect("keeps counts of a thousand providers that were called lately, and further ones share theirs", () =>
    Effect.gen(function* () {
      const called = [
        ["first", ...Array.from({ length: 999 }, (_, n) => `${n}`)],
        ["first", "last", "after that"]
      ]
      const registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
      const next: ModelProvider.ModelProvider = {
        name: "many",
        model: "m",
        generateText: () => Effect.as(Effect.forEach(called.shift() ?? [], AttemptAllowance.count), []),
        streamText: () => Stream.empty
      }
      const budget = RetryBudget.of()
      const bounded = yield* stack(next, budget).pipe(Effect.provideService(PolicyHealth.Registry, registry))
      yield* bounded.generateText(yield* request)
      yield* bounded.generateText(yield* request)
      const [health] = yield* Effect.all(registry)
      assert(health?._tag === "RetryBudget")
      assert.strictEqual(health.keys.length, 1_001)
      assert.deepStrictEqual(health.keys.slice(-2), [
        { key: "first", calls: 2, extra: 0 },
        { key: "#", calls: 2, extra: 0 }
      ])
    }).pipe(ids)
  )

  it("rejects options that make no sense", () => {
    assert.throws(() => RetryBudget.of({ ratio: -1 }), RangeError, "ratio")
    assert.throws(() => RetryBudget.of({ minPerSecond: NaN }), RangeError, "minPerSecond")
    assert.throws(() => RetryBudget.of({ window: 0 }), RangeError, "window")
    assert.throws(() => RetryBudget.of({ maxAttempts: 0 }), RangeError, "maxAttempts")
  })
})
