// An HTTP server that stops well: on SIGTERM it refuses new requests, finishes those in flight, then closes.
//
// prints: GET /report is in flight
// prints: SIGTERM: draining
// prints: GET /late got 503
// prints: drained: GET /report completed
// prints: GET /report got 200: the report
import { NodeHttpServer } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { Supervisor } from "holdfast/supervisor"

// Each request is a job: it has a name, a time limit, and ends when the client hangs up.
const handler = Effect.gen(function* () {
  const { url } = yield* HttpServerRequest.HttpServerRequest
  const work = Effect.delay(Effect.succeed(HttpServerResponse.text("the report")), "1500 millis")
  return yield* Supervisor.run(work, { name: `GET ${url}`, timeout: "10 seconds" })
}).pipe(
  Effect.interruptible, // a plain handler is not; the routes of HttpRouter are
  Effect.catchReason("JobError", "NotAccepting", () => Effect.succeed(HttpServerResponse.empty({ status: 503 }))),
  Effect.catchTag("JobError", (error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 500 })))
)

const sigterm = Effect.callback<void>((resume) => {
  const stop = () => resume(Effect.void)
  process.once("SIGTERM", stop)
  return Effect.sync(() => process.off("SIGTERM", stop))
})

const request = Effect.fnUntraced(function* (path: string) {
  const url = yield* HttpServer.addressFormattedWith((address) => Effect.succeed(`${address}${path}`))
  const { status, text } = yield* HttpClient.get(url)
  yield* Console.log(`GET ${path} got ${status}${status === 200 ? `: ${yield* text}` : ""}`)
})

const program = Effect.gen(function* () {
  yield* HttpServer.serveEffect(handler)
  const stopping = yield* Effect.forkChild(sigterm)

  // From here to the signal, this example plays the clients and whoever stops the process.
  const client = yield* Effect.forkChild(request("/report"))
  const isStart = (event: { readonly _tag: string }) => event._tag === "JobStarted"
  yield* Supervisor.events({ after: 0 }).pipe(Stream.filter(isStart), Stream.take(1), Stream.runDrain)
  const [inFlight] = yield* Supervisor.list({ state: "running" })
  yield* Console.log(`${inFlight?.name} is in flight`)
  process.kill(process.pid, "SIGTERM")

  yield* Fiber.join(stopping)
  yield* Console.log("SIGTERM: draining")
  const draining = yield* Effect.forkChild(Supervisor.drain({ deadline: "5 seconds" }))
  yield* request("/late")
  const { jobs } = yield* Fiber.join(draining)
  yield* Console.log(`drained: ${jobs.map(({ name, outcome }) => `${name} ${outcome}`).join(", ")}`)
  yield* Fiber.join(client)
}).pipe(Effect.scoped) // leaving the scope closes the server

const server = NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0 })
await Effect.runPromise(Effect.provide(program, Layer.mergeAll(server, Supervisor.layer(), FetchHttpClient.layer)))
