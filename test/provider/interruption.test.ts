import type { ServerResponse } from "node:http"
import { createServer, type Socket } from "node:net"
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Random, type Scope, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { Model } from "holdfast/model"
import { Bulkhead, Retry, Timeout } from "holdfast/policy"
import { AiSdk, Fetch } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { LeakDetector } from "holdfast/testing"
import * as Cancelling from "../sockets/cancelling.ts"
import { listening } from "../sockets/listening.ts"
import * as ThreadClock from "../sockets/threadClock.ts"
import { chunk } from "../sockets/openaiWire.ts"
import { summary, watching } from "../sockets/watching.ts"

const runs = 200
const limitMillis = 50
/** The first calls of each kind load and compile the AI SDK's code, which blocks everything; they come first, unmeasured. */
const warmUps = 24

/** One call to interrupt: what it does, and what is seen of it. */
interface Call extends Cancelling.Sight {
  readonly run: Effect.Effect<void>
}

/** Interrupts one call up to 10 ms after it has reached its stage, and tells for how long it, or its socket, lived on. */
const interrupt = ({ run, ...sight }: Call) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(run)
    return yield* Cancelling.outlived(sight, yield* Random.nextBetween(0, 10), Cancelling.interrupting(fiber))
  })

/** Interrupts 200 calls and asserts that every socket was closed in time, and that nothing at all is left. */
const prove = (
  stage: string,
  concurrency: number,
  calls: Effect.Effect<(run: number) => Effect.Effect<Call>, never, Scope.Scope>
) =>
  Effect.gen(function* () {
    const call = yield* calls
    const each = Array.from({ length: warmUps + runs }, (_, run) => Effect.flatMap(call(run), interrupt))
    const warm = yield* Effect.all(each.slice(0, warmUps), { concurrency })
    const lost = ThreadClock.lost()
    const millis = yield* Effect.all(each.slice(warmUps), { concurrency })
    console.log(
      `${stage}: ${runs} interrupted, closed after ${summary(millis).text}`,
      `(without ${(ThreadClock.lost() - lost).toFixed(0)} ms in which the machine did not run this thread)`
    )
    assert.strictEqual(millis.length, runs)
    assert.isTrue(warm.every(Number.isFinite))
    assert.deepStrictEqual(
      millis.filter((each) => !(each <= limitMillis)),
      []
    )
  }).pipe(Effect.scoped, LeakDetector.check)

/** The models in turn, with Node's `fetch` and with ours. */
const modelAt = (baseURL: string, run: number, fetch = run % 2 === 0 ? globalThis.fetch : Fetch.fetch) => {
  const options = { baseURL, apiKey: "key", fetch }
  switch (Math.floor(run / 2) % 3) {
    case 0:
      return AiSdk.provider(createOpenAI(options).chat("gpt-5-mini"))
    case 1:
      return AiSdk.provider(createOpenAICompatible({ ...options, name: "compatible" })("some-model"))
    default:
      return AiSdk.provider(createAnthropic(options)("claude-sonnet-5"))
  }
}

/** What stands around the calls: as much of the library as a call can go through. */
const policies = [
  Timeout.overall("1 minute"),
  Bulkhead.limit({ concurrency: 10 }),
  Retry.transient(),
  Timeout.perAttempt("30 seconds")
]

/** Calls a supervised model, whole or as a stream, and says so when the first part of a stream has come. */
const ask = (provider: ReturnType<typeof modelAt>, stream: boolean, onPart = Effect.void) =>
  (stream
    ? Stream.runForEach(LanguageModel.streamText({ prompt: "Why is the sky blue?" }), () => onPart)
    : Effect.asVoid(LanguageModel.generateText({ prompt: "Why is the sky blue?" }))
  ).pipe(
    Effect.orDie,
    Effect.provide(Layer.provide(Model.layer({ provider, policies }), Supervisor.layer({ upkeepEvery: "Infinity" })))
  )

const signal = <A>() => Deferred.makeUnsafe<A>()
const closing = (socket: Socket) => {
  const closed = signal<number>()
  socket.on("error", () => {})
  socket.once("close", () => Deferred.doneUnsafe(closed, Effect.succeed(ThreadClock.now())))
  return closed
}

/** A server whose n-th path gets the n-th answer. */
const answering = (answer: (response: ServerResponse, run: number, seen: () => void) => void) =>
  Effect.map(
    watching(
      ({ url }) => Number(url?.split("/")[1]),
      (response, run, { reach }) => answer(response, run, reach)
    ),
    ({ origin, watch }) =>
      (run: number) => ({ baseURL: `${origin}/${run}`, watched: watch(run) })
  )

const messageStart = `event: message_start\ndata: ${JSON.stringify({ type: "message_start", message: { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } } })}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n`
const delta = `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"blue "}}\n\n`

// While it is connecting: see the cancellation of calls in test/policy.
describe("an interrupted call has closed its socket within 50 ms, 200 times of 200", () => {
  it.live("while it is shaking hands for TLS", () =>
    prove(
      "TLS handshake",
      4,
      Effect.gen(function* () {
        const arrived: Array<(socket: Socket) => void> = []
        const server = createServer((socket) => {
          socket.resume()
          arrived.shift()?.(socket)
        })
        const port = yield* listening(server)
        return (run) =>
          Effect.sync(() => {
            const reached = signal<Deferred.Deferred<number>>()
            arrived.push((socket) => Deferred.doneUnsafe(reached, Effect.succeed(closing(socket))))
            return {
              run: ask(modelAt(`https://127.0.0.1:${port}`, run, Fetch.fetch), run % 4 < 2),
              reached: Effect.asVoid(Deferred.await(reached)),
              closed: Effect.flatMap(Deferred.await(reached), Deferred.await)
            }
          })
      })
    )
  )

  it.live("while it waits for headers", () =>
    prove(
      "waiting for headers",
      4,
      Effect.gen(function* () {
        const on = yield* answering((_response, _run, seen) => seen())
        return (run) =>
          Effect.sync(() => {
            const { baseURL, watched } = on(run)
            return { ...watched, run: ask(modelAt(baseURL, run), run % 4 < 2) }
          })
      })
    )
  )

  it.live("in the middle of an answer", () =>
    prove(
      "mid-answer",
      4,
      Effect.gen(function* () {
        const isStream = (run: number) => run % 4 < 2 || run % 3 === 0
        const on = yield* answering((response, run, seen) => {
          const isAnthropic = Math.floor(run / 2) % 3 === 2
          if (!isStream(run)) {
            response.writeHead(200, { "content-type": "application/json" })
            response.write('{"id":"c","choices":[{"message":{"content":"Bec', seen)
            return
          }
          response.writeHead(200, { "content-type": "text/event-stream" })
          response.write(isAnthropic ? messageStart + delta : chunk({ role: "assistant", content: "Because " }))
          const more = setInterval(() => response.write(isAnthropic ? delta : chunk({ content: "blue " })), 2)
          response.once("close", () => clearInterval(more))
        })
        return (run) =>
          Effect.sync(() => {
            const { baseURL, watched } = on(run)
            return { ...watched, run: ask(modelAt(baseURL, run), isStream(run), Effect.sync(watched.reach)) }
          })
      })
    )
  )

  it.live("in a back-off, and sends nothing more", () =>
    Effect.gen(function* () {
      let requests = 0
      yield* prove(
        "back-off",
        4,
        Effect.gen(function* () {
          const on = yield* answering((response, _run, seen) => {
            requests++
            response.writeHead(503, {
              "content-type": "application/json",
              "retry-after-ms": "200",
              connection: "close"
            })
            response.end('{"error":{"message":"overloaded","type":"server_error"}}', seen)
          })
          return (run) =>
            Effect.sync(() => {
              const { baseURL, watched } = on(run)
              return { ...watched, run: ask(modelAt(baseURL, run), run % 4 < 2) }
            })
        })
      )
      assert.strictEqual(requests, warmUps + runs)
    })
  )
})
