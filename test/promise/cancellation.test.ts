/**
 * Every door by which a caller of a client can leave: as often as it does, a real server sees the socket closed within 50 ms of
 * when it sees that of a bare `fetch` closed, aborted beside it. `HOLDFAST_INTERRUPTIONS` says how often.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Client, fakeModel, type TextStream } from "holdfast/promise"
import { ChatWire } from "holdfast/provider"
import { LeakDetector } from "holdfast/testing"
import { Chance } from "../../src/testing/seed/Chance.ts"
import * as Cancelling from "../sockets/cancelling.ts"
import { timesOr } from "../sockets/interrupting.ts"
import { chunk } from "../sockets/openaiWire.ts"
import * as ThreadClock from "../sockets/threadClock.ts"
import { aborting, eachOfThem, summary, type Watched, watching } from "../sockets/watching.ts"

const limitMillis = 50
const warmUps = 8

/** Begins a call, and gives what ends it: that is fulfilled when the call has ended for its caller. */
type Door = (client: Client, model: string) => () => Promise<unknown>

const left = (promise: Promise<unknown>) => promise.catch(() => {})

const bySignal =
  (ask: (client: Client, model: string, signal: AbortSignal) => Promise<unknown>): Door =>
  (client, model) => {
    const controller = new AbortController()
    const ended = left(ask(client, model, controller.signal))
    return () => {
      controller.abort()
      return ended
    }
  }

const loop = async (stream: TextStream, leave: (text: string) => boolean) => {
  for await (const text of stream) if (leave(text)) return text
  return undefined
}

/** A reader who leaves at the next text once it is told to. */
const inLoop =
  (leave: () => void): Door =>
  (client, model) => {
    let told = false
    const ended = left(
      loop(client.stream("?", { model }), () => {
        if (told) leave()
        return told
      })
    )
    return () => {
      told = true
      return ended
    }
  }

const beforeAnswer: Readonly<Record<string, Door>> = {
  "generate by its signal": bySignal((client, model, signal) => client.generate("?", { model, signal })),
  "generate with an idempotencyKey by its signal": bySignal((client, model, signal) =>
    client.generate("?", { model, signal, idempotencyKey: model })
  ),
  "stream by its signal": bySignal((client, model, signal) => loop(client.stream("?", { model, signal }), () => false)),
  "response by its signal": bySignal((client, model, signal) => client.stream("?", { model, signal }).response),
  "return while a read waits": (client, model) => {
    const reader = client.stream("?", { model })[Symbol.asyncIterator]()
    const waiting = left(reader.next())
    return () => Promise.all([reader.return?.(), waiting])
  },
  "dispose of the stream": (client, model) => {
    const stream = client.stream("?", { model })
    const ended = left(loop(stream, () => false))
    return () => Promise.all([stream[Symbol.asyncDispose](), ended])
  },
  "the job it is made in": (client, model) => {
    const job = client.submit(({ signal }) => client.generate("?", { model, signal }))
    return async () => (await job).cancel()
  },
  "cancelAll of the calls": (client, model) => {
    const ended = left(client.generate("?", { model }))
    return () => Promise.all([client.cancelAll({ kind: "call" }), ended])
  }
}

const amidAnswer: Readonly<Record<string, Door>> = {
  "stream by its signal": bySignal((client, model, signal) => loop(client.stream("?", { model, signal }), () => false)),
  "break or return out of the loop": inLoop(() => {}),
  "an error thrown in the loop": inLoop(() => {
    throw new Error("enough")
  }),
  "return of a reader that pauses": (client, model) => {
    const reader = client.stream("?", { model })[Symbol.asyncIterator]()
    const first = reader.next()
    return async () => {
      await first
      return reader.return?.()
    }
  }
}

const prove = (name: string, door: Door, isAnswering: boolean) =>
  Effect.gen(function* () {
    const server = yield* watching(
      ({ url }) => Number(url?.split("/")[1]),
      (response, _, { reach }) => {
        if (!isAnswering) return reach()
        response.writeHead(200, { "content-type": "text/event-stream" })
        response.write(chunk({ content: "because " }), reach)
        const timer = setInterval(() => response.write(chunk({ content: "because " })), 2)
        response.once("close", () => clearInterval(timer))
      }
    )
    const runs = timesOr(12)
    const numbers = Array.from({ length: warmUps + runs }, (_, number) => number)
    const watches = numbers.map((number) => server.watch(number))
    const providers = numbers.map((number) => {
      const provider = ChatWire.provider({ baseUrl: `${server.origin}/${number}`, model: "m", proxy: false })
      return [`call ${number}`, provider] as const
    })
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => Client.make({ models: Object.fromEntries(providers), log: false })),
      (client) => Effect.promise(() => client.close())
    )
    const chance = new Chance(1)
    const bare = yield* aborting
    const beside: Array<number> = []
    const run = (watched: Watched, number: number) =>
      Effect.gen(function* () {
        const leave = door(client, `call ${number}`)
        const lived = yield* Cancelling.outlived(watched, 10 * chance.next(), () =>
          Effect.suspend(() => {
            const toldAt = ThreadClock.now()
            return Effect.as(Effect.promise(leave), toldAt)
          })
        )
        if (number % eachOfThem === 0) beside.push(yield* bare(number, 5))
        return lived
      })
    const all = yield* Effect.forEach(watches, run, { concurrency: 4 })
    const millis = all.slice(warmUps)
    console.log(`${name}: ${runs} left, closed after ${summary(millis).text}; beside them: ${summary(beside).text}`)
    assert.isTrue(all.every(Number.isFinite))
    assert.isAtMost(summary(millis).p99, limitMillis + summary(beside).max)
    assert.deepStrictEqual([server.open(), watches.every(({ requests }) => requests === 1)], [0, true])
    const { calls } = yield* Effect.promise(() => client.counts())
    assert.deepStrictEqual([calls.running, calls.pending], [0, 0])
  }).pipe(Effect.scoped, LeakDetector.check)

describe("a call whose caller leaves has closed its socket within 50 ms", { timeout: 300_000 }, () => {
  describe("before the answer", () => {
    it.live.each(Object.entries(beforeAnswer))("%s", ([name, door]) => prove(name, door, false))
  })

  describe("in the middle of the answer", () => {
    it.live.each(Object.entries(amidAnswer))("%s", ([name, door]) => prove(`amid: ${name}`, door, true))
  })
})

describe("a caller who left before", () => {
  it("sends nothing", async () => {
    const model = fakeModel("yes")
    await using client = Client.make({ model })
    const signal = AbortSignal.abort()
    const stream = client.stream("?", { signal })
    const names = await Promise.all(
      [client.generate("?", { signal }), stream.response, loop(stream, () => false)].map((promise) =>
        promise.then(
          () => "fulfilled",
          (error: Error) => error.name
        )
      )
    )
    assert.deepStrictEqual([names, model.calls.length], [["AbortError", "AbortError", "AbortError"], 0])
  })

  it("changes nothing when the answer has come", async () => {
    const controller = new AbortController()
    await using client = Client.make({ model: fakeModel("yes") })
    const { signal } = controller
    const stream = client.stream("?", { signal })
    const [{ text }, streamed] = await Promise.all([client.generate("?", { signal }), stream.response])
    controller.abort()
    assert.deepStrictEqual([text, streamed.text, (await stream.response).text], ["yes", "yes", "yes"])
  })
})
