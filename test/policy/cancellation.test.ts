/**
 * Calls that nobody wants any more, at each stage of their way and in each way to say so: thousands of them, whose
 * sockets a real server must see closed within 50 ms of when it sees those of a bare `fetch` closed, aborted beside them.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, ManagedRuntime, Scope } from "effect"
import { Model } from "holdfast/model"
import {
  AdaptiveLimit,
  Bulkhead,
  CircuitBreaker,
  Hedge,
  RateLimit,
  ResponseCache,
  Retry,
  SingleFlight,
  Timeout
} from "holdfast/policy"
import { AiSdk, Fetch, type ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { LeakDetector } from "holdfast/testing"
import { Chance } from "../../src/testing/seed/Chance.ts"
import * as Cancelling from "../sockets/cancelling.ts"
import { watchConnecting } from "../sockets/connecting.ts"
import { neverAccepting } from "../sockets/listening.ts"
import * as ThreadClock from "../sockets/threadClock.ts"
import { chunk } from "../sockets/openaiWire.ts"
import { aborting, eachOfThem, summary, type Watched, watching } from "../sockets/watching.ts"

const cancellations = 10_000
const seed = Number(process.env["HOLDFAST_SEED"] ?? 1)
/** How much later than that of a request of Node's own `fetch` that is aborted beside it a call's socket may close. */
const limitMillis = 50
/** Calls at the same time. */
const concurrency = 12
/** The first calls load and compile the AI SDK's code, which blocks everything; they come first, unmeasured. */
const warmUps = 4 * concurrency

/** What a call does until it is cancelled. */
interface Stage {
  readonly name: string
  /** How the server answers; `reach` says that the call is where it should be. Default: not at all. */
  readonly answer?: (
    response: ServerResponse,
    watched: Watched,
    plan: Cancelling.Plan,
    request: IncomingMessage
  ) => void
  /** Whether the reader of a stream gets text, and is at the stage when it has. */
  readonly hasText?: boolean
  /** Whether the call is at the stage as soon as it is made, because there is a line to wait in. */
  readonly isLine?: boolean
  /** Calls that never end and take the place of others. */
  readonly holders?: number
  /** What stands around the calls, in addition to what stands around all. */
  readonly policies?: ReadonlyArray<ModelProvider.Policy>
  /** How many requests each call makes. Default: at most one. */
  readonly requests?: number
}

const stages: ReadonlyArray<Stage> = [
  { name: "waiting in a Bulkhead", isLine: true, holders: 4, policies: [Bulkhead.limit({ concurrency: 5 })] },
  {
    name: "waiting in a RateLimit",
    isLine: true,
    policies: [RateLimit.of({ requests: { limit: 100, window: "1 second" }, burst: 1 })]
  },
  {
    name: "waiting in an AdaptiveLimit",
    isLine: true,
    holders: 4,
    policies: [AdaptiveLimit.learned({ initial: 5, min: 5, max: 5 })]
  },
  { name: "waiting for headers", answer: (_, { reach }) => reach(), requests: 1 },
  {
    name: "before the first token",
    answer: (response, { reach }, { form }) => {
      begin(response, form)
      if (form === "whole") return void response.write("\n", reach)
      response.write(chunk({ role: "assistant", content: "" }), reach)
      every(2, response, () => response.write(": ping\n\n"))
    },
    requests: 1
  },
  {
    name: "in the middle of an answer",
    hasText: true,
    answer: (response, { reach }, { form }) => {
      begin(response, form)
      if (form === "whole") return void response.write('{"id":"c","choices":[{"message":{"content":"Bec', reach)
      every(2, response, () => response.write(chunk({ content: "because " })))
    },
    requests: 1
  },
  {
    name: "in a back-off",
    answer: (response, { reach }) => {
      response.writeHead(503, { "content-type": "application/json", "retry-after-ms": "150" })
      response.end('{"error":{"message":"overloaded","type":"server_error"}}', reach)
    },
    requests: 1
  },
  {
    name: "in two attempts of a Hedge",
    policies: [Hedge.afterDelay("1 millis", { maxShare: 1 })],
    answer: (_, { reach, requests }) => (requests === 2 ? reach() : undefined),
    requests: 2
  },
  {
    name: "while a tool runs",
    answer: (response, { reach }, { form, number }, { url }) => {
      if (url === "/tool") return reach()
      begin(response, form)
      const call = { id: "t", type: "function", function: { name: "LookUp", arguments: `{"call":"${number}"}` } }
      if (form === "stream") {
        response.write(chunk({ tool_calls: [{ index: 0, ...call }] }))
        return void response.end(`${chunk({}, "tool_calls")}data: [DONE]\n\n`)
      }
      const message = { role: "assistant", content: null, tool_calls: [call] }
      response.end(JSON.stringify({ id: "c", choices: [{ index: 0, message, finish_reason: "tool_calls" }] }))
    },
    requests: 2
  }
]

const begin = (response: ServerResponse, form: Cancelling.Plan["form"]) =>
  response.writeHead(200, { "content-type": form === "stream" ? "text/event-stream" : "application/json" })

const every = (millis: number, response: ServerResponse, act: () => void) => {
  const timer = setInterval(act, millis)
  response.once("close", () => clearInterval(timer))
}

/** What stands around all calls. A circuit breaker does not stand where every call is refused. */
const policies = ({ name, policies = [] }: Pick<Stage, "name" | "policies">): ReadonlyArray<ModelProvider.Policy> => [
  Timeout.overall("1 minute"),
  ResponseCache.exact({ timeToLive: "1 hour" }),
  SingleFlight.identical(),
  ...(name === "in a back-off" ? [] : [CircuitBreaker.perModel()]),
  Retry.transient(),
  ...policies,
  Bulkhead.limit({ concurrency: 2 * concurrency }),
  Timeout.perAttempt({ headers: "30 seconds", firstToken: "30 seconds", idle: "30 seconds", attempt: "1 minute" })
]

/** Runs calls of a model at this origin, and tools that make a request of their own. */
const runtimeAt = (origin: string, stage: Pick<Stage, "name" | "policies">, fetch: typeof globalThis.fetch) => {
  const compatible = createOpenAICompatible({ name: "compatible", baseURL: `${origin}/v1`, apiKey: "none", fetch })
  const tools = Cancelling.tools.toLayer({
    LookUp: ({ call }) =>
      Effect.promise((signal) =>
        fetch(`${origin}/tool`, { headers: { [Cancelling.header]: call }, signal }).then((response) => response.text())
      )
  })
  return Effect.acquireRelease(
    Effect.sync(() =>
      ManagedRuntime.make(
        Layer.mergeAll(
          Model.layer({ provider: AiSdk.provider(compatible("m")), policies: policies(stage) }),
          tools
        ).pipe(Layer.provideMerge(Supervisor.layer({ upkeepEvery: "Infinity", retain: 10 })))
      )
    ),
    ({ disposeEffect }) => disposeEffect
  )
}

/** Node's `fetch` and ours, in turn. */
const eitherFetch: typeof globalThis.fetch = (input, init) =>
  (Number(new Headers(init?.headers).get(Cancelling.header)) % 2 === 0 ? globalThis.fetch : Fetch.fetch)(input, init)

/** When the sockets of calls were closed, by the addresses they tried, as long as the scope is open. */
const callSockets = Effect.acquireRelease(
  Effect.sync(() => {
    const closedAt = new Map<string, number>()
    const listener = (message: unknown) => {
      const { socket } = message as { readonly socket: Socket }
      socket.once("connectionAttempt", (address) => {
        socket.once("close", () => closedAt.set(address, ThreadClock.now()))
      })
    }
    subscribe(socketMade, listener)
    return { closedAt, listener }
  }),
  ({ listener }) => Effect.sync(() => unsubscribe(socketMade, listener))
).pipe(Effect.map(({ closedAt }) => closedAt))

const socketMade = "net.client.socket"

/** Makes one call and cancels it, and tells for how long it lived on. */
const cancel = (
  plan: Cancelling.Plan,
  runtime: ManagedRuntime.ManagedRuntime<Cancelling.Services, never>,
  sight: Cancelling.Sight,
  onText?: () => void
) =>
  Effect.flatMap(Cancelling.start(plan, runtime, onText), (cancel) =>
    Cancelling.outlived(sight, plan.waitMillis, cancel)
  )

/** Cancels many calls at a stage, and sees to it that all were closed in time and nothing of them is left. */
const prove = (
  name: string,
  share: number,
  calls: Effect.Effect<
    {
      readonly runtime: ManagedRuntime.ManagedRuntime<Cancelling.Services | Model.ModelHealth, never>
      readonly run: (plan: Cancelling.Plan) => Effect.Effect<number, unknown>
      readonly after?: Effect.Effect<void>
    },
    never,
    Scope.Scope
  >
) =>
  Effect.gen(function* () {
    const { after = Effect.void, run, runtime } = yield* calls
    const chance = new Chance(seed)
    const runs = Math.ceil(cancellations * share)
    const plans = Array.from({ length: warmUps + runs }, (_, number) => Cancelling.draw(chance, number))
    const lost = ThreadClock.lost()
    const bare = yield* aborting
    const beside: Array<number> = []
    const both = (plan: Cancelling.Plan) =>
      Effect.tap(run(plan), () =>
        plan.number % eachOfThem === 0
          ? Effect.map(bare(plan.number, plan.waitMillis), (millis) => beside.push(millis))
          : Effect.void
      )
    const all = yield* Effect.forEach(plans, both, { concurrency })
    const millis = all.slice(warmUps)
    const { p99, text } = summary(millis)
    const eachWay = [...new Set(plans.map(({ way }) => way))].map((way) => {
      const { p99 } = summary(millis.filter((_, run) => plans[warmUps + run]?.way === way))
      return `${way} ${p99.toFixed(1)}`
    })
    console.log(
      `${name}: ${runs} cancelled, closed after ${text}; p99 each way: ${eachWay.join(", ")}; beside them: ${summary(beside).text}`,
      `(without ${(ThreadClock.lost() - lost).toFixed(0)} ms in which the machine did not run this thread)`
    )
    assert.deepStrictEqual([all.length, all.every(Number.isFinite)], [warmUps + runs, true])
    assert.isAtMost(p99, limitMillis + summary(beside).p99)
    yield* after
    const { jobs, policies } = yield* Effect.promise(() => runtime.runPromise(Model.health))
    assert.deepStrictEqual([jobs.calls.running, jobs.calls.pending], [0, 0])
    for (const policy of policies) {
      if ("inFlight" in policy) assert.strictEqual(policy.inFlight, 0)
      if ("waiting" in policy) assert.strictEqual(policy.waiting, 0)
      if ("keys" in policy) for (const key of policy.keys) assert.deepInclude({ waiting: 0, ...key }, { waiting: 0 })
    }
  }).pipe(Effect.scoped, LeakDetector.check)

const patience = 300_000
const share = 1 / (stages.length + 1)

describe(`A cancelled call has closed its sockets within 50 ms (HOLDFAST_SEED=${seed})`, () => {
  it.live("as soon as the layer of its model closes", () =>
    Effect.gen(function* () {
      const server = yield* watching(
        ({ headers }) => Number(headers[Cancelling.header]),
        (response, _, { reach }) => response.write("\n", reach)
      )
      const chance = new Chance(seed)
      const bare = yield* aborting
      for (let round = 0; round < 20; round++) {
        const scope = yield* Scope.make()
        const runtime = yield* Scope.provide(runtimeAt(server.origin, { name: "closing" }, eitherFetch), scope)
        const watches = Array.from({ length: concurrency }, (_, n) => server.watch(round * concurrency + n))
        for (const n of watches.keys()) {
          const plan = Cancelling.draw(chance, round * concurrency + n)
          yield* Cancelling.start({ ...plan, way: "interruption" }, runtime, undefined)
        }
        yield* Effect.forEach(watches, ({ reached }) => reached)
        const toldAt = ThreadClock.now()
        yield* Scope.close(scope, Exit.void)
        const closedAt = yield* Effect.timeout(
          Effect.forEach(watches, ({ closed }) => closed),
          "2 seconds"
        )
        const beside = yield* Effect.forEach(watches, (_, n) => bare(round * concurrency + n, 0), { concurrency })
        // The first round loads the code.
        if (round > 0) assert.isAtMost(Math.max(...closedAt) - toldAt, limitMillis + Math.max(...beside))
      }
    }).pipe(Effect.scoped, LeakDetector.check)
  )

  for (const stage of stages) {
    const { answer, hasText = false, holders = 0, isLine = false, name, requests } = stage
    it.live(
      name,
      () =>
        prove(
          name,
          share,
          Effect.gen(function* () {
            const plans = new Map<number, Cancelling.Plan>()
            const server = yield* watching(
              ({ headers }) => Number(headers[Cancelling.header]),
              (response, call, watched, request) => {
                const plan = plans.get(call)
                if (plan !== undefined) answer?.(response, watched, plan, request)
              }
            )
            const runtime = yield* runtimeAt(server.origin, stage, eitherFetch)
            const start = (plan: Cancelling.Plan) => {
              plans.set(plan.number, plan)
              return server.watch(plan.number)
            }
            const held: Array<Cancelling.Cancel> = []
            for (let number = -holders; number < 0; number++) {
              const plan = { number, form: "whole", way: "interruption", variant: 0, waitMillis: 0 } as const
              const watched = start(plan)
              held.push(yield* Cancelling.start(plan, runtime, undefined))
              while (watched.requests === 0) yield* Effect.sleep("1 millis")
            }
            const watches: Array<Watched> = []
            const run = (plan: Cancelling.Plan) => {
              const watched = start(plan)
              watches.push(watched)
              if (isLine) watched.reach()
              return cancel(plan, runtime, watched, hasText ? watched.reach : undefined)
            }
            const after = Effect.gen(function* () {
              yield* Effect.forEach(held, (cancel) => cancel())
              // As long as what was not cancelled would take to come back.
              yield* Effect.sleep("500 millis")
              assert.strictEqual(server.open(), 0)
              if (requests !== undefined) assert.isTrue(watches.every((watched) => watched.requests === requests))
            })
            return { after, run, runtime }
          })
        ),
      patience
    )
  }

  it.live.skipIf(process.platform !== "linux")(
    "while it is connecting (needs Linux)",
    () =>
      prove(
        "connecting",
        share,
        Effect.gen(function* () {
          const port = yield* neverAccepting
          const addressOf = (call: number) => `127.1.${call >> 8}.${call & 255}`
          const fetch: typeof globalThis.fetch = (input, init) => {
            const url = new URL(input instanceof Request ? input.url : input)
            url.hostname = addressOf(Number(new Headers(init?.headers).get(Cancelling.header)))
            return Fetch.fetch(url, init)
          }
          const runtime = yield* runtimeAt(`http://127.0.0.1:${port}`, { name: "connecting" }, fetch)
          // When a call's socket was closed is told by the socket, for the kernel's table is looked at only now and then;
          // that it is closed indeed, by the table.
          const sockets = yield* callSockets
          const waiting = new Set<(asked: ReadonlySet<string>) => void>()
          yield* watchConnecting(port, (asked) => waiting.forEach((check) => check(asked)))
          const until = (holds: (asked: ReadonlySet<string>) => boolean) =>
            Effect.callback<void>((resume) => {
              const check = (asked: ReadonlySet<string>) => {
                if (!holds(asked)) return
                waiting.delete(check)
                resume(Effect.void)
              }
              waiting.add(check)
            })
          const run = (plan: Cancelling.Plan) => {
            const address = addressOf(plan.number)
            return cancel(plan, runtime, {
              reached: until((asked) => asked.has(address)),
              closed: Effect.map(
                until((asked) => !asked.has(address)),
                () => sockets.get(address) ?? Infinity
              )
            })
          }
          return { run, runtime }
        })
      ),
    patience
  )
})
