// A language model layer that others publish, made a provider, so that policies can stand around it.
// prints: asked once: The kelp holds.
// prints: effect-ai layer: kelp / kelp-1
import { createAnthropic } from "@ai-sdk/anthropic"
import { LLMock } from "@copilotkit/aimock"
import { Console, Effect, Layer } from "effect"
import { LanguageModel, Model } from "effect/ai"
import { AiSdk, EffectAi, type ModelProvider } from "holdfast/provider"

// A real HTTP server in Anthropic's format.
const server = Effect.acquireRelease(
  Effect.promise(async () => {
    const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent" })
    mock.onMessage("What holds?", { content: "The kelp holds." })
    await mock.start()
    return mock
  }),
  (mock) => Effect.promise(() => mock.stop())
)

// Stands for a package such as `@effect/ai-anthropic`: all we see is the layer.
const published = Model.make(
  "kelp",
  "kelp-1",
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function* () {
      const { url } = yield* server
      const claude = createAnthropic({ baseURL: `${url}/v1`, apiKey: "not-a-secret" })("claude-sonnet-5")
      return yield* LanguageModel.make({ ...AiSdk.provider(claude) })
    })
  )
)

// A policy is provider in, provider out. This one counts.
const counting = (next: ModelProvider.ModelProvider) => {
  let calls = 0
  const generateText: typeof next.generateText = (call) => {
    calls += 1
    return next.generateText(call)
  }
  return { provider: { ...next, generateText }, calls: () => calls }
}

const program = Effect.gen(function* () {
  const next = yield* EffectAi.provider()
  const { calls, provider } = counting(next)
  const model = yield* LanguageModel.make({ ...provider })
  const { text } = yield* model.generateText({ prompt: "What holds?" })
  yield* Console.log(`asked ${calls() === 1 ? "once" : "often"}: ${text}`)
  yield* Console.log(`effect-ai layer: ${provider.name} / ${provider.model}`)
})

await Effect.runPromise(Effect.scoped(Effect.provide(program, published)))
