import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option, Stream } from "effect"
import { AiError, IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { CallTrail, PolicyReason, Refusals } from "holdfast/core"
import { Model } from "holdfast/model"
import { Fallback, Hedge, Race, Retry } from "holdfast/policy"
import { type ModelProvider } from "holdfast/provider"
import { FaultyModel } from "holdfast/testing"
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
      const withheld = recorder.trail.decisions.filter(({ decision }) => decision._tag === "AttemptWithheld")
      const { model, name } = first.provider
      for (const { atMillis, decision } of withheld) {
        const wait = isForGood ? {} : { forMillis: Math.ceil(20_000 - atMillis) }
        assert.deepStrictEqual(decision, { _tag: "AttemptWithheld", provider: name, model, ...wait })
      }
      assert.isAbove(withheld.length, 0)
    })
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
