/** For how long a provider may make a call wait while another is there to be asked. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Option, Random } from "effect"
import { type AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { Caller, CallContext, CallTrail, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Bulkhead, Fallback, RateLimit, Retry, RetryBudget, Timeout } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { aboutSeconds, ask, made, refusing, timed, ways } from "./timed.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

// Back-offs as long as they can be.
const slowest = Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 1 - 2 ** -53 })

const says = (text: string) => ({ content: [{ text, chunks: 2 }] })

const stack = (provider: ModelProvider.ModelProvider, ...policies: ReadonlyArray<ModelProvider.Policy>) =>
  Model.compose({ provider, policies })

/** One call at once, and what is left for the next minute. */
const once = { requests: { limit: 1, window: "1 minute" }, burst: 1 } as const

describe("The patience of a line", () => {
  it.effect.each(ways)("asks an idle spare instead of waiting for a long Retry-After (%s)", (way) =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("rate limited", "20 seconds"))
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(first.provider, Fallback.to(spare.provider), Retry.transient())
      const recorder = new CallTrail.Recorder()
      const { exit, took } = yield* timed(CallContext.fresh(recorder)(ask(model, way)))
      assert.deepStrictEqual([exit, took], [Exit.succeed("spare"), 0])
      const decisions = recorder.trail.decisions.map(({ decision }) => decision)
      assert.deepInclude(decisions, { _tag: "RetryRefused", why: "patience" })
    }).pipe(ids)
  )

  it.effect("tries again for as long as it lasts, and then asks the next", () =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("overloaded"))
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(
        first.provider,
        Fallback.to(spare.provider, { patience: "700 millis" }),
        Retry.transient({ times: 10 })
      )
      const { exit, took } = yield* timed(ask(model))
      // 200 and 400 milliseconds; 800 more would be too long.
      assert.deepStrictEqual([exit, first.seen.calls, took], [Exit.succeed("spare"), 3, 600])
    }).pipe(slowest, ids)
  )

  it.effect("counts from when the provider was asked, so one that was slow to fail is not tried again", () =>
    Effect.gen(function* () {
      const first = yield* made("first", { fault: { is: "stall", at: "headers" } })
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(
        first.provider,
        Fallback.to(spare.provider),
        Retry.transient(),
        Timeout.perAttempt("5 seconds")
      )
      const { exit, took } = yield* timed(ask(model))
      assert.deepStrictEqual([exit, first.seen.calls, took], [Exit.succeed("spare"), 1, 5_000])
    }).pipe(ids)
  )

  it.effect("is not had with the last, which keeps the call waiting for as long as it must", () =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("quota exhausted"))
      const spare = yield* made("spare", refusing("rate limited", "20 seconds"), says("spare"))
      const model = yield* stack(
        first.provider,
        Fallback.to(stack(spare.provider, Retry.transient())),
        Retry.transient()
      )
      const { exit, took } = yield* timed(ask(model))
      assert.deepStrictEqual(exit, Exit.succeed("spare"))
      aboutSeconds(took, 20)
    }).pipe(Effect.scoped, ids)
  )

  it.effect("can be endless", () =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("rate limited", "20 seconds"), says("first"))
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(
        first.provider,
        Fallback.to(spare.provider, { patience: "Infinity" }),
        Retry.transient()
      )
      const { exit, took } = yield* timed(ask(model))
      assert.deepStrictEqual(exit, Exit.succeed("first"))
      aboutSeconds(took, 20)
    }).pipe(ids)
  )

  it.effect("is not lost where nobody takes the error: the call waits", () =>
    Effect.gen(function* () {
      const first = yield* made("first", says("first"))
      const spare = yield* made("spare", says("spare"))
      const forPolicies = (error: AiError.AiError) => error.reason._tag === "ContentPolicyError"
      const model = yield* stack(
        first.provider,
        Fallback.to({ provider: spare.provider, when: forPolicies }),
        RateLimit.of({ ...once, requests: { limit: 1, window: "10 seconds" } })
      )
      yield* ask(model)
      const { exit, took } = yield* timed(ask(model))
      assert.deepStrictEqual(exit, Exit.succeed("first"))
      aboutSeconds(took, 10)
    }).pipe(ids)
  )

  it.effect("is not lost where the call may ask nobody else: it waits", () =>
    Effect.gen(function* () {
      const first = yield* made("first", says("first"))
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(
        first.provider,
        RetryBudget.of({ maxAttempts: 1 }),
        Fallback.to(spare.provider),
        Bulkhead.limit({ concurrency: 5 }),
        RateLimit.of({ ...once, requests: { limit: 1, window: "10 seconds" } })
      )
      yield* ask(model)
      const { exit, took } = yield* timed(ask(model))
      assert.deepStrictEqual(exit, Exit.succeed("first"))
      aboutSeconds(took, 10)
    }).pipe(ids)
  )

  it.effect.each(ways)("lets a rate limit refuse at once a wait that it does not cover (%s)", (way) =>
    Effect.gen(function* () {
      const first = yield* made("first", says("first"))
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(first.provider, Fallback.to(spare.provider), RateLimit.of(once))
      assert.deepStrictEqual(yield* timed(ask(model, way)), { exit: Exit.succeed("first"), took: 0 })
      assert.deepStrictEqual(yield* timed(ask(model, way)), { exit: Exit.succeed("spare"), took: 0 })
      const brief = { ...once, requests: { limit: 1, window: "800 millis" } } as const
      const patient = yield* stack(first.provider, Fallback.to(spare.provider), RateLimit.of(brief))
      yield* ask(patient, way)
      assert.deepStrictEqual((yield* timed(ask(patient, way))).exit, Exit.succeed("first"))
    }).pipe(ids)
  )

  it.effect("lets a bulkhead refuse a call whose turn does not come within it", () =>
    Effect.gen(function* () {
      const first = yield* made("first", { ...says("first"), latency: { headers: "10 seconds" } })
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(first.provider, Fallback.to(spare.provider), Bulkhead.limit({ concurrency: 1 }))
      yield* Effect.forkChild(ask(model))
      assert.deepStrictEqual(yield* timed(ask(model)), { exit: Exit.succeed("spare"), took: 1_000 })
    }).pipe(ids)
  )

  it.effect("ends at once where a queue is known to be longer", () =>
    Effect.gen(function* () {
      const first = yield* made("first", { ...says("first"), latency: { headers: "5 seconds" } })
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(first.provider, Fallback.to(spare.provider), Bulkhead.limit({ concurrency: 1 }))
      for (let call = 0; call < 3; call++) yield* timed(ask(model))
      yield* Effect.forkChild(ask(model))
      assert.deepStrictEqual(yield* timed(ask(model)), { exit: Exit.succeed("spare"), took: 0 })
    }).pipe(ids)
  )

  it.effect("goes on to the next when a limiter sees that the deadline is too near", () =>
    Effect.gen(function* () {
      const first = yield* made("first", says("first"))
      const spare = yield* made("spare", says("spare"))
      const model = yield* stack(
        first.provider,
        Timeout.overall("20 seconds"),
        Fallback.to(spare.provider, { patience: "Infinity" }),
        Retry.transient(),
        RateLimit.of(once)
      )
      yield* ask(model)
      assert.deepStrictEqual(yield* timed(ask(model)), { exit: Exit.succeed("spare"), took: 0 })
    }).pipe(ids)
  )

  it.effect("holds within lines inside of it, for their last one too", () =>
    Effect.gen(function* () {
      const busy = refusing("rate limited", "20 seconds")
      const [a1, a2] = [yield* made("a1", busy), yield* made("a2", busy, says("a2"))]
      const b = yield* made("b", busy, says("b"))
      const inner = yield* stack(a1.provider, Fallback.to(stack(a2.provider, Retry.transient())), Retry.transient())
      const outer = yield* stack(inner, Fallback.to(stack(b.provider, Retry.transient())))
      const { exit, took } = yield* timed(ask(outer))
      assert.deepStrictEqual(exit, Exit.succeed("b"))
      aboutSeconds(took, 20)
      assert.deepStrictEqual([a1.seen.calls, a2.seen.calls, b.seen.calls], [1, 1, 2])
    }).pipe(Effect.scoped, ids)
  )
})

describe("A tenant's limit", () => {
  const acme = Caller.as({ tenant: "acme" })

  it.effect("ends the call: nothing is tried again, and nobody else is asked", () =>
    Effect.gen(function* () {
      const first = yield* made("first", says("first"))
      const spare = yield* made("spare", says("spare"))
      const limit = yield* RateLimit.makePerTenant({ ...once, maxWait: 0 })
      const model = yield* stack(first.provider, Fallback.to(spare.provider), Retry.transient(), limit)
      yield* acme(ask(model))
      const { exit, took } = yield* timed(acme(ask(model)))
      const error = Option.getOrThrow(Exit.findErrorOption(exit))
      assert.deepInclude(Option.getOrThrow(PolicyReason.of(error)), {
        _tag: "RateLimited",
        key: "acme",
        limitOf: "tenant"
      })
      assert.isFalse(Fallback.isProvidersDoing(error))
      assert.isTrue(error.isRetryable)
      assert.deepStrictEqual([took, first.seen.calls, spare.seen.calls], [0, 1, 0])
      assert.strictEqual(yield* ask(model).pipe(Caller.as({ tenant: "other" })), "first")
    }).pipe(ids)
  )

  it.effect("waits for the tenant's turn, which is not held against the provider", () =>
    Effect.gen(function* () {
      const first = yield* made("first", says("first"))
      const spare = yield* made("spare", says("spare"))
      const limit = yield* RateLimit.makePerTenant({ ...once, requests: { limit: 1, window: "5 seconds" } })
      const ofProvider = RateLimit.of({ ...once, requests: { limit: 1, window: "5500 millis" } })
      for (const way of ways) {
        const model = yield* stack(first.provider, Fallback.to(spare.provider), limit, ofProvider)
        yield* acme(ask(model, way))
        const { exit, took } = yield* timed(acme(ask(model, way)))
        assert.deepStrictEqual(exit, Exit.succeed("first"))
        aboutSeconds(took, 5)
        yield* TestClock.adjust("30 seconds")
      }
    }).pipe(ids)
  )

  it.effect("counts no attempt that was never sent, and is not paused by a provider", () =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("rate limited", "20 seconds"))
      const spare = yield* made("spare", says("spare"))
      const limit = yield* RateLimit.makePerTenant({
        requests: { limit: 3, window: "1 hour" },
        burst: 3,
        maxWait: 0
      })
      const limited = (provider: ModelProvider.ModelProvider) => stack(provider, limit, RateLimit.adaptive())
      const model = yield* Effect.flatMap(limited(first.provider), Fallback.to(limited(spare.provider)))
      // Two requests for the first call. The second is not sent to the first provider, which asked to wait.
      assert.deepStrictEqual((yield* timed(acme(ask(model)))).exit, Exit.succeed("spare"))
      assert.deepStrictEqual((yield* timed(acme(ask(model)))).exit, Exit.succeed("spare"))
      assert.isTrue(Exit.isFailure((yield* timed(acme(ask(model)))).exit))
    }).pipe(Effect.scoped, ids)
  )
})
