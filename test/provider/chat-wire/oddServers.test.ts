/** Servers that leave out, add or break something: each is answered by the right answer or a typed error, both ways. */
import { createServer as createRaw, type Socket } from "node:net"
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { AiSdk, ChatWire, Fetch } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { listening } from "../../sockets/listening.ts"
import {
  type Answering,
  both,
  chunk,
  completion,
  counted,
  events,
  type Fields,
  json,
  serving,
  usage
} from "./oddSaying.ts"

const call = (more: Fields): Fields => ({
  tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "T", arguments: "{}" }, ...more }]
})
const without = (fields: Fields, ...names: ReadonlyArray<string>): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)))

/** The same with another index of its choice. */
const indexed = (fields: Fields, index: number): Fields => ({
  ...fields,
  choices: Array.isArray(fields["choices"]) ? fields["choices"].map((choice: Fields) => ({ ...choice, index })) : []
})

const first = chunk({ role: "assistant", content: "" })
const said = chunk({ content: "Kelp." })
const last = chunk({}, "stop")

describe("a server that leaves out or adds something", () => {
  const end = "data: [DONE]\n\n"
  const right = "Kelp. stop 5"
  const bothCalled = 'A({"a":1})B({"b":2}) tool-calls 5'
  const twoCalls = [
    { index: 0, id: "", type: "function", function: { name: "A", arguments: '{"a":1}' } },
    { index: 0, id: "", type: "function", function: { name: "B", arguments: '{"b":2}' } }
  ]
  const overQuota = { error: { message: "You exceeded your current quota", code: "insufficient_quota" } }
  const refusal =
    (body: string): Answering =>
    (response) =>
      void response.writeHead(400, { "content-type": "text/event-stream" }).end(body)
  const rows: ReadonlyArray<readonly [name: string, answer: Answering, wanted: string]> = [
    ["all there", events(first, said, last, counted, end), right],
    ["no id", events(...[first, said, last, counted].map((each) => without(each, "id")), end), right],
    [
      "no index of a choice",
      events({ choices: [{ delta: { content: "Kelp." }, finish_reason: "stop" }], usage }),
      right
    ],
    ["no role", events(said, last, counted, end), right],
    ["no finish_reason", events(first, said, counted, end), "InternalProviderError"],
    ["no choices beside the usage", events(first, said, last, without(counted, "choices"), end), right],
    ["usage before the finish", events(first, said, counted, last, end), right],
    [
      "no index of a tool call",
      events(chunk(call({ index: undefined })), chunk({}, "tool_calls"), counted, end),
      "T({}) tool-calls 5"
    ],
    [
      "no type of a tool call",
      events(chunk(call({ type: undefined })), chunk({}, "tool_calls"), counted, end),
      "T({}) tool-calls 5"
    ],
    [
      "no id of a tool call",
      events(chunk(call({ id: undefined })), chunk({}, "tool_calls"), counted, end),
      "T({}) tool-calls 5"
    ],
    [
      "no name of a tool call",
      events(chunk(call({ function: { arguments: "{}" } })), chunk({}, "tool_calls"), end),
      "InvalidResponseError"
    ],
    ["an error behind [DONE]", events(first, said, last, counted, end, { error: { message: "late" } }), right],
    ["an error that is a text", events(first, said, { error: "overloaded" }), "InternalProviderError"],
    [
      "an error after the headers",
      events({ error: { message: "no", type: "server_error", code: 500 } }),
      "InternalProviderError"
    ],
    [
      "an error with its own event",
      events("event: error\n", { error: { message: "no", type: "server_error" } }, end),
      "InternalProviderError"
    ],
    [
      "comments, empty deltas, other ids",
      events(": hi\n\n", first, chunk({}), { ...said, id: "c-2", x: 1 }, last, counted),
      right
    ],
    ["no [DONE]", events(first, said, last, counted), right],
    ["a clean end in the middle", events(first, said), "InternalProviderError"],
    [
      "a socket that is cut",
      (response) => {
        response.writeHead(200).write(`data: ${JSON.stringify(said)}\n\n`, () => response.destroy())
      },
      "NetworkError"
    ],
    [
      "whole: no index, role, type",
      json({
        choices: [
          {
            message: { tool_calls: [{ id: "a", function: { name: "T", arguments: "{}" } }] },
            finish_reason: "tool_calls"
          }
        ],
        usage
      }),
      "T({}) tool-calls 5"
    ],
    ["whole: an answer where a stream was asked for", json(completion({ content: "Kelp." })), right],
    ["whole: no finish_reason", json(completion({ content: "Kelp." }, null)), "InternalProviderError"],
    ["whole: an error that is a text", json({ error: "overloaded" }), "InternalProviderError"],
    [
      "whole: an error beside choices",
      json(completion({ content: "Ke" }, "error", { error: { message: "idle", code: 502 } })),
      "InternalProviderError"
    ],
    [
      "whole: an error in the choice",
      json({ choices: [{ index: 0, error: { message: "idle", code: 502 }, message: {}, finish_reason: "error" }] }),
      "InternalProviderError"
    ],
    [
      "a page",
      (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>login</html>"),
      "InvalidResponseError"
    ],
    [
      "an error with status 200",
      json({
        error: { message: "You exceeded your current quota", type: "insufficient_quota", code: "insufficient_quota" }
      }),
      "QuotaExhaustedError"
    ],
    [
      "Azure's filter with status 400",
      json(
        {
          choices: [
            {
              index: 0,
              message: { content: "" },
              finish_reason: "content_filter",
              content_filter_results: { error: { code: "content_filter", message: "blocked by label 'Violence'." } }
            }
          ]
        },
        400
      ),
      "ContentPolicyError"
    ],
    [
      "an error that quotes the model",
      json(
        {
          error: {
            message: `error parsing tool call: raw='{"content":"insufficient funds, api key expired"}]', err=invalid`,
            type: "api_error"
          }
        },
        500
      ),
      "InternalProviderError"
    ],
    [
      "an error that quotes the caller",
      json(
        {
          error: {
            message: "Invalid value: 'credit balance is too low'. Supported values are: 'a'.",
            type: "invalid_request_error",
            param: "messages[0].name",
            code: "invalid_value"
          }
        },
        400
      ),
      "InvalidRequestError"
    ],
    ["quotes without end", (response) => void response.end(`["${'\\"'.repeat(80_000)}`), "InternalProviderError"],
    [
      "a field nested 20,000 deep",
      (response) =>
        void response.end(
          JSON.stringify(completion({ content: "hi" })).replace(
            '"usage":{',
            `"x":${"[".repeat(20_000)}${"]".repeat(20_000)},"usage":{`
          )
        ),
      "InvalidResponseError"
    ],
    [
      "brackets 20,000 deep",
      (response) => void response.end("[".repeat(20_000) + "]".repeat(20_000)),
      "InvalidResponseError"
    ],
    [
      "600 tool calls",
      events(
        chunk({
          tool_calls: Array.from({ length: 600 }, (_, index) => ({
            index,
            id: `t${index}`,
            function: { name: "T", arguments: "{}" }
          }))
        }),
        last
      ),
      "InvalidResponseError"
    ],
    [
      "an error named by its event, written bare",
      events('id:1\nevent:error\ndata:{"code":"InvalidApiKey","message":"Invalid API-key provided."}\n\n'),
      "AuthenticationError"
    ],
    [
      "an error as a field of the event stream",
      events(said, 'error: {"code":400,"message":"too long","type":"exceed_context_size_error"}\n\n'),
      "InvalidRequestError"
    ],
    [
      "an error in base_resp beside no choices",
      json({ id: "x", choices: null, base_resp: { status_code: 1004, status_msg: "login fail: invalid api key" } }),
      "AuthenticationError"
    ],
    [
      "data that keeps the connection open",
      events(said, "data: \n\n", "data: : PROCESSING\n\n", last, counted, end),
      right
    ],
    [
      "two calls at index 0 without ids",
      events(chunk({ tool_calls: twoCalls }, "tool_calls"), counted, end),
      bothCalled
    ],
    [
      "two calls at index 0 without ids, whole",
      json(completion({ content: null, tool_calls: twoCalls }, "tool_calls")),
      bothCalled
    ],
    ["content that is an object", json(completion({ content: { answer: 42 } })), "InvalidResponseError"],
    [
      "tool calls that are an object",
      json(completion({ content: null, tool_calls: { name: "T" } }, "tool_calls")),
      "InvalidResponseError"
    ],
    ['a finish_reason of "null", then cut', events(said, chunk({}, "null")), "InternalProviderError"],
    ["a finish_reason in capitals", events(said, chunk({}, "MAX_TOKENS"), counted, end), "Kelp. length 5"],
    [
      "an error as JSON behind comments",
      events(": ping\n\n", ": ping\n\n", JSON.stringify(overQuota)),
      "QuotaExhaustedError"
    ],
    [
      "an answer as JSON behind comments",
      events(": ping\n", ": ping\n\n", JSON.stringify(completion({ content: "Kelp." }), null, 2)),
      right
    ],
    ["a page behind comments", events(": ping\n\n", "<html>login</html>"), "InvalidResponseError"],
    ["an error as a bare line behind events", events(said, `${JSON.stringify(overQuota)}\n`), "QuotaExhaustedError"],
    ["an error whose event has no end", events(said, `data: ${JSON.stringify(overQuota)}`), "QuotaExhaustedError"],
    ["a last event without an empty line", events(said, counted, `data: ${JSON.stringify(last)}\n`), right],
    [
      "half an event at the end",
      events(said, counted, `data: ${JSON.stringify(last).slice(0, -4)}`),
      "InternalProviderError"
    ],
    [
      "events without empty lines",
      events([said, last, counted].map((each) => `data: ${JSON.stringify(each)}\n`).join(""), "data: [DONE]\n"),
      right
    ],
    ["an empty object in front", events({}, first, said, last, counted, end), right],
    ["nothing but an empty object", events({}, end), "InternalProviderError"],
    ["a refusal as an event", refusal(`data: ${JSON.stringify(overQuota)}\n\n`), "QuotaExhaustedError"],
    [
      "a refusal as an event, named and cut",
      refusal(`: ping\n\nevent: error\ndata: ${JSON.stringify(overQuota)}`),
      "QuotaExhaustedError"
    ],
    ["a refusal behind comments", refusal(`: ping\n\n: ping\n\n${JSON.stringify(overQuota)}`), "QuotaExhaustedError"],
    ["one choice, with index 1", events(...[first, said, last].map((each) => indexed(each, 1)), counted, end), right],
    ["one choice, with index 1, whole", json(indexed(completion({ content: "Kelp." }), 1)), right],
    [
      "one choice, with index 1, that fails",
      events(indexed(said, 1), indexed(chunk({}, "error"), 1), end),
      "InternalProviderError"
    ],
    ["one choice, with index 1, cut", events(indexed(said, 1)), "InternalProviderError"],
    [
      "choices in another order",
      events(indexed(chunk({ content: "No." }), 1), said, indexed(last, 1), last, counted, end),
      right
    ],
    [
      "choices in another order, whole",
      json({
        ...completion({}),
        choices: [
          { index: 1, message: { content: "No." }, finish_reason: "stop" },
          { index: 0, message: { content: "Kelp." }, finish_reason: "stop" }
        ]
      }),
      right
    ],
    [
      "choices in another order, in one chunk",
      events(
        {
          choices: [
            { index: 1, delta: { content: "No." } },
            { index: 0, delta: { content: "Kelp." } }
          ]
        },
        last,
        counted,
        end
      ),
      right
    ],
    [
      "several choices, and not the first",
      events(indexed(said, 2), indexed(said, 1), indexed(last, 2), indexed(last, 1), counted, end),
      "InvalidResponseError"
    ],
    ["stop behind length", events(said, chunk({}, "length"), last, counted, end), "Kelp. length 5"]
  ]
  for (const [name, answer, wanted] of rows) {
    it.live(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* both(yield* serving(answer)), [wanted, wanted])
      })
    )
  }
})

describe("an answer of HTTP that is none", () => {
  const body = JSON.stringify(completion({ content: "Kelp." }))
  const rows: ReadonlyArray<readonly [name: string, bytes: string | Buffer, wanted: string, ends?: boolean]> = [
    ["status 600", "HTTP/1.1 600 Odd\r\ncontent-length: 2\r\n\r\n{}", "InvalidResponseError"],
    [
      "a control character in the reason",
      `HTTP/1.1 200 O\x01K\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      "Kelp. stop 5"
    ],
    [
      "hints in front of the answer, and trailers behind it",
      `HTTP/1.1 102 P\r\n\r\n${"HTTP/1.1 103 Hints\r\nlink: </x>\r\n\r\n".repeat(100)}HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\nx-trailer: 1\r\n\r\n`,
      "Kelp. stop 5"
    ],
    ["hints, and nothing behind them", "HTTP/1.1 103 Hints\r\n\r\n", "NetworkError", true],
    [
      "100 that nobody asked for",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n${body}`,
      "InvalidResponseError",
      true
    ],
    ["status 101 without an upgrade", "HTTP/1.1 101 S\r\n\r\n", "InvalidResponseError"],
    ["status 099", "HTTP/1.1 099 Odd\r\ncontent-length: 2\r\n\r\n{}", "InvalidResponseError"],
    [
      "chunks whose size is none",
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n${body}\r\n0\r\n\r\n`,
      "InvalidResponseError"
    ],
    [
      "chunks without the last one",
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n`,
      "NetworkError",
      true
    ],
    ["status 101", "HTTP/1.1 101 S\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "NetworkError"],
    ["status 204", "HTTP/1.1 204 No\r\n\r\n", "InvalidResponseError"],
    ["status 304", "HTTP/1.1 304 Same\r\n\r\n", "InvalidResponseError"],
    [
      "a redirect",
      "HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
      "InvalidResponseError"
    ],
    [
      "less than content-length says",
      `HTTP/1.1 200 OK\r\ncontent-length: ${body.length + 9}\r\n\r\n${body}`,
      "NetworkError",
      true
    ],
    ["headers without end", `HTTP/1.1 200 OK\r\n${"x-flood: kelp\r\n".repeat(4_000)}`, "NetworkError"],
    ["no HTTP", "SSH-2.0-OpenSSH\r\n", "InvalidResponseError"],
    ["nothing", "", "NetworkError", true]
  ]
  for (const [name, bytes, wanted, ends] of rows) {
    it.live(name, () =>
      Effect.gen(function* () {
        const open = new Set<Socket>()
        const server = createRaw((socket) => {
          open.add(socket)
          const answer = () => (ends === true ? socket.end(bytes, "latin1") : socket.write(bytes, "latin1"))
          socket.on("error", () => {}).on("data", (asked) => asked.at(-1) === 0x7d && answer())
        })
        const port = yield* listening(server)
        yield* Effect.addFinalizer(() => Effect.sync(() => open.forEach((socket) => socket.destroy())))
        assert.deepStrictEqual(yield* both(port), [wanted, wanted])
      })
    )
  }
})

describe("a packed answer", () => {
  const codings = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }
  const packed =
    (coding: string, bytes: Buffer): Answering =>
    (response) =>
      void response.writeHead(200, { "content-encoding": coding }).end(bytes)
  for (const [coding, pack] of Object.entries(codings)) {
    it.live(`${coding} is read, within its limit, and not when it is cut`, () =>
      Effect.gen(function* () {
        const whole = pack(Buffer.from(JSON.stringify(completion({ content: "Kelp." }))))
        assert.deepStrictEqual(yield* both(yield* serving(packed(coding, whole))), ["Kelp. stop 5", "Kelp. stop 5"])
        const bomb = packed(coding, pack(Buffer.alloc(2 ** 24, 0x20)))
        const tooLarge = ["InvalidResponseError", "InvalidResponseError"]
        assert.deepStrictEqual(yield* both(yield* serving(bomb), { limits: { maxBytes: 2 ** 20 } }), tooLarge)
        const cut = yield* both(yield* serving(packed(coding, whole.subarray(0, whole.length - 12))))
        for (const tag of cut) assert.include(["NetworkError", "InternalProviderError", "InvalidResponseError"], tag)
      })
    )
  }

  it.live.each(["gzip", "x-gzip", "br", "zstd", "GZIP, identity"])(
    "that is not %s, as its header says, is refused",
    (coding) =>
      Effect.gen(function* () {
        const plain = Buffer.from(JSON.stringify(completion({ content: "Kelp." })))
        const port = yield* serving(packed(coding, plain))
        const provider = ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m" })
        const bridge = AiSdk.provider(
          createOpenAICompatible({ name: "m", baseURL: `http://127.0.0.1:${port}/v1`, fetch: Fetch.fetch })("m")
        )
        const asked = yield* request("hi")
        for (const { generateText, streamText } of [provider, bridge]) {
          for (const call of [Effect.asVoid(generateText(asked)), Stream.runDrain(streamText(asked))]) {
            const { reason } = yield* Effect.flip(call)
            assert.strictEqual(reason._tag, "InvalidResponseError")
            assert.include(reason.message, `content-encoding "${coding.replace(/,.*/, "")}"`)
          }
        }
      }).pipe(withIds)
  )

  it.live("of a refusal keeps its status when it is not what its header says", () =>
    Effect.gen(function* () {
      const port = yield* serving(
        (response) => void response.writeHead(429, { "content-encoding": "gzip" }).end("slow down")
      )
      assert.deepStrictEqual(yield* both(port), ["RateLimitError", "RateLimitError"])
    })
  )

  it.live("an unknown coding is refused", () =>
    Effect.gen(function* () {
      const tags = yield* both(yield* serving(packed("kelp", Buffer.from("x"))))
      assert.deepStrictEqual(tags, ["InvalidResponseError", "InvalidResponseError"])
    })
  )
})
