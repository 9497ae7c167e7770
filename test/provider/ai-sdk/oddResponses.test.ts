/** Servers of OpenAI's Responses that leave out, add or break something, through the bridge: the right answer or a typed error. */
import { createServer, type ServerResponse } from "node:http"
import { createOpenAI } from "@ai-sdk/openai"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import type { Response } from "effect/ai"
import { AiSdk, Fetch } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { listening } from "../../sockets/listening.ts"

type Fields = Record<string, unknown>

const usage = { input_tokens: 7, output_tokens: 5, total_tokens: 12 }
const response = (more: Fields = {}): Fields => ({
  id: "resp_1",
  object: "response",
  created_at: 1_789_466_192,
  model: "m-1",
  status: "completed",
  error: null,
  incomplete_details: null,
  output: [message()],
  usage,
  ...more
})
const message = (more: Fields = {}, part: Fields = {}): Fields => ({
  type: "message",
  id: "msg_1",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text: "Kelp.", annotations: [], ...part }],
  ...more
})
const started = response({ status: "in_progress", output: [], usage: null })

/** The events of an answer in their good order, by what they are called here. */
const good: Readonly<Record<string, Fields>> = {
  created: { type: "response.created", response: started },
  progress: { type: "response.in_progress", response: started },
  added: { type: "response.output_item.added", output_index: 0, item: message({ status: "in_progress", content: [] }) },
  part: part("response.content_part.added", { part: { type: "output_text", text: "", annotations: [] } }),
  delta: part("response.output_text.delta", { delta: "Kelp." }),
  text: part("response.output_text.done", { text: "Kelp." }),
  partDone: part("response.content_part.done", { part: { type: "output_text", text: "Kelp.", annotations: [] } }),
  done: { type: "response.output_item.done", output_index: 0, item: message() },
  completed: { type: "response.completed", response: response() }
}

function part(type: string, more: Fields): Fields {
  return { type, item_id: "msg_1", output_index: 0, content_index: 0, ...more }
}

type Answering = (response: ServerResponse) => void

const without = (fields: Fields, ...names: ReadonlyArray<string>): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)))

const written = (events: ReadonlyArray<Fields | string>, end = "\n"): string =>
  events
    .map((event, sequence_number) =>
      typeof event === "string"
        ? event
        : `event: ${String(event["type"])}${end}data: ${JSON.stringify({ sequence_number, ...event })}${end}${end}`
    )
    .join("")

const stream =
  (...events: ReadonlyArray<Fields | string>): Answering =>
  (response) =>
    void response.writeHead(200, { "content-type": "text/event-stream" }).end(written(events))

/** The good stream with these events instead; `undefined` leaves one out. */
const changed = (changes: Readonly<Record<string, Fields | string | undefined>>): Answering => {
  const all = { ...good, ...changes }
  return stream(...Object.values(all).flatMap((event) => (event === undefined ? [] : [event])))
}

const json =
  (body: unknown, status = 200): Answering =>
  (response) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

const told = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>): string =>
  parts
    .flatMap((part) => {
      if (part.type === "text") return [part.text]
      if (part.type === "text-delta") return [part.delta]
      if (part.type === "tool-call") return [`${part.name}(${JSON.stringify(part.params)})`]
      return part.type === "finish" ? [` ${part.reason} ${part.usage.outputTokens.total ?? "?"}`] : []
    })
    .join("")

const outcome = (answer: Answering, streamed: boolean) =>
  Effect.gen(function* () {
    const server = createServer((asked, response) => asked.resume().on("end", () => answer(response)))
    const baseURL = `http://127.0.0.1:${yield* listening(server)}/v1`
    const openai = createOpenAI({ baseURL, apiKey: "key", fetch: Fetch.fetch })
    const provider = AiSdk.provider(openai.responses("m-1"))
    const asked = yield* request("hi")
    const parts = streamed
      ? Effect.map(Stream.runCollect(provider.streamText(asked)), told)
      : Effect.map(provider.generateText(asked), told)
    return yield* Effect.catch(parts, ({ reason }) => Effect.succeed(reason._tag))
  }).pipe(withIds)

const right = "Kelp. stop 5"

describe("a stream of Responses", () => {
  const failure = { code: "server_error", message: "The server had an error" }
  const failedAt = { type: "response.failed", response: response({ status: "failed", error: failure, output: [] }) }
  const error = { type: "error", code: "server_error", message: "The server had an error", param: null }
  const rows: ReadonlyArray<readonly [name: string, answer: Answering, wanted: string]> = [
    ["all there", changed({}), right],
    ["no response.created", changed({ created: undefined, progress: undefined }), right],
    [
      "an event of its own, comments, keepalive, [DONE]",
      changed({
        progress: `: hi\n\n${written([{ type: "x.y", z: 1 }, { type: "keepalive" }])}`,
        z: "data: [DONE]\n\n"
      }),
      right
    ],
    [
      "CRLF",
      (response) =>
        void response.writeHead(200, { "content-type": "text/event-stream" }).end(written(Object.values(good), "\r\n")),
      right
    ],
    ["a delta without item_id", changed({ delta: without(good["delta"] ?? {}, "item_id") }), "InvalidResponseError"],
    [
      "a delta of no item",
      changed({ delta: part("response.output_text.delta", { item_id: "msg_9", delta: "Kelp." }) }),
      right
    ],
    ["no content_index", changed({ delta: without(good["delta"] ?? {}, "content_index") }), right],
    [
      "an item without id",
      changed({ added: { ...good["added"], item: without(message(), "id") } }),
      "InvalidResponseError"
    ],
    [
      "a text part without annotations",
      changed({ done: { ...good["done"], item: message({}, { annotations: undefined }) } }),
      right
    ],
    [
      "another response id at the end, no output",
      changed({ completed: { type: "response.completed", response: response({ id: "resp_2", output: [] }) } }),
      right
    ],
    [
      "no usage",
      changed({ completed: { type: "response.completed", response: response({ usage: undefined }) } }),
      "Kelp. stop ?"
    ],
    [
      "no sequence_number",
      (response) =>
        void response
          .writeHead(200, { "content-type": "text/event-stream" })
          .end(written(Object.values(good).map((event) => ({ ...event, sequence_number: undefined })))),
      right
    ],
    ["response.failed alone", changed({ completed: failedAt }), "InternalProviderError"],
    [
      "response.failed without sequence_number",
      changed({ completed: { ...failedAt, sequence_number: undefined } }),
      "InternalProviderError"
    ],
    ["error alone", changed({ completed: error }), "InternalProviderError"],
    ["failed, then error", changed({ completed: failedAt, z: error }), "InternalProviderError"],
    ["error before anything", stream(error), "InternalProviderError"],
    ["failed before anything", stream(good["created"] ?? {}, failedAt), "InternalProviderError"],
    [
      "cancelled",
      changed({
        completed: { type: "response.failed", response: response({ status: "cancelled", output: [] }) },
        z: { ...error, code: "response_cancelled" }
      }),
      "InternalProviderError"
    ],
    [
      "incomplete",
      changed({
        completed: {
          type: "response.incomplete",
          response: response({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } })
        }
      }),
      "Kelp. length 5"
    ],
    [
      "incomplete, by a filter",
      changed({
        completed: {
          type: "response.incomplete",
          response: response({ status: "incomplete", incomplete_details: { reason: "content_filter" } })
        }
      }),
      "Kelp. content-filter 5"
    ],
    [
      "a clean end in the middle",
      changed({ text: undefined, partDone: undefined, done: undefined, completed: undefined }),
      "InternalProviderError"
    ],
    ["a clean end before the last event", changed({ completed: undefined }), "InternalProviderError"],
    [
      "a page",
      (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<html>login</html>"),
      "InvalidResponseError"
    ],
    ["an error as JSON", json({ error: { ...failure, type: "server_error", param: null } }), "InternalProviderError"]
  ]
  for (const [name, answer, wanted] of rows) {
    it.live(name, () => Effect.map(outcome(answer, true), (came) => assert.strictEqual(came, wanted)))
  }
})

describe("a Response", () => {
  const call = { type: "function_call", id: "fc_1", call_id: "call_1", name: "T", arguments: "{}", status: "completed" }
  const rows: ReadonlyArray<readonly [name: string, answer: Answering, wanted: string]> = [
    ["all there", json(response()), right],
    [
      "the smallest",
      json({ id: "r", object: "response", created_at: 1, model: "m", status: "completed", output: [message()], usage }),
      right
    ],
    ["no object", json(without(response(), "object")), right],
    ["no item id", json(response({ output: [message({ id: undefined })] })), "InvalidResponseError"],
    ["no annotations", json(response({ output: [message({}, { annotations: undefined })] })), "InvalidResponseError"],
    ["no usage", json(without(response(), "usage")), "Kelp. stop ?"],
    ["a call", json(response({ output: [call] })), "T({}) tool-calls 5"],
    ["a call without call_id", json(response({ output: [without(call, "call_id")] })), "InvalidResponseError"],
    [
      "failed, with status 200",
      json(response({ status: "failed", output: [], error: { code: "server_error", message: "no" } })),
      "InternalProviderError"
    ],
    ["not even begun, with status 200", json(response({ status: "queued", output: [] })), "InternalProviderError"],
    ["cancelled, with status 200", json(response({ status: "cancelled", output: [] })), "InternalProviderError"],
    [
      "incomplete",
      json(response({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } })),
      "Kelp. length 5"
    ],
    ["an error without type", json({ error: { code: "server_error", message: "no" } }, 500), "InternalProviderError"],
    ["a 429", json({ error: { code: "rate_limit_exceeded", message: "Rate limit reached" } }, 429), "RateLimitError"]
  ]
  for (const [name, answer, wanted] of rows) {
    it.live(name, () => Effect.map(outcome(answer, false), (came) => assert.strictEqual(came, wanted)))
  }
})
