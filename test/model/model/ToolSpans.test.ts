import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream, Tracer } from "effect"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { Model } from "holdfast/model"
import type { ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"

const tools = Toolkit.make(
  Tool.make("find", { parameters: Schema.Struct({ of: Schema.String }), success: Schema.String })
)
const handlers = tools.toLayer({ find: () => Effect.as(Effect.annotateCurrentSpan("found", 1), "found") })

const usage = { inputTokens: {}, outputTokens: {} }
const parts = [
  { type: "tool-call", id: "1", name: "find", params: { of: "kelp" } },
  { type: "finish", reason: "tool-calls", usage, response: undefined }
] as const
const provider: ModelProvider.ModelProvider = {
  name: "mine",
  model: "m",
  generateText: () => Effect.succeed([...parts]),
  streamText: () => Stream.fromIterable(parts)
}

const attributesOf = (options: Pick<Model.Options, "traceToolParameters">, ask: "generateText" | "streamText") =>
  Effect.gen(function* () {
    const spans: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const asked = { prompt: "find kelp", toolkit: tools }
    const asking =
      ask === "generateText"
        ? Effect.asVoid(LanguageModel.generateText(asked))
        : Stream.runDrain(LanguageModel.streamText(asked))
    yield* asking.pipe(Effect.withSpan("caller"), Effect.withTracer(tracer))
    return spans.flatMap(({ attributes }) => [...attributes].filter(([key]) => !/[._]/.test(key)))
  }).pipe(
    Effect.provide(
      Layer.mergeAll(handlers, Model.layer({ provider, ...options }).pipe(Layer.provideMerge(Supervisor.layer())))
    )
  )

describe.each(["generateText", "streamText"] as const)("the span of %s", (ask) => {
  it.effect("names the tools that were called, and not with what", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* attributesOf({}, ask), [
        ["tool", "find"],
        ["found", 1]
      ])
    })
  )

  it.effect("shows their parameters when it is asked to", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* attributesOf({ traceToolParameters: true }, ask), [
        ["tool", "find"],
        ["parameters", { of: "kelp" }],
        ["found", 1]
      ])
    })
  )
})
