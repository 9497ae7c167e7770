import { assert, describe, it } from "@effect/vitest"
import { StreamShape } from "holdfast/testing"
import { Chance } from "../../../src/testing/seed/Chance.ts"
import { chunks, cut, read, readWhole, recorded, stream, whole } from "./answers.ts"

describe("an answer says the same, whole and streamed", () => {
  for (const answer of recorded) {
    it(`${answer.name}`, () => {
      const wanted = readWhole([Buffer.from(JSON.stringify(whole(answer)))])
      for (let seed = 1; seed <= 60; seed++) {
        const chance = new Chance(seed)
        const bytes = Buffer.from(stream(chunks(answer, chance), chance))
        const parts = read(cut(bytes, chance, chance.oneOf([1, 7, 200, 100_000])))
        assert.isUndefined(StreamShape.malformation(parts))
        assert.deepStrictEqual(readWhole([bytes]), wanted, `seed ${seed}`)
        assert.deepStrictEqual(readWhole(cut(bytes, chance, 30)), wanted, `seed ${seed}`)
      }
    })
  }
})

describe("an answer reads the same wherever it is cut", () => {
  const chunk = (delta: object, finish: string | null = null) =>
    JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })
  const events = [chunk({ content: "K\u00e9lp" }), chunk({ content: " \u{1f30a}" }), chunk({}, "stop"), "[DONE]"]
  const bodies: ReadonlyArray<readonly [name: string, body: string]> = [
    ...Object.entries({ LF: "\n", CR: "\r", CRLF: "\r\n" }).flatMap(([name, end]) => {
      const body = events.map((data) => `data: ${data}${end}${end}`).join("")
      return [
        [name, body],
        [`${name}, behind a byte order mark`, `\uFEFF${body}`]
      ] as const
    }),
    [
      "JSON behind a byte order mark",
      `\uFEFF${JSON.stringify({ choices: [{ message: { content: "K\u00e9lp \u{1f30a}" }, finish_reason: "stop" }] })}`
    ]
  ]
  it.each(bodies)("%s", (_, body) => {
    const bytes = Buffer.from(body)
    for (let at = 0; at <= bytes.length; at++) {
      const [text] = readWhole([bytes.subarray(0, at), bytes.subarray(at)])
      assert.deepInclude(text, { type: "text", text: "K\u00e9lp \u{1f30a}" }, `cut at ${at}`)
    }
    assert.deepInclude(readWhole([...bytes].map((byte) => Buffer.of(byte)))[0], { text: "K\u00e9lp \u{1f30a}" })
  })
})

describe("pieces of tool calls without an index", () => {
  const called = (...pieces: ReadonlyArray<object>) => {
    const chunks = pieces.map((piece) => ({ choices: [{ delta: { tool_calls: [piece] }, finish_reason: null }] }))
    const all = [...chunks, { choices: [{ delta: {}, finish_reason: "tool_calls" }] }]
    const parts = readWhole([Buffer.from(all.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(""))])
    return parts.flatMap((part) => (part.type === "tool-call" ? [[part.id, part.name, part.params]] : []))
  }
  const named = (name: string, args: string, id?: string) => ({ id, function: { name, arguments: args } })
  const more = (args: string) => ({ function: { arguments: args } })

  it("belong to the call that was begun last", () =>
    assert.deepStrictEqual(called(named("T", '{"a"', "x"), more(":1}"), named("U", "{", "y"), more("}")), [
      ["x", "T", { a: 1 }],
      ["y", "U", {}]
    ]))

  it("and without ids begin one with each name", () =>
    assert.deepStrictEqual(
      called(named("T", "{}"), named("T", "{}")).map(([, name]) => name),
      ["T", "T"]
    ))
})
