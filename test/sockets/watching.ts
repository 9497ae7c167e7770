/** An HTTP server that knows which requests of each call are open. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import { Deferred, Effect } from "effect"
import * as Cancelling from "./cancelling.ts"
import { listening } from "./listening.ts"
import * as ThreadClock from "./threadClock.ts"

/** What the server saw of one call. */
export class Watched {
  /** Requests that have arrived. */
  requests = 0
  /** Those whose answer has neither been sent nor lost its connection. */
  open = 0
  private closedAt = 0
  private idle = Deferred.makeUnsafe<void>()
  private readonly seen = Deferred.makeUnsafe<void>()

  /** Says that the call is where it should be. */
  readonly reach = (): void => void Deferred.doneUnsafe(this.seen, Effect.void)
  readonly reached: Effect.Effect<void> = Deferred.await(this.seen)

  /** Waits until no request is open, and tells when, by the thread's clock, the last one had closed. */
  readonly closed: Effect.Effect<number> = Effect.suspend(() =>
    this.open === 0 ? Effect.succeed(this.closedAt) : Effect.andThen(Deferred.await(this.idle), this.closed)
  )

  add(response: ServerResponse): void {
    this.requests++
    if (this.open++ === 0) this.idle = Deferred.makeUnsafe()
    response.once("close", () => {
      this.closedAt = ThreadClock.now()
      if (--this.open === 0) Deferred.doneUnsafe(this.idle, Effect.void)
    })
  }
}

/** Answers the requests of calls, of which `callOf` tells the number. Requests of calls that nobody watches hang. */
export const watching = (
  callOf: (request: IncomingMessage) => number,
  answer: (response: ServerResponse, call: number, watched: Watched, request: IncomingMessage) => void
) =>
  Effect.gen(function* () {
    const calls = new Map<number, Watched>()
    const server = createServer((request, response) => {
      request.resume()
      const call = callOf(request)
      const watched = calls.get(call)
      if (watched === undefined) return
      watched.add(response)
      answer(response, call, watched, request)
    })
    const port = yield* listening(server)
    return {
      origin: `http://127.0.0.1:${port}`,
      watch: (call: number): Watched => {
        const watched = new Watched()
        calls.set(call, watched)
        return watched
      },
      /** Requests of all calls that are open now. */
      open: () => Array.from(calls.values(), ({ open }) => open).reduce((sum, open) => sum + open, 0)
    }
  })

/** How long things took, in milliseconds. */
export const summary = (millis: ReadonlyArray<number>) => {
  const sorted = millis.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
  const [p50, p99, max] = [at(0.5), at(0.99), at(1)]
  return { p50, p99, max, text: `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms` }
}

/**
 * Makes requests with Node's own `fetch`, to a server that answers none, and aborts them: what such a measurement shows
 * when nothing of ours is measured. A whole process's work, its garbage and that of the calls beside them delay these too.
 */
export const aborting = Effect.gen(function* () {
  const server = yield* watching(
    ({ url }) => Number(url?.slice(1)),
    (_response, _call, { reach }) => reach()
  )
  return (call: number, waitMillis: number): Effect.Effect<number> =>
    Effect.suspend(() => {
      const [watched, controller] = [server.watch(call), new AbortController()]
      const ended = request(`${server.origin}/${call}`, controller.signal)
      return Cancelling.outlived(watched, waitMillis, () =>
        Effect.suspend(() => {
          const toldAt = ThreadClock.now()
          controller.abort()
          return Effect.as(
            Effect.promise(() => ended),
            toldAt
          )
        })
      ).pipe(Effect.orDie)
    })
})

const request = (url: string, signal: AbortSignal) => fetch(url, { signal }).catch(() => {})

/** Of how many calls one has such a request beside it. */
export const eachOfThem = 4
