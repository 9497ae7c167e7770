/** Whatever goes wrong, no secret of the provider shows: not in errors, logs, spans, parts or the wire log. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { inspect } from "node:util"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Logger, Redacted, Stream, Tracer } from "effect"
import { Client } from "holdfast/promise"
import { AiSdk, ChatWire, Fetch } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { listening } from "../../sockets/listening.ts"

type Answering = (response: ServerResponse, asked: IncomingMessage) => void

/** Says back every secret that the request had. */
const said = (asked: IncomingMessage): string =>
  `${JSON.stringify(asked.headers)} ${asked.url} ${decodeURIComponent(asked.url ?? "")}`

const answered = (asked: IncomingMessage, content: string) =>
  JSON.stringify({ choices: [{ index: 0, message: { content }, finish_reason: "stop" }], id: said(asked).length })

const cases: Readonly<Record<string, Answering | undefined>> = {
  "an answer": (response, asked) =>
    void response
      .writeHead(200, { "x-request-id": said(asked), "set-cookie": said(asked) })
      .end(answered(asked, "kelp")),
  "a refusal": (response, asked) =>
    void response
      .writeHead(401, { "x-auth": said(asked), "x-request-id": said(asked) })
      .end(JSON.stringify({ error: { message: said(asked) } })),
  "an error in a good answer": (response, asked) =>
    void response.end(JSON.stringify({ error: { message: said(asked), code: said(asked) } })),
  "an error in a stream": (response, asked) =>
    void response.end(`data: ${JSON.stringify({ error: { message: said(asked) } })}\n\n`),
  "a reason of the status": (response) => void response.writeHead(600, "odd").end(),
  "a redirect": (response, asked) =>
    void response.writeHead(302, { location: `http://127.0.0.1${asked.url}` }).end(said(asked)),
  "an unknown coding": (response) =>
    void response.writeHead(200, { "content-encoding": "CANARYkey/01+23 kelp" }).end("x"),
  "a failure named by a finish reason": (response, asked) =>
    void response.end(
      JSON.stringify({ choices: [{ message: {}, finish_reason: "error", native_finish_reason: said(asked) }] })
    ),
  "a tool call without a name": (response, asked) =>
    void response.end(
      JSON.stringify({ choices: [{ message: { tool_calls: [{ id: said(asked) }] }, finish_reason: "stop" }] })
    ),
  "a field that is nested too deeply": (response, asked) =>
    void response.end(`{"choices":[],${JSON.stringify(said(asked))}:${"[".repeat(99)}${"]".repeat(99)}}`),
  "an answer that is cut": (response, asked) =>
    void response.writeHead(200).write(`data: ${said(asked)}`, () => response.destroy()),
  "a refusal in PHP's JSON": (response, asked) =>
    void response.writeHead(401).end(JSON.stringify({ error: { message: said(asked) } }).replaceAll("/", "\\/")),
  "a refusal in .NET's JSON": (response, asked) => {
    const escaped = said(asked).replaceAll(
      /[^a-zA-Z ]/g,
      (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`
    )
    response.writeHead(401).end(`{"error":{"message":"${escaped}","code":"${escaped}"}}`)
  },
  "a refusal quoted in another": (response, asked) =>
    void response
      .writeHead(401)
      .end(
        JSON.stringify({ error: { metadata: { raw: JSON.stringify({ error: said(asked) }).replaceAll("/", "\\/") } } })
      ),
  "a refusal cut inside the key": (response, asked) =>
    void response.writeHead(401).end(`{"error":{"message":"${asked.headers.authorization?.slice(0, -2)}`),
  silence: () => {},
  "no server": undefined
}

describe("no secret shows", () => {
  for (const [name, answer] of Object.entries(cases)) {
    it.live(name, () =>
      Effect.gen(function* () {
        const server = createServer((asked, response) => asked.resume().on("end", () => answer?.(response, asked)))
        const port = answer === undefined ? 1 : yield* listening(server)
        const seen: Array<string> = []
        const provider = ChatWire.provider({
          baseUrl: `http://CANARYuser:CANARYpassword@127.0.0.1:${port}/v1?key=CANARYquery`,
          apiKey: "CANARYkey/01+23",
          headers: { "x-secret": "CANARYheader", "x-tenant": Redacted.make("CANARYtenant"), cookie: "CANARYcookie" },
          model: "m",
          proxy: false,
          log: (entry) => seen.push(JSON.stringify(entry))
        })
        const call = yield* request("hi")
        const settings = ChatWire.withSettings({ headers: { "x-api-key": "CANARYcall" } })
        const logger = Logger.make(({ cause, message }) => void seen.push(`${String(message)} ${Cause.pretty(cause)}`))
        const tracer = Tracer.make({
          span: (options) => {
            const span = new Tracer.NativeSpan(options)
            seen.push(JSON.stringify([options.name, ...span.attributes]))
            return span
          }
        })
        const ways = [
          Effect.asVoid(provider.generateText(call)),
          Stream.runForEach(provider.streamText(call), (part) => Effect.sync(() => void seen.push(part.type)))
        ]
        for (const effect of ways) {
          const exit = yield* Effect.exit(
            effect.pipe(
              Effect.timeout("300 millis"),
              Effect.tapCause((cause) => Effect.logError("failed", cause)),
              settings,
              Effect.withSpan("call")
            )
          ).pipe(Effect.provide(Logger.layer([logger])), Effect.withTracer(tracer))
          seen.push(JSON.stringify(exit))
          if (Exit.isFailure(exit)) seen.push(Cause.pretty(exit.cause), String(Cause.squash(exit.cause)))
        }
        assert.isAbove(seen.length, 3)
        assert.deepStrictEqual([...new Set(seen.join("\n").match(/CANARY\w+/g) ?? [])], [])
      }).pipe(withIds)
    )
  }
})

describe("credentials that only their receiver sees", () => {
  it.live("the user and password of the URL show nowhere, decoded or not", () =>
    Effect.gen(function* () {
      const server = createServer((asked, response) => {
        const basic = asked.headers.authorization?.replace("Basic ", "") ?? ""
        const [user, password] = Buffer.from(basic, "base64").toString().split(":")
        const message = `${user} may not; ${password} is wrong; ${basic}`
        asked.resume().on("end", () => response.writeHead(401).end(JSON.stringify({ error: { message, user } })))
      })
      const port = yield* listening(server)
      const seen: Array<string> = []
      const provider = ChatWire.provider({
        baseUrl: `http://CANARYuser:CANARY%2Fpassword@127.0.0.1:${port}/v1`,
        model: "m",
        proxy: false,
        log: (entry) => seen.push(JSON.stringify(entry))
      })
      const error = yield* Effect.flip(provider.generateText(yield* request("hi")))
      const shown = `${seen.join(" ")} ${error.message} ${JSON.stringify(error)} ${Cause.pretty(Cause.fail(error))}`
      const basic = Buffer.from("CANARYuser:CANARY/password").toString("base64")
      assert.include(shown, "<masked> may not; <masked> is wrong; <masked>")
      assert.notMatch(shown, new RegExp(`CANARY|${basic}`))
    }).pipe(withIds)
  )

  it.live("the password of a proxy does not show, whoever says it", () =>
    Effect.gen(function* () {
      const body = JSON.stringify({ error: { message: "CANARYproxy is wrong" } })
      const answer = `HTTP/1.1 401 No\r\ncontent-length: ${body.length}\r\n\r\n${body}`
      const proxy = createServer().on("connect", (_, socket: Socket) => {
        socket.on("error", () => {}).write("HTTP/1.1 200 OK\r\n\r\n")
        socket.once("data", () => socket.end(answer))
      })
      const provider = ChatWire.provider({
        baseUrl: "http://kelp.test/v1",
        model: "m",
        proxy: `http://user:CANARYproxy@127.0.0.1:${yield* listening(proxy)}`
      })
      const error = yield* Effect.flip(provider.generateText(yield* request("hi")))
      assert.include(error.message, "<masked> is wrong")
      assert.notInclude(JSON.stringify(error), "CANARY")
    }).pipe(withIds)
  )

  it.live("the wire log masks a key in the prompt, and by its header's name one that is short", () =>
    Effect.gen(function* () {
      const seen: Array<ChatWire.LogEntry> = []
      const baseUrl = "http://127.0.0.1:1/v1"
      const log = (entry: ChatWire.LogEntry) => seen.push(entry)
      for (const apiKey of ["CANARYkey", "CAN"]) {
        const provider = ChatWire.provider({ baseUrl, apiKey, model: "m", proxy: false, log })
        yield* Effect.flip(provider.generateText(yield* request("is CANARYkey the key?")))
      }
      const [first, second] = seen.filter((entry) => entry.event === "sent")
      assert.include(first?.body, "is <masked> the key?")
      assert.strictEqual(first?.headers["authorization"], "<masked>")
      assert.strictEqual(second?.headers["authorization"], "<masked>")
    }).pipe(withIds)
  )
})

describe("an option that makes no sense does not show what was given, where that may be a secret", () => {
  const baseUrl = "http://kelp.test/v1"
  const model = "m"
  const vendor = createOpenAICompatible({ name: "m", baseURL: baseUrl })("m")
  const made: Readonly<Record<string, () => unknown>> = {
    "options that are a key": () => ChatWire.provider("CANARY" as never),
    "a key in an object": () => ChatWire.provider({ baseUrl, model, apiKey: { key: "CANARY" } as never }),
    "a key of other characters": () => ChatWire.provider({ baseUrl, model, apiKey: "CANARY\n" }),
    "headers in a list": () => ChatWire.provider({ baseUrl, model, headers: [["x-key", "CANARY"]] as never }),
    "a header of several values": () =>
      ChatWire.provider({ baseUrl, model, headers: { "x-key": ["CANARY"] as never } }),
    "a query as a text": () => ChatWire.raw({ baseUrl, query: "key=CANARY" as never }),
    "the address of another kind": () => ChatWire.raw({ baseUrl: "ftp://user:CANARY@kelp.test" }),
    "a proxy as a text, for a fetch": () => Fetch.make({ proxy: "http://user:CANARY@kelp.test" as never }),
    "secrets that are one": () => AiSdk.provider(vendor, { secrets: "CANARY" as never }),
    "headers of settings": () => AiSdk.provider(vendor, { settings: { headers: "CANARY" as never } }),
    "an address for a client": () => Client.make({ model: "m", baseUrl: "user:CANARY@kelp.test" })
  }
  it.each(Object.entries(made))("%s", (_, make) => {
    try {
      make()
    } catch (error) {
      assert.instanceOf(error, RangeError)
      return assert.notInclude(inspect(error), "CANARY")
    }
    assert.fail("taken")
  })
})

describe("a secret that a limit cuts shows no half", () => {
  const key = "CANARY0123456789abcdefghijklmnop"
  const cut: Readonly<Record<string, Answering>> = {
    "of a refusal": (response) => void response.writeHead(401).end(`${"x".repeat(80)}${key}`),
    "of a field's name": (response) =>
      void response.end(`{"choices":[],"${"x".repeat(50)}${key}":${"[".repeat(99)}${"]".repeat(99)}}`),
    "of a long field's name": (response) =>
      void response.end(
        `{"choices":[],"${"x".repeat(90)}${key}${"x".repeat(300)}":${"[".repeat(99)}${"]".repeat(99)}}`
      ),
    "of a word for the end": (response) =>
      void response.end(
        JSON.stringify({ choices: [{ message: {}, finish_reason: `malformed_response: ${"x".repeat(30)}${key}` }] })
      ),
    "of a coding": (response) =>
      void response.writeHead(200, { "content-encoding": `${"x".repeat(50)}${key.toLowerCase()}` }).end("x")
  }
  for (const [name, answer] of Object.entries(cut)) {
    it.live(name, () =>
      Effect.gen(function* () {
        const server = createServer((asked, response) => asked.resume().on("end", () => answer(response, asked)))
        const provider = ChatWire.provider({
          baseUrl: `http://127.0.0.1:${yield* listening(server)}/v1`,
          apiKey: name === "of a coding" ? key.toLowerCase() : key,
          model: "m",
          proxy: false,
          limits: { maxErrorBytes: 96 }
        })
        const error = yield* Effect.flip(provider.generateText(yield* request("hi")))
        assert.notMatch(`${error.message} ${JSON.stringify(error)}`, /canary/i)
      }).pipe(withIds)
    )
  }
})
