import { createServer } from "node:http"
import { createServer as createSecure } from "node:https"
import { connect, createServer as createTcp, type Socket } from "node:net"
import * as tls from "node:tls"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ChatWire, Fetch } from "holdfast/provider"
import * as Proxy from "../../../src/provider/http/Proxy.ts"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { cert, key } from "../../sockets/certificate.ts"
import { listening } from "../../sockets/listening.ts"
import { completion } from "../../sockets/openaiWire.ts"

describe("NO_PROXY", () => {
  const rows: ReadonlyArray<readonly [noProxy: string, url: string, isExcepted: boolean]> = [
    ["*", "https://a.test", true],
    ["*.a.test", "https://b.a.test", true],
    ["*.a.test", "https://ba.test", false],
    [".a.test", "https://b.a.test", true],
    [".a.test", "https://xa.test", false],
    ["a.test", "https://a.test", true],
    ["a.test", "https://b.a.test", true],
    ["A.TEST", "https://a.test", true],
    ["a.test:443", "https://a.test", true],
    ["a.test:8443", "https://a.test", false],
    ["a.test:80", "http://a.test", true],
    ["x.test a.test", "https://a.test", true],
    ["x.test, ,a.test", "https://a.test", true],
    ["[::1]", "https://[::1]", true],
    ["::1", "https://[::1]", true],
    ["[::1]:8443", "https://[::1]", false],
    ["10.0.0.0/8", "https://10.1.2.3", false],
    ["", "https://a.test", false]
  ]
  it.each(rows)("%j of %s: %s", (noProxy, url, isExcepted) => {
    const proxy = Proxy.ofEnvironment(new URL(url), { ALL_PROXY: "proxy.test:3128", NO_PROXY: noProxy })
    assert.strictEqual(proxy?.host, isExcepted ? undefined : "proxy.test:3128")
  })

  it("in lower case goes first", () => {
    const env = {
      https_proxy: "http://low.test",
      HTTPS_PROXY: "http://up.test",
      no_proxy: "b.test",
      NO_PROXY: "a.test"
    }
    assert.strictEqual(Proxy.ofEnvironment(new URL("https://a.test"), env)?.hostname, "low.test")
    assert.isUndefined(Proxy.ofEnvironment(new URL("https://b.test"), env))
  })
})

describe("a proxy that cannot be gone through is refused, and not gone around", () => {
  const others = [
    "socks5://user:CANARY@proxy.test:1080",
    "socks5h://proxy.test",
    "http://CANARY:%@a.test",
    "http://:CANARY:1"
  ]
  const variables = ["http_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"]
  const set = (values: ReadonlyArray<string | undefined>) =>
    variables.forEach((name, at) => {
      if (values[at] === undefined) delete process.env[name]
      else process.env[name] = values[at]
    })
  const through = (proxy: string) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = variables.map((name) => process.env[name])
        set([])
        process.env["ALL_PROXY"] = proxy
        return before
      }),
      (before) => Effect.sync(() => set(before))
    )

  it.live.each(others)("%s in the environment", (proxy) =>
    Effect.gen(function* () {
      const port = yield* listening(createServer((request, response) => request.resume() && response.end("direct")))
      yield* through(proxy)
      const url = `http://127.0.0.1:${port}`
      const fetched = yield* Effect.flip(Effect.tryPromise({ try: () => Fetch.fetch(url), catch: String }))
      assert.match(fetched, /^RangeError: ALL_PROXY must be the http or https URL of a proxy, got (one|something)/)
      assert.notInclude(fetched, "CANARY")
      const wire = { baseUrl: url, model: "m" }
      assert.throws(
        () => ChatWire.provider(wire),
        /^ALL_PROXY must be the http or https URL of a proxy, got (one|some)/
      )
      process.env["NO_PROXY"] = "127.0.0.1"
      assert.strictEqual(yield* Effect.promise(() => Fetch.fetch(url).then((answer) => answer.text())), "direct")
      assert.strictEqual(ChatWire.provider(wire).model, "m")
    })
  )

  it("as an option", () => {
    const socks = new URL("socks5://user:CANARY@proxy.test:1080")
    assert.throws(
      () => Fetch.make({ proxy: socks }),
      /^Fetch option proxy must be an http or https URL or false, got one of socks5:/
    )
    assert.throws(() => ChatWire.provider({ baseUrl: "http://a.test", model: "m", proxy: socks }), /one of socks5:/)
  })
})

describe("https through an http proxy", () => {
  const trusted = tls.getCACertificates("default")
  beforeAll(() => tls.setDefaultCACertificates([...trusted, cert]))
  afterAll(() => tls.setDefaultCACertificates(trusted))

  /** A proxy that answers CONNECT with a status, and then joins the connection with that to a port. */
  const joining = (port: number, status = 200) =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const bytes: Array<Buffer> = []
      const sockets: Array<Socket> = []
      const proxy = createServer().on("connect", (request, socket: Socket) => {
        asked.push(`${request.url} ${request.headers.authorization} ${request.headers["proxy-authorization"]}`)
        socket.on("error", () => {}).write(`HTTP/1.1 ${status} X\r\n\r\n`)
        sockets.push(socket)
        if (status !== 200) return
        const onward = connect(port, "127.0.0.1", () => {
          socket.on("data", (data) => {
            bytes.push(data)
            onward.write(data)
          })
          onward.on("data", (data) => socket.write(data))
        }).on("error", () => {})
        onward.on("close", () => socket.destroy())
        sockets.push(onward)
      })
      const proxyPort = yield* listening(proxy)
      yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
      return { asked, bytes, url: `http://user:p%40ss-word@127.0.0.1:${proxyPort}` }
    })

  const ask = (host: string, proxy: string) => {
    const options = { baseUrl: `https://${host}/v1`, apiKey: "0123456789abcdef", model: "m", proxy }
    return Effect.flatMap(request("hi"), ChatWire.provider(options).generateText).pipe(withIds)
  }

  const server = listening(
    createSecure({ key, cert }, (asked, response) => asked.resume().on("end", () => response.end(completion("hi"))))
  )

  it.live("goes through a tunnel, in which the proxy sees where to and no key", () =>
    Effect.gen(function* () {
      const { asked, bytes, url } = yield* joining(yield* server)
      const parts = yield* ask("model.test", url)
      assert.deepInclude(parts, { type: "text", text: "hi" })
      assert.deepStrictEqual(asked, [`model.test:443 undefined Basic ${btoa("user:p@ss-word")}`])
      assert.notInclude(Buffer.concat(bytes).toString("latin1"), "0123456789abcdef")
    })
  )

  it.live("is refused when the server behind it is another one than was asked for", () =>
    Effect.gen(function* () {
      const { url } = yield* joining(yield* server)
      const error = yield* Effect.flip(ask("other.test", url))
      assert.include(error.message, "other.test")
      assert.isFalse(error.isRetryable)
    })
  )

  it.live("fails when the proxy says no, and does not show its password", () =>
    Effect.gen(function* () {
      const { url } = yield* joining(yield* server, 407)
      const error = yield* Effect.flip(ask("model.test", url))
      assert.strictEqual(error.reason._tag, "AuthenticationError")
      assert.isFalse(error.isRetryable)
      assert.include(error.message, "407")
      assert.notMatch(JSON.stringify(error), /ss-word/)
    })
  )

  it.live("fails when the server behind the proxy says nothing", () =>
    Effect.gen(function* () {
      const silent = createTcp((socket) => void socket.on("error", () => {}).resume())
      const { url } = yield* joining(yield* listening(silent))
      const failure = yield* Effect.callback<Error | null>((resume) => {
        const options = { hostname: "localhost", host: "localhost", protocol: "https:", port: "443" }
        const close = Proxy.connect(new URL(url), options, 200, (...[error]) => resume(Effect.succeed(error)))
        return Effect.sync(close)
      })
      assert.propertyVal(failure, "code", "ETIMEDOUT")
    })
  )
})
