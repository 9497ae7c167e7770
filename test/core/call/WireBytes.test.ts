import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Prompt, type Response } from "effect/ai"
import { WireBytes } from "holdfast/core"
import { SingleFlight } from "holdfast/policy"
import { ChatWire } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { Chance } from "../../../src/testing/seed/Chance.ts"
import { chunks, cut, recorded, stream, whole } from "../../provider/chat-wire/answers.ts"
import { listening } from "../../sockets/listening.ts"

/** A server that answers with these pieces, and the bodies that it was sent. */
const serving = (pieces: ReadonlyArray<Buffer>) =>
  Effect.gen(function* () {
    const bodies: Array<Buffer> = []
    const server = createServer((request, response) => {
      const sent: Array<Buffer> = []
      request.on("data", (data: Buffer) => sent.push(data))
      request.on("end", () => {
        bodies.push(Buffer.concat(sent))
        const next = (at: number): void => {
          const piece = pieces[at]
          if (piece === undefined) return void response.end()
          response.write(piece)
          setImmediate(next, at + 1)
        }
        next(0)
      })
    })
    const port = yield* listening(server)
    const provider = ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "ours", name: "mine" })
    return { provider, bodies }
  })

const body = Buffer.from(
  '{ "model":"theirs" ,\n "messages":[{"role":"user","content":"\\u00e9"}], "odd": 1e2, "stream":true}'
)

const bytesOf = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>) => {
  const reading = new WireBytes.Reading()
  return parts.map((part) => reading.next(part))
}

const given = (came: ReturnType<typeof bytesOf>): string =>
  Buffer.concat(came.filter((each) => typeof each !== "string")).toString("utf8")

const asking = (pieces: ReadonlyArray<Buffer>, more: Partial<WireBytes.Request>, streamed: boolean) =>
  Effect.gen(function* () {
    const { bodies, provider } = yield* serving(pieces)
    const call = yield* request("é")
    const bytes = { body, prompt: call.prompt, ...more }
    const parts = streamed
      ? yield* Stream.runCollect(Stream.provideService(provider.streamText(call), WireBytes.Current, bytes))
      : yield* Effect.provideService(provider.generateText(call), WireBytes.Current, bytes)
    return { parts, sent: bodies[0]?.toString("utf8") }
  }).pipe(withIds)

const [answer = { name: "", message: {}, finish: "stop" }] = recorded

describe("the bytes of a call", () => {
  it.live("go out as they are, and come back as they are, wherever the answer is cut", () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 25; seed++) {
        const chance = new Chance(seed)
        const bytes = Buffer.from(stream(chunks(answer, chance), chance))
        const { parts, sent } = yield* asking(cut(bytes, chance, 200), {}, true)
        assert.strictEqual(sent, body.toString("utf8"))
        assert.strictEqual(given(bytesOf(parts)), bytes.toString("utf8"), `seed ${seed}`)
      }
    })
  )

  it.live("come back as they are to each of those who share one answer", () =>
    Effect.gen(function* () {
      const bytes = Buffer.from(JSON.stringify(whole(answer), undefined, 3))
      const { provider } = yield* serving([bytes])
      const shared = yield* SingleFlight.identical()(provider)
      const { prompt, ...call } = yield* request("é")
      const one = Effect.provideService(shared.generateText({ prompt, ...call }), WireBytes.Current, { body, prompt })
      const [first = [], second = []] = yield* Effect.all([one, one], { concurrency: 2 })
      assert.deepStrictEqual([given(bytesOf(first)), given(bytesOf(second))], [bytes.toString(), bytes.toString()])
      const written = second.map((part) => (part.type === "text" ? { ...part, text: "other" } : part))
      assert.include(bytesOf(written), "changed")
    }).pipe(Effect.scoped, withIds)
  )

  it.live("of a whole answer are given with its last part", () =>
    Effect.gen(function* () {
      const bytes = Buffer.from(JSON.stringify(whole(answer), undefined, 3))
      const { parts } = yield* asking([bytes], {}, false)
      assert.strictEqual(given(bytesOf(parts)), bytes.toString("utf8"))
    })
  )

  it.live("are spliced where that is asked for, and nowhere else", () =>
    Effect.gen(function* () {
      const pieces = [Buffer.from(stream(chunks(answer, new Chance(1)), new Chance(1)))]
      const { sent } = yield* asking(pieces, { spliceModel: true, spliceUsage: true }, true)
      const wanted = body.toString("utf8").replace('"theirs"', '"ours"').slice(0, -1)
      assert.strictEqual(sent, `${wanted},"stream_options":{"include_usage":true}}`)
    })
  )

  it.live("are not sent for another prompt", () =>
    Effect.gen(function* () {
      const pieces = [Buffer.from(JSON.stringify(whole(answer)))]
      const { sent } = yield* asking(pieces, { prompt: Prompt.make("another") }, false)
      assert.notInclude(sent, "odd")
    })
  )

  it.live("end with the first part that somebody changed, left out or put in", () =>
    Effect.gen(function* () {
      const pieces = [Buffer.from(stream(chunks(answer, new Chance(1)), new Chance(1)))]
      const asked = yield* asking(pieces, {}, true)
      const parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded> = asked.parts.map((part) => part)
      const other = { type: "text-delta" as const, id: "0", delta: "other" }
      for (const changed of [parts.with(3, other), parts.toSpliced(3, 1), parts.toSpliced(3, 0, other)]) {
        const came = bytesOf(changed)
        assert.include(came, "changed")
        assert.strictEqual(given(came), "")
      }
      const finish = parts.at(-1)
      if (finish?.type !== "finish") return assert.fail("no finish")
      assert.notInclude(bytesOf(parts.with(parts.length - 1, { ...finish, metadata: { holdfast: {} } })), "changed")
      assert.include(bytesOf(parts.with(parts.length - 1, { ...finish, reason: "length" })), "changed")
    })
  )
})
