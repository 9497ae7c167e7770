/** The laws of the {@link ProviderContract} about what is sent and what comes back. */
import { Effect, Schema, Stream } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import { malformation } from "../StreamShape.ts"
import { type Clause, finishOf, request, type Stage, textOf, tools, withIds } from "./Stage.ts"
import * as ProviderScript from "../ProviderScript.ts"
import * as WireTap from "../WireTap.ts"

/** Calls the provider both ways, because a law about answers holds for both. */
const both = ({ provider }: Stage, prompt: Parameters<typeof request>[0], options?: Parameters<typeof request>[1]) =>
  Effect.gen(function* () {
    const call = yield* request(prompt, options)
    const generated = yield* provider.generateText(call)
    const streamed = yield* Stream.runCollect(provider.streamText(call))
    return { generated, streamed }
  }).pipe(withIds)

const toolCallsOf = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>) =>
  parts.flatMap((part) =>
    part.type === "tool-call"
      ? [{ name: part.name, params: part.params, providerExecuted: part.providerExecuted === true }]
      : []
  )

/** Answers with this text, both ways. */
const answers = (name: string, prompt: Parameters<typeof request>[0], text: string): Clause => ({
  name,
  check: (stage) =>
    Effect.gen(function* () {
      const { generated, streamed } = yield* both(stage, prompt)
      yield* stage.same(textOf(generated), text)
      yield* stage.same(textOf(streamed), text)
    })
})

const withTools = { tools, toolChoice: "auto" } as const

export const clauses: ReadonlyArray<Clause> = [
  answers("gives the answer's text", "contract: plain", "Anchors hold what currents would carry away."),
  answers("keeps every character", "contract: unicode", "Kelp holds — 海藻, 🌊, naïve, “quotes”."),
  answers(
    "sends the system message",
    [
      { role: "system", content: "Answer as a harbour master." },
      { role: "user", content: "contract: system" }
    ],
    "The harbour master answers."
  ),
  answers(
    "sends the turns before",
    [
      { role: "user", content: "When is the tide?" },
      { role: "assistant", content: "The tide is at six." },
      { role: "user", content: "contract: turns" }
    ],
    "You were told: at six."
  ),
  {
    name: "streams one well-formed stream",
    check: (stage) =>
      Effect.gen(function* () {
        for (const prompt of ["contract: plain", "contract: tool"]) {
          const { streamed } = yield* both(stage, prompt, withTools)
          yield* stage.same(malformation(streamed), undefined)
        }
      })
  },
  {
    name: "returns a tool call and does not resolve it",
    check: (stage) =>
      Effect.gen(function* () {
        const { generated, streamed } = yield* both(stage, "contract: tool", withTools)
        for (const parts of [generated, streamed]) {
          const { name, params } = ProviderScript.tool
          yield* stage.same(toolCallsOf(parts), [{ name, params, providerExecuted: false }])
          yield* stage.same(
            parts.some((part) => part.type === "tool-result"),
            false
          )
          yield* stage.same(finishOf(parts)?.reason, "tool-calls")
        }
      })
  },
  answers(
    "sends a tool's result back",
    [
      { role: "user", content: "contract: tool" },
      {
        role: "assistant",
        content: [{ type: "tool-call", ...ProviderScript.tool }]
      },
      {
        role: "tool",
        content: [
          {
            type: "tool-result",
            id: ProviderScript.tool.id,
            name: ProviderScript.tool.name,
            isFailure: false,
            result: "21 degrees"
          }
        ]
      }
    ],
    "It is 21 degrees in Rome."
  ),
  {
    name: "sends the tool choice",
    check: (stage) =>
      Effect.gen(function* () {
        const { readTools } = stage.subject
        if (readTools === undefined) return
        const { name } = ProviderScript.tool
        const cases: ReadonlyArray<
          readonly [LanguageModel.ToolChoice<string>, string, ReadonlyArray<string> | undefined]
        > = [
          ["auto", "auto", [name, "Tides"]],
          ["none", "none", undefined],
          ["required", "required", [name, "Tides"]],
          [{ tool: name }, name, undefined],
          [{ mode: "required", oneOf: [name] }, "required", [name]]
        ]
        for (const [toolChoice, choice, offered] of cases) {
          yield* Effect.flatMap(request("contract: plain", { tools, toolChoice }), stage.provider.generateText).pipe(
            withIds
          )
          const seen = readTools((yield* stage.tap.take).body)
          yield* stage.same(seen.choice, choice)
          if (offered !== undefined) yield* stage.same(seen.tools, offered)
        }
      })
  },
  {
    name: "gives a structured value",
    check: (stage) =>
      Effect.gen(function* () {
        const model = yield* LanguageModel.make({ ...stage.provider })
        const schema = Schema.Struct({ name: Schema.String, metres: Schema.Finite, tags: Schema.Array(Schema.String) })
        const { value } = yield* model.generateObject({ prompt: "contract: object", schema })
        yield* stage.same(value, { name: "Macrocystis", metres: 45.5, tags: ["kelp", "brown"] })
      })
  },
  {
    name: "counts the tokens",
    check: (stage) =>
      Effect.gen(function* () {
        const { generated, streamed } = yield* both(stage, "contract: usage")
        for (const parts of [generated, streamed]) {
          const usage = finishOf(parts)?.usage
          yield* stage.same([usage?.inputTokens.total, usage?.outputTokens.total], [11, 7])
        }
      })
  },
  {
    name: "says that the answer is complete",
    check: (stage) => stops(stage, "contract: plain", "stop")
  },
  {
    name: "says that the answer reached its length",
    check: (stage) => stops(stage, "contract: length", "length")
  },
  {
    name: "names the response and its model",
    check: (stage) =>
      Effect.gen(function* () {
        const { generated, streamed } = yield* both(stage, "contract: metadata")
        for (const parts of [generated, streamed]) {
          const metadata = parts.find((part) => part.type === "response-metadata")
          yield* stage.same([metadata?.id, metadata?.modelId], ["answer-contract-1", "model-contract-1"])
        }
      })
  },
  {
    name: "passes the response's headers on",
    check: (stage) =>
      Effect.gen(function* () {
        const { generated, streamed } = yield* both(stage, "contract: plain")
        for (const parts of [generated, streamed]) {
          yield* stage.same(finishOf(parts)?.response?.headers[WireTap.header.name], WireTap.header.value)
        }
      })
  },
  {
    name: "answers in plain data",
    check: (stage) =>
      Effect.gen(function* () {
        const { generated, streamed } = yield* both(stage, "contract: tool", withTools)
        for (const parts of [generated, streamed]) yield* stage.same(JSON.parse(JSON.stringify(parts)), parts)
      })
  },
  {
    name: "sends one request for one call",
    check: (stage) =>
      Effect.gen(function* () {
        yield* both(stage, "contract: plain")
        yield* stage.same(yield* stage.tap.count, 2)
      })
  }
]

const stops = (stage: Stage, prompt: string, reason: string) =>
  Effect.gen(function* () {
    const { generated, streamed } = yield* both(stage, prompt)
    for (const parts of [generated, streamed]) yield* stage.same(finishOf(parts)?.reason, reason)
  })
