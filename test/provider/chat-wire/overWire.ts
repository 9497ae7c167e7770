/** Sends answers in pieces over real connections, and has the whole provider read them: whole, and as a stream. */
import { createServer } from "node:http"
import { Cause, Effect, Exit, Stream } from "effect"
import { AiError, type Response } from "effect/ai"
import { ChatWire } from "holdfast/provider"
import { StreamShape } from "holdfast/testing"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import type { Chance } from "../../../src/testing/seed/Chance.ts"
import { listening } from "../../sockets/listening.ts"
import { input, outcome } from "./fuzzing.ts"

/** An answer to send: what of it comes in one read each, and whether the connection breaks behind it. */
export interface Sent {
  readonly pieces: ReadonlyArray<Buffer>
  readonly isBroken?: boolean
}

/** What came of it: the parts, or the reason why there are none. Whatever else happened is an error of its own. */
export type Came = { readonly parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded> } | string

const reasonOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "read"
  const [reason, ...more] = exit.cause.reasons
  if (reason !== undefined && more.length === 0 && Cause.isFailReason(reason) && AiError.isAiError(reason.error)) {
    return reason.error.reason._tag
  }
  throw new Error(`a call died: ${Cause.pretty(exit.cause)}`)
}

/** A server for the current scope, which is asked once for each answer. */
export const wire = Effect.gen(function* () {
  let next: Sent = { pieces: [] }
  const server = createServer((asked, response) => {
    const { isBroken = false, pieces } = next
    response.on("error", () => undefined).writeHead(200)
    response.flushHeaders()
    const send = (at: number): void => {
      const piece = pieces[at]
      if (piece !== undefined) response.write(piece, () => setImmediate(send, at + 1))
      else if (isBroken) response.destroy()
      else response.end()
    }
    asked.resume().on("end", () => send(0))
  })
  const baseUrl = `http://127.0.0.1:${yield* listening(server)}/v1`
  const provider = ChatWire.provider({ baseUrl, model: "m", proxy: false, limits: { maxEventSize: 1 << 20 } })
  return (sent: Sent, isStreamed: boolean): Effect.Effect<Came> =>
    Effect.gen(function* () {
      next = sent
      const call = yield* request("kelp")
      if (!isStreamed) {
        const exit = yield* Effect.exit(provider.generateText(call))
        return Exit.isSuccess(exit) ? { parts: exit.value } : reasonOf(exit)
      }
      const exit = yield* Effect.exit(Stream.runCollect(provider.streamText(call)))
      if (Exit.isFailure(exit)) return reasonOf(exit)
      const malformed = StreamShape.malformation(exit.value)
      if (malformed !== undefined) throw new Error(malformed)
      return { parts: exit.value }
    }).pipe(withIds)
})

const mostPieces = 12

/** Sends one random answer, and says what is wrong with what came of it on the two ways. */
export const tryOne = (ask: Effect.Success<typeof wire>, chance: Chance): Effect.Effect<string> =>
  Effect.gen(function* () {
    const cut = input(chance)
    const wanted = outcome(cut)
    // Each piece is a turn of the loop.
    const size = Math.ceil(cut.length / mostPieces)
    const pieces = Array.from({ length: Math.min(cut.length, mostPieces) }, (_, at) =>
      Buffer.concat(cut.slice(at * size, (at + 1) * size))
    )
    for (const isStreamed of [false, true]) {
      const came = yield* ask({ pieces }, isStreamed)
      const is = typeof came === "string" ? "refused" : "read"
      if (is !== wanted) return `${isStreamed ? "streamed" : "whole"}: ${is} what is to be ${wanted}`
    }
    return wanted
  })
