/**
 * Measures the CPU that a whole answer and a streamed chunk cost over a real connection: `ChatWire` beside bare undici,
 * `openai`, the AI SDK and our bridge to it. The server is a process of its own, and everybody keeps connections alive.
 *
 * "Bare" is what one would write by hand: `undici.request` with a body from `JSON.stringify`, and for a whole answer
 * `body.json()`, as no answer is of use before it is parsed. Of a stream it reads the bytes and parses nothing, so all
 * of the event stream and its JSON is beyond it. "Bytes only" is undici's `dispatch` with a handler that drops what comes.
 *
 * Chunks come twenty in a read, and singly. The figures are the least of rounds in which every subject has its turn: what
 * else the machine does can only add to CPU time. The options of a call (prompt and span) are made once, as for all.
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateText, streamText } from "ai"
import { Effect, Stream } from "effect"
import { IdGenerator, Prompt } from "effect/ai"
import { AiSdk, ChatWire, type ModelProvider } from "holdfast/provider"
import OpenAI from "openai"
import { Agent, request } from "undici"
import type { Row } from "./measure/table.ts"

const rounds = 9
const calls = 400
const streams = 6
const chunks = 2_000

interface Subject {
  readonly call: (url: string) => Promise<unknown>
  readonly stream: (url: string) => Promise<unknown>
}

const body = (stream: boolean) =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], ...(stream ? { stream } : {}) })

const agent = new Agent()
const headers = { "content-type": "application/json" }
const bare = (url: string, stream: boolean) =>
  request(`${url}/chat/completions`, { method: "POST", headers, body: body(stream), dispatcher: agent })

const bytesOnly = (url: string, stream: boolean) => {
  const { origin, pathname } = new URL(url)
  const call = { origin, path: `${pathname}/chat/completions`, method: "POST" as const, headers, body: body(stream) }
  return new Promise<void>((resolve, reject) => {
    agent.dispatch(call, {
      onRequestStart() {},
      onResponseStart() {},
      onResponseData() {},
      onResponseEnd: () => resolve(),
      onResponseError: (_, error) => reject(error)
    })
  })
}

const call = {
  prompt: Prompt.make("hi"),
  tools: [],
  toolChoice: "none" as const,
  responseFormat: { type: "text" as const },
  span: Effect.runSync(Effect.makeSpan("bench")),
  previousResponseId: undefined,
  incrementalPrompt: undefined
}
const ids = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

/** Makes a client once for each server, as a program does. */
const perServer = <A>(make: (url: string) => A) => {
  const made = new Map<string, A>()
  return (url: string): A => {
    const client = made.get(url) ?? make(url)
    made.set(url, client)
    return client
  }
}

const provided = (make: (url: string) => ModelProvider.ModelProvider): Subject => {
  const at = perServer(make)
  return {
    call: (url) => Effect.runPromise(ids(at(url).generateText(call))),
    stream: (url) => Effect.runPromise(ids(Stream.runDrain(at(url).streamText(call))))
  }
}

const openai = perServer((url) => new OpenAI({ baseURL: url, apiKey: "key", maxRetries: 0 }))
const sdk = perServer((url) => createOpenAICompatible({ name: "m", baseURL: url, apiKey: "key" })("m"))

const subjects: Readonly<Record<string, Subject>> = {
  "undici, bare": {
    call: async (url) => (await bare(url, false)).body.json(),
    stream: async (url) => {
      for await (const bytes of (await bare(url, true)).body) void bytes
    }
  },
  "undici, bytes only": { call: (url) => bytesOnly(url, false), stream: (url) => bytesOnly(url, true) },
  "holdfast ChatWire": provided((url) => ChatWire.provider({ baseUrl: url, apiKey: "key", model: "m", proxy: false })),
  "holdfast AiSdk": provided((url) => AiSdk.provider(sdk(url))),
  "openai 7": {
    call: (url) => openai(url).chat.completions.create({ model: "m", messages: [{ role: "user", content: "hi" }] }),
    stream: async (url) => {
      const stream = await openai(url).chat.completions.create({
        model: "m",
        stream: true,
        messages: [{ role: "user", content: "hi" }]
      })
      for await (const chunk of stream) void chunk
    }
  },
  "AI SDK 7": {
    call: (url) => generateText({ model: sdk(url), prompt: "hi", maxRetries: 0 }),
    stream: async (url) => {
      for await (const text of streamText({ model: sdk(url), prompt: "hi", maxRetries: 0 }).textStream) void text
    }
  }
}

const serve = async (together: number) => {
  const args = [
    "--conditions=holdfast-source",
    `${import.meta.dirname}/processes/wireServer.ts`,
    String(together),
    String(chunks)
  ]
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] })
  const [line] = await once(createInterface(child.stdout), "line")
  return { url: `${JSON.parse(String(line)).url}/v1`, stop: () => child.stdin.end() }
}

/** The least microseconds of this process's CPU for each of `times`. */
const costs = async (run: (subject: Subject) => Promise<unknown>, times: number, per: number) => {
  const all = new Map<string, Array<number>>(Object.keys(subjects).map((name) => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const [name, subject] of Object.entries(subjects)) {
      const before = process.cpuUsage()
      for (let time = 0; time < times; time++) await run(subject)
      const { system, user } = process.cpuUsage(before)
      if (round >= 0) all.get(name)?.push((user + system) / times / per)
    }
  }
  return (name: string) => Math.min(...(all.get(name) ?? []))
}

export const run = async (): Promise<ReadonlyArray<Row>> => {
  const twenty = await serve(20)
  const single = await serve(1)
  const whole = await costs((subject) => subject.call(twenty.url), calls, 1)
  const together = await costs((subject) => subject.stream(twenty.url), streams, chunks)
  const singly = await costs((subject) => subject.stream(single.url), streams, chunks)
  twenty.stop()
  single.stop()
  const bareName = "undici, bare"
  return Object.keys(subjects).map((name) => ({
    subject: name,
    "µs a call": whole(name),
    "times bare": whole(name) / whole(bareName),
    "µs a chunk, 20 in a read": together(name),
    "beyond bare": together(name) - together(bareName),
    "µs a chunk, singly": singly(name),
    "beyond bare, singly": singly(name) - singly(bareName)
  }))
}
