/** What a refusal says by its head reaches the caller whatever its body does, through `ChatWire` and through the bridge. */
import { createServer, type Server } from "node:http"
import { createServer as createRaw } from "node:net"
import { gzipSync } from "node:zlib"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Stream } from "effect"
import type { AiError } from "effect/ai"
import { Verdict, WireBytes } from "holdfast/core"
import { AiSdk, ChatWire, Fetch } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { listening } from "../../sockets/listening.ts"

/** The errors of every way to ask: whole and streamed, as bytes, and through the bridge. */
const errorsOf = (port: number, headers: Record<string, string> = {}) =>
  Effect.gen(function* () {
    const baseUrl = `http://127.0.0.1:${port}/v1`
    const wire = ChatWire.provider({ baseUrl, model: "m" })
    const vendor = createOpenAICompatible({ name: "m", baseURL: baseUrl, fetch: Fetch.fetch })
    const bridge = AiSdk.provider(vendor("m"), { settings: { headers } })
    const asked = yield* request("hi")
    const bytes = { body: Buffer.from("{}"), prompt: asked.prompt, headers }
    const ways: ReadonlyArray<Effect.Effect<unknown, AiError.AiError, never>> = [
      wire.generateText(asked).pipe(ChatWire.withSettings({ headers }), withIds),
      Stream.runDrain(wire.streamText(asked)).pipe(ChatWire.withSettings({ headers }), withIds),
      Effect.provideService(withIds(ChatWire.raw({ baseUrl }).generateText(asked)), WireBytes.Current, bytes),
      withIds(bridge.generateText(asked)),
      withIds(Stream.runDrain(bridge.streamText(asked)))
    ]
    return yield* Effect.forEach(ways, Effect.flip, { concurrency: "unbounded" })
  })

const serving = (server: Server) => listening(server)
const waitOf = ({ retryAfter }: AiError.AiError) => retryAfter && Duration.toSeconds(retryAfter)

describe("a refusal", () => {
  it.live.each([
    [429, "RateLimitError"],
    [503, "InternalProviderError"],
    [401, "AuthenticationError"]
  ] as const)("of status %s whose body never ends is a %s a moment later", ([status, tag]) =>
    Effect.gen(function* () {
      const head = `HTTP/1.1 ${status} No\r\nretry-after: 20\r\ncontent-type: application/json\r\n`
      const stalled = createRaw((socket) => {
        socket
          .on("error", () => {})
          .once("data", () => socket.write(`${head}content-length: 500\r\n\r\n{"error":{"mess`))
      })
      const errors = yield* Effect.timeout(errorsOf(yield* listening(stalled)), "5 seconds")
      for (const error of errors) {
        assert.strictEqual(error.reason._tag, tag)
        const { retryAfter } = Verdict.of(error)
        assert.strictEqual(retryAfter && Duration.toSeconds(retryAfter), 20)
      }
    })
  )

  it.live.each(["aws-chunked", "compress", "constructor", "gzip, gzip, gzip", "gzip, gzip"])(
    "packed in %s keeps its status and its headers",
    (coding) =>
      Effect.gen(function* () {
        const server = createServer((asked, response) =>
          asked.resume().on("end", () => {
            const body = gzipSync(gzipSync(JSON.stringify({ error: { message: "slow down" } })))
            response.writeHead(429, { "retry-after": "20", "content-encoding": coding }).end(body)
          })
        )
        for (const error of yield* errorsOf(yield* serving(server))) {
          assert.strictEqual(error.reason._tag, "RateLimitError")
          assert.strictEqual(waitOf(error), 20)
        }
      })
  )

  it.live("is read as far as maxErrorBytes, and its connection is closed, whatever comes behind", () =>
    Effect.gen(function* () {
      const { promise: closed, resolve } = Promise.withResolvers<void>()
      const server = createServer((asked, response) =>
        asked.resume().on("end", () => {
          response.on("close", resolve).writeHead(503)
          response.write(`${" ".repeat(200)}{"error":{"code":"insufficient_quota"}}`)
        })
      )
      const seen: Array<ChatWire.LogEntry> = []
      const provider = ChatWire.provider({
        baseUrl: `http://127.0.0.1:${yield* listening(server)}/v1`,
        model: "m",
        limits: { maxErrorBytes: 100 },
        log: (entry) => seen.push(entry)
      })
      const { reason } = yield* Effect.flip(provider.generateText(yield* request("hi")))
      assert.strictEqual(reason._tag, "InternalProviderError")
      const last = seen.at(-1)
      assert(last?.event === "ended")
      assert.strictEqual(last.body, " ".repeat(100))
      yield* Effect.timeout(
        Effect.promise(() => closed),
        "5 seconds"
      )
    }).pipe(withIds)
  )

  it.live("that names a wait twice asks for the longer one, and not to retry although it says so twice", () =>
    Effect.gen(function* () {
      const server = createServer((asked, response) =>
        asked.resume().on("end", () => {
          const headers = { "retry-after": ["7", "30"], "x-should-retry": ["true", "true"] }
          response.writeHead(429, headers as Record<string, Array<string>>).end("{}")
        })
      )
      for (const error of yield* errorsOf(yield* serving(server))) {
        assert.strictEqual(error.reason._tag, "RateLimitError")
        assert.strictEqual(waitOf(error), 30)
      }
    })
  )
})

describe("a header of one call that cannot be sent", () => {
  it.live.each([
    ["expect", "100-continue"],
    ["content-length", "5"],
    ["content-length", "kelp"],
    ["transfer-encoding", "chunked"],
    ["upgrade", "h2c"],
    ["keep-alive", "5"]
  ] as const)("%s: %s is the call's own fault, and named", ([name, value]) =>
    Effect.gen(function* () {
      let requests = 0
      const port = yield* serving(createServer((asked, response) => void (requests++, asked.resume(), response.end())))
      for (const error of yield* errorsOf(port, { [name]: value })) {
        assert(error.reason._tag === "NetworkError")
        assert.strictEqual(error.reason.reason, "EncodeError")
        assert.deepStrictEqual(Verdict.of(error), { blame: "none", retryable: false, retryAfter: undefined })
        assert.include(error.reason.description, `the header ${name} `)
      }
      assert.strictEqual(requests, 0)
    })
  )
})
