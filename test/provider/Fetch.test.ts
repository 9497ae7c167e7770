import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { gzipSync } from "node:zlib"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Fetch } from "holdfast/provider"
import { listening } from "../sockets/listening.ts"

type Reply = (request: IncomingMessage, response: ServerResponse, body: string) => void

class Web extends Context.Service<
  Web,
  { readonly url: (reply: Reply) => string; readonly connections: () => number }
>()("holdfast/test/provider/Fetch.test/Web") {
  static readonly layer = Layer.effect(
    Web,
    Effect.gen(function* () {
      const replies: Array<Reply> = []
      let connections = 0
      const server = createServer((request, response) => {
        let body = ""
        request.on("data", (data: Buffer) => (body += data.toString()))
        request.on("end", () => replies[Number(request.url?.split("/")[1])]?.(request, response, body))
      })
      server.on("connection", () => connections++)
      const port = yield* listening(server)
      return { url: (reply) => `http://127.0.0.1:${port}/${replies.push(reply) - 1}`, connections: () => connections }
    })
  )
}

/** What a response says, from either implementation. */
const facts = async (response: Response) => ({
  ok: response.ok,
  status: response.status,
  statusText: response.statusText,
  type: response.headers.get("content-type"),
  cookies: response.headers.getSetCookie(),
  text: await response.text()
})

const askBoth = (url: string, init?: RequestInit) =>
  Promise.all([globalThis.fetch(url, init).then(facts), Fetch.fetch(url, init).then(facts)])
const both = (url: string, init?: RequestInit) => Effect.promise(() => askBoth(url, init))

const later = (act: () => void) => setTimeout(act, 20)

layer(Web.layer)("Fetch.fetch does as Node's fetch", (it) => {
  const cases: ReadonlyArray<readonly [what: string, reply: Reply]> = [
    ["a JSON answer", (_, response) => response.setHeader("content-type", "application/json").end('{"a":"ä"}')],
    ["a refusal", (_, response) => response.writeHead(429, "Slow down", { "retry-after": "1" }).end("{}")],
    ["several cookies", (_, response) => response.setHeader("set-cookie", ["a=1", "b=2"]).end()],
    ["no content", (_, response) => response.writeHead(204).end()],
    ["an empty body", (_, response) => response.end()],
    ["a body in pieces", (_, response) => void response.write("one ", () => response.end("two"))]
  ]
  for (const [what, reply] of cases) {
    it.effect(what, () =>
      Effect.gen(function* () {
        const web = yield* Web
        const [theirs, ours] = yield* both(web.url(reply))
        assert.deepStrictEqual(ours, theirs)
      })
    )
  }

  it.effect("sends method, headers and body", () =>
    Effect.gen(function* () {
      const web = yield* Web
      const echo: Reply = ({ headers, method }, response, body) =>
        response.end(
          JSON.stringify({
            method,
            body,
            key: headers["x-key"],
            type: headers["content-type"],
            length: headers["content-length"]
          })
        )
      const init = { method: "POST", headers: { "X-Key": "k", "Content-Type": "application/json" }, body: '{"ä":1}' }
      const [theirs, ours] = yield* both(web.url(echo), init)
      assert.deepStrictEqual(ours, theirs)
      assert.include(ours.text, '"length":"8"')
    })
  )

  it.effect("uses a connection again", () =>
    Effect.gen(function* () {
      const web = yield* Web
      const before = web.connections()
      for (let run = 0; run < 5; run++) {
        yield* Effect.promise(() => Fetch.fetch(web.url((_, response) => response.end("x"))).then(facts))
      }
      assert.isAtMost(web.connections() - before, 1)
    })
  )
})

layer(Web.layer)("Fetch.fetch", (it) => {
  it.effect("ends an answer at its end, however the request that asks for a stream is spaced", () =>
    Effect.gen(function* () {
      const web = yield* Web
      const url = web.url((_, response) => void response.write("data: [DONE]\n\n"))
      for (const stream of ['"stream":true', '"stream": true', '"stream" :\n\ttrue']) {
        const init = { method: "POST", body: `{"model": "m", ${stream}}` }
        const text = yield* Effect.promise(async () => (await Fetch.fetch(url, init)).text())
        assert.include(text, "[DONE]")
      }
    })
  )

  it.effect("passes pieces on as they come", () =>
    Effect.gen(function* () {
      const web = yield* Web
      let finish = () => {}
      const url = web.url((_, response) => {
        response.write("first")
        finish = () => response.end()
      })
      const first = yield* Effect.promise(async () => (await Fetch.fetch(url)).body?.getReader().read())
      finish()
      assert.strictEqual(new TextDecoder().decode(first?.value), "first")
    })
  )

  it.effect("asks for no compression", () =>
    Effect.gen(function* () {
      const web = yield* Web
      const reply: Reply = ({ headers }, response) =>
        headers["accept-encoding"] === "identity"
          ? response.end("plain")
          : response.setHeader("content-encoding", "gzip").end(gzipSync("packed"))
      const text = yield* Effect.promise(() => Fetch.fetch(web.url(reply)).then((response) => response.text()))
      assert.strictEqual(text, "plain")
    })
  )

  it.effect("rejects with the signal's reason, before it is sent, while it waits and in mid-answer", () =>
    Effect.gen(function* () {
      const web = yield* Web
      const reason = new Error("enough")
      const rejection = (url: string, when: "before" | "later") =>
        Effect.promise(() => {
          const controller = new AbortController()
          if (when === "before") controller.abort(reason)
          const text = Fetch.fetch(url, { signal: controller.signal }).then((response) => response.text())
          later(() => controller.abort(reason))
          return text.then(
            () => "answered",
            (error: unknown) => error
          )
        })
      const silent = web.url(() => {})
      const talking = web.url((_, response) => void response.write("a"))
      assert.strictEqual(yield* rejection(silent, "before"), reason)
      assert.strictEqual(yield* rejection(silent, "later"), reason)
      assert.instanceOf(yield* rejection(talking, "later"), Error)
    })
  )

  it.effect("closes the connection when the body is cancelled", () =>
    Effect.gen(function* () {
      const web = yield* Web
      const closed = Promise.withResolvers<void>()
      const url = web.url((request, response) => {
        request.socket.once("close", () => closed.resolve())
        response.write("a")
      })
      yield* Effect.promise(async () => (await Fetch.fetch(url)).body?.cancel())
      yield* Effect.promise(() => closed.promise)
    })
  )
})
