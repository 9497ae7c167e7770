/**
 * Measures 1,000 identical streams at the same time, over a real HTTP server: shared by SingleFlight, and each with a
 * request of its own through our provider and through the openai SDK. CPU is this process's, the server has its own.
 */
import { Effect, Fiber, Stream } from "effect"
import type { LanguageModel } from "effect/ai"
import { SingleFlight } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import OpenAI from "openai"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { startServer } from "./measure/child.ts"
import * as ModelClient from "./processes/modelClient.ts"
import type { Row } from "./measure/table.ts"

const readers = 1_000
const tokens = 100

const server = (...args: ReadonlyArray<string>) =>
  startServer([join(import.meta.dirname, "processes/modelServer.ts"), ...args])
/** Reads a stream to its end and counts its text. */
const read = (provider: ModelProvider.ModelProvider, options: LanguageModel.ProviderOptions) =>
  Effect.suspend(() => {
    let texts = 0
    return provider.streamText(options).pipe(
      Stream.runForEachArray((parts) =>
        Effect.sync(() => {
          for (const part of parts) if (part.type === "text-delta") texts++
        })
      ),
      Effect.map(() => texts)
    )
  })

const throughPolicy = (policy: ModelProvider.Policy | undefined) => async (url: string) => {
  const { close, options, provider } = await ModelClient.open(url, policy)
  const all = Array.from({ length: readers }, () => read(provider, options))
  const counts = await ModelClient.runPromise(Effect.all(all, { concurrency: "unbounded" }))
  await close()
  return counts.reduce((sum, count) => sum + count, 0)
}

const throughOpenai = async (url: string) => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 })
  const counts = await Promise.all(
    Array.from({ length: readers }, async () => {
      let texts = 0
      const stream = await client.chat.completions.create({
        model: "m",
        stream: true,
        messages: [{ role: "user", content: "hello" }]
      })
      for await (const chunk of stream) if (chunk.choices[0]?.delta.content) texts++
      return texts
    })
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

const contenders = {
  "SingleFlight.identical": throughPolicy(SingleFlight.identical()),
  "no policy": throughPolicy(undefined),
  "openai SDK": throughOpenai
}

const everybody = async (): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = []
  for (const [name, contender] of Object.entries(contenders)) {
    await using warmUp = await server("--tokens", "10")
    await contender(warmUp.url)
    await using model = await server("--tokens", `${tokens}`, "--token-ms", "20", "--first-ms", "1000")
    const start = performance.now()
    const cpu = process.cpuUsage()
    const texts = await contender(model.url)
    const { system, user } = process.cpuUsage(cpu)
    rows.push({
      "1,000 readers, 100 tokens": name,
      "requests sent": (await ModelClient.seenBy(model.url)).requests,
      "texts read": texts,
      "wall ms": Math.round(performance.now() - start),
      "CPU ms": Math.round((system + user) / 1_000),
      "CPU µs per text read": (system + user) / texts
    })
  }
  return rows
}

const leaving = async (): Promise<Row> => {
  await using model = await server("--tokens", "1000", "--token-ms", "5")
  const { close, options, provider } = await ModelClient.open(model.url, SingleFlight.identical())
  const all = Array.from({ length: readers }, () => Effect.forkDetach(read(provider, options)))
  const [last, ...others] = await ModelClient.runPromise(Effect.all(all))
  if (last === undefined) throw new Error("nobody reads")
  await sleep(500)
  await Effect.runPromise(Fiber.interruptAll(others))
  const before = await ModelClient.seenBy(model.url)
  await sleep(500)
  const after = await ModelClient.seenBy(model.url)
  const leftAtMillis = performance.timeOrigin + performance.now()
  await Effect.runPromise(Fiber.interrupt(last))
  await sleep(200)
  const atEnd = await ModelClient.seenBy(model.url)
  await close()
  return {
    "1,000 readers leave": "SingleFlight.identical",
    "requests sent": atEnd.requests,
    "open after 999 left": after.open,
    "tokens sent meanwhile": after.tokens - before.tokens,
    "open after all left": atEnd.open,
    "closed after ms": atEnd.lastCutAtMillis - leftAtMillis
  }
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const rows = await everybody()
  return [...rows, await leaving()]
}
