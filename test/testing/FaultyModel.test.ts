import { assert, describe, it } from "@effect/vitest"
import { Cause, type Duration, Effect, Exit, Fiber, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import { TestClock } from "effect/testing"
import { FaultyModel, StreamShape } from "holdfast/testing"
import { request, textOf, withIds } from "../../src/testing/ProviderContractStage.ts"

const tool = { id: "call-1", name: "Weather", params: { city: "Rome" } }
const everything: ReadonlyArray<FaultyModel.Content> = [
  { reasoning: "Where is Rome?" },
  { text: "I look it up." },
  { toolCall: tool }
]

type Form = "generateText" | "streamText"
const forms: ReadonlyArray<Form> = ["generateText", "streamText"]
type Parts = ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>

/** Calls the model in one of the two forms; the parts that came are those before the failure, if there was one. */
const call = (model: FaultyModel.FaultyModel, form: Form) =>
  Effect.gen(function* () {
    const options = yield* request("Hello")
    const came: Array<Parts[number]> = []
    const exit = yield* Effect.exit(
      form === "generateText"
        ? Effect.map(model.provider.generateText(options), (parts) => void came.push(...parts))
        : Stream.runForEach(model.provider.streamText(options), (part) => Effect.sync(() => void came.push(part)))
    ).pipe(withIds)
    return { came, exit }
  })

/** Calls it while an hour passes, a step of a tenth of a second at a time. */
const play = (behaviour: FaultyModel.Behaviour, form: Form, limit: Duration.Input = "10 seconds") =>
  Effect.gen(function* () {
    const model = yield* FaultyModel.make({ script: [behaviour] })
    const fiber = yield* Effect.forkChild(call(model, form))
    yield* TestClock.adjust(limit)
    const stalled = fiber.pollUnsafe() === undefined
    const seen = { open: model.seen.open }
    const result = stalled ? undefined : yield* Fiber.join(fiber)
    yield* Fiber.interrupt(fiber)
    return { model, stalled, seen, result, entry: model.seen.log[0] }
  })

const failureOf = (exit: Exit.Exit<unknown, AiError.AiError> | undefined): AiError.AiError => {
  assert(exit !== undefined && Exit.isFailure(exit), "it did not fail")
  const error = Cause.findErrorOption(exit.cause)
  assert(error._tag === "Some", Cause.pretty(exit.cause))
  return error.value
}

const points: ReadonlyArray<readonly [FaultyModel.PointInside, deltas: number]> = [
  ["content", 0],
  [{ after: 2 }, 2],
  [{ after: 0, in: "text" }, 3],
  [{ after: 1, in: "text" }, 4],
  [{ after: 2, in: "tool-call" }, 8],
  [{ after: 100 }, 9],
  ["finish", 9]
]
const isDelta = (part: Parts[number]) => part.type.endsWith("-delta")

describe("FaultyModel", () => {
  it.effect("answers at once, with a short text, when nothing is said", () =>
    Effect.gen(function* () {
      for (const form of forms) {
        const model = yield* FaultyModel.make()
        const { came, exit } = yield* call(model, form)
        assert(Exit.isSuccess(exit))
        assert.strictEqual(textOf(came), "Anchors hold what currents would carry away.")
      }
    })
  )

  it.effect("gives the same content streamed as whole, and the stream is well-formed", () =>
    Effect.gen(function* () {
      const whole = yield* play({ content: everything }, "generateText")
      const streamed = yield* play({ content: everything }, "streamText")
      const parts = streamed.result?.came ?? []
      assert.strictEqual(StreamShape.malformation(parts as ReadonlyArray<Response.StreamPartEncoded>), undefined)
      assert.deepStrictEqual(whole.result?.came.slice(1, -1), [
        { type: "reasoning", text: "Where is Rome?" },
        { type: "text", text: "I look it up." },
        { type: "tool-call", ...tool }
      ])
      const deltas = (type: string) =>
        parts.flatMap((part) => ("delta" in part && part.type === type ? [part.delta] : []))
      assert.strictEqual(deltas("reasoning-delta").join(""), "Where is Rome?")
      assert.strictEqual(deltas("text-delta").join(""), "I look it up.")
      assert.strictEqual(deltas("tool-params-delta").join(""), '{"city":"Rome"}')
      assert.deepStrictEqual(parts.at(-1), whole.result?.came.at(-1))
    })
  )

  it.effect("never splits a character", () =>
    Effect.gen(function* () {
      const { result } = yield* play({ content: [{ text: "🌊🌊🌊", chunks: 2 }] }, "streamText")
      const deltas = result?.came.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []))
      assert.deepStrictEqual(
        deltas?.map((delta) => delta.isWellFormed()),
        [true, true]
      )
    })
  )

  for (const form of forms) {
    for (const [at, deltas] of points) {
      const where = typeof at === "string" ? at : `${at.after} ${at.in ?? "chunks"}`
      for (const [is, tag, isRetryable] of [
        ["cut", "NetworkError", true],
        ["end", "NetworkError", true],
        ["malformed", "InvalidResponseError", false]
      ] as const) {
        it.effect(`${form}: ${is} at ${where}`, () =>
          Effect.gen(function* () {
            const { entry, model, result } = yield* play({ content: everything, fault: { is, at } }, form)
            const error = failureOf(result?.exit)
            assert.strictEqual(error.reason._tag, tag)
            assert.strictEqual(error.isRetryable, isRetryable)
            assert.strictEqual(result?.came.filter(isDelta).length, form === "streamText" ? deltas : 0)
            assert.deepStrictEqual([entry?.ended, entry?.error, model.seen.failed], ["failed", error, 1])
          })
        )
      }

      it.effect(`${form}: stall at ${where}`, () =>
        Effect.gen(function* () {
          const { model, seen, stalled } = yield* play(
            { content: everything, fault: { is: "stall", at } },
            form,
            "30 days"
          )
          assert.isTrue(stalled)
          assert.strictEqual(seen.open, 1)
          assert.deepStrictEqual([model.seen.open, model.seen.interrupted], [0, 1])
        })
      )
    }
  }
})
