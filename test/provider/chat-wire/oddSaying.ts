/** Servers of one answer, and what a call says of it on both ways. */
import { createServer, type ServerResponse } from "node:http"
import { Effect, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import { ChatWire } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { listening } from "../../sockets/listening.ts"

export type Fields = Record<string, unknown>
export type Answering = (response: ServerResponse) => void

export const usage = { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 }
export const head = { id: "c-1", created: 1_789_466_192, model: "m-1" }
export const completion = (message: Fields, finish: unknown = "stop", more: Fields = {}): Fields => ({
  ...head,
  choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finish }],
  usage,
  ...more
})
export const chunk = (delta: Fields, finish: unknown = null, more: Fields = {}): Fields => ({
  ...head,
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more
})
export const counted = { ...head, choices: [], usage }

/** What came of a call, in a line: its texts, tools, reason and tokens; or its error. */
const told = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>): string =>
  parts
    .flatMap((part) => {
      if (part.type === "text") return [part.text]
      if (part.type === "text-delta") return [part.delta]
      if (part.type === "reasoning") return [`<${part.text}>`]
      if (part.type === "reasoning-delta") return [`<${part.delta}>`]
      if (part.type === "tool-call") return [`${part.name}(${JSON.stringify(part.params)})`]
      return part.type === "finish" ? [` ${part.reason} ${part.usage.outputTokens.total ?? "?"}`] : []
    })
    .join("")

const tagOf = (error: AiError.AiError) => error.reason._tag

/** Asks a server for a whole answer, and for a streamed one. */
export const both = (port: number, options: Partial<ChatWire.Options> = {}) => {
  const provider = ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m", ...options })
  return Effect.gen(function* () {
    const asked = yield* request("hi")
    const whole = Effect.map(provider.generateText(asked), told)
    const streamed = Effect.map(Stream.runCollect(provider.streamText(asked)), told)
    return [
      yield* Effect.catch(whole, (error) => Effect.succeed(tagOf(error))),
      yield* Effect.catch(streamed, (error) => Effect.succeed(tagOf(error)))
    ]
  }).pipe(withIds)
}

export const json =
  (body: unknown, status = 200): Answering =>
  (response) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

const eventOf = (each: Fields | string): string =>
  typeof each === "string" ? each : `data: ${JSON.stringify(each)}\n\n`

export const events =
  (...data: ReadonlyArray<Fields | string>): Answering =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    for (const each of data) response.write(eventOf(each))
    response.end()
  }

/** Writes an event, and the next one so many milliseconds behind it. */
export const slowEvents =
  (gapMillis: number, ...data: ReadonlyArray<Fields>): Answering =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    const write = (at: number): void => {
      const each = data[at]
      if (each === undefined) return void response.end()
      response.write(eventOf(each))
      setTimeout(write, gapMillis, at + 1)
    }
    write(0)
  }

export const serving = (answer: Answering) =>
  listening(createServer((asked, response) => asked.resume().on("end", () => answer(response))))
