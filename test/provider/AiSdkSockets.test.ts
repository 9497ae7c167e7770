import { createServer } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { IdGenerator } from "effect/ai"
import { AiSdk } from "holdfast/provider"
import { WireTap } from "holdfast/testing"
import { request } from "../../src/testing/provider-contract/Stage.ts"
import { server } from "../contracts/aimock.ts"
import { chunk } from "../sockets/openaiWire.ts"

const providerAt = (origin: string) =>
  AiSdk.provider(createOpenAICompatible({ name: "mine", baseURL: `${origin}/v1`, apiKey: "not-a-secret" })("model-x"))

const anthropicAt = (origin: string) =>
  AiSdk.provider(createAnthropic({ baseURL: `${origin}/v1`, apiKey: "not-a-secret" })("claude-sonnet-4-5"))

const withIds = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

/** A server that takes 2 ms to answer, then sends a word every millisecond and never ends; it knows its open sockets. */
const endless = Effect.acquireRelease(
  Effect.promise(async () => {
    const sockets = new Set<Socket>()
    const requests: Array<string | undefined> = []
    const http = createServer((incoming, response) => {
      incoming.resume()
      requests.push(incoming.url)
      const start = setTimeout(() => {
        response.writeHead(200, { "content-type": "text/event-stream" })
        const talk = setInterval(() => response.write(chunk({ content: "word " })), 1)
        response.on("close", () => clearInterval(talk))
      }, 2)
      response.on("close", () => clearTimeout(start))
    })
    http.on("connection", (socket) => {
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
    })
    await new Promise<void>((resolve) => {
      http.listen(0, "127.0.0.1", resolve)
    })
    return { http, requests, sockets, origin: `http://127.0.0.1:${(http.address() as AddressInfo).port}` }
  }),
  ({ http }) =>
    Effect.promise(() => {
      http.closeAllConnections()
      return new Promise((resolve) => {
        http.close(resolve)
      })
    })
)

describe("sockets", () => {
  it.live("are closed within 50 ms of an interruption at any moment, 200 times out of 200", () =>
    Effect.gen(function* () {
      const { origin, requests, sockets } = yield* endless
      const provider = providerAt(origin)
      const open: Array<string> = []
      for (let run = 0; run < 200; run++) {
        const call = yield* request("talk")
        const before = requests.length
        let words = 0
        const generate = run % 4 === 0
        const fiber = yield* (
          generate
            ? Effect.asVoid(provider.generateText(call))
            : Stream.runForEach(provider.streamText(call), (part) =>
                Effect.sync(() => void (words += part.type === "text-delta" ? 1 : 0))
              )
        ).pipe(withIds, Effect.forkChild)
        const [moment, reached] = yield* Random.choice([
          ["at once", () => true],
          ["connected", () => sockets.size > 0],
          ["waiting for headers", () => requests.length > before],
          ["mid-answer", () => (generate ? requests.length > before : words > run % 7)]
        ] as const)
        while (!reached()) yield* Effect.sleep(1)
        yield* Fiber.interrupt(fiber)
        // 25 turns of a millisecond or two, and not 50 ms: a busy machine may take that time for itself.
        for (let turn = 0; turn < 25 && sockets.size > 0; turn++) yield* Effect.sleep(1)
        if (sockets.size > 0) open.push(`run ${run}, ${moment}`)
      }
      expect(open).toEqual([])
    })
  )

  it.live.each([
    ["OpenAI", providerAt],
    ["Anthropic", anthropicAt]
  ] as const)("are used again after streams that were read to their end, in the format of %s", ([, providerOf]) =>
    Effect.gen(function* () {
      const tap = yield* WireTap.make(yield* server)
      const provider = providerOf(tap.origin)
      const call = yield* request("contract: plain")
      for (let run = 0; run < 10; run++) yield* Stream.runDrain(provider.streamText(call)).pipe(withIds)
      expect(yield* tap.count).toBe(10)
      expect(yield* tap.connections).toBeLessThan(5) // a closed connection each time would make 10
    })
  )
})
