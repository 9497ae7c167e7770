/** What a server may send to fill the memory or to show a secret, through `ChatWire` and through the AI SDK bridge. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { createGzip } from "node:zlib"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Stream } from "effect"
import type { AiError } from "effect/ai"
import { AiSdk, ChatWire, Fetch, type ModelProvider } from "holdfast/provider"
import { request, withIds } from "../../src/testing/provider-contract/Stage.ts"
import { listening } from "../sockets/listening.ts"
import { completion } from "../sockets/openaiWire.ts"

type Answering = (response: ServerResponse, asked: IncomingMessage, times: number, body: string) => void

const maxBytes = 2 ** 20

const ways: Readonly<Record<string, (origin: string, key: string) => ModelProvider.ModelProvider>> = {
  ChatWire: (origin, key) =>
    ChatWire.provider({ baseUrl: `${origin}/v1`, apiKey: key, model: "m", proxy: false, limits: { maxBytes } }),
  AiSdk: (origin, key) => {
    const fetch = Fetch.make({ maxBytes, proxy: false })
    return AiSdk.provider(createOpenAICompatible({ name: "m", baseURL: `${origin}/v1`, apiKey: key, fetch })("m"))
  }
}

const serving = (answer: Answering) =>
  Effect.suspend(() => {
    let times = 0
    const server = createServer((asked, response) => {
      const body: Array<Buffer> = []
      asked.on("data", (bytes) => body.push(bytes))
      asked.on("end", () => answer(response, asked, ++times, Buffer.concat(body).toString()))
    })
    return Effect.map(listening(server), (port) => `127.0.0.1:${port}`)
  })

const failures = (provider: ModelProvider.ModelProvider) =>
  Effect.gen(function* () {
    const asked = yield* request("CANARYprompt")
    return [
      yield* Effect.flip(provider.generateText(asked)),
      yield* Effect.flip(Stream.runDrain(provider.streamText(asked)))
    ]
  }).pipe(withIds)

setFlagsFromString("--expose-gc")
const collect: () => void = runInNewContext("gc")
const held = () => {
  collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Writes without end, as fast as it is taken. */
const endless = (into: NodeJS.WritableStream, piece: Buffer, isOpen: () => boolean): void => {
  while (isOpen()) if (!into.write(piece)) return void into.once("drain", () => endless(into, piece, isOpen))
}

describe.each(Object.keys(ways))("through %s", (way) => {
  const at = ways[way]
  if (at === undefined) return assert.fail(way)

  const long: Readonly<Record<string, (times: number) => string>> = {
    "plain text": (times) => `${times} ${"x".repeat(2 ** 19)}`,
    "a long message": (times) => JSON.stringify({ error: { message: `${times} ${"x".repeat(2 ** 19)}` } }),
    "a short message and much else": (times) =>
      JSON.stringify({ error: { message: `no ${times}` }, trace: `${times} ${"y".repeat(2 ** 19)}` }),
    "a long code and type": (times) =>
      JSON.stringify({ error: { message: "no", code: `${times}${"c".repeat(2 ** 19)}`, type: "t".repeat(2 ** 19) } })
  }
  it.live.each(Object.keys(long))("an error that is kept does not keep the body it was read from: %s", (kind) =>
    Effect.gen(function* () {
      const host = yield* serving((response, _, times) => void response.writeHead(400).end(long[kind]?.(times)))
      const provider = at(`http://${host}`, "key")
      const kept: Array<AiError.AiError> = yield* failures(provider)
      const before = held()
      for (let call = 0; call < 20; call++) kept.push(...(yield* failures(provider)))
      // Forty bodies of half a megabyte; each error may keep what fits into a page or two. Connections that are being closed
      // hold what they read for a moment.
      let more = held() - before
      for (let tries = 0; tries < 20 && more >= 40 * 2 ** 16; tries++) {
        yield* Effect.sleep("20 millis")
        more = held() - before
      }
      assert.isBelow(more, 40 * 2 ** 16)
      assert.lengthOf(kept, 42)
    })
  )

  const bottomless: Readonly<Record<string, Answering>> = {
    "one event": (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: ")
      endless(response, Buffer.alloc(2 ** 16, 97), () => !response.destroyed)
    },
    "an answer": (response) => {
      response.writeHead(200, { "content-type": "application/json" }).write('{"a":"')
      endless(response, Buffer.alloc(2 ** 16, 97), () => !response.destroyed)
    },
    "a packed answer": (response) => {
      response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" })
      const packed = createGzip()
      packed.pipe(response)
      packed.write('{"a":"')
      endless(packed, Buffer.alloc(2 ** 16, 97), () => !response.destroyed)
    }
  }
  it.live.each(Object.keys(bottomless))("an answer without end is refused at its limit: %s", (kind) =>
    Effect.gen(function* () {
      const host = yield* serving((...asked) => bottomless[kind]?.(...asked))
      for (const error of yield* failures(at(`http://${host}`, "key"))) {
        assert.strictEqual(error.reason._tag, "InvalidResponseError")
        assert.include(error.message, `larger than ${maxBytes} bytes`)
      }
    })
  )

  it.live("a refusal without end is a refusal, or refused at its limit", () =>
    Effect.gen(function* () {
      const host = yield* serving((response) => {
        response.writeHead(503, { "content-type": "text/plain" })
        endless(response, Buffer.alloc(2 ** 16, 97), () => !response.destroyed)
      })
      for (const { reason } of yield* failures(at(`http://${host}`, "key"))) {
        assert.include(["InternalProviderError", "InvalidResponseError"], reason._tag)
      }
    })
  )

  const key = "sk-CANARYkey0123456789abcdef"
  const telling: Readonly<Record<string, Answering>> = {
    "a refusal that quotes the key": (response, asked) =>
      void response.writeHead(401).end(JSON.stringify({ error: { message: `no: ${asked.headers.authorization}` } })),
    "a header that quotes the key": (response, asked) =>
      void response.writeHead(500, { "x-auth": asked.headers.authorization ?? "", "set-cookie": key }).end("{}"),
    "an answer cut in the middle": (response) => void response.end(completion("CANARYanswer").slice(0, 120)),
    "an answer whose usage is of another type": (response) =>
      void response.end(
        JSON.stringify({ choices: [{ message: { content: "CANARYanswer" }, finish_reason: 7 }], usage: "x" })
      )
  }
  it.live.each(Object.keys(telling))("no key, prompt or answer shows in what is said of an error: %s", (kind) =>
    Effect.gen(function* () {
      const host = yield* serving((...asked) => telling[kind]?.(...asked))
      for (const error of yield* failures(at(`http://${host}`, key))) {
        const cause = Cause.fail(error)
        assert.notInclude(`${Cause.pretty(cause)} ${error.message}`, "CANARY")
        assert.notInclude(JSON.stringify(Exit.failCause(cause)), "CANARY")
      }
    })
  )

  it.live("no user, password or query of the URL shows when there is no server", () =>
    Effect.gen(function* () {
      const provider =
        way === "ChatWire"
          ? ChatWire.provider({ baseUrl: "http://CANARYuser:CANARYpass@127.0.0.1:1/v1?key=CANARYquery", model: "m" })
          : AiSdk.provider(
              createOpenAICompatible({
                name: "m",
                baseURL: "http://CANARYuser:CANARYpass@127.0.0.1:1/v1",
                queryParams: { key: "CANARYquery" },
                fetch: Fetch.fetch
              })("m")
            )
      for (const error of yield* failures(provider)) {
        const cause = Cause.fail(error)
        const shown = [Cause.pretty(cause), JSON.stringify(Exit.failCause(cause)), error.message].join("\n")
        assert.deepStrictEqual(shown.match(/CANARY\w+/g), null)
      }
    })
  )
})
