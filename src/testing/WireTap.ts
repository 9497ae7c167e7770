/**
 * A real HTTP server that stands between a client and another server: it passes requests on, counts them, disturbs the
 * answers as told, and says when a client's connection was closed.
 *
 * It knows nothing of what it carries, so the same disturbance works for every provider's wire format.
 */
import * as Http from "node:http"
import { Deferred, Effect, Queue, type Scope } from "effect"
import { listen, readBody } from "./wire/LocalServer.ts"

/**
 * What happens to the answers from now on.
 *
 * - `PassOn`: nothing.
 * - `KeepSilent`: the request is read and never answered.
 * - `StallAfter`: the connection stays open but nothing follows after this many events of the answer's stream.
 * - `CutAfter`: the connection is destroyed after this many events.
 * - `EndAfter`: the body ends, as if complete, after this many events.
 */
export type Disturbance =
  | { readonly _tag: "PassOn" }
  | { readonly _tag: "KeepSilent" }
  | { readonly _tag: "StallAfter"; readonly events: number }
  | { readonly _tag: "CutAfter"; readonly events: number }
  | { readonly _tag: "EndAfter"; readonly events: number }

/** One request that arrived. */
export interface Exchange {
  readonly path: string
  /** The request's body, parsed when it is JSON, else the text. */
  readonly body: unknown
  /** Waits until the client's connection is closed before the answer was complete. */
  readonly closed: Effect.Effect<void>
}

export interface WireTap {
  /** Where clients send their requests: `http://127.0.0.1:41234`. */
  readonly origin: string
  readonly disturb: (disturbance: Disturbance) => Effect.Effect<void>
  /** Waits for the next request and takes it. Each is given once, in order of arrival. */
  readonly take: Effect.Effect<Exchange>
  /** Requests that arrived so far, taken or not. */
  readonly count: Effect.Effect<number>
  /** Connections that clients opened so far. */
  readonly connections: Effect.Effect<number>
}

/** Added to every answer, so that a client can be asked for the headers it saw. */
export const header = { name: "server-timing", value: "tap;desc=seen" } as const

/** Starts a tap in front of the server at `upstream`, on 127.0.0.1 and a free port. Closing the scope stops it. */
export const make = (upstream: string): Effect.Effect<WireTap, never, Scope.Scope> =>
  Effect.gen(function* () {
    const arrived = yield* Queue.unbounded<Exchange>()
    const state: State = { disturbance: { _tag: "PassOn" }, count: 0, connections: 0 }
    const server = Http.createServer((request, response) => {
      readBody(request, (body, bytes) => {
        const closed = Deferred.makeUnsafe<void>()
        response.on("close", () => {
          if (!response.writableFinished) Deferred.doneUnsafe(closed, Effect.void)
        })
        state.count += 1
        Queue.offerUnsafe(arrived, { path: request.url ?? "/", body, closed: Deferred.await(closed) })
        if (state.disturbance._tag !== "KeepSilent") passOn(upstream, state.disturbance, request, bytes, response)
      })
    })
    server.on("connection", () => {
      state.connections += 1
    })
    return {
      origin: yield* listen(server),
      disturb: (disturbance) => Effect.sync(() => void (state.disturbance = disturbance)),
      take: Queue.take(arrived),
      count: Effect.sync(() => state.count),
      connections: Effect.sync(() => state.connections)
    }
  })

interface State {
  disturbance: Disturbance
  count: number
  connections: number
}

const passOn = (
  upstream: string,
  disturbance: Disturbance,
  request: Http.IncomingMessage,
  body: Buffer,
  response: Http.ServerResponse
) => {
  const { connection: _c, host: _h, "transfer-encoding": _t, ...headers } = request.headers
  const onward = Http.request(`${upstream}${request.url}`, { method: request.method ?? "GET", headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, { ...answer.headers, [header.name]: header.value })
    if (disturbance._tag === "PassOn" || disturbance._tag === "KeepSilent") return void answer.pipe(response)
    relayEvents(disturbance, answer, response)
  })
  onward.on("error", () => response.destroy())
  response.on("close", () => onward.destroy())
  onward.end(body)
}

/** Passes whole server-sent events on until the disturbance is due, and drops the rest. */
const relayEvents = (
  { _tag, events }: Exclude<Disturbance, { readonly _tag: "PassOn" | "KeepSilent" }>,
  answer: Http.IncomingMessage,
  response: Http.ServerResponse
) => {
  let rest = ""
  let sent = 0
  answer.setEncoding("utf8")
  answer.on("data", (text: string) => {
    const pieces = (rest + text).split("\n\n")
    rest = pieces.pop() ?? ""
    for (const piece of pieces) {
      if (sent === events) return
      sent += 1
      response.write(`${piece}\n\n`)
      if (sent < events) continue
      if (_tag === "CutAfter") response.socket?.destroySoon()
      if (_tag === "EndAfter") response.end()
    }
  })
}
