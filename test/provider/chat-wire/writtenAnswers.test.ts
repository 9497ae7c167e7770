/** Answers that are written anew: reading what was written gives the same parts, whole and streamed. */
import { createServer } from "node:http"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import type { LanguageModel, Response } from "effect/ai"
import { WireBytes } from "holdfast/core"
import { Degrade, Fallback, Repair, ResponseCache } from "holdfast/policy"
import { ChatWire, type ModelProvider } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import { Chance } from "../../../src/testing/seed/Chance.ts"
import { listening } from "../../sockets/listening.ts"
import { chunk, completion, done } from "../../sockets/openaiWire.ts"
import { chunks, cut, read, readWhole, recorded, stream, whole } from "./answers.ts"

type Part = Response.PartEncoded | Response.StreamPartEncoded

/** Copies, of which nobody knows bytes. */
const copies = <A extends Part>(parts: ReadonlyArray<A>): Array<A> => structuredClone([...parts])

/** Parts without what is not written: that a call's id was another one before it was told apart from others. */
const plain = (parts: ReadonlyArray<Part>): ReadonlyArray<unknown> =>
  parts.map((part) => {
    if (part.type !== "tool-call") return part
    const { metadata: _, ...rest } = part
    return rest
  })

const events = (parts: ReadonlyArray<Response.StreamPartEncoded>) =>
  Effect.map(Stream.runCollect(ChatWire.answerEvents(Stream.fromIterable(parts))), (all) => Buffer.concat(all))

describe("a recorded answer, written anew and read again", () => {
  it.each(recorded)("$name: whole", (answer) => {
    const parts = readWhole([Buffer.from(JSON.stringify(whole(answer)))])
    const again = readWhole([Buffer.from(ChatWire.answerBytes(copies(parts)))])
    assert.deepStrictEqual(plain(again), plain(parts))
  })

  it.effect.each(recorded)("$name: streamed, wherever it is cut", (answer) =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 5; seed++) {
        const chance = new Chance(seed)
        const parts = read([Buffer.from(stream(chunks(answer, chance), chance))])
        const again = read(cut(yield* events(copies(parts)), chance, 40))
        assert.deepStrictEqual(plain(again), plain(parts))
      }
    })
  )
})

const texts = ["kelp", "", 'a "b"', "海藻 🌊", "\n", "{", "null", "data: x\n\n", "x".repeat(3_000)]

const oneText = (chance: Chance): string => texts[chance.below(texts.length)] ?? ""

/** An answer of any provider, in the order in which a whole answer says it. */
const answerOf = (chance: Chance): Array<Response.PartEncoded> => {
  const parts: Array<Response.PartEncoded> = []
  const some = (most: number) => Array.from({ length: chance.below(most + 1) }, (_, n) => n)
  if (chance.below(2) === 0)
    parts.push({ type: "response-metadata", id: "i", modelId: "m", timestamp: "2026-01-02T03:04:05.000Z" })
  if (chance.below(2) === 0)
    parts.push({
      type: "reasoning",
      text: `r${oneText(chance)}`,
      metadata: { chatWire: { from: "mine", field: "reasoning_content" } }
    })
  if (chance.below(2) === 0) parts.push({ type: "text", text: `t${oneText(chance)}` })
  for (const _ of some(2)) parts.push({ type: "file", mediaType: "image/png", data: "aGk=" })
  const calls = some(3)
  for (const n of calls) {
    const params = chance.oneOf<unknown>([{}, { a: oneText(chance) }, 7, "no JSON", "7", "", [null]])
    parts.push({ type: "tool-call", id: `c${n}`, name: chance.oneOf(["Tide", "W"]), params })
  }
  const [total, cacheRead] = [chance.below(900), chance.below(2) === 0 ? 3 : undefined]
  const isSaid = parts.some(({ type }) => type === "text" || type === "file")
  parts.push({
    type: "finish",
    reason:
      calls.length > 0
        ? "tool-calls"
        : isSaid
          ? chance.oneOf(["stop", "length", "content-filter", "other"] as const)
          : "stop",
    usage:
      chance.below(4) === 0
        ? { inputTokens: {}, outputTokens: {} }
        : {
            inputTokens: {
              uncached: Math.max(0, total - (cacheRead ?? 0)),
              total,
              ...(cacheRead === undefined ? {} : { cacheRead })
            },
            outputTokens: { total: 5, text: 3, reasoning: 2 }
          },
    response: undefined
  })
  return parts
}

/** The parts without what only a server can say, and the finish part's remarks. */
const said = (parts: ReadonlyArray<Part>) =>
  plain(parts).map((part) => {
    const { metadata, response: _, ...rest } = Object(part)
    return rest.type === "reasoning" ? { ...rest, metadata } : rest
  })

it("whatever another provider answered, written as a chat completion and read again, says the same", () => {
  for (let seed = 1; seed <= 1_000; seed++) {
    const parts = answerOf(new Chance(seed))
    const again = readWhole([Buffer.from(ChatWire.answerBytes(parts))])
    assert.deepStrictEqual(said(again), said(parts), `seed ${seed}`)
  }
})

/** The same answer in pieces, its calls with their parameters at once or in pieces. */
const inPieces = (parts: ReadonlyArray<Response.PartEncoded>, chance: Chance): Array<Response.StreamPartEncoded> =>
  parts.flatMap((part, at): ReadonlyArray<Response.StreamPartEncoded> => {
    const id = `b${at}`
    if (part.type === "text" || part.type === "reasoning") {
      const [half, rest] = [part.text.slice(0, 2), part.text.slice(2)]
      const note = part.metadata === undefined ? {} : { metadata: part.metadata }
      return [
        { type: `${part.type}-start`, id, ...note },
        ...[half, rest].map((delta) => ({ type: `${part.type}-delta` as const, id, delta })),
        { type: `${part.type}-end`, id }
      ]
    }
    if (part.type !== "tool-call" || chance.below(2) === 0) return [part as Response.StreamPartEncoded]
    const text = typeof part.params === "object" ? JSON.stringify(part.params) : undefined
    return [
      { type: "tool-params-start", id: part.id, name: part.name },
      ...(text === undefined
        ? []
        : [...text].map((delta) => ({ type: "tool-params-delta" as const, id: part.id, delta }))),
      { type: "tool-params-end", id: part.id },
      part
    ]
  })

it.effect("and so does its stream", () =>
  Effect.gen(function* () {
    for (let seed = 1; seed <= 500; seed++) {
      const chance = new Chance(seed)
      const parts = answerOf(chance)
      const again = readWhole(cut(yield* events(inPieces(parts, chance)), chance, 200))
      assert.deepStrictEqual(said(again), said(parts), `seed ${seed}`)
    }
  })
)

it.effect("keeps blocks in their order in a stream, and leaves out the usage where nobody asked for it", () =>
  Effect.gen(function* () {
    const usage = { inputTokens: { total: 1 }, outputTokens: { total: 1 } }
    const parts: Array<Response.StreamPartEncoded> = [
      { type: "text-start", id: "a" },
      { type: "text-delta", id: "a", delta: "one" },
      { type: "text-end", id: "a" },
      { type: "reasoning-delta", id: "b", delta: "two" },
      { type: "text-delta", id: "c", delta: "three" },
      { type: "finish", reason: "stop", usage, response: undefined }
    ]
    const types = (all: ReadonlyArray<Part>) => all.map((part) => ("delta" in part ? part.delta : part.type))
    assert.deepStrictEqual(types(read([yield* events(parts)])), [
      "text-start",
      "one",
      "text-end",
      "reasoning-start",
      "two",
      "reasoning-end",
      "text-start",
      "three",
      "text-end",
      "finish"
    ])
    const bare = yield* Stream.runCollect(ChatWire.answerEvents(Stream.fromIterable(parts), { usage: false }))
    assert.notInclude(Buffer.concat(bare).toString(), "prompt_tokens")
  })
)

describe("the bytes of an answer that came through policies", () => {
  const serving = (answer: (times: number) => string | undefined) =>
    Effect.gen(function* () {
      let times = 0
      const server = createServer((incoming, response) => {
        incoming.resume().on("end", () => {
          const body = answer(++times)
          if (body === undefined) response.writeHead(500).end("{}")
          else if (body.endsWith("CUT")) {
            response
              .writeHead(200, { "content-type": "text/event-stream" })
              .write(body.slice(0, -3), () => response.destroy())
          } else response.writeHead(200).end(body)
        })
      })
      const baseUrl = `http://127.0.0.1:${yield* listening(server)}/v1`
      return ChatWire.provider({ baseUrl, model: "m", name: "m", proxy: false })
    })

  /** The bytes that a caller gets who has a request as bytes. */
  const asking = (provider: ModelProvider.ModelProvider, options: Partial<LanguageModel.ProviderOptions> = {}) =>
    Effect.map(request("hi", options), (call) => {
      const bytes = { prompt: call.prompt, responseFormat: call.responseFormat, body: Buffer.from('{"messages":[]}') }
      const parts = Effect.provideService(provider.generateText(call), WireBytes.Current, bytes)
      const streamed = Stream.provideService(provider.streamText(call), WireBytes.Current, bytes)
      return {
        whole: Effect.map(parts, (all) => Buffer.from(ChatWire.answerBytes(all)).toString("utf8")),
        streamed: Effect.map(Stream.runCollect(ChatWire.answerEvents(streamed)), (all) =>
          Buffer.concat(all).toString("utf8")
        )
      }
    })

  const odd = `{ "n":12345678901234567890, ${completion("Kelp.").slice(1)}\n`
  const oddStream = `: ping\n\n${chunk({ content: "Kel" })}${chunk({ content: "p." }, "stop")}${done}`
  const textOf = (bytes: string) =>
    readWhole([Buffer.from(bytes)])
      .flatMap((part) => (part.type === "text" ? [part.text] : []))
      .join("|")

  it.live("are the server's own, while nothing was changed", () =>
    Effect.gen(function* () {
      const { whole } = yield* asking(yield* serving(() => odd))
      assert.strictEqual(yield* whole, odd)
      const { streamed } = yield* asking(yield* serving(() => oddStream))
      assert.strictEqual(yield* streamed, oddStream)
    }).pipe(withIds)
  )

  it.live("say what a cache gave", () =>
    Effect.gen(function* () {
      const provider = yield* ResponseCache.exact({ timeToLive: "1 hour" })(yield* serving(() => odd))
      const texts = [yield* (yield* asking(provider)).whole, yield* (yield* asking(provider)).whole]
      assert.deepStrictEqual([texts[0], texts.map(textOf)], [odd, ["Kelp.", "Kelp."]])
    }).pipe(Effect.scoped, withIds)
  )

  it.live("say what was answered in place of an error", () =>
    Effect.gen(function* () {
      const provider = yield* Degrade.to("sorry")(yield* serving(() => undefined))
      const { streamed, whole } = yield* asking(provider)
      assert.deepStrictEqual([textOf(yield* whole), textOf(yield* streamed)], ["sorry", "sorry"])
      assert.strictEqual(JSON.parse(yield* whole).choices[0].finish_reason, "other")
    }).pipe(Effect.scoped, withIds)
  )

  it.live("say what was repaired", () =>
    Effect.gen(function* () {
      const good = JSON.stringify({ kelp: "a plant" })
      const provider = yield* Repair.structured()(
        yield* serving((times) => completion(times === 1 ? "Sure! Here you are" : good))
      )
      const schema = Schema.Struct({ kelp: Schema.String })
      const { whole } = yield* asking(provider, { responseFormat: { type: "json", objectName: "o", schema } })
      assert.strictEqual(textOf(yield* whole), good)
    }).pipe(Effect.scoped, withIds)
  )

  it.live("go on in one stream where another provider took over in its midst", () =>
    Effect.gen(function* () {
      const first = `${chunk({ role: "assistant", content: "Kelp is " })}${chunk({ content: "a " })}`
      const broken = yield* serving(() => `${first}CUT`)
      const spare = yield* serving(() => `${chunk({ content: "plant." }, "stop")}${done}`)
      const provider = yield* Fallback.to(spare, { midStream: "continue" })(broken)
      const { streamed } = yield* asking(provider)
      const bytes = yield* streamed
      assert.isTrue(bytes.startsWith(first), bytes)
      assert.strictEqual(textOf(bytes).replaceAll("|", ""), "Kelp is a plant.")
      assert.strictEqual(bytes.match(/\[DONE\]/gu)?.length, 1)
    }).pipe(Effect.scoped, withIds)
  )
})
