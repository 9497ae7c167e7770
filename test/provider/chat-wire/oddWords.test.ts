/** Servers that say a thing twice, late, in another field or under another name, as bug reports tell of them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ChatWire } from "holdfast/provider"
import { request, withIds } from "../../../src/testing/provider-contract/Stage.ts"
import {
  type Answering,
  both,
  chunk,
  completion,
  counted,
  events,
  type Fields,
  head,
  json,
  serving,
  slowEvents,
  usage
} from "./oddSaying.ts"

type Row = readonly [name: string, answer: Answering, wanted: string]

const end = "data: [DONE]\n\n"
const said = chunk({ content: "Kelp." })
const last = chunk({}, "stop")
const right = "Kelp. stop 5"

const call = (id: unknown, name: unknown, args: unknown, index: unknown = 0): Fields => ({
  index,
  id,
  type: "function",
  function: { name, arguments: args }
})
const calling = (...calls: ReadonlyArray<Fields>): Fields => chunk({ tool_calls: calls })
const called = (...chunks: ReadonlyArray<Fields>): Answering => events(...chunks, chunk({}, "tool_calls"), counted, end)

const hold = (rows: ReadonlyArray<Row>): void => {
  for (const [name, answer, wanted] of rows) {
    it.live(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* both(yield* serving(answer)), [wanted, wanted])
      })
    )
  }
}

describe("pieces of tool calls", () => {
  const one = 'T({"x":1}) tool-calls 5'
  const two = 'A({"x":1})B({"y":2}) tool-calls 5'
  const twice = call("a", "T", '{"x":1}', undefined)
  const interleaved = (first: unknown, second: unknown, ids: ReadonlyArray<unknown> = ["a", "b"]) =>
    called(
      calling(call("a", "A", '{"x"', first), call("b", "B", '{"y"', second)),
      calling(call(ids[0], null, ":1}", first), call(ids[1], null, ":2}", second))
    )
  hold([
    ["of several calls, told by their ids alone", interleaved(null, null), two],
    ["of several calls, all with index 0", interleaved(0, 0), two],
    ["with an index that is a text", interleaved("0", "1", []), two],
    [
      "with a new id each, and the name again",
      called(calling(call("a", "T", '{"x"')), calling(call("b", "T", ":1}"))),
      one
    ],
    ["with a new id each, and no name", called(calling(call("a", "T", '{"x"')), calling(call("b", null, ":1}"))), one],
    ["whose id comes late", called(calling(call("", "T", "")), calling(call("a", "T", '{"x":1}'))), one],
    [
      "with the name again, and neither id nor index",
      called(calling(call("", "T", '{"x"', null)), calling(call("", "T", ":1}", null))),
      one
    ],
    [
      "of two calls without parameters, id and index",
      called(calling(call("", "T", "", null)), calling(call("", "T", "", null))),
      "T({})T({}) tool-calls 5"
    ],
    [
      "behind a placeholder",
      called(calling(call("a", "T", "{}")), calling(call(null, null, '{"x"')), calling(call(null, null, ":1}"))),
      one
    ],
    ["behind a null", called(calling(call("a", "T", "null")), calling(call(null, null, '{"x":1}'))), one],
    ["behind an empty object", called(calling(call("a", "T", {})), calling(call(null, null, '{"x":1}'))), one],
    [
      "that each say all so far",
      called(calling(call("a", "T", '{"x"')), calling(call("a", null, '{"x":1')), calling(call("a", null, '{"x":1}'))),
      one
    ],
    [
      "with everything again at the end",
      called(calling(call("a", "T", '{"x"')), calling(call("a", null, ":1}")), calling(call("a", "T", '{"x":1}'))),
      one
    ],
    [
      "that are objects, each with more",
      called(calling(call("a", "T", { y: 1 })), calling(call("a", "T", { x: 1 }))),
      one
    ],
    [
      "that contradict each other are no parameters",
      called(calling(call("a", "T", '{"x":1}')), calling(call("a", "T", '{"x":2}'))),
      String.raw`T("{\"x\":1}{\"x\":2}") tool-calls 5`
    ],
    ["written as JSON twice", called(calling(call("a", "T", JSON.stringify('{"x":1}')))), one],
    [
      "in the old field as well",
      json(
        completion(
          { function_call: { name: "T", arguments: '{"x":1}' }, tool_calls: [call("a", "T", '{"x":1}')] },
          "tool_calls"
        )
      ),
      one
    ],
    [
      "beside a delta that is null",
      json({
        ...completion({}),
        choices: [{ index: 0, delta: null, message: { tool_calls: [twice, twice] }, finish_reason: "tool_calls" }]
      }),
      'T({"x":1})T({"x":1}) tool-calls 5'
    ],
    [
      "in choices of their own",
      json({
        ...completion({}),
        choices: [
          { message: { content: "Kelp." }, finish_reason: "tool_calls" },
          { message: { tool_calls: [call("a", "A", '{"x":1}')] }, finish_reason: "tool_calls" },
          { message: { tool_calls: [call("b", "B", '{"y":2}')] }, finish_reason: "tool_calls" }
        ]
      }),
      `Kelp.${two}`
    ],
    [
      "announced beside a text, and not there",
      json(completion({ content: "Kelp.", tool_calls: [] }, "tool_calls")),
      right
    ],
    ["announced alone, and not there", json(completion({ content: null }, "tool_calls")), "InvalidOutputError"],
    ["announced in a stream, and not there", called(chunk({ content: "" })), "InvalidOutputError"],
    [
      "that are a text",
      json(completion({ content: null, tool_calls: '[{"name":"T"}]' }, "tool_calls")),
      "InvalidResponseError"
    ]
  ])
})

describe("text", () => {
  const whole = { ...completion({ content: "Kelp." }), object: "chat.completion" }
  const thought = chunk({ reasoning_content: "", reasoning: "Think." })
  hold([
    ["that comes again as a whole message", events(said, whole, end), right],
    ["that comes as a whole message only", events(chunk({ role: "assistant", content: null }), whole, end), right],
    [
      "and a call that come again as a whole message",
      events(
        said,
        calling(call("a", "T", "{}")),
        completion({ content: "Kelp.", tool_calls: [call("a", "T", "{}")] }, "tool_calls")
      ),
      "Kelp.T({}) tool-calls 5"
    ],
    ["of reasoning beside an empty field for it", events(thought, said, last, counted, end), `<Think.>${right}`],
    ["that is a number", json(completion({ content: 42 })), "InvalidResponseError"],
    ["that is true", events(chunk({ content: true }), last, counted, end), "InvalidResponseError"],
    ["in a list", json(completion({ content: ["Kelp."] })), right],
    ["in an object of a list", json(completion({ content: [{ type: "text", text: { value: "Kelp." } }] })), right]
  ])

  it.live("is given in whole characters", () =>
    Effect.gen(function* () {
      const port = yield* serving(
        events(chunk({ content: "a\ud83c" }), chunk({ content: "\udf0a" }), chunk({ content: "b\ud83c" }, "stop"), end)
      )
      const { streamText } = ChatWire.provider({ baseUrl: `http://127.0.0.1:${port}/v1`, model: "m" })
      const parts = yield* Stream.runCollect(streamText(yield* request("hi")))
      const deltas = parts.flatMap((part) => (part.type === "text-delta" ? [part.delta] : []))
      assert.deepStrictEqual(deltas, ["a", "🌊", "b", "\ud83c"])
    }).pipe(withIds)
  )
})

describe("what an answer cost", () => {
  hold([
    [
      "in its choice",
      events(said, { ...head, choices: [{ index: 0, delta: {}, finish_reason: "stop", usage }] }),
      right
    ],
    ["in a field of Groq's", events(said, { ...last, x_groq: { id: "r", usage } }, end), right],
    ["in front of one that counts nothing", events(said, last, counted, { ...counted, usage: {} }, end), right]
  ])
})

describe("an error", () => {
  const empty = { message: "", type: "", param: "", code: null }
  hold([
    ["with nothing in it is none", json(completion({ content: "Kelp." }, "stop", { error: empty })), right],
    ["that is an empty text is none", events({ ...said, error: "" }, last, { ...counted, error: "" }, end), right],
    ["that is false is none", json(completion({ content: "Kelp." }, "stop", { error: false })), right],
    ["with nothing in it and no answer", json({ error: empty }), "InternalProviderError"],
    ["in a field msg", json({ code: 429, msg: "Slow down", success: false }), "RateLimitError"],
    ["in a field error_msg", json({ error_code: 336_501, error_msg: "Rate limit reached" }), "RateLimitError"],
    [
      "in a list",
      json({ success: false, errors: [{ code: 10_000, message: "Invalid API key" }], result: null }),
      "AuthenticationError"
    ],
    [
      "behind half an event",
      events(said, 'data: {"id":"1","cho\n', { error: { code: "rate_limit_exceeded" } }),
      "RateLimitError"
    ],
    [
      "behind half an event, as a line of its own",
      events(said, 'data: {"id":"1","cho\n{"error":{"code":"rate_limit_exceeded"}}\n\n'),
      "RateLimitError"
    ]
  ])
})

describe("events", () => {
  const tool = { tool: "search", message: "looking for kelp" }
  const lines = (...data: ReadonlyArray<Fields | string>): string =>
    data.map((each) => (typeof each === "string" ? each : JSON.stringify(each))).join("\n")
  const text =
    (body: string): Answering =>
    (response) =>
      void response.end(body)
  hold([
    [
      "with a name of their own are no part of it",
      events("event: tool.progress\n", tool, said, last, counted, end),
      right
    ],
    ["named ping are no part of it", events(said, "event: ping\ndata: 17:04\n\n", last, counted, end), right],
    [
      "with a name are read when they have choices",
      events(...[said, last, counted].flatMap((each) => ["event: completion\n", each]), end),
      right
    ],
    [
      "with a name are not passed over when they are cut",
      events(
        "event: completion\n",
        said,
        'event: completion\ndata: {"choices":[{"delta":{"content":"Ke\n\n',
        last,
        end
      ),
      "InternalProviderError"
    ],
    [
      "of usage may have details, which are no error",
      events(said, { id: "x", detail: "timings", usage }, last, counted, end),
      right
    ],
    ["that are null say nothing", events(said, "data: null\n\n", last, counted, end), right],
    ["whose end is in quotes", events(said, last, counted, 'data: "[DONE]"\n\n'), right],
    ["whose end is in small letters", events(said, last, counted, "data: [done]\n\n"), right],
    ["as lines of JSON", text(lines(said, last, counted)), right],
    ["as lines of JSON, cut", text(lines(said, last).slice(0, -4)), "InternalProviderError"],
    ["as lines of JSON, one of them none", text(lines(said, "no", last)), "InvalidResponseError"],
    [
      "as one object with an end behind it",
      text(lines(completion({ content: "Kelp." }), "", "data: [DONE]", "")),
      right
    ]
  ])

  it.live("go on behind a reason that stands in every one", () =>
    Effect.gen(function* () {
      const every = ["Ke", "lp", "."].map((content) => chunk({ content }, "stop", { usage }))
      assert.deepStrictEqual(yield* both(yield* serving(slowEvents(1_300, ...every))), [right, right])
    })
  )
})

describe("an answer in another place than most have it", () => {
  hold([
    [
      "a refusal in a list",
      json(completion({ content: [{ type: "refusal", refusal: "No." }] })),
      "No. content-filter 5"
    ],
    [
      "a refusal in a list, streamed",
      events(chunk({ content: [{ type: "refusal", refusal: "No." }] }), last, counted),
      "No. content-filter 5"
    ],
    [
      "as completions were before chats",
      json({ choices: [{ index: 0, text: "Kelp.", finish_reason: "stop" }], usage }),
      right
    ],
    [
      "the same, streamed",
      events({ choices: [{ index: 0, text: "Kelp.", finish_reason: null }] }, last, counted, end),
      right
    ],
    ["spoken", json(completion({ content: null, audio: { id: "a", data: "AA==", transcript: "Kelp." } })), right],
    [
      "spoken, streamed",
      events(chunk({ audio: { transcript: "Ke" } }), chunk({ audio: { transcript: "lp." } }), last, counted),
      right
    ],
    [
      "a part that nobody knows, alone",
      json(completion({ content: [{ type: "kelp", kelp: 1 }] })),
      "InvalidResponseError"
    ],
    [
      "a part that nobody knows, beside text",
      json(completion({ content: [{ type: "kelp" }, { type: "output_text", text: "Kelp." }] })),
      right
    ],
    [
      "choices whose index is a text",
      events(
        ...["0", "1"].flatMap((index) => [
          { choices: [{ index, delta: { content: index === "0" ? "Kelp." : "No." } }] },
          { choices: [{ index, delta: {}, finish_reason: "stop" }] }
        ]),
        counted,
        end
      ),
      right
    ],
    ["filtered, in Google's words", json(completion({ content: "Ke" }, "SAFETY")), "Ke content-filter 5"],
    ["failed in the end", json(completion({ content: "Ke" }, "server_error")), "InternalProviderError"],
    ["limited in the end", json(completion({ content: "Ke" }, "rate_limit_exceeded")), "RateLimitError"],
    [
      "out of its budget",
      json({ error: { message: "Budget has been exceeded", type: "budget_exceeded", param: null, code: "400" } }, 400),
      "QuotaExhaustedError"
    ]
  ])
})

it.live("what several answers cost comes behind the last of them", () =>
  Effect.gen(function* () {
    const other = (content: string) => ({ choices: [{ index: 1, delta: { content } }] })
    const answer = slowEvents(1_400, chunk({ content: "Kelp." }, "stop"), other("a"), other("b"), other("c"), counted)
    const baseUrl = `http://127.0.0.1:${yield* serving(answer)}/v1`
    const parts = yield* Stream.runCollect(ChatWire.provider({ baseUrl, model: "m" }).streamText(yield* request("hi")))
    const finish = parts.at(-1)
    assert(finish?.type === "finish")
    assert.strictEqual(finish.usage.outputTokens.total, 5)
  }).pipe(withIds)
)
