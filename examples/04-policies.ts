// A model whose calls are limited, retried and timed, over a server that fails at first.
//
// prints: Ahoy! after 3 requests
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { LLMock } from "@copilotkit/aimock"
import { Console, Effect, Layer } from "effect"
import { LanguageModel } from "effect/ai"
import { Model } from "holdfast/model"
import { Bulkhead, Retry, Timeout } from "holdfast/policy"
import { AiSdk } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"

// The offline model: a real HTTP server on this machine. With a real one, only the base URL and a key differ.
const server = new LLMock({ port: 0 })
server.nextRequestError(503, { message: "overloaded", type: "server_error" })
server.nextRequestError(429, { message: "slow down", type: "rate_limit_error" })
server.onMessage("hello", { content: "Ahoy!" })
await server.start()

const openai = createOpenAICompatible({ name: "offline", baseURL: `${server.url}/v1` })

const model = Model.layer({
  provider: AiSdk.provider(openai.chatModel("gpt-5-mini")),
  // Outermost first: read it as the path a call takes.
  policies: [
    Timeout.overall("60 seconds"),
    Bulkhead.limit({ concurrency: 20 }),
    Retry.transient({ times: 4 }),
    Timeout.perAttempt("20 seconds")
  ]
})

const program = Effect.gen(function* () {
  const { text } = yield* LanguageModel.generateText({ prompt: "hello" })
  yield* Console.log(`${text} after ${server.getRequests().length} requests`)
})

await Effect.runPromise(Effect.provide(program, Layer.provideMerge(model, Supervisor.layer())))
await server.stop()
