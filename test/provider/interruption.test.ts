import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { AiSdk, ChatWire, Fetch } from "holdfast/provider"
import { answering, ask, mute, overloaded, prove, timesOr, warmUps } from "../sockets/interrupting.ts"
import { chunk } from "../sockets/openaiWire.ts"

const runs = timesOr(200)

/** The models in turn, with Node's `fetch` and with ours. */
const modelAt = (baseURL: string, run: number, fetch = run % 2 === 0 ? globalThis.fetch : Fetch.fetch) => {
  const options = { baseURL, apiKey: "key", fetch }
  switch (Math.floor(run / 2) % 4) {
    case 0:
      return AiSdk.provider(createOpenAI(options).chat("gpt-5-mini"))
    case 1:
      return AiSdk.provider(createOpenAICompatible({ ...options, name: "compatible" })("some-model"))
    case 2:
      return AiSdk.provider(createAnthropic(options)("claude-sonnet-5"))
    default:
      return ChatWire.provider({ baseUrl: baseURL, apiKey: "key", model: "some-model", name: "wire" })
  }
}

const messageStart = `event: message_start\ndata: ${JSON.stringify({ type: "message_start", message: { id: "m", type: "message", role: "assistant", model: "m", content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } } })}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n`
const delta = `event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"blue "}}\n\n`

// While it is connecting: see the cancellation of calls in test/policy.
describe("an interrupted call has closed its socket within 50 ms, every time", () => {
  it.live("while it is shaking hands for TLS", () =>
    prove(
      "TLS handshake",
      runs,
      Effect.map(
        mute,
        ({ next, port }) =>
          (run) =>
            Effect.sync(() => ({
              ...next(),
              run: ask(modelAt(`https://127.0.0.1:${port}`, run, Fetch.fetch), run % 4 < 2)
            }))
      )
    )
  )

  it.live("while it waits for headers", () =>
    prove(
      "waiting for headers",
      runs,
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
      runs,
      Effect.gen(function* () {
        const isStream = (run: number) => run % 4 < 2 || run % 3 === 0
        const on = yield* answering((response, run, seen) => {
          const isAnthropic = Math.floor(run / 2) % 4 === 2
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
        runs,
        Effect.gen(function* () {
          const on = yield* answering((response, _run, seen) => {
            requests++
            overloaded(response, seen)
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
