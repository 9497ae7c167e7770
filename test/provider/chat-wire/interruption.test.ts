/** `ChatWire` alone, interrupted at each stage of a call. `HOLDFAST_INTERRUPTIONS=1000` does each a thousand times. */
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ChatWire } from "holdfast/provider"
import { watchConnecting } from "../../sockets/connecting.ts"
import { answering, ask, mute, overloaded, prove, timesOr, warmUps } from "../../sockets/interrupting.ts"
import { neverAccepting } from "../../sockets/listening.ts"
import { chunk } from "../../sockets/openaiWire.ts"
import * as ThreadClock from "../../sockets/threadClock.ts"

const runs = timesOr(60)

const modelAt = (baseUrl: string, proxy: string | false = false) =>
  ChatWire.provider({ baseUrl, apiKey: "key", model: "some-model", name: "wire", proxy })

const isStream = (run: number) => run % 2 === 0

/** The stages at which the server has the request. */
const stages: Readonly<Record<string, (response: ServerResponse, run: number, seen: () => void) => void>> = {
  "waiting for headers": (_response, _run, seen) => seen(),
  "before the first byte of the answer": (response, run, seen) => {
    begin(response, run).flushHeaders()
    seen()
  },
  "in the middle of an answer": (response, run, seen) => {
    const half = isStream(run) ? chunk({ content: "Because " }) : '{"id":"c","choices":[{"message":{"content":"Bec'
    begin(response, run).write(half, seen)
  },
  "after finish_reason, the connection open": (response, run, seen) => {
    begin(response, run).write(chunk({ content: "Because." }) + chunk({}, "stop"), seen)
  },
  "in the body of a refusal": (response, _run, seen) => {
    response.writeHead(400, { "content-type": "application/json" }).write('{"error":{"mess', seen)
  }
}

const begin = (response: ServerResponse, run: number) =>
  response.writeHead(200, { "content-type": isStream(run) ? "text/event-stream" : "application/json" })

describe("an interrupted call has closed its socket within 50 ms, every time", { timeout: 300_000 }, () => {
  it.live.skipIf(process.platform !== "linux")("connecting (needs Linux)", () =>
    prove(
      "connecting",
      runs,
      Effect.gen(function* () {
        const port = yield* neverAccepting
        const closedAt = yield* closings
        const checks = new Set<(asked: ReadonlySet<string>) => void>()
        yield* watchConnecting(port, (asked) => checks.forEach((check) => check(asked)))
        const until = (holds: (asked: ReadonlySet<string>) => boolean) =>
          Effect.callback<void>((resume) => {
            const check = (asked: ReadonlySet<string>) => {
              if (holds(asked) && checks.delete(check)) resume(Effect.void)
            }
            checks.add(check)
          })
        return (run) => {
          const address = `127.2.${run >> 8}.${run & 255}`
          return Effect.succeed({
            run: ask(modelAt(`http://${address}:${port}`), isStream(run)),
            reached: until((asked) => asked.has(address)),
            // The socket tells when it was closed, for the kernel's table is read only now and then; the table, that it was.
            closed: Effect.map(
              until((asked) => !asked.has(address)),
              () => closedAt.get(address) ?? Infinity
            )
          })
        }
      })
    )
  )

  it.live("shaking hands for TLS", () =>
    prove(
      "shaking hands for TLS",
      runs,
      Effect.map(
        mute,
        ({ next, port }) =>
          (run) =>
            Effect.sync(() => ({ ...next(), run: ask(modelAt(`https://127.0.0.1:${port}`), isStream(run)) }))
      )
    )
  )

  it.live("waiting for a proxy", () =>
    prove(
      "waiting for a proxy",
      runs,
      Effect.map(mute, ({ next, port }) => {
        const proxy = `http://127.0.0.1:${port}`
        return (run) => Effect.sync(() => ({ ...next(), run: ask(modelAt("https://a.test", proxy), isStream(run)) }))
      })
    )
  )

  for (const [stage, answer] of Object.entries(stages)) {
    it.live(stage, () =>
      prove(
        stage,
        runs,
        Effect.map(
          answering(answer),
          (on) => (run) =>
            Effect.sync(() => {
              const { baseURL, watched } = on(run)
              return { ...watched, run: ask(modelAt(baseURL), isStream(run)) }
            })
        )
      )
    )
  }

  it.live("in a back-off, and sends nothing more", () =>
    Effect.gen(function* () {
      let requests = 0
      const calls = answering((response, _run, seen) => {
        requests++
        overloaded(response, seen)
      })
      yield* prove(
        "back-off",
        runs,
        Effect.map(
          calls,
          (on) => (run) =>
            Effect.sync(() => {
              const { baseURL, watched } = on(run)
              return { ...watched, run: ask(modelAt(baseURL), isStream(run)) }
            })
        )
      )
      assert.strictEqual(requests, warmUps + runs)
    })
  )
})

/** When the sockets that this process made were closed, by the address they went to. */
const closings = Effect.acquireRelease(
  Effect.sync(() => {
    const closedAt = new Map<string, number>()
    const listener = (message: unknown) => {
      const { socket } = message as { readonly socket: Socket }
      socket.once("connectionAttempt", (address: string) =>
        socket.once("close", () => closedAt.set(address, ThreadClock.now()))
      )
    }
    subscribe("net.client.socket", listener)
    return { closedAt, listener }
  }),
  ({ listener }) => Effect.sync(() => unsubscribe("net.client.socket", listener))
).pipe(Effect.map(({ closedAt }) => closedAt))
