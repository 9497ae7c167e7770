/**
 * Measures the CPU that a call and a stream's chunk cost, in this process, around a model that answers at once: our
 * standard pipeline, the bare provider under it, and the peers around instant transports of their own. The figures are
 * medians over rounds in which every subject has its turn.
 */
import { simulateReadableStream, generateText, streamText } from "ai"
import { MockLanguageModelV4 } from "ai/test"
import { circuitBreaker, ConsecutiveBreaker, handleAll, retry, timeout, TimeoutStrategy, wrap } from "cockatiel"
import { Cause, Context, Effect, Exit, Layer, type Pull, Schedule, Scope, Stream } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import { Model } from "holdfast/model"
import { Pipeline } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import OpenAI from "openai"
import { chunk, completion, done } from "../test/sockets/openaiWire.ts"
import type { Row } from "./measure/table.ts"

const rounds = 9
const calls = 3_000
const streams = 60
const chunks = 500

/** A subject makes one call; or reads one stream of so many chunks, each of which arrives by itself. */
interface Subject {
  readonly call?: () => Promise<unknown>
  /** Makes many calls inside of one Effect. */
  readonly calls?: (times: number) => Promise<unknown>
  readonly stream?: (chunks: number) => Promise<unknown>
}

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 1 }, outputTokens: { total: 1 } },
  response: undefined
}

type Parts = readonly [Response.StreamPartEncoded, ...Array<Response.StreamPartEncoded>]

const turn = Effect.promise(() => Promise.resolve())

/** Chunks come one by one, each in a turn of its own as from a socket. */
const instant: ModelProvider.ModelProvider = {
  name: "instant",
  model: "m",
  generateText: () => Effect.succeed([{ type: "text", text: "hello" }, finish]),
  streamText: ({ prompt }) =>
    Stream.fromPull(
      Effect.sync(() => {
        const count = Number(JSON.stringify(prompt.content).match(/chunks (\d+)/)?.[1] ?? chunks)
        let sent = 0
        return Effect.suspend((): Pull.Pull<Parts> => {
          sent++
          if (sent === 1) return Effect.succeed([{ type: "text-start", id: "t" }])
          if (sent <= count + 1) return Effect.as(turn, [{ type: "text-delta", id: "t", delta: "kelp " }])
          return sent === count + 2 ? Effect.succeed([{ type: "text-end", id: "t" }, finish]) : Cause.done()
        })
      })
    )
}

const scope = Scope.makeUnsafe()
const built = <A, E>(layer: Layer.Layer<A, E>): Promise<Context.Context<A>> =>
  Effect.runPromise(Effect.provideService(Layer.build(layer), Scope.Scope, scope))

const ofLanguageModel = (context: Context.Context<LanguageModel.LanguageModel>): Subject => ({
  calls: (times) =>
    Effect.runPromise(
      LanguageModel.generateText({ prompt: "hello" }).pipe(
        Effect.repeat({ times: times - 1 }),
        Effect.provideContext(context)
      )
    ),
  stream: (count) =>
    Effect.runPromise(
      Stream.runDrain(LanguageModel.streamText({ prompt: `chunks ${count}` })).pipe(Effect.provideContext(context))
    )
})

const modelOf = (policies: ReadonlyArray<ModelProvider.Policy>) =>
  built(Layer.provide(Model.layer({ provider: instant, policies }), Supervisor.layer({ retain: 1_000 })))

const openai = (): Subject => {
  const answer = completion("hello")
  let asked = chunks
  const encoder = new TextEncoder()
  const client = new OpenAI({
    apiKey: "none",
    fetch: async (_, init) => {
      const isStream = typeof init?.body === "string" && init.body.includes('"stream":true')
      if (!isStream) return new globalThis.Response(answer, { headers: { "content-type": "application/json" } })
      let sent = 0
      const body = new ReadableStream({
        pull: (controller) => {
          if (sent++ < asked) return controller.enqueue(encoder.encode(chunk({ content: "kelp " })))
          controller.enqueue(encoder.encode(done))
          controller.close()
        }
      })
      return new globalThis.Response(body, { headers: { "content-type": "text/event-stream" } })
    }
  })
  const messages = [{ role: "user" as const, content: "hello" }]
  return {
    call: () => client.chat.completions.create({ model: "m", messages }),
    stream: async (count) => {
      asked = count
      for await (const _ of await client.chat.completions.create({ model: "m", messages, stream: true }));
    }
  }
}

const usage = {
  inputTokens: { total: 1, noCache: 1, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 1, text: 1, reasoning: undefined }
}
const stop = { unified: "stop", raw: "stop" } as const

const aiSdk = (): Subject => {
  let asked = chunks
  const model = new MockLanguageModelV4({
    doGenerate: async () => ({ content: [{ type: "text", text: "hello" }], finishReason: stop, usage, warnings: [] }),
    doStream: async () => ({
      stream: simulateReadableStream({
        initialDelayInMs: null,
        chunkDelayInMs: null,
        chunks: [
          { type: "stream-start", warnings: [] },
          { type: "text-start", id: "t" },
          ...Array.from({ length: asked }, () => ({ type: "text-delta", id: "t", delta: "kelp " }) as const),
          { type: "text-end", id: "t" },
          { type: "finish", finishReason: stop, usage }
        ]
      })
    })
  })
  return {
    call: () => generateText({ model, prompt: "hello" }),
    stream: async (count) => {
      asked = count
      for await (const _ of streamText({ model, prompt: "hello" }).fullStream);
    }
  }
}

const cockatiel = (): Subject => {
  const policy = wrap(
    retry(handleAll, { maxAttempts: 3 }),
    circuitBreaker(handleAll, { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) }),
    timeout(60_000, TimeoutStrategy.Aggressive)
  )
  return { call: () => policy.execute(async () => "hello") }
}

const effectOnly: Subject = {
  calls: (times) =>
    Effect.runPromise(
      Effect.succeed("hello").pipe(
        Effect.timeout("1 minute"),
        Effect.retry({ schedule: Schedule.exponential("200 millis"), times: 3 }),
        Effect.repeat({ times: times - 1 })
      )
    )
}

const cpu = async (count: number, work: () => Promise<unknown>): Promise<number> => {
  globalThis.gc?.()
  const start = process.cpuUsage()
  await work()
  const { system, user } = process.cpuUsage(start)
  return (system + user) / count
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN

/** CPU for a chunk of 10,000 streams of 100 chunks, so many of which are open at the same time. */
const whileOpen = (context: Context.Context<LanguageModel.LanguageModel>, open: number): Promise<number> => {
  const read = Stream.runDrain(LanguageModel.streamText({ prompt: "chunks 100" }))
  return cpu(1_000_000, () =>
    Effect.runPromise(
      Effect.replicateEffect(read, 10_000, { concurrency: open, discard: true }).pipe(Effect.provideContext(context))
    )
  )
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const bare = Context.make(LanguageModel.LanguageModel, await Effect.runPromise(LanguageModel.make(instant)))
  const standard = await modelOf(Pipeline.standard())
  const subjects: Readonly<Record<string, Subject>> = {
    "effect LanguageModel, bare provider": ofLanguageModel(bare),
    "holdfast, no policies": ofLanguageModel(await modelOf([])),
    "holdfast, standard pipeline": ofLanguageModel(standard),
    "openai SDK": openai(),
    "AI SDK 7": aiSdk(),
    "cockatiel retry, breaker, timeout": cockatiel(),
    "effect timeout, retry": effectOnly
  }
  const perCall: Record<string, Array<number>> = {}
  const perChunk: Record<string, Array<number>> = {}
  for (let round = -1; round < rounds; round++) {
    for (const [name, { call, calls: many, stream }] of Object.entries(subjects)) {
      const all =
        many ??
        (async (times: number) => {
          for (let n = 0; n < times; n++) await call?.()
        })
      const callMicros = await cpu(calls, () => all(calls))
      const chunkMicros =
        stream === undefined
          ? undefined
          : await cpu(streams * chunks, async () => {
              for (let n = 0; n < streams; n++) await stream(chunks)
            })
      if (round < 0) continue
      ;(perCall[name] ??= []).push(callMicros)
      if (chunkMicros !== undefined) (perChunk[name] ??= []).push(chunkMicros)
    }
  }
  const base = {
    call: median(perCall["effect LanguageModel, bare provider"] ?? []),
    chunk: median(perChunk["effect LanguageModel, bare provider"] ?? [])
  }
  const rows = Object.keys(subjects).map((name): Row => {
    const call = median(perCall[name] ?? [])
    const chunk = perChunk[name] === undefined ? "" : median(perChunk[name])
    const isOurs = name.startsWith("holdfast")
    return {
      subject: name,
      "µs a call": call,
      "beyond bare": isOurs ? call - base.call : "",
      "µs a chunk": chunk,
      "beyond bare, a chunk": isOurs && chunk !== "" ? chunk - base.chunk : "",
      target: name === "holdfast, standard pipeline" ? "≤ 30 and ≤ 1.2 beyond bare" : ""
    }
  })
  const open: Array<Row> = []
  for (const count of [1, 100, 10_000]) {
    const bareMicros = await whileOpen(bare, count)
    const micros = await whileOpen(standard, count)
    open.push({
      subject: `standard pipeline, ${count.toLocaleString("en-US")} open streams`,
      "µs a chunk": micros,
      "beyond bare, a chunk": micros - bareMicros,
      target: "flat"
    })
  }
  await Effect.runPromise(Scope.close(scope, Exit.void))
  return [...rows, ...open]
}
