// Holdfast in plain TypeScript: a runtime built once, promises out, an AbortSignal in.
//
// prints: Ahoy!
// prints: gave up waiting
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { LLMock } from "@copilotkit/aimock"
import { Layer, ManagedRuntime } from "effect"
import { LanguageModel } from "effect/ai"
import { Model } from "holdfast/model"
import { Retry, Timeout } from "holdfast/policy"
import { AiSdk } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"

const server = new LLMock({ port: 0 })
server.onMessage("hello", { content: "Ahoy!" })
server.onMessage("think", { content: "Hmm." }, { chaos: { latencyMs: 30_000 } })
await server.start()

const openai = createOpenAICompatible({ name: "offline", baseURL: `${server.url}/v1` })
const model = Model.layer({
  provider: AiSdk.provider(openai.chatModel("gpt-5-mini")),
  policies: [Timeout.overall("2 minutes"), Retry.transient()]
})

const runtime = ManagedRuntime.make(Layer.provideMerge(model, Supervisor.layer()))

const ask = (prompt: string, signal?: AbortSignal): Promise<string> =>
  runtime.runPromise(LanguageModel.generateText({ prompt }), { signal }).then(({ text }) => text)

console.log(await ask("hello"))
await ask("think", AbortSignal.timeout(100)).catch(() => console.log("gave up waiting"))

// Ends every call and job that still runs, and waits for them.
await runtime.dispose()
await server.stop()
