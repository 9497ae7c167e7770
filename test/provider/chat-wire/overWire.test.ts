/** Random answers are sent over the wire among all foreign texts: see `test/contracts/foreignText.test.ts`. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { read, readWhole } from "./answers.ts"
import { type Came, wire } from "./overWire.ts"

/** The texts, calls and end of an answer. */
const told = (came: Came): string =>
  typeof came === "string"
    ? came
    : came.parts
        .map((part) => {
          if (part.type === "text") return part.text
          if (part.type === "text-delta") return part.delta
          if (part.type === "tool-call") return JSON.stringify(part.params)
          return part.type === "finish" ? `${part.reason} ${part.usage.outputTokens.total}` : ""
        })
        .join("")

const message = {
  reasoning: "Hm",
  content: "Kélp",
  tool_calls: [{ id: "a", function: { name: "T", arguments: '{"a":1}' } }]
}
const usage = { completion_tokens: 5 }
const wholeAnswer = JSON.stringify({ choices: [{ message, finish_reason: "stop" }], usage })
const deltas = [
  { reasoning: "Hm" },
  { content: "Ké" },
  { content: "lp" },
  { tool_calls: [{ index: 0, id: "a", function: { name: "T", arguments: '{"a"' } }] },
  { tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }
]
const last = { choices: [{ delta: {}, finish_reason: "stop" }] }
const events = [...deltas.map((delta) => ({ choices: [{ delta }] })), last, { choices: [], usage }]
const streamedAnswer = `${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")}data: [DONE]\n\n`

it.live.each([
  ["JSON", wholeAnswer, wholeAnswer.length],
  ["events", streamedAnswer, streamedAnswer.indexOf(JSON.stringify(last)) + JSON.stringify(last).length]
] as const)(
  "%s are the same answer wherever they are cut in two, and none where they end too early",
  ([, answer, end]) =>
    Effect.gen(function* () {
      const ask = yield* wire
      const bytes = Buffer.from(answer)
      const wanted = [told({ parts: readWhole([bytes]) }), told({ parts: read([bytes]) })]
      // An é has two bytes.
      const enough = end + bytes.length - answer.length
      for (let at = 1; at < bytes.length; at++) {
        const [first, rest] = [bytes.subarray(0, at), bytes.subarray(at)]
        const isStreamed = at % 2 === 0
        assert.strictEqual(
          told(yield* ask({ pieces: [first, rest] }, isStreamed)),
          wanted[isStreamed ? 1 : 0],
          `at ${at}`
        )
        const came = yield* ask({ pieces: [first], isBroken: at % 3 === 0 }, !isStreamed)
        if (typeof came === "string")
          assert.include(["InternalProviderError", "NetworkError", "InvalidResponseError"], came)
        else assert.isAtLeast(at, enough, `taken for whole at ${at}`)
      }
    })
)
