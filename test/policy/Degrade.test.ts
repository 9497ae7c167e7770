import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Stream } from "effect"
import { IdGenerator, LanguageModel, type Response } from "effect/ai"
import { Caller, CallTrail, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Degrade } from "holdfast/policy"
import { Supervisor } from "holdfast/supervisor"
import { FaultyModel, StreamShape } from "holdfast/testing"
import { request, scripted } from "./scripted.ts"

const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
const down: FaultyModel.Behaviour = { fault: { is: "refuse", because: "overloaded" } }

describe("Degrade", () => {
  it.effect("answers in place of an error, marked, through a LanguageModel", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make({ script: [down] })
      const model = Model.layer({ provider, policies: [Degrade.to("Please try again later.")] })
      const [answer, parts] = yield* Effect.all([
        LanguageModel.generateText({ prompt: "hello" }),
        Stream.runCollect(LanguageModel.streamText({ prompt: "hello" }))
      ]).pipe(Effect.provide(Layer.provideMerge(model, Supervisor.layer())))
      assert.deepStrictEqual(
        [answer.text, answer.finishReason, answer.usage.outputTokens.total],
        ["Please try again later.", "other", 0]
      )
      assert.deepStrictEqual([Degrade.isDegraded(answer.content), Degrade.isDegraded(parts)], [true, true])
      const trail = CallTrail.ofParts(answer.content)
      assert.deepInclude(trail, { _tag: "Some" })
      assert.include(JSON.stringify(trail), `"Degraded"`)
    })
  )

  it.effect("gives a well-formed stream", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make({ script: [down] })
      const degraded = yield* Degrade.to("Sorry.")(provider)
      const parts = yield* Stream.runCollect(degraded.streamText(yield* request))
      assert.strictEqual(StreamShape.malformation(parts), undefined)
    }).pipe(ids)
  )

  it.effect("leaves a good answer alone", () =>
    Effect.gen(function* () {
      const { provider, seen } = scripted([{}])
      const degraded = yield* Degrade.to("Sorry.")(provider)
      const options = yield* request
      assert.deepStrictEqual(yield* degraded.generateText(options), yield* provider.generateText(options))
      assert.strictEqual(seen.calls, 2)
    }).pipe(ids)
  )

  it.effect("makes the answer of the error and the request, with what it needs from context", () =>
    Effect.gen(function* () {
      class Apology extends Context.Service<Apology, string>()("test/Apology") {}
      const { provider } = yield* FaultyModel.make({ script: [down] })
      const degraded = yield* Degrade.to((error, asked) =>
        Effect.map(Apology, (apology) => `${apology} ${error.reason._tag} ${asked.prompt.content.length}`)
      )(provider).pipe(Effect.provideService(Apology, "So sorry:"))
      const [first] = yield* degraded.generateText(yield* request)
      assert.deepStrictEqual(first, { type: "text", text: "So sorry: InternalProviderError 1" })
    }).pipe(ids)
  )

  it.effect("makes the answer for who calls, not for who built the model", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make({ script: [down] })
      const policy = Degrade.to(() => Effect.map(Caller.Current, ({ tenant }) => `for ${tenant}`))
      const degraded = yield* policy(provider).pipe(Caller.as({ tenant: "acme" }))
      const [first] = yield* degraded.generateText(yield* request).pipe(Caller.as({ tenant: "zenith" }))
      assert.deepStrictEqual(first, { type: "text", text: "for zenith" })
    }).pipe(ids)
  )

  it.effect("does not say that it answered when its answer could not be made", () =>
    Effect.gen(function* () {
      const { provider } = yield* FaultyModel.make({ script: [down] })
      const degraded = yield* Degrade.to((error) => Effect.fail(error))(provider)
      const recorder = new CallTrail.Recorder()
      const call = Effect.flip(degraded.generateText(yield* request))
      yield* Effect.provideService(call, CallTrail.Current, recorder)
      assert.deepStrictEqual(recorder.trail.decisions, [])
    }).pipe(ids)
  )

  it.effect("leaves the error of a stream whose content was passed on, and of a cancelled call", () =>
    Effect.gen(function* () {
      const broken = yield* FaultyModel.make({ script: [{ fault: { is: "cut", at: { after: 1 } } }] })
      const degraded = yield* Degrade.to("Sorry.")(broken.provider)
      const passed: Array<Response.StreamPartEncoded> = []
      const exit = yield* degraded.streamText(yield* request).pipe(
        Stream.runForEach((part) => Effect.sync(() => void passed.push(part))),
        Effect.exit
      )
      assert.deepStrictEqual([Exit.isFailure(exit), Degrade.isDegraded(passed)], [true, false])
      const cancelled = PolicyReason.toAiError("Model", { _tag: "Cancelled", jobId: "job-1", reason: "left" })
      const { provider } = scripted([{ error: cancelled }])
      const left = yield* Degrade.to("Sorry.")(provider)
      assert.strictEqual(yield* Effect.flip(left.generateText(yield* request)), cancelled)
    }).pipe(ids)
  )
})
