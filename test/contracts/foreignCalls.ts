/** Readers that others' code stands in front of: packages of the AI SDK, and stores. Asked as they are used, by calls. */
import { createAnthropic } from "@ai-sdk/anthropic"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { Cause, Effect, Exit, Layer, Stream } from "effect"
import { AiError, LanguageModel } from "effect/ai"
import { Persistence } from "effect/persistence"
import { Model } from "holdfast/model"
import { ResponseCache } from "holdfast/policy"
import { AiSdk, type ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import type { Chance } from "../../src/testing/seed/Chance.ts"
import { input } from "../provider/chat-wire/fuzzing.ts"
import { tryOne, wire } from "../provider/chat-wire/overWire.ts"
import { chunk, completion, done } from "../sockets/openaiWire.ts"
import { stores } from "./foreignStores.ts"
import { type Came, entry, from, headers, type Reader } from "./foreignText.ts"

/** What an exit says of a call: its only failures are those of the type. */
const cameOf = (exit: Exit.Exit<unknown, unknown>): Came => {
  if (Exit.isSuccess(exit)) return "read"
  return exit.cause.reasons.every((reason) => Cause.isFailReason(reason) && AiError.isAiError(reason.error))
    ? "refused"
    : `died: ${Cause.pretty(exit.cause)}`
}

const sdk = (
  name: string,
  native: ReadonlyArray<string>,
  model: (fetch: typeof globalThis.fetch) => Parameters<typeof AiSdk.provider>[0]
): Reader => ({
  name: `answers through ${name}`,
  tryOne: (chance) => {
    const pieces = chance.below(4) === 0 ? input(chance) : [spoilt(from(chance, native), chance)]
    const type = chance.oneOf(["application/json", "text/event-stream"])
    const answer = () =>
      Promise.resolve(
        new Response(new Blob(pieces.map((piece) => new Uint8Array(piece))), {
          status: chance.oneOf([200, 200, 200, 400, 503]),
          headers: { ...plainHeaders(chance), "content-type": type }
        })
      )
    return asked(AiSdk.provider(model(answer)), chance)
  }
})

/** Whole, cut, or with other bytes in it. */
const spoilt = (text: string, chance: Chance): Buffer => {
  const all = Buffer.from(text)
  if (chance.below(3) === 0) return all.subarray(0, chance.below(all.length))
  for (let times = chance.below(4); times > 0; times--) all[chance.below(all.length)] = chance.below(256)
  return all
}

/** HTTP lets no other signs through. */
const plainHeaders = (chance: Chance): Record<string, string> =>
  Object.fromEntries(Object.entries(headers(chance)).map(([name, value]) => [name, value.replaceAll(/[^ -~]/g, "")]))

const asked = (provider: ModelProvider.ModelProvider, chance: Chance): Promise<Came> =>
  Effect.gen(function* () {
    const model = yield* LanguageModel.make({ ...provider })
    return chance.below(2) === 0
      ? yield* model.generateText({ prompt: "kelp" })
      : yield* Stream.runDrain(model.streamText({ prompt: "kelp" }))
  }).pipe(Effect.exit, Effect.map(cameOf), Effect.runPromise)

const text1 = [
  { type: "text", text: "kelp" },
  { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} }, response: undefined }
] as const
const answering: ModelProvider.ModelProvider = {
  name: "mine",
  model: "m",
  generateText: () => Effect.succeed([...text1]),
  streamText: () => Stream.die("not asked")
}

/** A store of others says whatever it likes. */
const stored: Reader = {
  name: "a call whose cache has a store",
  tryOne: (chance) => {
    const store = Persistence.BackingPersistence.of({
      make: () =>
        Effect.succeed({
          // What names another key is looked at no further.
          get: (key) => Effect.succeed(Object.assign(Object(entry(chance)), chance.below(9) === 0 ? {} : { key })),
          getMany: () => Effect.die("not asked"),
          set: () => Effect.void,
          setMany: () => Effect.void,
          remove: () => Effect.void,
          clear: Effect.void
        })
    })
    const layer = Model.layer({
      provider: answering,
      // Entries are as old as time, and what is too old is looked at no further.
      policies: [ResponseCache.shared({ timeToLive: "40000 days", leaseFor: "5 millis" })]
    }).pipe(Layer.provideMerge(Supervisor.layer()), Layer.provide(Layer.succeed(Persistence.BackingPersistence, store)))
    return LanguageModel.generateText({ prompt: "kelp" }).pipe(
      Effect.provide(layer),
      Effect.exit,
      Effect.map(cameOf),
      Effect.runPromise
    )
  }
}

const data = (events: ReadonlyArray<object>): string =>
  events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")
const item = {
  type: "message",
  id: "i",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text: "kelp", annotations: [] }]
}
const response = {
  id: "r",
  object: "response",
  created_at: 1,
  model: "m",
  status: "completed",
  output: [item],
  usage: { input_tokens: 1, output_tokens: 1 }
}
const message = {
  type: "message",
  id: "m",
  role: "assistant",
  model: "m",
  content: [],
  stop_reason: null,
  stop_sequence: null,
  usage: { input_tokens: 1, output_tokens: 1 }
}
const responses = [
  JSON.stringify(response),
  data([
    { type: "response.created", response: { ...response, output: [], status: "in_progress" } },
    { type: "response.output_item.added", output_index: 0, item: { ...item, content: [] } },
    { type: "response.output_text.delta", item_id: "i", output_index: 0, delta: "kelp" },
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response }
  ])
]
const messages = [
  JSON.stringify({ ...message, content: [{ type: "text", text: "kelp" }], stop_reason: "end_turn" }),
  data([
    { type: "message_start", message },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "kelp" } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 1 } },
    { type: "message_stop" }
  ])
]

/** Readers that others' code stands in front of. */
export const through: ReadonlyArray<Reader> = [
  sdk("@ai-sdk/openai-compatible", [completion("kelp"), chunk({ content: "kelp" }) + done], (fetch) =>
    createOpenAICompatible({ name: "m", baseURL: "http://kelp.test", fetch })("m")
  ),
  sdk("@ai-sdk/openai, responses", responses, (fetch) =>
    createOpenAI({ apiKey: "k", baseURL: "http://kelp.test", fetch }).responses("m")
  ),
  sdk("@ai-sdk/anthropic", messages, (fetch) =>
    createAnthropic({ apiKey: "k", baseURL: "http://kelp.test", fetch })("m")
  ),
  {
    name: "answers over connections, whole and streamed",
    tryOne: (chance) => Effect.runPromise(Effect.scoped(Effect.flatMap(wire, (ask) => tryOne(ask, chance))))
  },
  stored,
  ...stores
]
