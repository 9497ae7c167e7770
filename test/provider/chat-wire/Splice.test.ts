import { assert, describe, it } from "@effect/vitest"
import * as Splice from "../../../src/provider/chat-wire/Splice.ts"
import { Chance } from "../../../src/testing/seed/Chance.ts"

/** One field as somebody wrote it, and what it is called. */
interface Field {
  readonly name: string
  readonly before: string
  readonly value: string
  readonly after: string
}

const space = (chance: Chance) => chance.oneOf(["", "", " ", "\n\t", "\r\n  "])

/** Writes a text in one of the ways that JSON has for it. */
const literal = (chance: Chance, text: string): string =>
  `"${Array.from(text, (sign) =>
    chance.below(4) === 0 || sign < " "
      ? [...sign].map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")
      : JSON.stringify(sign).slice(1, -1)
  ).join("")}"`

const names = [
  "model",
  "stream_options",
  "messages",
  "",
  "mod",
  "models",
  "Model",
  "__proto__",
  'a"b',
  "}",
  "\\",
  "ключ"
] as const
const scalars = [
  "null",
  "true",
  "-0",
  "1e400",
  "12345678901234567890",
  "1.50",
  '"}"',
  '"\\\\"',
  '"\\""',
  '"model\\":"',
  '"é"'
] as const

const value = (chance: Chance, depth = 0): string => {
  const kind = chance.below(depth > 4 ? 2 : 4)
  if (kind < 2) return chance.oneOf(scalars)
  const many = chance.below(4)
  if (kind === 2) {
    const items = Array.from({ length: many }, () => `${space(chance)}${value(chance, depth + 1)}${space(chance)}`)
    return `[${items.length === 0 ? space(chance) : items.join(",")}]`
  }
  return written(
    chance,
    Array.from({ length: many }, () => field(chance, chance.oneOf(names), depth + 1))
  )
}

const field = (chance: Chance, name: string, depth = 0): Field => ({
  name,
  before: `${space(chance)}${literal(chance, name)}${space(chance)}:${space(chance)}`,
  value: value(chance, depth),
  after: space(chance)
})

const written = (chance: Chance, fields: ReadonlyArray<Field>): string =>
  `{${fields.length === 0 ? space(chance) : fields.map(({ after, before, value }) => before + value + after).join(",")}}`

/** An object with fields of different names, in any order. */
const object = (chance: Chance): ReadonlyArray<Field> => {
  const left: Array<string> = [...names]
  return Array.from({ length: chance.below(7) }, () =>
    field(chance, left.splice(chance.below(left.length), 1)[0] ?? "other")
  )
}

const set = (body: string, name: string, value: string) =>
  Buffer.from(Splice.set(Buffer.from(body), name, Buffer.from(value))).toString("utf8")

describe("a field of a JSON object", () => {
  it("is replaced or added, and every other byte stays as it was", () => {
    for (let seed = 1; seed <= 3_000; seed++) {
      const chance = new Chance(seed)
      const fields = object(chance)
      const [before, after] = [space(chance), space(chance)]
      const body = `${before}${written(chance, fields)}${after}`
      JSON.parse(body)
      const name = chance.oneOf(names)
      const at = fields.findIndex((each) => each.name === name)
      const mine = fields.map(({ after, before, value }, index) => before + (index === at ? '"new"' : value) + after)
      if (at < 0) mine.push(`${JSON.stringify(name)}:"new"`)
      // In an object without fields, the space that it holds stays in front of the first.
      const held = fields.length === 0 ? body.slice(before.length + 1, body.length - after.length - 1) : ""
      const wanted = `${before}{${held}${mine.join(",")}}${after}`
      assert.strictEqual(set(body, name, '"new"'), wanted, `seed ${seed}`)
      const got = Splice.get(Buffer.from(body), name)
      assert.strictEqual(got && Buffer.from(got).toString("utf8"), fields[at]?.value, `seed ${seed}`)
    }
  })

  it.each(['{"model":"a","x":1,"model":"b"}', '{"model":"a","mod\\u0065l":"b"}', '{"model":1,"model":1}'])(
    "that is given twice is refused: %s",
    (body: string) => {
      assert.throws(() => set(body, "model", "1"), Splice.Unspliceable)
      assert.strictEqual(set(body, "other", "1"), `${body.slice(0, -1)},"other":1}`)
    }
  )

  it.each([
    "",
    "[]",
    "null",
    '"model"',
    "{",
    '{"a":1',
    '{"a":1,}',
    "{,}",
    '{"a"}',
    '{"a":}',
    "{a:1}",
    '{"a":1}{"model":2}',
    '{"a":"\\',
    '{"a":[1}',
    '{"a":1 "model":2}',
    "\uFEFF{}"
  ])("of what is no object is refused: %s", (body: string) =>
    assert.throws(() => set(body, "model", "1"), Splice.Unspliceable)
  )
})
