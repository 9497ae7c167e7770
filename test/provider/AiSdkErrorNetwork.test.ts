import { createServer as createTlsServer } from "node:https"
import { createServer, type Server, type Socket } from "node:net"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { AiError } from "effect/ai"
import { Fetch } from "holdfast/provider"
import { event, failureOf, model, question, type Reply, type Via, Wire } from "./AiSdkErrorWire.ts"

const vias: ReadonlyArray<Via> = ["chat", "responses", "compatible", "anthropic"]

const listening = <S extends Server>(server: S) =>
  Effect.acquireRelease(
    Effect.callback<number>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    }),
    () => Effect.sync(() => server.close())
  )

const isLost = (error: AiError.AiError, says?: RegExp) => {
  assert.strictEqual(error.reason._tag, "NetworkError", error.message)
  assert.strictEqual(error.reason._tag === "NetworkError" && error.reason.reason, "TransportError")
  assert.isTrue(error.isRetryable)
  if (says !== undefined) assert.match(error.message, says)
}

const cutAfter =
  (text: string, contentType: string): Reply =>
  (_, response) => {
    response.writeHead(200, { "content-type": contentType })
    response.write(text, () => setTimeout(() => response.socket?.destroy(), 5))
  }

layer(Wire.layer)("a connection that is lost", (it) => {
  for (const via of vias) {
    it.effect(`${via}: refused`, () =>
      Effect.gen(function* () {
        const port = yield* Effect.scoped(listening(createServer()))
        for (const stream of [false, true]) {
          isLost(yield* failureOf(model(via, `http://127.0.0.1:${port}`), stream), /ECONNREFUSED/)
        }
      })
    )

    it.effect(`${via}: closed before the headers`, () =>
      Effect.gen(function* () {
        const port = yield* listening(createServer((socket) => socket.once("data", () => socket.destroy())))
        for (const stream of [false, true]) isLost(yield* failureOf(model(via, `http://127.0.0.1:${port}`), stream))
      })
    )

    it.effect(`${via}: reset before the headers`, () =>
      Effect.gen(function* () {
        const reset = (socket: Socket) => socket.once("data", () => socket.resetAndDestroy())
        const port = yield* listening(createServer(reset))
        isLost(yield* failureOf(model(via, `http://127.0.0.1:${port}`), false), /ECONNRESET/)
      })
    )

    it.effect(`${via}: cut in the middle of an answer`, () =>
      Effect.gen(function* () {
        const wire = yield* Wire
        isLost(yield* wire.failureOf(via, false, cutAfter('{"id":"1","choices":[{"mess', "application/json")))
      })
    )

    it.effect(`${via}: closed in order in the middle of an answer`, () =>
      Effect.gen(function* () {
        const wire = yield* Wire
        for (const text of ['{"id":"1","choices":[{"mess', '{"id":"1","model":"m"', ""]) {
          const error = yield* wire.failureOf(via, false, (_, response) => {
            response.writeHead(200, { "content-type": "application/json" }).end(text)
          })
          assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["InternalProviderError", true])
        }
      })
    )
  }

  it.effect("is lost also when it is cut in mid-stream", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const chunk = (content: string) => ({
        id: "c",
        object: "chat.completion.chunk",
        created: 1,
        model: "m",
        choices: [{ index: 0, delta: { content }, finish_reason: null }]
      })
      for (const via of ["chat", "compatible"] as const) {
        isLost(yield* wire.failureOf(via, true, cutAfter(event(chunk("Hel")), "text/event-stream")))
      }
    })
  )

  it.effect("keeps the status when a refusal is cut", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const cut =
        (status: number): Reply =>
        (_, response) => {
          response.writeHead(status, { "content-type": "application/json", "retry-after": "3" })
          response.write('{"error":{"mess', () => setTimeout(() => response.socket?.destroy(), 5))
        }
      const busy = yield* wire.failureOf("chat", false, cut(429))
      assert.strictEqual(busy.reason._tag, "RateLimitError")
      assert.isDefined(busy.retryAfter)
      assert.strictEqual((yield* wire.failureOf("chat", false, cut(503))).reason._tag, "InternalProviderError")
    })
  )

  it.effect("does not carry the question along", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(listening(createServer()))
      const error = yield* failureOf(model("chat", `http://127.0.0.1:${port}`), false)
      assert.notInclude(JSON.stringify(yield* Schema.encodeEffect(AiError.AiError)(error)), question)
    })
  )

  it.effect("names the server, without what follows a question mark", () =>
    Effect.gen(function* () {
      const port = yield* Effect.scoped(listening(createServer()))
      const { reason } = yield* failureOf(model("chat", `http://127.0.0.1:${port}/v1?key=secret&x=`), false)
      assert(reason._tag === "NetworkError")
      assert.strictEqual(reason.url, `http://127.0.0.1:${port}/v1`)
    })
  )
})

layer(Wire.layer)("an answer that arrived whole and makes no sense", (it) => {
  const html = "<html><body>Welcome to the hotel network</body></html>"
  for (const via of vias) {
    for (const body of [html, '{"hello":"world"}', '{"id":1,]', "null"]) {
      it.effect(`${via}: ${body.slice(0, 20)} is final`, () =>
        Effect.gen(function* () {
          const wire = yield* Wire
          const error = yield* wire.failureOf(via, false, (_, response) => {
            response.writeHead(200, { "content-type": "application/json", "x-request-id": "req_9" }).end(body)
          })
          assert.strictEqual(error.reason._tag, "InvalidResponseError", error.message)
          assert.isFalse(error.isRetryable)
          assert("http" in error.reason)
          assert.isUndefined(error.reason.http?.body)
        })
      )
    }
  }
})

layer(Wire.layer)("what another attempt cannot mend", (it) => {
  it.effect("a certificate nobody vouches for", () =>
    Effect.gen(function* () {
      const port = yield* listening(createTlsServer({ key, cert }, (_, response) => response.end("{}")))
      const error = yield* failureOf(model("chat", `https://127.0.0.1:${port}`), false)
      assert.strictEqual(error.reason._tag, "UnknownError")
      assert.match(error.message, /certificate/)
    })
  )

  it.effect("an answer that is no HTTP", () =>
    Effect.gen(function* () {
      const server = createServer((socket) => void socket.on("error", () => {}).write("SSH-2.0-OpenSSH\r\n"))
      const baseURL = `http://127.0.0.1:${yield* listening(server)}`
      for (const fetch of [globalThis.fetch, Fetch.fetch]) {
        const { reason } = yield* failureOf(createOpenAICompatible({ baseURL, name: "m", fetch })("m"), false)
        assert.strictEqual(reason._tag, "InvalidResponseError")
      }
    })
  )

  it.effect("a plain server on a TLS address", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const url = wire.url(() => {}).replace("http:", "https:")
      assert.isFalse((yield* failureOf(model("chat", url), false)).isRetryable)
    })
  )

  it.effect("an address that is none", () =>
    Effect.gen(function* () {
      for (const url of ["no-address", "ftp://127.0.0.1", "http://127.0.0.1:1"]) {
        const { reason } = yield* failureOf(model("compatible", url), false)
        assert(reason._tag === "NetworkError", url)
        assert.strictEqual(reason.reason, "InvalidUrlError", url)
      }
    })
  )

  it.effect("a key that no header can hold, and it is not repeated", () =>
    Effect.gen(function* () {
      const wire = yield* Wire
      const error = yield* failureOf(
        model(
          "compatible",
          wire.url(() => {}),
          "secret-1\nsecret-2"
        ),
        false
      )
      assert(error.reason._tag === "NetworkError")
      assert.strictEqual(error.reason.reason, "EncodeError")
      assert.notInclude(JSON.stringify(yield* Schema.encodeEffect(AiError.AiError)(error)), "secret-")
    })
  )
})

const pem = (label: string, base64: string) => `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`

/** A self-signed certificate for localhost, and its key. They protect nothing. */
const key = pem(
  "PRIVATE KEY",
  "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgXUN6S4yWuWZIdr+qbTCN/eLB62PdRCALk/e3JLDDz4ehRANCAARq" +
    "s1qNk5CL1boP/d7MD7mcDuuuiWiZkZQltNC47mpcbIEQ7HZA+sptFu2pOysZFbRu77dy3CWSu3eEBqOaU4SH"
)
const cert = pem(
  "CERTIFICATE",
  "MIIBfzCCASWgAwIBAgIUVZvu4ktfcgybJlQEcCBiLpgGNvQwCgYIKoZIzj0EAwIwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2" +
    "MTEyMTAxMjQwNFoYDzIxMjYxMDI4MDEyNDA0WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC" +
    "AARqs1qNk5CL1boP/d7MD7mcDuuuiWiZkZQltNC47mpcbIEQ7HZA+sptFu2pOysZFbRu77dy3CWSu3eEBqOaU4SHo1MwUTAdBgNV" +
    "HQ4EFgQU3aXffVt332JrQw1CkyiX5qVfxdswHwYDVR0jBBgwFoAU3aXffVt332JrQw1CkyiX5qVfxdswDwYDVR0TAQH/BAUwAwEB" +
    "/zAKBggqhkjOPQQDAgNIADBFAiB0SGrYajmEBEdxgtw2bO4bZKgdHt5GD5JucJ7j3geXPgIhAI/5m4I4m8FnUUQDcqbHt9KFjAmr" +
    "YOfzG/E7l8nyA/4u"
)
