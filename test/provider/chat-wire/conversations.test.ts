/** What an answer becomes in the next request: as its server wants it back, whole and streamed alike, and valid for every other. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { Prompt, type Response, Tool } from "effect/ai"
import { ChatWire } from "holdfast/provider"
import { Chance } from "../../../src/testing/seed/Chance.ts"
import * as Dialects from "../../../src/provider/chat-wire/Dialects.ts"
import * as Messages from "../../../src/provider/chat-wire/Messages.ts"
import type * as Notes from "../../../src/provider/chat-wire/Notes.ts"
import * as WholeParts from "../../../src/core/stream/WholeParts.ts"
import { chunks, cut, read, recorded, type Recorded, stream, whole } from "./answers.ts"

type Fields = Readonly<Record<string, unknown>>

const dialectOf = (host: string, model?: string) => Dialects.resolve(Dialects.ofHost(host, model)?.dialect, undefined)
const own: Notes.Reader = { name: "mine", dialect: dialectOf("unknown.test") }
const at = (name: string, host: string, model?: string): Notes.Reader => ({ name, dialect: dialectOf(host, model) })

/** The next request's messages behind an answer, with a result for each of its calls. */
const next = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>, reader: Notes.Reader) => {
  const results = parts.flatMap((part) =>
    part.type === "tool-call"
      ? [{ type: "tool-result", id: part.id, name: part.name, isFailure: false, encodedResult: "ok", metadata: {} }]
      : []
  )
  // Encoded parts differ from decoded ones only by what is left out.
  const decoded = [...parts, ...results].map((part) => ({ metadata: {}, ...part })) as unknown
  return Messages.of(Prompt.fromResponseParts(decoded as ReadonlyArray<Response.AnyPart>), reader)
}

const wholeOf = (answer: Recorded) => WholeParts.of(read([Buffer.from(JSON.stringify(whole(answer)))]))
const streamedOf = (answer: Recorded, chance: Chance) =>
  read(cut(Buffer.from(stream(chunks(answer, chance), chance)), chance, 50))

/** The messages of both ways, which must be the same. */
const both = (answer: Recorded, reader = own, seed = 1): ReadonlyArray<Fields> => {
  const messages = next(wholeOf(answer), reader)
  assert.deepStrictEqual(next(streamedOf(answer, new Chance(seed)), reader), messages)
  return messages
}

const call = (id: string, args: string, more: Fields = {}) => ({
  id,
  type: "function",
  function: { name: "T", arguments: args },
  ...more
})
const calling = (...calls: ReadonlyArray<Fields>): Recorded => ({
  name: "calls",
  message: { content: null, tool_calls: calls },
  finish: "tool_calls"
})

describe("a server is given back", () => {
  const signed = { extra_content: { google: { thought_signature: "CiQB" } } }
  const details = [
    { type: "reasoning.text", text: "Let me look.", index: 0 },
    { type: "reasoning.encrypted", data: "EoED", id: "a", index: 1 }
  ]

  it("the signature of each of its calls", () => {
    const [message] = both(calling(call("a", "{}", signed), call("b", "{}")))
    assert.deepStrictEqual(message?.["tool_calls"], [call("a", "{}", signed), call("b", "{}")])
  })

  it.each<readonly [string, Fields, string]>([
    ["calls", { content: null, tool_calls: [call("a", "{}")] }, "tool_calls"],
    ["text", { content: "Kelp." }, "stop"],
    ["reasoning and text", { reasoning: "Let me look.", content: "Kelp." }, "stop"],
    ["reasoning alone", { reasoning: "Let me look." }, "length"]
  ])("the details of its reasoning, beside %s", (_, said, finish) => {
    const [message] = both({ name: "", message: { ...said, reasoning_details: details }, finish })
    assert.deepStrictEqual(message?.["reasoning_details"], details)
    assert.strictEqual(message?.["reasoning"], said["reasoning"])
  })

  it("the details of its reasoning as one, although they came in pieces", () => {
    const piece = (fields: Fields) => ({ choices: [{ index: 0, delta: { reasoning_details: [fields] } }] })
    const pieces = [
      piece({ type: "reasoning.text", text: "Let me ", index: 0 }),
      piece({ type: "reasoning.text", text: "look.", index: 0, signature: null }),
      piece({ type: "reasoning.encrypted", data: "EoED", id: "a", index: 1 }),
      { choices: [{ index: 0, delta: { content: "Kelp." }, finish_reason: "stop" }] }
    ]
    const [message] = next(read([Buffer.from(stream(pieces, new Chance(1)))]), own)
    assert.deepStrictEqual(message?.["reasoning_details"], details)
  })

  it("thinking in the list that it came in", () => {
    const thinking = { type: "thinking", thinking: [{ type: "text", text: "Let me think." }] }
    const answer: Recorded = {
      name: "",
      message: { content: [thinking, { type: "text", text: "Hi." }] },
      finish: "stop"
    }
    const wanted = [{ role: "assistant", content: [thinking, { type: "text", text: "Hi." }] }]
    assert.deepStrictEqual(both(answer), wanted)
    assert.deepStrictEqual(both(answer, at("mine", "api.mistral.ai")), wanted)
    assert.deepStrictEqual(both(answer, at("other", "unknown.test")), [{ role: "assistant", content: "Hi." }])
  })

  it("a turn of reasoning alone, with an empty text", () => {
    const answer: Recorded = { name: "", message: { content: "", reasoning_content: "Hm" }, finish: "length" }
    assert.deepStrictEqual(both(answer), [{ role: "assistant", content: "", reasoning_content: "Hm" }])
  })

  it("what it thought, also when that was nothing", () => {
    for (const message of [
      { content: "Kelp.", reasoning_content: "" },
      { content: null, reasoning_content: "", tool_calls: [call("a", "{}")] }
    ]) {
      for (const reader of [own, at("mine", "api.deepseek.com")]) {
        const [given] = both({ name: "", message, finish: "stop" }, reader)
        assert.deepStrictEqual(given, { role: "assistant", ...message })
      }
      const [other] = both({ name: "", message, finish: "stop" }, at("other", "unknown.test"))
      assert.notProperty(other, "reasoning_content")
    }
    const pieces = ["", "Hm", ""].map((reasoning_content) => ({
      choices: [{ index: 0, delta: { reasoning_content } }]
    }))
    const end = { choices: [{ index: 0, delta: { content: "Hi." }, finish_reason: "stop" }] }
    const [given] = next(read([Buffer.from(stream([...pieces, end], new Chance(1)))]), own)
    assert.strictEqual(given?.["reasoning_content"], "Hm")
  })

  it("an empty object for parameters that were cut", () => {
    const [message] = both({ ...calling(call("a", '{"folder":"/tmp/')), finish: "length" })
    assert.deepStrictEqual(message?.["tool_calls"], [call("a", "{}")])
  })
})

describe("thinking with a signature", () => {
  const text = (said: string) => ({ type: "text", text: said })
  const string = (thinking: string, signature: string) => ({ type: "thinking", thinking, signature })
  const list = (thinking: string, more: Fields) => ({ type: "thinking", thinking: [text(thinking)], ...more })
  const redacted = { type: "redacted_thinking", data: "EmwKAhgB" }
  const rows: ReadonlyArray<readonly [string, ReadonlyArray<Fields>]> = [
    ["as a text", [string("Hm.", "Eq=="), text("Hi.")]],
    ["as a list", [list("Hm.", { signature: "Eq==", closed: true }), text("Hi.")]],
    ["twice, each signed for itself", [string("One.", "A=="), string("Two.", "B=="), text("Hi.")]],
    ["that nobody may read", [redacted, text("Hi.")]],
    ["of which only the signature is given", [string("", "A=="), string("", "B=="), text("Hi.")]],
    ["between texts", [text("Wait."), string("Hm.", "A=="), redacted, text("Hi.")]],
    ["alone", [string("Hm.", "A==")]]
  ]
  /** What a server streams of a part: its text in pieces, and behind them what is said of it. */
  const pieces = (part: Fields): ReadonlyArray<Fields> => {
    const { thinking, type, ...more } = part
    if (thinking === undefined) return [part]
    const isList = Array.isArray(thinking)
    const all = isList ? thinking.map(({ text: said }) => said).join("") : String(thinking)
    const texts = [...all].map((sign) => ({ type, thinking: isList ? [text(sign)] : sign }))
    return [...texts, { type, thinking: isList ? [] : "", ...more }]
  }
  const streamOf = (content: ReadonlyArray<Fields>) =>
    stream(
      [
        ...content.flatMap(pieces).map((part) => ({ choices: [{ index: 0, delta: { content: [part] } }] })),
        { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }
      ],
      new Chance(1)
    )

  it.each(rows)("%s goes back as it came, whole and streamed", (_, content) => {
    const streamed = read([Buffer.from(streamOf(content))])
    assert.deepStrictEqual(next(streamed, own), [{ role: "assistant", content }])
    assert.deepStrictEqual(next(WholeParts.of(streamed), own), [{ role: "assistant", content }])
    assert.deepStrictEqual(both({ name: "", message: { content }, finish: "stop" }), [{ role: "assistant", content }])
    const said = content.flatMap((part) => (part["type"] === "text" ? [part["text"]] : [])).join("")
    const bare = said === "" ? [] : [{ role: "assistant", content: said }]
    assert.deepStrictEqual(next(streamed, at("other", "unknown.test")), bare)
    assert.deepStrictEqual(next(streamed, at("mine", "api.openai.com")), bare)
  })

  it.effect.each(rows)("%s is written anew as it came, whole and streamed", ([, content]) =>
    Effect.gen(function* () {
      const parts = structuredClone(read([Buffer.from(streamOf(content))]))
      const wholeAgain = read([Buffer.from(ChatWire.answerBytes(WholeParts.of(parts)))])
      const events = yield* Stream.runCollect(ChatWire.answerEvents(Stream.fromIterable(parts)))
      for (const again of [wholeAgain, read([Buffer.concat(events)])])
        assert.deepStrictEqual(next(again, own), [{ role: "assistant", content }])
    })
  )

  it("as a summary of which each item is signed, is read as thinking, goes back and is written anew as it came", () => {
    const item = (said: string, signature: string) => ({ type: "summary_text", text: said, signature })
    const summary = (...items: ReadonlyArray<Fields>) => ({ type: "reasoning", summary: items })
    const sealed = { type: "summary_encrypted_text", data: "EmwK" }
    const answer: Recorded = {
      name: "",
      message: { content: [summary(item("One.", "A=="), item("Two.", "B=="), sealed), text("Hi.")] },
      finish: "stop"
    }
    const wanted = [summary(item("One.", "A==")), summary(item("Two.", "B==")), summary(sealed), text("Hi.")]
    assert.deepStrictEqual(both(answer), [{ role: "assistant", content: wanted }])
    const thoughts = wholeOf(answer).flatMap((part) => (part.type === "reasoning" ? [part.text] : []))
    assert.deepStrictEqual(thoughts, ["One.", "Two.", ""])
    assert.deepStrictEqual(both(answer, at("other", "unknown.test")), [{ role: "assistant", content: "Hi." }])
    const pieces = [item("On", ""), item("e.", ""), item("", "A=="), item("Two.", "B=="), sealed].map((each) => ({
      choices: [{ index: 0, delta: { content: [summary(each)] } }]
    }))
    const end = { choices: [{ index: 0, delta: { content: "Hi." }, finish_reason: "stop" }] }
    const streamed = read([Buffer.from(stream([...pieces, end], new Chance(1)))])
    assert.deepStrictEqual(next(streamed, own), [{ role: "assistant", content: wanted }])
    const whole = ChatWire.answerBytes(WholeParts.of(structuredClone(streamed)))
    const events = Effect.runSync(
      Stream.runCollect(ChatWire.answerEvents(Stream.fromIterable(structuredClone(streamed))))
    )
    for (const again of [whole, Buffer.concat(events)])
      assert.deepStrictEqual(next(read([Buffer.from(again)]), own), [{ role: "assistant", content: wanted }])
  })

  it("in a field of its own is put together, although it came in pieces without an index", () => {
    const blocks = [string("One.", "A=="), string("Two.", "B=="), redacted]
    const answer: Recorded = {
      name: "",
      message: { content: "Hi.", thinking_blocks: blocks, provider_specific_fields: { thinking_blocks: blocks } },
      finish: "stop"
    }
    const messages = next(wholeOf(answer), own)
    assert.deepStrictEqual(messages[0]?.["thinking_blocks"], blocks)
    const deltas = blocks.flatMap(pieces).map((block) => ({
      choices: [{ delta: { thinking_blocks: [block], provider_specific_fields: { thinking_blocks: [block] } } }]
    }))
    const events = [...deltas, { choices: [{ delta: { content: "Hi." }, finish_reason: "stop" }] }]
    assert.deepStrictEqual(next(read([Buffer.from(stream(events, new Chance(1)))]), own), messages)
  })

  it("is read although a field of it has a name of JavaScript's own", () => {
    const block = (more: string) => `{"type":"thinking","index":0,"thinking":"1"${more}}`
    const blocks = `[${block("")},${block(',"__proto__":{"a":1},"constructor":{}')}]`
    const message = `{"content":"Hi.","thinking_blocks":${blocks}}`
    const answer = read([Buffer.from(`{"choices":[{"message":${message},"finish_reason":"stop"}]}`)])
    const isJson = Schema.is(Schema.Json)
    for (const part of answer) assert.isTrue(!("metadata" in part) || isJson(part.metadata))
    const [back] = (next(answer, own)[0]?.["thinking_blocks"] ?? []) as ReadonlyArray<object>
    assert.deepInclude(back, { type: "thinking", thinking: "11", constructor: {} })
  })

  it("whatever parts there are, both ways send them back", () => {
    for (let seed = 1; seed <= 500; seed++) {
      const chance = new Chance(seed)
      const content = Array.from({ length: 1 + chance.below(5) }, (_, n): Fields =>
        chance.oneOf<Fields>([
          text(`t${n}`),
          string(chance.oneOf(["", `s${n}`]), `A${n}`),
          list(`l${n}`, { signature: `B${n}` }),
          { ...redacted, data: `D${n}` }
        ])
      )
      if (content.every(({ type }) => type === "text")) continue
      // Texts that follow each other are one.
      const joined: Array<Fields> = []
      for (const part of content) {
        const last = joined.at(-1)
        if (part["type"] === "text" && last?.["type"] === "text")
          joined[joined.length - 1] = text(`${String(last["text"])}${String(part["text"])}`)
        else joined.push(part)
      }
      const wanted = [{ role: "assistant", content: joined }]
      assert.deepStrictEqual(next(read(cut(Buffer.from(streamOf(content)), chance, 60)), own), wanted, `seed ${seed}`)
      assert.deepStrictEqual(both({ name: "", message: { content }, finish: "stop" }, own, seed), wanted)
    }
  })
})

describe("another server is given", () => {
  it("no reasoning, and no notes", () => {
    const message = {
      content: "Kelp.",
      reasoning_content: "Think.",
      reasoning_details: [{ type: "reasoning.text", text: "Think." }],
      tool_calls: [call("a", "{}", { extra_content: { x: 1 } })]
    }
    const [given] = both({ name: "", message, finish: "tool_calls" }, at("other", "unknown.test"))
    assert.deepStrictEqual(given, { role: "assistant", content: "Kelp.", tool_calls: [call("a", "{}")] })
  })

  it("a thought that says nothing, where its models refuse to be without", () => {
    const message = { content: "Kelp.", reasoning_content: "Think.", tool_calls: [call("a", "{}")] }
    for (const [host, model] of [
      ["api.deepseek.com", "deepseek-v4-pro"],
      ["api.moonshot.ai", "kimi-k2.5"],
      ["api.moonshot.cn", "kimi-k2.5"]
    ] as const) {
      const [given] = both({ name: "", message, finish: "tool_calls" }, at("other", host, model))
      assert.strictEqual(given?.["reasoning_content"], " ")
      const [back] = both({ name: "", message, finish: "tool_calls" }, at("mine", host, model))
      assert.strictEqual(back?.["reasoning_content"], "Think.")
    }
    const [older] = both({ name: "", message, finish: "tool_calls" }, at("other", "api.moonshot.ai", "moonshot-v1-8k"))
    assert.notProperty(older, "reasoning_content")
  })

  it("a signature of Google's own making, with the first call of each message", () => {
    const skip = { extra_content: { google: { thought_signature: "skip_thought_signature_validator" } } }
    const google = "generativelanguage.googleapis.com"
    const callsAt = (answer: Recorded, name: string, model: string) =>
      both(answer, at(name, google, model))[0]?.["tool_calls"]
    const unsigned = calling(call("a", "{}"), call("b", "{}"))
    const wanted = [call("a", "{}", skip), call("b", "{}")]
    for (const model of ["gemini-3-pro", "models/gemini-3.1-flash"])
      assert.deepStrictEqual(callsAt(unsigned, "other", model), wanted)
    assert.deepStrictEqual(callsAt(unsigned, "other", "gemini-2.5-pro"), [call("a", "{}"), call("b", "{}")])
    const signed = { extra_content: { google: { thought_signature: "CiQB" } } }
    const own = calling(call("a", "{}", signed), call("b", "{}"))
    assert.deepStrictEqual(callsAt(own, "mine", "gemini-3-pro"), [call("a", "{}", signed), call("b", "{}")])
    assert.deepStrictEqual(callsAt(own, "other", "gemini-3-pro"), wanted)
  })

  it("a refusal as text", () => {
    const [given] = both({ name: "", message: { refusal: "I cannot." }, finish: "stop" }, at("other", "unknown.test"))
    assert.deepStrictEqual(given, { role: "assistant", content: "I cannot." })
  })

  it.each([
    ["unknown.test", /^[\w-]{1,40}$/],
    ["api.mistral.ai", /^[a-zA-Z0-9]{9}$/],
    ["api.openai.com", /^[\w-]{1,40}$/],
    ["api.anthropic.com", /^[\w-]{1,40}$/]
  ])("ids that it takes, of calls and results alike: %s", (host, pattern) => {
    for (const id of ["call_Zk3bX9aQmNp0rStUvWxYz123", "functions.T:0", "x".repeat(64), "D681PevKs"]) {
      const [message, result] = both(calling(call(id, "{}"), call("other", "{}")), at("other", host))
      const [sent] = (message?.["tool_calls"] ?? []) as ReadonlyArray<Fields>
      assert.match(String(sent?.["id"]), pattern)
      assert.strictEqual(result?.["tool_call_id"], sent?.["id"])
      if (pattern.test(id)) assert.strictEqual(sent?.["id"], id)
    }
  })
})

describe("ids of calls", () => {
  const long = "x".repeat(83)
  const given = ["functions.T:0", "call_1", long, "with space", "call|fc_2"]
  const idsOf = (reader: Notes.Reader) => {
    const [message, ...results] = both(calling(...given.map((id) => call(id, "{}"))), reader)
    const sent = ((message?.["tool_calls"] ?? []) as ReadonlyArray<Fields>).map(({ id }) => id)
    assert.deepStrictEqual(
      results.map(({ tool_call_id }) => tool_call_id),
      sent
    )
    return sent
  }

  it("go back unchanged to the server that gave them", () => {
    assert.deepStrictEqual(idsOf(own), given)
  })

  it("that no server refuses go to all unchanged, and others as ids that none refuses, always the same", () => {
    const sent = idsOf(at("other", "unknown.test"))
    assert.strictEqual(sent[1], "call_1")
    for (const id of sent) assert.match(String(id), /^[\w-]{1,40}$/)
    assert.strictEqual(new Set(sent).size, given.length)
    assert.deepStrictEqual(idsOf(at("third", "elsewhere.test")), sent)
  })

  it("go unchanged to whom it is said of that it takes any", () => {
    const any = { name: "other", dialect: Dialects.resolve(undefined, { toolIds: "any" }) }
    assert.deepStrictEqual(idsOf(any), given)
  })

  it("that would become the same are told apart", () => {
    const [taken] = idsOf(at("other", "api.mistral.ai"))
    const ids = ["functions.T:0", String(taken)]
    for (const order of [ids, ids.toReversed()]) {
      const [message, ...results] = both(calling(...order.map((id) => call(id, "{}"))), at("other", "api.mistral.ai"))
      const sent = ((message?.["tool_calls"] ?? []) as ReadonlyArray<Fields>).map(({ id }) => id)
      assert.strictEqual(new Set(sent).size, 2)
      assert.deepStrictEqual(
        results.map(({ tool_call_id }) => tool_call_id),
        sent
      )
      for (const id of sent) assert.match(String(id), /^[a-zA-Z0-9]{9}$/)
    }
  })
})

/** What servers that look closely say of a message; nothing when they take it. */
const faultOf = (message: Fields, { dialect }: Notes.Reader, mayKnow: boolean): string | undefined => {
  const ids = { any: /^/, own: mayKnow ? /^/ : /^[\w-]{1,40}$/, words: /^[\w-]{1,40}$/, nine: /^[a-zA-Z0-9]{9}$/ }[
    dialect.toolIds
  ]
  const { content, role, tool_call_id: resultOf, tool_calls: calls, ...more } = message
  if (role === "tool") return ids.test(String(resultOf)) ? undefined : "the id of a result"
  if (content === null && calls === undefined) return "neither content nor calls"
  const { call: ofCall = {}, message: ofMessage = {} } = dialect.needs
  for (const field of Object.keys(ofMessage)) if (!Object.hasOwn(more, field)) return `no field ${field}`
  for (const field of Object.keys(more))
    if (!Object.hasOwn(ofMessage, field) && (!mayKnow || !dialect.takesBack.some((each) => each === field)))
      return `the field ${field}`
  for (const { function: named, id, type: _, ...others } of (calls ?? []) as ReadonlyArray<Fields>) {
    if (!ids.test(String(id))) return "the id of a call"
    const args: unknown = JSON.parse(String((named as Fields)["arguments"]))
    if (typeof args !== "object" || args === null || Array.isArray(args)) return "parameters that are no object"
    for (const field of Object.keys(others))
      if (!Object.hasOwn(ofCall, field) && (!mayKnow || field !== "extra_content"))
        return `the field ${field} of a call`
  }
  return undefined
}

describe("every answer, sent back, is one that the server takes", () => {
  const odd: ReadonlyArray<Recorded> = [
    calling(call("a", '{"x":'), call("a", "null"), call("", "[1]"), call("functions.T:0", '"text"')),
    { name: "all", finish: "stop", message: { reasoning: "R", content: "C", refusal: "No." } },
    { name: "nothing", finish: "stop", message: { content: null } }
  ]
  const hosts = [{ host: "unknown.test", model: undefined }, ...Dialects.known]
  it.each([...recorded, ...odd])("$name", (answer) => {
    for (const { host, model } of hosts) {
      for (const name of ["mine", "other"]) {
        for (let seed = 1; seed <= 5; seed++) {
          const reader = at(name, host, model)
          for (const message of both(answer, reader, seed))
            assert.strictEqual(faultOf(message, reader, name === "mine"), undefined, JSON.stringify({ host, message }))
        }
      }
    }
  })
})

describe("pieces of calls", () => {
  const tools = ["get_weather", "get_time", "ping"].map((name) =>
    Tool.make(name, { parameters: Schema.Struct({ city: Schema.optional(Schema.String) }), success: Schema.String })
  )
  const piece = (index: unknown, name: unknown, args: unknown, more: Fields = {}) => ({
    index,
    function: { ...(name === undefined ? {} : { name }), ...(args === undefined ? {} : { arguments: args }) },
    ...more
  })
  const rows: ReadonlyArray<readonly [name: string, pieces: ReadonlyArray<Fields>, wanted: string]> = [
    [
      "count their index on",
      [piece(0, "get_weather", "", { id: "a" }), piece(1, undefined, '{"city":'), piece(2, undefined, '"Rome"}')],
      'get_weather{"city":"Rome"}'
    ],
    [
      "of the second go on at another index than it began at",
      [
        piece(0, "get_weather", '{"city":"Rome"}', { id: "a" }),
        piece(0, "get_time", "", { id: "b" }),
        piece(1, undefined, '{"city":"Bonn"}')
      ],
      'get_weather{"city":"Rome"} get_time{"city":"Bonn"}'
    ],
    [
      "cut their name",
      [piece(0, "get_", "", { id: "a" }), piece(0, "weather", ""), piece(0, undefined, '{"city":"Rome"}')],
      'get_weather{"city":"Rome"}'
    ],
    [
      "cut their name, and repeat their id",
      [
        piece(0, "ge", "", { id: "a" }),
        piece(0, "t_wea", "", { id: "a" }),
        piece(0, "ther", "", { id: "a" }),
        piece(0, undefined, '{"city":"Rome"}', { id: "a" })
      ],
      'get_weather{"city":"Rome"}'
    ],
    [
      "repeat their name",
      [piece(0, "get_weather", "", { id: "a" }), piece(0, "get_weather", '{"city":"Rome"}', { id: "a" })],
      'get_weather{"city":"Rome"}'
    ],
    ["end with one that says nothing", [piece(0, "ping", "{}", { id: "a" }), piece(1, "", "", { id: "" })], "ping{}"],
    ["end with an empty function", [piece(0, "ping", "{}", { id: "a" }), { index: 1, function: {} }], "ping{}"],
    ["write null for no parameters", [piece(0, "ping", "null", { id: "a" })], "ping{}"],
    ["name a tool that is not there", [piece(0, "get_", "", { id: "a" }), piece(0, undefined, "{}")], "get_{}"],
    ["are two of one tool without parameters", [piece(0, "ping", ""), piece(1, "ping", "")], "ping{} ping{}"]
  ]
  const told = (text: string) =>
    read([Buffer.from(text)], {}, tools)
      .flatMap((part) => (part.type === "tool-call" ? [`${part.name}${JSON.stringify(part.params)}`] : []))
      .join(" ")
  it.each(rows)("%s", (_, pieces, wanted) => {
    const events = [
      ...pieces.map((each) => ({ choices: [{ index: 0, delta: { tool_calls: [each] } }] })),
      { choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] }
    ]
    assert.strictEqual(told(stream(events, new Chance(1))), wanted)
  })

  it("whole, beside one that says nothing", () => {
    const calls = [call("a", "null"), { id: "", type: "function", function: { name: "", arguments: "" } }]
    const choices = [{ index: 0, message: { content: null, tool_calls: calls }, finish_reason: "tool_calls" }]
    assert.strictEqual(told(JSON.stringify({ choices })), "T{}")
  })
})
