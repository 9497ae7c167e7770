/** Answers and errors in a form that the wire does not have, as bug reports tell of them: none of them is half read in silence. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Predicate, Schema } from "effect"
import { Chance } from "../../../src/testing/seed/Chance.ts"
import * as LooseJson from "../../../src/provider/chat-wire/LooseJson.ts"
import { read } from "./answers.ts"
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
  serving
} from "./oddSaying.ts"

type Row = readonly [name: string, answer: Answering, wanted: string]

const end = "data: [DONE]\n\n"
const said = chunk({ content: "Kelp." })
const last = chunk({}, "stop")
const right = "Kelp. stop 5"
const called = 'T({"x":1}) tool-calls 5'

const text =
  (body: string): Answering =>
  (response) =>
    void response.end(body)
const callOf = (more: Fields): Fields => ({ index: 0, id: "", type: "function", function: more })
const calls = (...all: ReadonlyArray<unknown>): Fields => ({ content: null, tool_calls: all })
const busy = { error: { code: 429, message: "Slow down", status: "RESOURCE_EXHAUSTED" } }

const hold = (rows: ReadonlyArray<Row>): void => {
  for (const [name, answer, wanted] of rows) {
    it.live(name, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* both(yield* serving(answer)), [wanted, wanted])
      })
    )
  }
}

describe("a call of a tool", () => {
  hold([
    [
      "without a list around it",
      events(
        chunk({ tool_calls: callOf({ name: "T", arguments: '{"x"' }) }),
        chunk({ tool_calls: callOf({ name: null, arguments: ":1}" }) }),
        chunk({}, "eos_token"),
        counted,
        end
      ),
      called
    ],
    ["with parameters, and no arguments", json(completion(calls(callOf({ name: "T", parameters: { x: 1 } })))), called],
    ["that is null, beside text", json(completion({ content: "Kelp.", tool_calls: [null] })), right],
    ["that is null, beside text, streamed", events(said, chunk({ tool_calls: [null] }), last, counted, end), right],
    ["that says nothing, beside text", json(completion({ content: "Kelp.", tool_calls: [{}] })), right],
    [
      "that says nothing, in the old field",
      events(chunk({ content: "Kelp.", function_call: { name: "", arguments: "" } }), last, counted, end),
      right
    ],
    ["that says nothing, and nothing beside it", json(completion(calls({}))), "InvalidResponseError"]
  ])
})

describe("an image", () => {
  it("that is a text is no text of the answer", () => {
    const parts = read([
      Buffer.from(JSON.stringify(completion({ content: "Kelp.", images: ["data:image/png;base64,AA=="] })))
    ])
    assert.deepInclude(parts, { type: "file", mediaType: "image/png", data: "AA==" })
  })
})

describe("JSON of Python", () => {
  const logprobs = { content: [{ token: 'a"b\\', logprob: "?", top_logprobs: [{ logprob: "?" }] }] }
  const python = (body: unknown) => JSON.stringify(body).replaceAll('"?"', "-Infinity").replace("5,", "5,\n")
  const answer = completion({ content: "Kelp NaN." })
  const withLogprobs = {
    ...answer,
    choices: [{ ...head, message: { content: "Kelp NaN." }, finish_reason: "stop", logprobs }]
  }
  hold([
    ["is read, whole", text(python(withLogprobs)), "Kelp NaN. stop 5"],
    [
      "is read in a stream",
      text(
        `data: ${python({ ...head, choices: [{ index: 0, delta: { content: "Kelp." }, logprobs }] })}\n\n` +
          [last, counted].map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")
      ),
      right
    ],
    ["is cut like any other", text(python(withLogprobs).slice(0, -9)), "InternalProviderError"],
    ["may be wrong otherwise", text('{"choices":[NaN,]}'), "InvalidResponseError"]
  ])

  it("is what JSON is, with null for what is no number", () => {
    const texts = ["NaN", '"', '\\"', "\\", "-Infinity", 'a\\\\"b', "Infinity\n"]
    for (const one of texts) {
      for (const other of texts) {
        const value = { [one]: [other, { [other]: "?" }] }
        const written = JSON.stringify(value)
        assert.deepStrictEqual(LooseJson.parse(written), value)
        for (const [number, is] of [
          ["NaN", null],
          ["Infinity", null],
          ["-Infinity", null],
          ["-1", -1]
        ] as const)
          assert.deepStrictEqual(LooseJson.parse(written.replace('"?"', number)), { [one]: [other, { [other]: is }] })
      }
    }
    for (const wrong of ["NaNa", "nan", '{"a":NaN', '"NaN', "Infinity NaN"]) assert.throws(() => LooseJson.parse(wrong))
  })
})

it("a number larger than numbers are is kept as null, wherever it stands", () => {
  const large = [{ a: "?", text: "1e999" }, "?"]
  const call = { id: "a", index: 0, function: { name: "t", arguments: {} }, large }
  const thinking = [{ type: "thinking", thinking: "x", large }]
  const message = { content: thinking, reasoning_details: large, tool_calls: [call], annotations: "?" }
  const usage = { prompt_tokens: 7, cost: "?", prompt_tokens_details: { large } }
  const said = (field: string) => ({ choices: [{ [field]: message, finish_reason: "stop", large }], usage, large })
  const written = (field: string) => JSON.stringify(said(field)).replaceAll('"?"', "-1e999")
  for (const body of [written("message"), `data: ${written("delta")}\n\n`.repeat(2)]) {
    const parts = read([Buffer.from(body)])
    for (const part of parts) assert.isTrue(!("metadata" in part) || Schema.is(Schema.Json)(part.metadata), part.type)
    assert.include(JSON.stringify(parts.at(-1)), `"large":[{"a":null,"text":"1e999"},null`)
  }
})

describe("an error", () => {
  const pretty = (body: unknown) => JSON.stringify(body, null, 2)
  hold([
    ["in a list, as an event", events(said, `data: ${JSON.stringify([busy])}\n\n`), "RateLimitError"],
    ["in a list, alone", json([busy]), "RateLimitError"],
    ["in a list, as a line behind events", events(said, `${JSON.stringify([busy])}\n`), "RateLimitError"],
    ["on lines of its own behind events", events(said, `${pretty(busy)}\n`), "RateLimitError"],
    [
      "in a list on lines of its own, between events",
      events(said, `${pretty([busy])}\n\n`, last, end),
      "RateLimitError"
    ],
    ["on lines of its own, and more data", events(said, `${pretty(busy)}\n`, last, end), "RateLimitError"],
    [
      "in a field of Groq's, beside a good end",
      events(said, { ...last, x_groq: { id: "r", error: "over_capacity" } }, counted, end),
      "InternalProviderError"
    ],
    ["in a message", json(completion({ content: "", error: { message: "idle", code: 502 } })), "InternalProviderError"],
    [
      "in base_resp beside choices",
      json(completion({ content: "" }, "stop", { base_resp: { status_code: 1004, status_msg: "invalid api key" } })),
      "AuthenticationError"
    ],
    ...(
      [
        [1002, "rate limit", "RateLimitError"],
        [1008, "insufficient balance", "QuotaExhaustedError"],
        [1027, "output new_sensitive", "ContentPolicyError"]
      ] as const
    ).map(([status_code, status_msg, wanted]): Row => [
      `in base_resp beside choices: ${status_msg}`,
      json(completion({ content: "" }, "stop", { base_resp: { status_code, status_msg } })),
      wanted
    ]),
    [
      "in base_resp that is none",
      json(completion({ content: "Kelp." }, "stop", { base_resp: { status_code: 0, status_msg: "success" } })),
      right
    ],
    ["in a field detail", json({ detail: "Invalid API key" }), "AuthenticationError"],
    ["in a list detail", json({ detail: [{ loc: ["body"], msg: "field required" }] }), "InternalProviderError"],
    [
      "that failed while it was written",
      json({ error: "generation", error_type: "generation" }, 424),
      "InternalProviderError"
    ]
  ])

  it.live("that is nested too deeply still says what it says", () =>
    Effect.gen(function* () {
      const nested = `${"[".repeat(50_000)}${"]".repeat(50_000)}`
      const deep = text(`{"error":{"message":"Slow down","code":"rate_limit_exceeded","x":${nested}}}`)
      assert.deepStrictEqual(yield* both(yield* serving(deep)), ["RateLimitError", "RateLimitError"])
    })
  )
})

describe("what is no error", () => {
  hold([
    ["lines of JSON among events say nothing", events(said, '[\n  {"x": 1}\n]\n\n', last, counted, end), right],
    ["nor where an event follows at once", events(said, '{"x": 1}\nevent: done\n', last, counted, end), right],
    ["a beat of the heart", events({ type: "keepalive", sequence_number: 3 }, said, last, counted, end), right],
    [
      "a filter's word behind the end",
      events(
        said,
        last,
        counted,
        { choices: [{ index: 0, finish_reason: null, content_filter_offsets: { x: 1 } }] },
        end
      ),
      right
    ],
    [
      "a prefix in front of another",
      text([said, last, counted].map((each) => `data: data:${JSON.stringify(each)}\n\n`).join("")),
      right
    ]
  ])
})

describe("an answer of another wire is refused as such", () => {
  hold([
    ["a Response", json({ id: "r", object: "response", status: "completed", output: [] }), "InvalidResponseError"],
    [
      "a Message",
      json({ type: "message", role: "assistant", content: [{ type: "text", text: "Kelp." }] }),
      "InvalidResponseError"
    ],
    ["a list of models", json({ object: "list", data: [] }), "InvalidResponseError"],
    ["a sign of life", json({ status: "ok" }), "InvalidResponseError"],
    ["but not one that has no choices yet", json({ ...head, object: "chat.completion" }), "InternalProviderError"]
  ])
})

/** A value of some form, each of whose texts is another. */
const valueOf = (chance: Chance, mark: () => string, depth = 0): unknown => {
  const below = () => (depth > 2 ? mark() : valueOf(chance, mark, depth + 1))
  return chance.oneOf<() => unknown>([
    mark,
    mark,
    () => null,
    () => true,
    () => chance.below(9),
    () => [below(), below()],
    () => ({ [chance.oneOf(["x", "id", "name", "value"])]: below() }),
    () => [
      { type: "text", text: mark() },
      { type: "kelp", kelp: below() }
    ],
    () => [{ type: "thinking", thinking: below(), signature: mark() }]
  ])()
}

it("no text of an answer is lost, whatever form its fields have: it is in the parts, in their metadata, or the answer is refused", () => {
  const fields = ["content", "reasoning_content", "reasoning", "refusal", "images", "audio", "annotations", "parsed"]
  const faults = new Set(["Unreadable", "Refused", "Cut", "BeyondLimit", "InvalidOutputError"])
  let given = 0
  for (let seed = 1; seed <= 1_000; seed++) {
    const chance = new Chance(seed)
    let count = 0
    const mark = () => `m${count++}m`
    const some = (names: ReadonlyArray<string>): Fields =>
      Object.fromEntries(names.filter(() => chance.onceIn(4)).map((name) => [name, valueOf(chance, mark)]))
    const message = some([...fields, "function_call"])
    if (chance.onceIn(4))
      message["tool_calls"] = chance.onceIn(2) ? mark() : [callOf({ name: mark(), parameters: { x: mark() } })]
    // Of a call that nobody can read nothing is kept but what stands beside it.
    if (typeof message["function_call"] === "object" && !Array.isArray(message["function_call"]))
      delete message["function_call"]
    const choice = { index: 0, ...some(["extra", "logprobs"]) }
    const more = some(["usage", "extra", "system_fingerprint"])
    const last = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }
    const whole = JSON.stringify({ choices: [{ ...choice, message, finish_reason: "stop" }], ...more })
    const streamed = [{ choices: [{ ...choice, delta: message }], ...more }, last].map(
      (each) => `data: ${JSON.stringify(each)}\n\n`
    )
    for (const body of [whole, streamed.join("")]) {
      let shown: string
      try {
        shown = JSON.stringify(read([Buffer.from(body)]))
      } catch (error) {
        assert(Predicate.hasProperty(error, "_tag") && faults.has(String(error._tag)), `seed ${seed}: ${String(error)}`)
        continue
      }
      given += 1
      for (const text of body.match(/m\d+m/g) ?? []) assert.include(shown, text, `seed ${seed}: ${body}`)
    }
  }
  assert.isAbove(given, 700)
})

it("a thought that is no text is kept, and goes with the message", () => {
  const parts = read([Buffer.from(JSON.stringify(completion({ content: "Kelp.", reasoning: { steps: ["Think."] } })))])
  const finish = parts.at(-1)
  assert(finish?.type === "finish")
  assert.deepNestedInclude(finish, { "metadata.chatWire.message": { reasoning: { steps: ["Think."] } } })
})
