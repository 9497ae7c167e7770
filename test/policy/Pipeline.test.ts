import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { IdGenerator } from "effect/ai"
import { TestClock } from "effect/testing"
import { PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { Pipeline } from "holdfast/policy"
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
  "fallback",
  "circuitBreaker",
  "retry",
  "hedge",
  "spend",
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
    assert.lengthOf(Pipeline.standard(Object.fromEntries(order.map((name) => [name, false]))), 0)
    assert.lengthOf(Pipeline.standard(), 6)
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
