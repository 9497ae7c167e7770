/** `ChatWire.raw`: bytes go out and come back as they are. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import type { AiError, IdGenerator, Response } from "effect/ai"
import { WireBytes } from "holdfast/core"
import { ChatWire } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { listening } from "../../sockets/listening.ts"

type Part = Response.PartEncoded | Response.StreamPartEncoded

interface Asked {
  readonly url: string | undefined
  readonly headers: IncomingMessage["headers"]
  readonly body: Buffer
}

const serving = (answer: (response: ServerResponse) => void) =>
  Effect.gen(function* () {
    const asked: Array<Asked> = []
    const server = createServer((incoming, response) => {
      const body: Array<Buffer> = []
      incoming.on("data", (bytes) => body.push(bytes))
      incoming.on("end", () => {
        asked.push({ url: incoming.url, headers: incoming.headers, body: Buffer.concat(body) })
        answer(response)
      })
    })
    return { asked, baseUrl: `http://127.0.0.1:${yield* listening(server)}/v1?api-version=1` }
  })

const saying =
  (body: string | Uint8Array, status = 200, headers = {}) =>
  (response: ServerResponse) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(body)

const secret = "the whale's name"
const odd = Buffer.from(`{"seed": 12345678901234567890, "b":1,"a":1 ,\t"messages":[{"content":"${secret}"}]}`)

/** Asks with these bytes, whole or as a stream. */
const ask = (
  options: ChatWire.RawOptions,
  bytes: Omit<WireBytes.Request, "prompt" | "body"> = {},
  isStreamed = false
): Effect.Effect<ReadonlyArray<Part>, AiError.AiError> =>
  Effect.flatMap(request(""), (call): Effect.Effect<ReadonlyArray<Part>, AiError.AiError, IdGenerator.IdGenerator> => {
    const provider = ChatWire.raw({ proxy: false, ...options })
    const current = { prompt: call.prompt, body: odd, ...bytes }
    return isStreamed
      ? Effect.provideService(Stream.runCollect(provider.streamText(call)), WireBytes.Current, current)
      : Effect.provideService(provider.generateText(call), WireBytes.Current, current)
  }).pipe(withIds)

const bytesOf = (parts: ReadonlyArray<Part>) => {
  const reading = new WireBytes.Reading()
  return parts.map((part) => reading.next(part)).flatMap((next) => (typeof next === "string" ? [] : [next]))
}

describe("ChatWire.raw", () => {
  it.live(
    "sends bytes as they are to the endpoint that they name, and gives the answer's own, whole and streamed",
    () =>
      Effect.gen(function* () {
        const answer = Buffer.from(
          '\uFEFF{ "id":9007199254740993,"model":"kelp-1","usage":{"input_tokens":7,"output_tokens":2}\n}\n'
        )
        const { asked, baseUrl } = yield* serving(saying(answer, 201, { "x-request-id": "r-1" }))
        const options = { baseUrl, apiKey: "key-0123", headers: { "x-team": "kelp", "x-of": "all" } }
        for (const isStreamed of [false, true]) {
          const parts = yield* ask(options, { path: "/responses", headers: { "x-of": "this" } }, isStreamed)
          const [metadata, finish] = parts
          assert.deepInclude(metadata, { type: "response-metadata", modelId: "kelp-1" })
          assert.deepInclude(finish, { type: "finish", reason: "stop" })
          assert.isTrue(finish?.type === "finish" && finish.usage.inputTokens.total === 7)
          assert.deepInclude(finish?.type === "finish" ? finish.response : {}, { status: 201 })
          assert.deepStrictEqual(bytesOf(parts), [answer])
          const one = asked.at(-1)
          assert.strictEqual(one?.url, "/v1/responses?api-version=1")
          assert.deepStrictEqual(one?.body, odd)
          assert.deepInclude(one?.headers, { authorization: "Bearer key-0123", "x-team": "kelp", "x-of": "this" })
        }
        yield* ask(options)
        assert.strictEqual(asked.at(-1)?.url, "/v1/chat/completions?api-version=1")
      })
  )

  it.live("keeps its answer through a policy that copies the parts", () =>
    Effect.gen(function* () {
      const answer = '{"n":12345678901234567890 ,"data":["é"]}'
      const { baseUrl } = yield* serving(saying(answer))
      const parts = (yield* ask({ baseUrl })) as ReadonlyArray<Response.PartEncoded>
      const copied: Array<Response.PartEncoded> = JSON.parse(JSON.stringify(parts))
      assert.strictEqual(Buffer.from(ChatWire.answerBytes(copied)).toString("utf8"), answer)
      const streamed = Stream.fromIterable(
        (yield* ask({ baseUrl }, {}, true)) as ReadonlyArray<Response.StreamPartEncoded>
      )
      const events = yield* Stream.runCollect(
        ChatWire.answerEvents(Stream.map(streamed, (part) => structuredClone(part)))
      )
      assert.strictEqual(Buffer.concat(events).toString("utf8"), answer)
    })
  )

  it.live("refuses what is no answer, with the error of every provider, and quotes neither key nor request", () =>
    Effect.gen(function* () {
      const choice = (fields: object) => JSON.stringify({ choices: [{ message: {}, ...fields }] })
      const rows: ReadonlyArray<readonly [body: string, status: number, reason: string]> = [
        ["", 200, "InvalidResponseError"],
        ["<html>login</html>", 200, "InvalidResponseError"],
        ["[1]", 200, "InvalidResponseError"],
        ["null", 200, "InvalidResponseError"],
        ['{"choices":[', 200, "InternalProviderError"],
        ['{"choices":[{}', 200, "InternalProviderError"],
        ['{"choices" []}', 200, "InvalidResponseError"],
        [choice({ finish_reason: "error" }), 200, "InternalProviderError"],
        ['{"error":{"code":"insufficient_quota","message":"no"}}', 200, "QuotaExhaustedError"],
        [`{"error":{"message":"key-0123 may not say: ${secret}"}}`, 400, "InvalidRequestError"],
        ['{"error":{"message":"no such key"}}', 401, "AuthenticationError"],
        ["{}", 307, "InvalidResponseError"],
        [`{"a":"${"x".repeat(5_000)}"}`, 200, "InvalidResponseError"]
      ]
      for (const [body, status, reason] of rows) {
        const { baseUrl } = yield* serving(saying(body, status))
        const error = yield* Effect.flip(ask({ baseUrl, apiKey: "key-0123", limits: { maxBytes: 4_096 } }))
        assert.strictEqual(error.reason._tag, reason, body)
        assert.notInclude(JSON.stringify(error), "key-0123")
        assert.notInclude(error.message, secret)
      }
    })
  )

  it.live("passes on whatever answer it does not know", () =>
    Effect.gen(function* () {
      for (const answer of [
        '{"object":"list","data":[]}',
        '{"choices":[]}',
        '{"choices":"?","usage":"?","model":7}',
        "{}"
      ]) {
        const { baseUrl } = yield* serving(saying(answer))
        assert.deepStrictEqual(bytesOf(yield* ask({ baseUrl })).map(String), [answer])
      }
    })
  )

  it.live("does not call without bytes, and names the option that makes no sense", () =>
    Effect.gen(function* () {
      const { asked, baseUrl } = yield* serving(saying("{}"))
      const call = yield* request("hi")
      const error = yield* Effect.flip(ChatWire.raw({ baseUrl, proxy: false }).generateText(call))
      assert.deepInclude(error.reason, { _tag: "InvalidRequestError", parameter: "body" })
      assert.strictEqual(asked.length, 0)
      assert.throws(() => ChatWire.raw({ baseUrl: "ftp://a.test" }), /^ChatWire\.raw option baseUrl/)
    }).pipe(withIds)
  )

  it.live("closes the connection of a call that is interrupted", () =>
    Effect.gen(function* () {
      const closed = Promise.withResolvers<void>()
      const begun = Promise.withResolvers<void>()
      const { baseUrl } = yield* serving((response) => {
        response
          .on("close", () => closed.resolve())
          .writeHead(200)
          .write('{"id":')
        begun.resolve()
      })
      const fiber = yield* Effect.forkChild(ask({ baseUrl }))
      yield* Effect.promise(() => begun.promise)
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => closed.promise)
    })
  )

  it.live("is told from another call by its endpoint and its bytes", () =>
    Effect.gen(function* () {
      const { settings = Effect.succeed({}) } = ChatWire.raw({ baseUrl: "http://a.test" })
      const call = yield* request("")
      const keyOf = (body: string, path: string) =>
        Effect.map(
          Effect.provideService(settings, WireBytes.Current, { prompt: call.prompt, body: Buffer.from(body), path }),
          (value) => JSON.stringify(value)
        )
      const keys = [
        yield* keyOf("{}", "/a"),
        yield* keyOf("{ }", "/a"),
        yield* keyOf("{}", "/b"),
        yield* keyOf("{}", "/a")
      ]
      assert.deepStrictEqual([new Set(keys).size, keys[0]], [3, keys[3]])
    }).pipe(withIds)
  )
})
