import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import {
  AdaptiveLimit,
  Bulkhead,
  CircuitBreaker,
  Degrade,
  Fallback,
  Hedge,
  Pipeline,
  Race,
  RateLimit,
  Repair,
  ResponseCache,
  Retry,
  RetryBudget,
  SingleFlight,
  SpendBudget,
  Timeout
} from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { FaultyModel, StreamShape } from "holdfast/testing"
import { request, scripted } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const order = [
  "degrade",
  "timeout",
  "retryBudget",
  "cache",
  "singleFlight",
  "repair",
  "circuitBreaker",
  "retry",
  "hedge",
  "spend",
  "tenantLimit",
  "bulkhead",
  "rateLimit",
  "attempt"
] as const

describe("Pipeline.standard", () => {
  it.effect("has each place in the order of the page, and takes a policy of one's own in each", () =>
    Effect.gen(function* () {
      const passed: Array<string> = []
      const noting =
        (name: string): ModelProvider.Policy =>
        (next) =>
          Effect.succeed({
            ...next,
            generateText: (options) =>
              Effect.suspend(() => {
                passed.push(name)
                return next.generateText(options)
              })
          })
      const own = Object.fromEntries(order.map((name) => [name, noting(name)]))
      const { provider } = scripted([{}])
      const model = yield* Model.compose({ provider, policies: Pipeline.standard(own) })
      yield* model.generateText(yield* request)
      assert.deepStrictEqual(passed, [...order])
    }).pipe(ids)
  )

  it("leaves out what is asked to be left out", () => {
    const { provider } = scripted([{}])
    const policies = Pipeline.standard(Object.fromEntries(order.map((name) => [name, false])))
    // The one that would put what each provider has around it.
    assert.lengthOf(policies, 1)
    assert.strictEqual(Effect.runSync(Effect.scoped(Model.compose({ provider, policies }))).readiness, undefined)
    assert.lengthOf(Pipeline.standard(), 4)
  })

  const wrong = /must be/
  const { provider: model } = scripted([{}])

  it("takes no policy of another kind in a place: not in its types, and not when it is made", () => {
    // @ts-expect-error what is fixed is not learned
    assert.throws(() => Pipeline.standard({ hedge: { delay: "1 second", quantile: 0.9 } }), "no option quantile")
    // @ts-expect-error a retry is no time limit
    assert.throws(() => Pipeline.standard({ timeout: Retry.transient() }), wrong)
    // @ts-expect-error the time of an attempt is not that of the call
    assert.throws(() => Pipeline.standard({ timeout: Timeout.perAttempt("1 second") }), wrong)
    // @ts-expect-error the time of the call is not that of an attempt
    assert.throws(() => Pipeline.standard({ attempt: Timeout.overall("1 second") }), wrong)
    // @ts-expect-error a time limit is no answer
    assert.throws(() => Pipeline.standard({ degrade: Timeout.overall("1 second") }), wrong)
    // @ts-expect-error a retry is no budget of retries
    assert.throws(() => Pipeline.standard({ retryBudget: Retry.transient() }), wrong)
    // @ts-expect-error a single flight is no cache
    assert.throws(() => Pipeline.standard({ cache: SingleFlight.identical() }), wrong)
    // @ts-expect-error a cache is no single flight
    assert.throws(() => Pipeline.standard({ singleFlight: ResponseCache.exact({ timeToLive: "1 hour" }) }), wrong)
    // @ts-expect-error a retry is no circuit breaker
    assert.throws(() => Pipeline.standard({ circuitBreaker: Retry.transient() }), wrong)
    // @ts-expect-error a retry is no repair
    assert.throws(() => Pipeline.standard({ repair: Retry.transient() }), wrong)
    // @ts-expect-error a circuit breaker is no retry
    assert.throws(() => Pipeline.standard({ retry: CircuitBreaker.perModel() }), wrong)
    // @ts-expect-error a rate limit is no bulkhead
    assert.throws(() => Pipeline.standard({ bulkhead: RateLimit.adaptive() }), wrong)
    // @ts-expect-error a bulkhead is no rate limit
    assert.throws(() => Pipeline.standard({ rateLimit: Bulkhead.limit({ concurrency: 1 }) }), wrong)
    // @ts-expect-error the limits of a provider are no tenant's
    assert.throws(() => Pipeline.standard({ tenantLimit: RateLimit.adaptive() }), wrong)
    // @ts-expect-error each provider would have this budget for itself
    assert.throws(() => Pipeline.standard({ spend: SpendBudget.of({ tokens: 1 }) }), wrong)
  })

  it("takes no policy where its providers would escape the limits", () => {
    // @ts-expect-error its providers are hidden
    assert.throws(() => Pipeline.standard({ fallback: Fallback.to(model) }), wrong)
    // @ts-expect-error its providers are hidden
    assert.throws(() => Pipeline.standard({ fallback: Race.with([model]) }), wrong)
    // @ts-expect-error its providers are hidden
    assert.throws(() => Pipeline.standard({ race: Race.with([model]) }), wrong)
    // @ts-expect-error its second provider is hidden
    assert.throws(() => Pipeline.standard({ hedge: Hedge.afterDelay("1 second", { to: model }) }), wrong)
  })

  it("takes the policies of each place, and the time of an attempt as a duration", () => {
    const policies = Pipeline.standard({
      degrade: Degrade.to("sorry"),
      timeout: Timeout.overall("1 minute"),
      retryBudget: RetryBudget.of(),
      cache: ResponseCache.exact({ timeToLive: "1 hour" }),
      singleFlight: SingleFlight.identical(),
      repair: Repair.structured(),
      fallback: { to: [{ provider: model, when: () => true }], midStream: "restart", patience: "2 seconds" },
      race: { with: [model, Effect.succeed(model)], stagger: "1 second" },
      circuitBreaker: CircuitBreaker.perModel(),
      retry: Retry.transient(),
      hedge: { delay: "1 second" },
      spend: Effect.runSync(SpendBudget.make({ tokens: 1 })),
      tenantLimit: Effect.runSync(RateLimit.makePerTenant({ requests: { limit: 1, window: "1 second" } })),
      bulkhead: AdaptiveLimit.learned(),
      rateLimit: RateLimit.of({ requests: { limit: 1, window: "1 second" } }),
      attempt: "20 seconds"
    })
    assert.lengthOf(policies, 7)
    assert.lengthOf(Pipeline.standard({ attempt: Timeout.perAttempt({ idle: "1 second" }) }), 4)
  })

  it.effect("takes a cache and a budget that were made, which can be looked at", () =>
    Effect.gen(function* () {
      const { provider, seen } = yield* FaultyModel.make()
      const cache = yield* ResponseCache.make({ timeToLive: "1 hour" })
      const spend = yield* SpendBudget.make({ tokens: 1_000 })
      const answering = yield* Model.compose({ provider, policies: Pipeline.standard({ cache, spend }) })
      const options = yield* request
      for (const _ of [1, 2]) yield* answering.generateText(options)
      assert.deepStrictEqual([seen.calls, (yield* cache.stats).hits, (yield* spend.spent()).tokens], [1, 1, 15])
    }).pipe(ids)
  )

  it("takes nothing in a place that only looks as if it was made", () => {
    // @ts-expect-error no policy
    assert.throws(() => Pipeline.standard({ cache: { policy: "mine" } }), RangeError)
    // @ts-expect-error no policy
    assert.throws(() => Pipeline.standard({ spend: { policy: "mine" } })[6]?.(model), RangeError)
  })

  it.effect("gets an answer past two failures, and a well-formed stream", () =>
    Effect.gen(function* () {
      const overloaded: FaultyModel.Behaviour = { fault: { is: "refuse", because: "overloaded" } }
      const { provider, seen } = yield* FaultyModel.make({ script: [overloaded, overloaded, {}] })
      const model = yield* Model.compose({ provider, policies: Pipeline.standard() })
      const options = yield* request
      const [parts] = yield* Effect.all(
        [Stream.runCollect(model.streamText(options)), Effect.repeat(TestClock.adjust(50), { times: 40 })],
        { concurrency: 2 }
      )
      assert.strictEqual(StreamShape.malformation(parts), undefined)
      assert.strictEqual(seen.calls, 3)
    }).pipe(ids)
  )

  it.effect("ends a call that stalls by its time, with everything closed", () =>
    Effect.gen(function* () {
      const { provider, seen } = yield* FaultyModel.make({ script: [{ fault: { is: "stall", at: "headers" } }] })
      const model = yield* Model.compose({ provider, policies: Pipeline.standard({ timeout: "50 seconds" }) })
      const options = yield* request
      const [error] = yield* Effect.all(
        [
          Effect.flip(Stream.runDrain(model.streamText(options))),
          Effect.repeat(TestClock.adjust("1 second"), { times: 60 })
        ],
        { concurrency: 2 }
      )
      assert.deepInclude(Option.getOrThrow(PolicyReason.of(error)), { _tag: "TimedOut", clock: "overall" })
      assert.strictEqual(seen.open, 0)
    }).pipe(ids)
  )
})
