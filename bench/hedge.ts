/**
 * Measures the time to the first token when few answers are slow, over a real HTTP server: 95 % of the requests after
 * 20 ms and 5 % after 1,000 ms, drawn with a seed. With hedges, and without through our provider, the openai SDK and
 * AI SDK 7, which have none. The contenders take turns, each with a server of its own; the first half of the rounds warms
 * up and is not counted.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { streamText } from "ai"
import { Effect, Stream } from "effect"
import { Content } from "holdfast/core"
import { Hedge } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import OpenAI from "openai"
import { join } from "node:path"
import { startServer } from "./measure/child.ts"
import * as ModelClient from "./processes/modelClient.ts"
import type { Row } from "./measure/table.ts"

const rounds = 8
const callsInRound = 500
const inFlight = 10

type Client = (url: string) => Promise<{ readonly call: () => Promise<number>; readonly end: () => Promise<void> }>

/** Calls through our provider, and gives the milliseconds to the first token. */
const holdfast =
  (policy: ModelProvider.Policy | undefined): Client =>
  async (url) => {
    const { close, options, provider } = await ModelClient.open(url, policy)
    const call = Effect.suspend(() => {
      const start = performance.now()
      let first = NaN
      return provider.streamText(options).pipe(
        Stream.runForEachArray((parts) =>
          Effect.sync(() => {
            if (Number.isNaN(first) && parts.some(Content.isContent)) first = performance.now() - start
          })
        ),
        Effect.map(() => first)
      )
    })
    return { call: () => ModelClient.runPromise(call), end: close }
  }

const openai: Client = async (url) => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 })
  const call = async () => {
    const start = performance.now()
    let first = NaN
    const stream = await client.chat.completions.create({
      model: "m",
      stream: true,
      messages: [{ role: "user", content: "hello" }]
    })
    for await (const chunk of stream) {
      if (Number.isNaN(first) && chunk.choices[0]?.delta.content) first = performance.now() - start
    }
    return first
  }
  return { call, end: async () => {} }
}

const aiSdk: Client = async (url) => {
  const model = createOpenAICompatible({ name: "bench", baseURL: `${url}/v1`, apiKey: "none" }).chatModel("m")
  const call = async () => {
    const start = performance.now()
    let first = NaN
    for await (const text of streamText({ model, prompt: "hello", maxRetries: 0 }).textStream) {
      if (Number.isNaN(first) && text.length > 0) first = performance.now() - start
    }
    return first
  }
  return { call, end: async () => {} }
}

const contenders: Record<string, Client> = {
  "Hedge.adaptive()": holdfast(Hedge.adaptive()),
  'Hedge.afterDelay("150 millis")': holdfast(Hedge.afterDelay("150 millis")),
  "no hedge": holdfast(undefined),
  "openai SDK": openai,
  "AI SDK 7": aiSdk
}

/** Makes calls, so many at a time, and gives their times. */
const measure = async (call: () => Promise<number>, count: number): Promise<ReadonlyArray<number>> => {
  const times: Array<number> = []
  let left = count
  const worker = async () => {
    while (left-- > 0) times.push(await call())
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return times
}

const percentile = (times: ReadonlyArray<number>, share: number): number =>
  times.toSorted((a, b) => a - b)[Math.ceil(share * times.length) - 1] ?? NaN

const serve = (seed: string) =>
  startServer([
    join(import.meta.dirname, "processes/modelServer.ts"),
    "--tokens=3",
    "--first-ms=20",
    "--slow-ms=1000",
    "--slow-share=0.05",
    `--seed=${seed}`
  ])

/** `npm run bench -- hedge [seed, default 1]`. */
export const run = async ([seed = "1"]: ReadonlyArray<string>): Promise<ReadonlyArray<Row>> => {
  await using servers = new AsyncDisposableStack()
  const runners: Array<
    { name: string; url: string; times: Array<number>; requests: number } & Awaited<ReturnType<Client>>
  > = []
  for (const [name, client] of Object.entries(contenders)) {
    const { url } = servers.use(await serve(seed))
    runners.push({ name, url, times: [], requests: 0, ...(await client(url)) })
  }
  for (let round = 0; round < rounds; round++) {
    for (const runner of runners) {
      const before = (await ModelClient.seenBy(runner.url)).requests
      const times = await measure(runner.call, callsInRound)
      if (round < rounds / 2) continue
      runner.times.push(...times)
      runner.requests += (await ModelClient.seenBy(runner.url)).requests - before
    }
  }
  const rows: Array<Row> = []
  for (const { end, name, requests, times, url } of runners) {
    await end()
    rows.push({
      "first token": name,
      calls: times.length,
      "p50 ms": percentile(times, 0.5),
      "p95 ms": percentile(times, 0.95),
      "p99 ms": percentile(times, 0.99),
      "extra requests %": (requests / times.length - 1) * 100,
      "still open": (await ModelClient.seenBy(url)).open
    })
  }
  return rows
}
