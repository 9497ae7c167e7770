import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, Random, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { CallTrail, PolicyReason, Refusals } from "holdfast/core"
import { Model } from "holdfast/model"
import { Fallback, Hedge, Race, Retry, Timeout } from "holdfast/policy"
import { type ModelProvider, ProviderPool } from "holdfast/provider"
import { FaultyModel } from "holdfast/testing"
import * as RecordedAttempts from "../../../src/core/call/RecordedAttempts.ts"
import { request } from "../../policy/scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

const busyFor = (retryAfter: Duration.Input): FaultyModel.Behaviour => ({
  fault: { is: "refuse", because: "rate limited", retryAfter }
})
const refusing = (because: "unauthorized" | "overloaded"): FaultyModel.Behaviour => ({
  fault: { is: "refuse", because }
})

const made = (name: string, ...script: ReadonlyArray<FaultyModel.Behaviour>) => FaultyModel.make({ name, script })

/** Makes one call and lets ten minutes pass. */
const called = (
  provider: ModelProvider.ModelProvider,
  policies: ReadonlyArray<ModelProvider.Policy>,
  method: "generateText" | "streamText"
) =>
  Effect.gen(function* () {
    const stack = yield* Model.compose({ provider, policies })
    const options = yield* request
    const asked =
      method === "generateText"
        ? Effect.asVoid(stack.generateText(options))
        : Stream.runDrain(stack.streamText(options))
    const fiber = yield* Effect.forkChild(Effect.exit(asked))
    yield* TestClock.adjust("10 minutes")
    yield* Fiber.join(fiber)
  }).pipe(ids, Effect.scoped)

const isWithheld = ({ decision }: CallTrail.Recorder["trail"]["decisions"][number]) =>
  decision._tag === "AttemptWithheld"

const begins = ({ seen }: FaultyModel.FaultyModel) => seen.log.map(({ startMillis }) => startMillis)

describe("Refusals", () => {
  it.effect.each(["generateText", "streamText"] as const)(
    "keeps a retry from a provider that asked to wait, although another one failed last, by %s",
    (method) =>
      Effect.gen(function* () {
        const first = yield* made("first", busyFor("20 seconds"))
        const spare = yield* made("spare", refusing("overloaded"))
        yield* called(
          first.provider,
          [Retry.transient({ times: 3, base: "1 second" }), Fallback.to(spare.provider)],
          method
        )
        const [, ...again] = begins(first)
        assert.isTrue(again.every((at) => at >= 20_000))
        assert.isAtLeast(spare.seen.calls, 2)
      })
  )

  it.effect("keeps a call from a provider that will not answer it, although another attempt may be repeated", () =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("unauthorized"))
      const other = yield* made("other", refusing("overloaded"))
      yield* called(first.provider, [Retry.transient({ times: 3 }), Race.with([other.provider])], "generateText")
      assert.strictEqual(first.seen.calls, 1)
      assert.isAtLeast(other.seen.calls, 2)
    })
  )

  it.effect("keeps a hedge from a provider that asked to wait meanwhile", () =>
    Effect.gen(function* () {
      const first = yield* made("first", busyFor("20 seconds"), {})
      const policies = [Hedge.afterDelay("1 second", { maxShare: 1 }), Retry.transient({ times: 1, base: "1 second" })]
      yield* called(first.provider, policies, "generateText")
      assert.isAtLeast(begins(first)[1] ?? 0, 20_000)
    })
  )

  it.effect.each([
    { told: "to wait", behaviour: busyFor("20 seconds"), isForGood: false },
    { told: "that it is for good", behaviour: refusing("unauthorized"), isForGood: true }
  ])("says on the call's trail which attempt was not sent, as it was told $told", ({ behaviour, isForGood }) =>
    Effect.gen(function* () {
      const first = yield* made("first", behaviour)
      const spare = yield* made("spare", refusing("overloaded"))
      const recorder = new CallTrail.Recorder()
      yield* called(
        first.provider,
        [Retry.transient({ times: 1, base: "1 second" }), Fallback.to(spare.provider)],
        "generateText"
      ).pipe(Effect.provideService(CallTrail.Current, recorder))
      const withheld = recorder.trail.decisions.filter(isWithheld)
      const { model, name } = first.provider
      for (const { atMillis, decision } of withheld) {
        const wait = isForGood ? {} : { forMillis: Math.ceil(20_000 - atMillis) }
        assert.deepStrictEqual(decision, { _tag: "AttemptWithheld", provider: name, model, ...wait })
      }
      assert.isAbove(withheld.length, 0)
    })
  )

  const stalled: FaultyModel.Behaviour = { latency: { headers: 60_000 } }
  const waits = { times: 2, base: "1 second" } as const
  const two = [Hedge.afterDelay("5 seconds", { maxShare: 1 }), Retry.transient(waits)]

  it.effect("makes a retry wait on for what another attempt was told while it waited", () =>
    Effect.gen(function* () {
      // The hedge retries first, as its draw is the smaller one.
      const draws = [0.9, 0.1]
      const first = yield* made("first", busyFor("20 seconds"), busyFor("20 seconds"), {})
      const recorder = new CallTrail.Recorder()
      const random = { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => draws.shift() ?? 0 }
      yield* called(first.provider, two, "generateText").pipe(
        Effect.provideService(CallTrail.Current, recorder),
        Effect.provideService(Random.Random, random)
      )
      assert.deepStrictEqual(begins(first), [0, 20_100, 41_000])
      const scheduled = recorder.trail.decisions.filter(({ decision }) => decision._tag === "RetryScheduled")
      assert.deepStrictEqual(
        scheduled.map(({ atMillis }) => atMillis),
        [0, 5_000, 20_900]
      )
    })
  )

  it.effect("ends a retry when another attempt was told that nothing helps", () =>
    Effect.gen(function* () {
      const first = yield* made("first", busyFor("20 seconds"), refusing("unauthorized"))
      const recorder = new CallTrail.Recorder()
      yield* called(first.provider, two, "generateText").pipe(Effect.provideService(CallTrail.Current, recorder))
      assert.strictEqual(first.seen.calls, 2)
      // The hedge was, as it began.
      assert.strictEqual(recorder.trail.decisions.filter(isWithheld).length, 1)
    })
  )

  it.effect("fails a hedged call with what its provider said for good, and not with what may be tried again", () =>
    Effect.gen(function* () {
      const first = yield* made("first", { latency: { headers: 10_000 }, ...refusing("unauthorized") }, stalled)
      const stack = yield* Model.compose({
        provider: first.provider,
        policies: [Hedge.afterDelay("5 seconds", { maxShare: 1 }), Timeout.perAttempt({ attempt: "11 seconds" })]
      })
      const options = yield* request
      const fiber = yield* Effect.forkChild(Effect.flip(stack.generateText(options)))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "AuthenticationError")
    }).pipe(ids, Effect.scoped)
  )

  it.effect.each([
    ["Fallback", (spare: ModelProvider.ModelProvider) => [Fallback.to(spare)]],
    ["Race", (spare: ModelProvider.ModelProvider) => [Race.with([spare])]]
  ] as const)("takes what one provider said for no other one's word, through %s", ([, around]) =>
    Effect.gen(function* () {
      const first = yield* made("first", { latency: { headers: 1_000 }, ...refusing("unauthorized") })
      const spare = yield* made("spare", stalled, {})
      const own = yield* Model.compose({
        provider: spare.provider,
        policies: [Timeout.perAttempt({ attempt: "5 seconds" })]
      })
      yield* called(first.provider, [Retry.transient({ times: 3, base: "1 second" }), ...around(own)], "generateText")
      assert.strictEqual(spare.seen.calls, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("knows whom a stack asks, and when that may be several", () =>
    Effect.gen(function* () {
      const { provider } = yield* made("first", {})
      const { provider: spare } = yield* made("spare", {})
      const asked = (policies: ReadonlyArray<ModelProvider.Policy>) =>
        Effect.map(Model.compose({ provider, policies }), RecordedAttempts.providerOf)
      assert.strictEqual(
        yield* asked([Retry.transient(), Hedge.afterDelay(0), Timeout.perAttempt({ attempt: "1 minute" })]),
        provider
      )
      for (const policy of [Fallback.to(spare), Race.with([spare]), Hedge.afterDelay(0, { to: spare })]) {
        assert.isUndefined(yield* asked([Retry.transient(), policy, Timeout.perAttempt({ attempt: "1 minute" })]))
      }
      const pool = yield* ProviderPool.make({ providers: { provider, spare } })
      assert.isUndefined(RecordedAttempts.providerOf(RecordedAttempts.recorded(pool)))
    }).pipe(Effect.scoped)
  )

  it.effect("does not keep other calls from it", () =>
    Effect.gen(function* () {
      const first = yield* made("first", refusing("unauthorized"))
      yield* called(first.provider, [Retry.transient()], "generateText")
      yield* called(first.provider, [Retry.transient()], "generateText")
      assert.strictEqual(first.seen.calls, 2)
    })
  )

  it("says what is left of the wait", () => {
    const refusals = new Refusals.Refusals()
    const provider = {}
    const reason = new AiError.RateLimitError({ retryAfter: Duration.seconds(5) })
    refusals.heard(provider, AiError.make({ module: "m", method: "call", reason }), 1_000)
    assert.isUndefined(refusals.refusal({}, "other/m", 2_000))
    assert.isUndefined(refusals.refusal(provider, "first/m", 6_000))
    const refused = refusals.refusal(provider, "first/m", 2_000)
    assert.strictEqual(refused?.forMillis, 4_000)
    // Which limit it is, nobody said.
    assert.deepStrictEqual(
      PolicyReason.of(refused?.error),
      Option.some({ _tag: "RateLimited", key: "first/m", retryAfterMillis: 4_000 } as const)
    )
  })
})
