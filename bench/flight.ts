/**
 * Measures 1,000 identical streams at the same time, over a real HTTP server: shared by SingleFlight, and each with a
 * request of its own through our provider and through the openai SDK. CPU is this process's, the server has its own.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Effect, Fiber, Stream } from "effect"
import { IdGenerator, LanguageModel } from "effect/ai"
import { SingleFlight } from "holdfast/policy"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import OpenAI from "openai"
import { join } from "node:path"
import { startServer } from "./child.ts"
import type { Seen } from "./modelServer.ts"
import type { Row } from "./Table.ts"

const readers = 1_000
const tokens = 100

const server = (...args: ReadonlyArray<string>) => startServer([join(import.meta.dirname, "modelServer.ts"), ...args])
const seenBy = async (url: string): Promise<Seen> => (await fetch(`${url}/seen`)).json() as Promise<Seen>

const request = Effect.gen(function* () {
  let prepared: LanguageModel.ProviderOptions | undefined
  const model = yield* LanguageModel.make({
    generateText: (options) => {
      prepared = options
      return Effect.succeed([])
    },
    streamText: () => Stream.empty
  })
  yield* model.generateText({ prompt: "hello" })
  return prepared ?? (yield* Effect.die("nothing prepared"))
})

const providerAt = (url: string) =>
  AiSdk.provider(createOpenAICompatible({ name: "bench", baseURL: `${url}/v1`, apiKey: "none" }).chatModel("m"))

const runWithIds = <A>(program: Effect.Effect<A, unknown, IdGenerator.IdGenerator>): Promise<A> =>
  Effect.runPromise(Effect.provideService(program, IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))

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

const throughPolicy = (policy: ModelProvider.Policy | undefined) => (url: string) =>
  runWithIds(
    Effect.scoped(
      Effect.gen(function* () {
        const options = yield* request
        const next = providerAt(url)
        const provider = policy === undefined ? next : yield* policy(next)
        const counts = yield* Effect.all(
          Array.from({ length: readers }, () => read(provider, options)),
          { concurrency: "unbounded" }
        )
        return counts.reduce((sum, count) => sum + count, 0)
      })
    )
  )

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
    await using model = await server("--tokens", `${tokens}`, "--token-ms", "20", "--first-ms", "1000")
    const start = performance.now()
    const cpu = process.cpuUsage()
    const texts = await contender(model.url)
    const { system, user } = process.cpuUsage(cpu)
    rows.push({
      "1,000 readers, 100 tokens": name,
      "requests sent": (await seenBy(model.url)).requests,
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
  return await runWithIds(
    Effect.scoped(
      Effect.gen(function* () {
        const options = yield* request
        const provider = yield* SingleFlight.identical()(providerAt(model.url))
        const seen = Effect.promise(() => seenBy(model.url))
        const [last, ...others] = yield* Effect.replicateEffect(Effect.forkChild(read(provider, options)), readers)
        yield* Effect.sleep("500 millis")
        yield* Fiber.interruptAll(others)
        const before = yield* seen
        yield* Effect.sleep("500 millis")
        const after = yield* seen
        const leftAtMillis = performance.timeOrigin + performance.now()
        if (last !== undefined) yield* Fiber.interrupt(last)
        yield* Effect.sleep("200 millis")
        const atEnd = yield* seen
        return {
          leaving: "SingleFlight.identical",
          requests: atEnd.requests,
          "open after 999 left": after.open,
          "tokens sent meanwhile": after.tokens - before.tokens,
          "open after the last left": atEnd.open,
          "closed after ms": atEnd.lastCutAtMillis - leftAtMillis
        }
      })
    )
  )
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const rows = [...(await everybody())]
  return [...rows, await leaving()]
}
