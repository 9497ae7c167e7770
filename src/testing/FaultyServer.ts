/**
 * The faults of a `FaultyModel` on a real HTTP server that speaks OpenAI's chat completions (`POST …/chat/completions`).
 *
 * Clients of any kind can be put before it, and what must be shown of sockets can be shown: that they are closed soon
 * after an interruption, that they are used again, how many requests arrive at one moment. It lives by the real clock,
 * also in tests with a virtual one.
 */
import * as Http from "node:http"
import { Clock, Duration, Effect, FiberSet, Latch, Predicate, type Scope } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import { type Fault, keepAlive, type Step, steps } from "./faults/Behaviour.ts"
import { errorOf, headersOf, malformed, rejectionOf, unfinished } from "./faults/FaultError.ts"
import * as Script from "./faults/Script.ts"
import { listen, readBody } from "./wire/LocalServer.ts"
import * as Wire from "./wire/ChatCompletions.ts"

export { bucket, type Bucket, defaults as bucketDefaults, type Options as BucketOptions } from "./faults/Bucket.ts"

/** A request that arrived. */
export interface Received {
  readonly path: string
  /** By their names in lower case; `set-cookie` is a list. */
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** The body, parsed when it is JSON, else the text. */
  readonly body: unknown
}

export interface Options {
  /** How the requests are answered. Default: all at once and without a fault. */
  readonly script?: Script.Script<Received> | undefined
  /** How many requests `seen.log` keeps, the newest. Default: 10,000. */
  readonly remember?: number | undefined
}

export const defaults = { script: [{}], remember: 10_000 } as const satisfies Options

/**
 * What was asked so far. Times are milliseconds since 1970 with a fraction, as `Clock.currentTimeNanos` has them.
 *
 * A request is `interrupted`, at its `endMillis`, when its client's connection was closed before the answer was complete.
 */
export interface Seen extends Script.Seen<Received> {
  /** Connections that clients have opened so far. */
  readonly connections: number
  /** Connections that are open now, idle ones that wait for another request included. */
  readonly openConnections: number
}

export interface FaultyServer {
  /** Where it listens: `http://127.0.0.1:41234`. */
  readonly origin: string
  readonly seen: Seen
  /** Waits until no request is open. */
  readonly awaitIdle: Effect.Effect<void>
}

/**
 * Starts a server on 127.0.0.1 and a free port. Closing the scope stops it and closes all connections.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { FaultyServer } from "holdfast/testing"
 *
 * const status = Effect.gen(function*() {
 *   const server = yield* FaultyServer.make({ script: [{ fault: { is: "refuse", because: "overloaded" } }] })
 *   const url = `${server.origin}/v1/chat/completions`
 *   const response = yield* Effect.promise(() => fetch(url, { method: "POST", body: "{}" }))
 *   return response.status
 * })
 * await Effect.runPromise(Effect.scoped(status)) // => 503
 * ```
 */
export const make = (options: Options = {}): Effect.Effect<FaultyServer, never, Scope.Scope> => {
  const check = OptionCheck.of("FaultyServer")
  check.fields(options, { script: true, remember: true })
  const behaviourOf = Script.compile<Received>(options.script ?? defaults.script, check)
  const remember = check.whole("remember", options.remember ?? defaults.remember, 0)
  return Effect.gen(function* () {
    const log = new ServerLog(behaviourOf, now(), remember)
    const run = yield* FiberSet.makeRuntime<never, void>()
    const server = Http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      readBody(request, (body) => {
        const path = request.url ?? "/"
        if (request.method !== "POST" || !path.split("?")[0]?.endsWith("/chat/completions")) {
          return void response.writeHead(404).end()
        }
        const exchange = new Exchange(log, { path, headers: request.headers, body }, response)
        const fiber = run(exchange.play)
        response.on("close", () => {
          fiber.interruptUnsafe()
          exchange.end("interrupted")
        })
      })
    })
    server.on("connection", (socket) => {
      log.connections += 1
      log.openConnections += 1
      socket.on("close", () => (log.openConnections -= 1))
    })
    return { origin: yield* listen(server), seen: log, awaitIdle: log.idle.await }
  }).pipe(Effect.provideService(Clock.Clock, live))
}

/**
 * The most moments of a list, in ascending order, that lie within a window of this length: how big the biggest herd was.
 *
 * **Example**
 *
 * ```ts run
 * import { FaultyServer } from "holdfast/testing"
 *
 * FaultyServer.mostWithin([0, 5, 19, 20, 21, 100], "20 millis") // => 4
 * ```
 */
export const mostWithin = (moments: ReadonlyArray<number>, window: Duration.Input): number => {
  const millis = Duration.toMillis(window)
  let from = 0
  let most = 0
  for (const [index, moment] of moments.entries()) {
    while (moment - (moments[from] ?? moment) >= millis) from += 1
    most = Math.max(most, index - from + 1)
  }
  return most
}

const live = Clock.Clock.defaultValue()
const now = (): number => Number(live.currentTimeNanosUnsafe()) / 1_000_000

class ServerLog extends Script.RequestLog<Received> implements Seen {
  connections = 0
  openConnections = 0
  readonly idle = Latch.makeUnsafe(true)
}

/** How long what was sent has to arrive before the connection is reset, which would overtake it. */
const beforeReset = "5 millis"

/** One request that is being answered. */
class Exchange {
  /** Answers it. Interrupting stops the answer, and leaves the connection as it is. */
  readonly play: Effect.Effect<void>

  private readonly log: ServerLog
  private readonly entry: Script.OpenEntry<Received>
  private readonly response: Http.ServerResponse
  private readonly origin: Wire.Origin
  private readonly headers: Readonly<Record<string, string>>
  private readonly isStreamed: boolean
  private block: number | undefined

  constructor(log: ServerLog, received: Received, response: Http.ServerResponse) {
    const { body } = received
    this.isStreamed = Predicate.hasProperty(body, "stream") && body.stream === true
    this.log = log
    this.response = response
    this.entry = log.begin(this.isStreamed ? "streamText" : "generateText", received, now())
    log.idle.closeUnsafe()
    const { behaviour, number, startMillis } = this.entry
    this.headers = headersOf(behaviour, number)
    const model = Predicate.hasProperty(body, "model") ? String(body.model) : "faulty-1"
    this.origin = { id: `faulty-${number}`, model, created: Math.floor(startMillis / 1_000) }
    this.play = this.playAll(steps(behaviour))
  }

  end(ended: NonNullable<Script.Entry<Received>["ended"]>): void {
    this.log.end(this.entry, ended, now())
    if (this.log.open === 0) this.log.idle.openUnsafe()
  }

  private playAll(all: Iterable<Step>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (const step of all) {
        if (step.do === "delta" && !this.isStreamed) continue
        const wait = this.entry.startMillis + step.at - now()
        if (wait > 0) yield* Effect.sleep(wait)
        yield* this.act(step)
      }
    })
  }

  private act(step: Step): Effect.Effect<void> {
    const { behaviour } = this.entry
    switch (step.do) {
      case "headers":
        return this.begin()
      case "delta": {
        const isFirst = this.block !== step.block.index
        this.block = step.block.index
        return this.send(Wire.delta(this.origin, step.block, step.delta, isFirst))
      }
      case "noise":
        if (!this.isStreamed) return this.send(Wire.comment.whole)
        return this.send(step.as === "comments" ? Wire.comment.streamed : Wire.nothing(this.origin))
      case "finish":
        return this.finish(
          "completed",
          this.isStreamed ? Wire.closing(behaviour, this.origin) : Wire.whole(behaviour, this.origin)
        )
      case "fault":
        return this.fail(step.fault, step.at)
    }
  }

  private begin(): Effect.Effect<void> {
    const type = this.isStreamed ? "text/event-stream; charset=utf-8" : "application/json"
    this.response.writeHead(200, { "content-type": type, ...this.headers })
    if (this.isStreamed) return this.send(Wire.opening(this.origin))
    return Effect.sync(() => this.response.flushHeaders())
  }

  private fail(fault: Fault, at: number): Effect.Effect<void> {
    switch (fault.is) {
      case "refuse": {
        const { body, headers, status } = rejectionOf(fault, this.headers)
        this.response.writeHead(status, { "content-type": "application/json", ...headers })
        return this.finish("failed", JSON.stringify(body))
      }
      case "error": {
        const error = { error: errorOf(fault) }
        return this.finish("failed", this.isStreamed ? Wire.event(error) : JSON.stringify(error))
      }
      case "malformed":
        return this.finish("failed", this.isStreamed ? Wire.event(malformed) : malformed)
      case "end":
        return this.finish("failed", this.isStreamed ? "" : unfinished)
      case "cut":
        return this.cut("failed")
      case "die":
        return this.cut("died")
      case "stall":
        return Effect.andThen(this.playAll(keepAlive(at, fault)), Effect.never)
    }
  }

  private cut(ended: "failed" | "died"): Effect.Effect<void> {
    const reset = Effect.sync(() => {
      this.end(ended)
      this.response.socket?.resetAndDestroy()
    })
    if (!this.response.headersSent) return reset
    const rest = this.isStreamed ? Effect.void : this.send(unfinished)
    return rest.pipe(Effect.andThen(Effect.sleep(beforeReset)), Effect.andThen(reset))
  }

  private finish(ended: "completed" | "failed", text: string): Effect.Effect<void> {
    return Effect.sync(() => {
      this.end(ended)
      this.response.end(text)
    })
  }

  /** Waits when the client does not read as fast as it is sent. */
  private send(text: string): Effect.Effect<void> {
    return Effect.suspend(() =>
      this.response.write(text)
        ? Effect.void
        : Effect.callback<void>((resume) => {
            const go = () => resume(Effect.void)
            this.response.once("drain", go)
            return Effect.sync(() => this.response.off("drain", go))
          })
    )
  }
}
