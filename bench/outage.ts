/**
 * Measures what an outage costs the servers: 1,000 calls, 250 at a time, to three providers that answer every request with
 * 503. Holdfast retries, hedges and falls back under one budget; the peers retry with their defaults and fall back by
 * hand. "After" counts the second half of the calls, when the budget is spent.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateText } from "ai"
import { Effect, Layer, type Scope } from "effect"
import { LanguageModel } from "effect/ai"
import { Model } from "holdfast/model"
import { Fallback, Hedge, Retry, RetryBudget, Timeout } from "holdfast/policy"
import { AiSdk } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { FaultyServer } from "holdfast/testing"
import OpenAI from "openai"
import type { Row } from "./measure/table.ts"

const calls = 1_000
const concurrency = 250

type Call = (n: number) => Promise<unknown>

const chatModel = (origin: string) =>
  createOpenAICompatible({ name: new URL(origin).port, baseURL: `${origin}/v1`, apiKey: "none" }).chatModel("m")

/** Asks one after the other until one answers. */
const inOrder = async (asks: ReadonlyArray<() => Promise<unknown>>): Promise<unknown> => {
  let failure: unknown
  for (const ask of asks) {
    try {
      return await ask()
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

const holdfast = (origins: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const [first = "", ...others] = origins
    const own = [Retry.transient(), Hedge.afterDelay("100 millis")]
    const model = Model.layer({
      provider: AiSdk.provider(chatModel(first)),
      policies: [
        Timeout.overall("1 minute"),
        RetryBudget.of(),
        Fallback.chain(
          others.map((origin) => Model.compose({ provider: AiSdk.provider(chatModel(origin)), policies: own }))
        ),
        ...own
      ]
    })
    const context = yield* Layer.build(Layer.provide(model, Supervisor.layer({ onFailure: () => Effect.void })))
    return () => Effect.runPromise(Effect.provideContext(LanguageModel.generateText({ prompt: "hello" }), context))
  })

const openai = (origins: ReadonlyArray<string>): Call => {
  const clients = origins.map((origin) => new OpenAI({ apiKey: "none", baseURL: `${origin}/v1` }))
  return () =>
    inOrder(
      clients.map(
        (client) => () => client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "hello" }] })
      )
    )
}

const aiSdk = (origins: ReadonlyArray<string>): Call => {
  const models = origins.map(chatModel)
  return () => inOrder(models.map((model) => () => generateText({ model, prompt: "hello" })))
}

const measure = (name: string, makeCall: (origins: ReadonlyArray<string>) => Effect.Effect<Call, never, Scope.Scope>) =>
  Effect.gen(function* () {
    const script = [{ fault: { is: "refuse", because: "overloaded" } } as const]
    const servers = yield* Effect.all([
      FaultyServer.make({ script }),
      FaultyServer.make({ script }),
      FaultyServer.make({ script })
    ])
    const call = yield* makeCall(servers.map(({ origin }) => origin))
    const start = performance.now()
    const half = (from: number) =>
      Effect.forEach(
        Array.from({ length: calls / 2 }, (_, n) => from + n),
        (n) => Effect.ignore(Effect.tryPromise(() => call(n))),
        {
          concurrency,
          discard: true
        }
      )
    const requests = () => servers.map(({ seen }) => seen.calls)
    yield* half(0)
    const before = requests()
    yield* half(calls / 2)
    const all = requests()
    const perCall = (of: ReadonlyArray<number>, count: number) => of.map((n) => n / count)
    const [one, two, three] = perCall(all, calls)
    const after = perCall(
      all.map((n, at) => n - (before[at] ?? 0)),
      calls / 2
    )
    return {
      client: name,
      "requests per call at 1st": one ?? NaN,
      "at 2nd": two ?? NaN,
      "at 3rd": three ?? NaN,
      "most at one, after": Math.max(...after),
      seconds: (performance.now() - start) / 1000,
      target: name === "holdfast" ? "≤ 1.1 after" : ""
    } satisfies Row
  }).pipe(Effect.scoped)

export const run = Effect.all([
  measure("holdfast", holdfast),
  measure("openai SDK", (origins) => Effect.succeed(openai(origins))),
  measure("AI SDK 7", (origins) => Effect.succeed(aiSdk(origins)))
])
