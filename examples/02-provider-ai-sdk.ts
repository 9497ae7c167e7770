// Any AI SDK model as a provider: generate, stream and call a tool, with settings per provider and per call.
// prints: openai gpt-5-mini
// prints: The tide is high at six.
// prints: The tide is high at six. (streamed)
// prints: The tool was asked for Brest and said 06:12.
import { createOpenAI } from "@ai-sdk/openai"
import { LLMock } from "@copilotkit/aimock"
import { Console, Effect, Schema, Stream } from "effect"
import { LanguageModel, Tool, Toolkit } from "effect/ai"
import { AiSdk } from "holdfast/provider"

// A real HTTP server in OpenAI's format stands in for OpenAI, so that this runs offline and for free.
const server = Effect.acquireRelease(
  Effect.promise(async () => {
    const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent" })
    mock.onMessage("tide", { content: "The tide is high at six." })
    mock.onMessage("Brest", { toolCalls: [{ name: "HighWater", arguments: { harbour: "Brest" } }] })
    await mock.start()
    return mock
  }),
  (mock) => Effect.promise(() => mock.stop())
)

const HighWater = Tool.make("HighWater", {
  description: "When the water is highest today",
  parameters: Schema.Struct({ harbour: Schema.String }),
  success: Schema.String
})
const toolkit = Toolkit.make(HighWater)
const handlers = toolkit.toLayer({
  HighWater: ({ harbour }) => Effect.succeed(`The tool was asked for ${harbour} and said 06:12.`)
})

const program = Effect.gen(function* () {
  const { url } = yield* server
  const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "not-a-secret" })
  const provider = AiSdk.provider(openai.chat("gpt-5-mini"), { settings: { maxOutputTokens: 200 } })
  yield* Console.log(provider.name, provider.model)

  const model = yield* LanguageModel.make({ ...provider })
  const answer = yield* AiSdk.withSettings(model.generateText({ prompt: "When is the tide?" }), { seed: 7 })
  yield* Console.log(answer.text)

  const streamed = yield* model.streamText({ prompt: "When is the tide?" }).pipe(
    Stream.runFold(
      () => "",
      (text, part) => (part.type === "text-delta" ? text + part.delta : text)
    )
  )
  yield* Console.log(`${streamed} (streamed)`)

  const { toolResults } = yield* Effect.provide(model.generateText({ prompt: "And in Brest?", toolkit }), handlers)
  yield* Console.log(toolResults[0]?.result)
})

await Effect.runPromise(Effect.scoped(program))
