import * as Http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Scope, Stream } from "effect"
import { AiError, type Response } from "effect/ai"
import { ChatWire, type ModelProvider } from "holdfast/provider"
import { request, withIds } from "../../src/testing/provider-contract/Stage.ts"
import { listen, readBody } from "../../src/testing/wire/LocalServer.ts"

interface Asked {
  readonly headers: Http.IncomingHttpHeaders
  readonly url: string
  readonly body: unknown
}

/** A server that answers every request alike, and what it was asked. */
const serving = (
  answer: (response: Http.ServerResponse, asked: Asked) => void
): Effect.Effect<{ readonly origin: string; readonly asked: Array<Asked> }, never, Scope.Scope> =>
  Effect.suspend(() => {
    const asked: Array<Asked> = []
    const server = Http.createServer((request, response) =>
      readBody(request, (body) => {
        const one = { headers: request.headers, url: request.url ?? "", body }
        asked.push(one)
        answer(response, one)
      })
    )
    return Effect.map(listen(server), (origin) => ({ origin, asked }))
  })

const json =
  (body: unknown, status = 200, headers = {}) =>
  (response: Http.ServerResponse) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

const events =
  (...data: ReadonlyArray<unknown>) =>
  (response: Http.ServerResponse) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.end(data.map((each) => `data: ${typeof each === "string" ? each : JSON.stringify(each)}\n\n`).join(""))
  }

const completion = (message: object, finish: unknown = "stop", more = {}) => ({
  id: "c-1",
  object: "chat.completion",
  created: 1_789_466_192,
  model: "m-1",
  choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finish }],
  usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
  ...more
})

const chunk = (delta: object, finish: unknown = null, more = {}) => ({
  id: "c-1",
  created: 1_789_466_192,
  model: "m-1",
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more
})

const at = (origin: string, options: Partial<ChatWire.Options> = {}) =>
  ChatWire.provider({ baseUrl: `${origin}/v1`, model: "m", name: "mine", ...options })

const whole = (provider: ModelProvider.ModelProvider) =>
  Effect.flatMap(request("hi"), (call) => provider.generateText(call)).pipe(withIds)

const streamed = (provider: ModelProvider.ModelProvider) =>
  Effect.flatMap(request("hi"), (call) => Stream.runCollect(provider.streamText(call))).pipe(withIds)

const finishOf = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>) =>
  parts.find((part) => part.type === "finish")

const reasonOf = <A>(exit: Exit.Exit<A, AiError.AiError>): AiError.AiErrorReason | undefined => {
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  return AiError.isAiError(error) ? error.reason : undefined
}

describe("an answer", () => {
  it.live("keeps what the wire has no part for, and what it cost", () =>
    Effect.gen(function* () {
      const logprobs = { content: [{ token: "hi", logprob: -0.1 }] }
      const body = completion({ content: "hi", annotations: [{ a: 1 }] }, "stop", { system_fingerprint: "fp" })
      const on = yield* serving(json({ ...body, choices: [{ ...body.choices[0], logprobs }] }))
      const finish = finishOf(yield* whole(at(on.origin)))
      assert.deepStrictEqual(finish?.metadata, {
        chatWire: {
          finishReason: "stop",
          usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 },
          answer: { system_fingerprint: "fp" },
          choice: { logprobs },
          message: { annotations: [{ a: 1 }] }
        }
      })
      assert.strictEqual(finish?.usage.outputTokens.total, 5)
    })
  )

  it.live("may come whole where a stream was asked for, and as a stream where it was not", () =>
    Effect.gen(function* () {
      const on = yield* serving(json(completion({ content: "all of it" })))
      const parts = yield* streamed(at(on.origin))
      assert.deepStrictEqual(
        parts.map((part) => part.type),
        ["response-metadata", "text-start", "text-delta", "text-end", "finish"]
      )
      const other = yield* serving(events(chunk({ content: "all " }), chunk({ content: "of it" }, "stop"), "[DONE]"))
      const [, text] = yield* whole(at(other.origin))
      assert.deepStrictEqual(text, { type: "text", text: "all of it" })
    })
  )

  it.live("gives each of two tool calls with one id an id of its own", () =>
    Effect.gen(function* () {
      const call = (index: number) => ({
        index,
        id: "same",
        type: "function",
        function: { name: "T", arguments: "{}" }
      })
      const on = yield* serving(events(chunk({ tool_calls: [call(0), call(1)] }, "tool_calls"), "[DONE]"))
      const calls = (yield* streamed(at(on.origin))).filter((part) => part.type === "tool-call")
      assert.deepStrictEqual(
        calls.map(({ id }) => id),
        ["same", "same-1"]
      )
    })
  )
})

describe("half an answer is no answer", () => {
  const error = { message: "upstream idle", code: 502 }
  const cases: ReadonlyArray<readonly [name: string, whole: unknown, stream: ReadonlyArray<unknown>]> = [
    [
      "finish_reason error",
      completion({ content: "half" }, "error"),
      [chunk({ content: "half" }), chunk({}, "error"), "[DONE]"]
    ],
    [
      "an error beside choices",
      completion({ content: "half" }, "error", { error }),
      [chunk({ content: "half" }, "error", { error })]
    ],
    ["no finish_reason", completion({ content: "half" }, null), [chunk({ content: "half" }), "[DONE]"]],
    ["an empty finish_reason", completion({ content: "half" }, ""), [chunk({ content: "half" }, "")]]
  ]
  for (const [name, body, chunks] of cases) {
    it.live(name, () =>
      Effect.gen(function* () {
        const first = yield* serving(json(body))
        const second = yield* serving(events(...chunks))
        const exits = [yield* Effect.exit(whole(at(first.origin))), yield* Effect.exit(streamed(at(second.origin)))]
        assert.deepStrictEqual(
          exits.map((exit) => reasonOf<unknown>(exit)?._tag),
          ["InternalProviderError", "InternalProviderError"]
        )
      })
    )
  }
})

it.live("ends an answer at [DONE], although the connection stays open", () =>
  Effect.gen(function* () {
    const on = yield* serving((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(`data: ${JSON.stringify(chunk({ content: "all" }, "stop"))}\n\ndata: [DONE]\n\n`)
    })
    assert.strictEqual(finishOf(yield* streamed(at(on.origin)))?.reason, "stop")
  })
)

it.live("sends each header once: the call's, else the provider's, else ours, in capitals or not", () =>
  Effect.gen(function* () {
    const on = yield* serving(json(completion({ content: "hi" })))
    const given = { Accept: "application/json; q=1", "X-Tenant": "all", Traceparent: "own", "x-low": "low" }
    const provider = at(on.origin, { apiKey: "key", headers: given, baseUrl: `${on.origin}/v1?a=1&a=2` })
    yield* whole(provider)
    const settings = { headers: { Authorization: "Bearer other", ACCEPT: "text/plain", "x-Tenant": "one" } }
    yield* ChatWire.withSettings(whole(provider), settings)
    const named = ["authorization", "accept", "x-tenant", "traceparent", "x-low"]
    const sent = on.asked.map(({ headers }) => named.map((name) => headers[name]))
    assert.deepStrictEqual(sent, [
      ["Bearer key", "application/json; q=1", "all", "own", "low"],
      ["Bearer other", "text/plain", "one", "own", "low"]
    ])
    assert.strictEqual(on.asked[0]?.url, "/v1/chat/completions?a=1&a=2")
  })
)

it.live("masks the key by its value, whatever it looks like", () =>
  Effect.gen(function* () {
    const on = yield* serving((response, { headers }) =>
      json({ error: { message: `no access for ${headers["api-key"]}` } }, 401, { "x-request-id": headers["api-key"] })(
        response
      )
    )
    const exit = yield* Effect.exit(whole(at(on.origin, { apiKey: "odd key 0123", dialect: { auth: "api-key" } })))
    assert.strictEqual(reasonOf(exit)?._tag, "AuthenticationError")
    assert.notInclude(JSON.stringify(exit), "odd key 0123")
  })
)

it.live("passes on the headers that are known to be harmless, and those that were asked for", () =>
  Effect.gen(function* () {
    const headers = { "x-request-id": "r-1", "set-cookie": "c=1", "x-own": "1", "x-inner": "2", "x-ratelimit-x": "3" }
    const on = yield* serving(json(completion({ content: "hi" }), 200, headers))
    const finish = finishOf(yield* whole(at(on.origin, { keepHeaders: ["X-Own"] })))
    const { date, ...kept } = finish?.response?.headers ?? {}
    assert.isDefined(date)
    assert.deepStrictEqual(kept, {
      "content-type": "application/json",
      "x-own": "1",
      "x-ratelimit-x": "3",
      "x-request-id": "r-1"
    })
  })
)

describe("an answer that has said why it ended", () => {
  it.live("is given although the server pings on, and the wire log says how each call ended", () =>
    Effect.gen(function* () {
      const logged: Array<string> = []
      const log = (entry: ChatWire.LogEntry) => void (entry.event === "ended" && logged.push(entry.outcome))
      const usage = { prompt_tokens: 1, completion_tokens: 1 }
      const pinging = yield* serving((response) => {
        response.writeHead(200)
        for (const each of [chunk({ content: "all" }), chunk({}, "stop", { usage })]) {
          response.write(`data: ${JSON.stringify(each)}\n\n`)
        }
        const pings = setInterval(() => response.write(": ping\n\n"), 100)
        response.on("close", () => clearInterval(pings))
      })
      const answer = yield* Effect.timeout(whole(at(pinging.origin, { log })), "4 seconds")
      assert.strictEqual(finishOf(answer)?.reason, "stop")
      yield* Effect.exit(whole(at("http://127.0.0.1:1", { log })))
      const away = yield* serving((response) => void response.writeHead(302, { location: "/x" }).end())
      yield* Effect.exit(whole(at(away.origin, { log })))
      const silent = yield* serving((response) => void response.writeHead(200).write("data: "))
      yield* Effect.exit(Effect.timeout(whole(at(silent.origin, { log })), "300 millis"))
      yield* Effect.exit(Effect.timeout(streamed(at(silent.origin, { log })), "300 millis"))
      assert.lengthOf(logged, 5)
      assert.deepStrictEqual([logged[0], ...logged.slice(3)], ["answered", "given up", "given up"])
      assert.include(logged[1], "ECONNREFUSED")
      assert.include(logged[2], "302")
    })
  )
})

it.live("a log that throws fails no call", () =>
  Effect.gen(function* () {
    const { origin } = yield* serving(json(completion({ content: "Kelp." })))
    const log = () => {
      throw new Error("disk full")
    }
    assert.strictEqual(finishOf(yield* whole(at(origin, { log })))?.reason, "stop")
  })
)
