import { createServer } from "node:http"
import { connect, createServer as createRaw, type Socket } from "node:net"
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Fetch } from "holdfast/provider"
import * as Proxy from "../../../src/provider/http/Proxy.ts"
import * as Secrets from "../../../src/provider/http/Secrets.ts"
import { listening } from "../../sockets/listening.ts"

/** A server that says the same bytes to every request. */
const saying = (head: string) =>
  Effect.gen(function* () {
    const open = new Set<Socket>()
    const server = createRaw((socket) => {
      open.add(socket.on("error", () => {}).on("close", () => open.delete(socket)))
      socket.on("data", () => socket.write(head, "latin1"))
    })
    const port = yield* listening(server)
    yield* Effect.addFinalizer(() => Effect.sync(() => open.forEach((socket) => socket.destroy())))
    return `http://127.0.0.1:${port}`
  })

const outcome = (url: string) =>
  Effect.promise(() =>
    Fetch.fetch(url, { method: "POST", body: "{}" }).then(
      (response) => `${response.status} ${response.statusText}`,
      (error: unknown) => (error instanceof Error ? error.name : "?")
    )
  )

describe("an odd answer is an answer or an error, and ends nothing", () => {
  it.live.each([
    ["HTTP/1.1 600 Odd\r\ncontent-length: 2\r\n\r\n{}", "UnknownStatus"],
    ["HTTP/1.1 200 O\x01K\r\ncontent-length: 2\r\n\r\n{}", "200 OK"],
    ["HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "SocketError"],
    ["HTTP/1.1 101 S\r\n\r\n", "NoHttp"],
    ["HTTP/1.1 100 Continue\r\n\r\n", "NoHttp"],
    ["HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "200 OK"],
    ["HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "302 Found"]
  ])("%j", ([head, wanted]) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* outcome(yield* saying(head ?? "")), wanted)
    })
  )
})

it.live("an answer without a body leaves its connection to the next one", () =>
  Effect.gen(function* () {
    let connections = 0
    const server = createServer((request, response) => {
      request.resume()
      response.writeHead(request.url === "/204" ? 204 : 304).end()
    }).on("connection", () => connections++)
    const port = yield* listening(server)
    for (let call = 0; call < 40; call++) yield* outcome(`http://127.0.0.1:${port}/${call % 2 === 0 ? 204 : 304}`)
    assert.isAtMost(connections, 2)
  })
)

describe("packed answers", () => {
  const text = "kelp ".repeat(1_000)
  const codings = {
    gzip: gzipSync,
    deflate: deflateSync,
    "deflate, raw": deflateRawSync,
    br: brotliCompressSync,
    zstd: zstdCompressSync,
    "gzip, br": (bytes: Buffer) => brotliCompressSync(gzipSync(bytes))
  }
  const packed = (coding: string, body: Buffer) =>
    Effect.map(
      listening(
        createServer((request, response) => {
          request.resume()
          response.writeHead(200, { "content-encoding": coding.replace(", raw", "") }).end(body)
        })
      ),
      (port) => `http://127.0.0.1:${port}`
    )
  for (const [coding, pack] of Object.entries(codings)) {
    it.live(`are unpacked: ${coding}`, () =>
      Effect.gen(function* () {
        const url = yield* packed(coding, pack(Buffer.from(text)))
        assert.strictEqual(yield* Effect.promise(() => Fetch.fetch(url).then((response) => response.text())), text)
      })
    )
  }

  it.live.each([
    ["zstd", zstdCompressSync],
    ["br", brotliCompressSync]
  ] as const)("are not cut in silence where %s goes on behind its end", ([coding, pack]) =>
    Effect.gen(function* () {
      const url = yield* packed(coding, Buffer.concat([pack(text), pack(text)]))
      const read = Fetch.fetch(url).then((response) => response.text())
      const error = yield* Effect.flip(Effect.tryPromise({ try: () => read, catch: String }))
      assert.include(error, "more stands behind its end")
    })
  )

  const bomb = gzipSync(Buffer.alloc(2 ** 24))
  it.live.each([
    ["gzip", bomb],
    ["gzip, gzip", gzipSync(bomb)],
    // What is unpacked once is more already, although nothing comes of it.
    ["gzip, gzip", gzipSync(Buffer.concat(Array.from({ length: 60_000 }, () => gzipSync(""))))]
  ] as const)("may not unpack to more than the limit: %s", ([coding, bytes]) =>
    Effect.gen(function* () {
      const url = yield* packed(coding, bytes)
      const read = Fetch.make({ maxBytes: 2 ** 20 })(url).then((response) => response.text())
      const error = yield* Effect.flip(Effect.tryPromise({ try: () => read, catch: String }))
      assert.include(error, `larger than ${2 ** 20} bytes`)
    })
  )
})

describe("the proxy of a server", () => {
  const env = {
    HTTPS_PROXY: "http://proxy:3128",
    NO_PROXY: "localhost, .internal,10.0.0.1,host.example:8443,root., 0:0:0:0:0:0:0:1"
  }
  it.each([
    ["https://api.openai.com/v1", "proxy"],
    ["http://api.openai.com/v1", undefined],
    ["https://localhost/v1", undefined],
    ["https://model.internal/v1", undefined],
    ["https://10.0.0.1/v1", undefined],
    ["https://host.example:8443/v1", undefined],
    ["https://host.example/v1", "proxy"],
    ["https://root/v1", undefined],
    ["https://localhost./v1", undefined],
    ["https://[::1]/v1", undefined],
    ["https://[::2]/v1", "proxy"],
    ["https://notinternal/v1", "proxy"]
  ])("%s", (url, host) => {
    assert.strictEqual(Proxy.ofEnvironment(new URL(url), env)?.hostname, host)
  })

  it.live("is reached by CONNECT, and the server through it", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const through: Array<Socket> = []
      const port = yield* listening(createServer((request, response) => request.resume() && response.end("through")))
      const proxy = createServer().on("connect", (request, socket: Socket) => {
        asked.push(`${request.url} ${request.headers["proxy-authorization"]}`)
        socket.write("HTTP/1.1 202 Joined\r\n\r\n")
        const [host, to] = (request.url ?? "").split(":")
        const onward = connect(Number(to), host ?? "", () => {
          socket.on("data", (bytes) => onward.write(bytes)).on("error", () => {})
          onward.on("data", (bytes) => socket.write(bytes)).on("error", () => {})
        })
        onward.on("close", () => socket.destroy())
        through.push(onward)
      })
      const proxyPort = yield* listening(proxy)
      yield* Effect.addFinalizer(() => Effect.sync(() => through.forEach((socket) => socket.destroy())))
      const fetch = Fetch.make({ proxy: new URL(`http://user:pass@127.0.0.1:${proxyPort}`) })
      const text = yield* Effect.promise(() => fetch(`http://127.0.0.1:${port}/`).then((response) => response.text()))
      assert.strictEqual(text, "through")
      assert.deepStrictEqual(asked, [`127.0.0.1:${port} Basic ${btoa("user:pass")}`])
    })
  )
})

it("masks a secret as it is, in a URL, in JSON, and cut off at the end of a text", () => {
  const mask = Secrets.maskOf(['Bearer odd "key"/+ 1', "\u{1F511} of kelp"])
  const all = [
    'odd "key"/+ 1',
    "odd%20%22key%22%2f%2B%201",
    'odd \\"key\\"\\/\\u002B 1',
    'odd \\\\\\"key\\\\\\"/\\\\u002b 1',
    "\u{1F511} of kelp",
    "\\uD83D\\udd11 of kelp",
    'odd "key"'
  ]
  assert.strictEqual(mask(all.join("; ")), all.map(() => "<masked>").join("; "))
  assert.strictEqual(mask("odd keys, odd"), "odd keys, odd")
})

it.live.each(["utf-8", "none", "identity"])("the content-encoding %s packs nothing, beside gzip or alone", (name) =>
  Effect.gen(function* () {
    const server = createServer((request, response) => {
      request.resume()
      const isPacked = request.url === "/gzip"
      response.writeHead(200, { "content-encoding": isPacked ? `gzip, ${name}` : name })
      response.end(isPacked ? gzipSync("kelp") : "kelp")
    })
    const port = yield* listening(server)
    for (const path of ["gzip", "plain"]) {
      const read = () => Fetch.fetch(`http://127.0.0.1:${port}/${path}`).then((response) => response.text())
      assert.strictEqual(yield* Effect.promise(read), "kelp")
    }
  })
)
