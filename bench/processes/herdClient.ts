/** Makes many calls at once with one of the contenders: `herdClient.ts CONTENDER URL CALLS`; prints how many failed. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateText } from "ai"
import { Effect, Layer, ManagedRuntime } from "effect"
import { LanguageModel } from "effect/ai"
import { FetchHttpClient, HttpClient, HttpClientRequest } from "effect/http"
import { RateLimiter } from "effect/persistence"
import { Model } from "holdfast/model"
import { RateLimit, Retry } from "holdfast/policy"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import OpenAI from "openai"

const [contender = "", url = "", calls = "200"] = process.argv.slice(2)
type Policy = ModelProvider.Policy

const prompt = "hello"
const retries = 100

const compatible = (apiKey: string) => createOpenAICompatible({ name: "openai", baseURL: url, apiKey })("m")

/** A call of each contender, whose key says whether the server counts it. */
type Call = (apiKey: string) => Promise<unknown>

const openai: Call = (apiKey) =>
  clientOf(apiKey).chat.completions.create({ model: "m", messages: [{ role: "user", content: prompt }] })
const clients = new Map<string, OpenAI>()
const clientOf = (apiKey: string): OpenAI => {
  const client = clients.get(apiKey) ?? new OpenAI({ baseURL: url, apiKey, maxRetries: retries })
  clients.set(apiKey, client)
  return client
}

const aiSdk: Call = (apiKey) => generateText({ model: compatible(apiKey), prompt, maxRetries: retries })

const withRateLimiter = async (limit: number): Promise<Call> => {
  const client = await Effect.runPromise(
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      return (yield* HttpClient.HttpClient).pipe(
        HttpClient.filterStatusOk,
        HttpClient.withRateLimiter({ limiter, key: "m", limit, window: "1 second", algorithm: "token-bucket" })
      )
    }).pipe(
      Effect.provide([FetchHttpClient.layer, RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))])
    )
  )
  return (apiKey) => {
    const request = HttpClientRequest.post(`${url}/chat/completions`).pipe(
      HttpClientRequest.bearerToken(apiKey),
      HttpClientRequest.bodyJsonUnsafe({ model: "m", messages: [{ role: "user", content: prompt }] })
    )
    return Effect.runPromise(Effect.flatMap(client.execute(request), (response) => response.json))
  }
}

const holdfast = (limit: Policy): Call => {
  const runtimeOf = (apiKey: string, policies: ReadonlyArray<Policy>) =>
    ManagedRuntime.make(
      Model.layer({ provider: AiSdk.provider(compatible(apiKey)), policies }).pipe(Layer.provide(Supervisor.layer()))
    )
  const runtimes = { warm: runtimeOf("warm", []), run: runtimeOf("run", [Retry.transient({ times: 10 }), limit]) }
  return (apiKey) => runtimes[apiKey === "warm" ? "warm" : "run"].runPromise(LanguageModel.generateText({ prompt }))
}

const contenders: Record<string, () => Call | Promise<Call>> = {
  openai: () => openai,
  "AI SDK": () => aiSdk,
  "effect, told the limit": () => withRateLimiter(20),
  effect: () => withRateLimiter(1_000),
  "holdfast, told the limit": () => holdfast(RateLimit.adaptive({ requests: { limit: 20, window: "1 second" } })),
  holdfast: () => holdfast(RateLimit.adaptive())
}

const call = await (contenders[contender] ?? (() => Promise.reject(new Error(`no contender ${contender}`))))()
// Connections and compiled code are not what is compared.
for (let round = 0; round < 5; round++) await Promise.all(Array.from({ length: 20 }, () => call("warm")))
await fetch(`${new URL(url).origin}/reset`, { method: "POST" })
const start = performance.now()
const ends = await Promise.allSettled(Array.from({ length: Number(calls) }, () => call("run")))
const seconds = (performance.now() - start) / 1_000
console.log(JSON.stringify({ seconds, failed: ends.filter(({ status }) => status === "rejected").length }))
process.exit(0)
