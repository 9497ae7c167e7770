import { createOpenAI } from "@ai-sdk/openai"
import { Effect, Stream } from "effect"
import type { LanguageModel } from "effect/ai"
import { AiSdk, ChatWire, EffectAi, Fetch, ProviderPool } from "holdfast/provider"
import { given, type Table, texts, times, walk, wholes } from "../optionWalk.ts"
import { scripted } from "../policy/scripted.ts"

const { provider } = scripted([])
const openai = createOpenAI({ apiKey: "none" })("gpt-5-mini")
// Its methods are not called.
const service = {} as LanguageModel.LanguageModel
const orNull = (...allowed: ReadonlyArray<string>) => [...allowed, "null"]

const tables: ReadonlyArray<Table> = [
  [
    "Fetch",
    "src/provider/Fetch.ts",
    "Options",
    (option, value) => Effect.sync(() => Fetch.make(given(option, value))),
    { maxBytes: orNull(...wholes), proxy: [] }
  ],
  [
    "AiSdk",
    "src/provider/AiSdk.ts",
    "Options",
    (option, value) => Effect.sync(() => AiSdk.provider(openai, given(option, value))),
    {
      name: texts,
      settings: [],
      codecTransformer: ["a function"],
      secrets: ["an array"],
      keepHeaders: ["an array"]
    }
  ],
  [
    "ChatWire.answerEvents",
    "src/provider/chat-wire/WrittenEvents.ts",
    "Options",
    (option, value) => Effect.sync(() => ChatWire.answerEvents(Stream.empty, given(option, value))),
    { usage: orNull("true") }
  ],
  [
    "EffectAi",
    "src/provider/EffectAi.ts",
    "Options",
    (option, value) => Effect.sync(() => EffectAi.fromService(service, given(option, value))),
    { name: texts, model: texts, codecTransformer: ["a function"], settings: [] }
  ],
  [
    "ProviderPool",
    "src/provider/ProviderPool.ts",
    "Options",
    (option, value) =>
      ProviderPool.make(given(option, value, { providers: { a: provider }, eject: 1, maxEject: 2 ** 60 })),
    {
      providers: [],
      name: orNull(...texts),
      consecutive: orNull(...wholes),
      margin: orNull(),
      minCalls: orNull(...wholes),
      window: orNull(...times),
      eject: orNull(...times),
      maxEject: orNull(...times),
      maxEjected: orNull("0", "-0"),
      decay: orNull(...times),
      checkEvery: orNull(...times),
      checkTimeout: orNull(...times),
      failedChecks: orNull(...wholes),
      codecTransformer: ["a function"]
    }
  ]
]

walk(tables)
