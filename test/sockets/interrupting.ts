/** Calls that are interrupted at some stage of their way, many times, and how soon their sockets were closed. */
import type { ServerResponse } from "node:http"
import { createServer, type Socket } from "node:net"
import { assert } from "@effect/vitest"
import { Deferred, Effect, Layer, Random, type Scope, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { Model } from "holdfast/model"
import { Bulkhead, Retry, Timeout } from "holdfast/policy"
import type { ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { LeakDetector } from "holdfast/testing"
import * as Cancelling from "./cancelling.ts"
import { listening } from "./listening.ts"
import * as ThreadClock from "./threadClock.ts"
import { aborting, eachOfThem, summary, watching } from "./watching.ts"

/** How much later than that of a request of Node's own `fetch` that is aborted beside it a call's socket may close. */
const limitMillis = 50
/** The first calls of each kind load and compile the code, which blocks everything; they come first, unmeasured. */
export const warmUps = 24

/** How often each stage is interrupted: `HOLDFAST_INTERRUPTIONS`, else a share of it. */
export const timesOr = (share: number): number => Number(process.env["HOLDFAST_INTERRUPTIONS"] ?? share)

/** One call to interrupt: what it does, and what is seen of it. */
export interface Call extends Cancelling.Sight {
  readonly run: Effect.Effect<void>
}

/** Interrupts one call up to 10 ms after it has reached its stage, and tells for how long it, or its socket, lived on. */
const interrupt = ({ run, ...sight }: Call) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(run)
    return yield* Cancelling.outlived(sight, yield* Random.nextBetween(0, 10), Cancelling.interrupting(fiber))
  })

/** Interrupts calls, four at a time, and asserts that every socket was closed in time, and that nothing at all is left. */
export const prove = (
  stage: string,
  runs: number,
  calls: Effect.Effect<(run: number) => Effect.Effect<Call>, never, Scope.Scope>
) =>
  Effect.gen(function* () {
    const call = yield* calls
    const bare = yield* aborting
    const beside: Array<number> = []
    const each = Array.from({ length: warmUps + runs }, (_, run) =>
      Effect.tap(Effect.flatMap(call(run), interrupt), () =>
        run % eachOfThem === 0 ? Effect.map(bare(run, 5), (millis) => beside.push(millis)) : Effect.void
      )
    )
    const warm = yield* Effect.all(each.slice(0, warmUps), { concurrency: 4 })
    const lost = ThreadClock.lost()
    const millis = yield* Effect.all(each.slice(warmUps), { concurrency: 4 })
    console.log(
      `${stage}: ${runs} interrupted, closed after ${summary(millis).text}; beside them: ${summary(beside).text}`,
      `(without ${(ThreadClock.lost() - lost).toFixed(0)} ms in which the machine did not run this thread)`
    )
    assert.strictEqual(millis.length, runs)
    assert.isTrue(warm.every(Number.isFinite))
    const limit = limitMillis + summary(beside).max
    assert.deepStrictEqual(
      millis.filter((each) => !(each <= limit)),
      []
    )
  }).pipe(Effect.scoped, LeakDetector.check)

/** What stands around the calls: as much of the library as a call can go through. */
const policies = [
  Timeout.overall("1 minute"),
  Bulkhead.limit({ concurrency: 10 }),
  Retry.transient(),
  Timeout.perAttempt("30 seconds")
]

/** Calls a supervised model, whole or as a stream, and says so when the first part of a stream has come. */
export const ask = (provider: ModelProvider.ModelProvider, stream: boolean, onPart = Effect.void) =>
  (stream
    ? Stream.runForEach(LanguageModel.streamText({ prompt: "Why is the sky blue?" }), () => onPart)
    : Effect.asVoid(LanguageModel.generateText({ prompt: "Why is the sky blue?" }))
  ).pipe(
    Effect.orDie,
    Effect.provide(Layer.provide(Model.layer({ provider, policies }), Supervisor.layer({ upkeepEvery: "Infinity" })))
  )

/** A server whose n-th path gets the n-th answer. */
export const answering = (answer: (response: ServerResponse, run: number, seen: () => void) => void) =>
  Effect.map(
    watching(
      ({ url }) => Number(url?.split("/")[1]),
      (response, run, { reach }) => answer(response, run, reach)
    ),
    ({ origin, watch }) =>
      (run: number) => ({ baseURL: `${origin}/${run}`, watched: watch(run) })
  )

/** A refusal that asks for another attempt in a while. */
export const overloaded = (response: ServerResponse, seen: () => void): void => {
  response.writeHead(503, { "content-type": "application/json", "retry-after-ms": "200", connection: "close" })
  response.end('{"error":{"message":"overloaded","type":"server_error"}}', seen)
}

/** A server that takes connections and says nothing, not even what belongs to TLS or to a proxy; sees the next one. */
export const mute = Effect.gen(function* () {
  const arrived: Array<(socket: Socket) => void> = []
  const server = createServer((socket) => {
    socket.resume()
    arrived.shift()?.(socket)
  })
  const port = yield* listening(server)
  const next = (): Cancelling.Sight => {
    const reached = Deferred.makeUnsafe<Deferred.Deferred<number>>()
    arrived.push((socket) => Deferred.doneUnsafe(reached, Effect.succeed(closing(socket))))
    return {
      reached: Effect.asVoid(Deferred.await(reached)),
      closed: Effect.flatMap(Deferred.await(reached), Deferred.await)
    }
  }
  return { port, next }
})

const closing = (socket: Socket) => {
  const closed = Deferred.makeUnsafe<number>()
  socket.on("error", () => {})
  socket.once("close", () => Deferred.doneUnsafe(closed, Effect.succeed(ThreadClock.now())))
  return closed
}
