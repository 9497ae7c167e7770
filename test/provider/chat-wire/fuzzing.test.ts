import { assert, describe, it } from "@effect/vitest"
import { Chance } from "../../../src/testing/seed/Chance.ts"
import { read } from "./answers.ts"
import { growing, held, input, outcome } from "./fuzzing.ts"

it("reads or refuses whatever a server sends, for ten seconds", { timeout: 60_000 }, () => {
  const counts = { read: 0, refused: 0 }
  const end = performance.now() + 10_000
  for (let seed = 1; performance.now() < end; seed++) {
    const came = outcome(input(new Chance(seed)))
    assert.isTrue(came === "read" || came === "refused", `seed ${seed}: ${came}`)
    counts[came === "read" ? "read" : "refused"] += 1
  }
  assert.isAbove(counts.read, 100)
  assert.isAbove(counts.refused, 100)
})

it.each(["delta", "message"])("refuses parameters that are given as JSON and nested 20,000 deep, in a %s", (where) => {
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`
  const calls = `[{"index":0,"id":"x","function":{"name":"T","arguments":${deep}}}]`
  const answer = `{"choices":[{"index":0,"${where}":{"tool_calls":${calls}},"finish_reason":"tool_calls"}]}`
  assert.strictEqual(outcome([Buffer.from(where === "delta" ? `data: ${answer}\n\n` : answer)]), "refused")
})

it.each([
  ["field", (name: string) => `{"choices":[],"${name}":${"[".repeat(99)}${"]".repeat(99)}}`],
  [
    "tool call",
    (id: string) =>
      `{"choices":[{"message":{"tool_calls":[{"id":"${id}","function":{}}]},"finish_reason":"tool_calls"}]}`
  ]
])("says the name of a %s only when it is as long as names are", (kind, answer) => {
  const messageOf = (name: string) => {
    try {
      read([Buffer.from(answer(name))])
    } catch (error) {
      return String(error)
    }
    return "read"
  }
  assert.include(messageOf("kelp"), `the ${kind} "kelp" `)
  assert.include(messageOf("x".repeat(2 ** 20)), ` a ${kind} `)
  assert.isBelow(messageOf("x".repeat(2 ** 20)).length, 100)
})

describe("what a server sends costs as much as it is long", () => {
  const spent = (pieces: ReadonlyArray<Buffer>) => {
    const before = process.cpuUsage()
    outcome(pieces)
    const { system, user } = process.cpuUsage(before)
    return (user + system) / 1_000
  }
  it.each(Object.keys(growing))("%s", (shape) => {
    const make = growing[shape]
    if (make === undefined) return assert.fail(shape)
    // Eight times the bytes; work that grows with their square would take sixty-four times as long. Whatever else the
    // machine does only adds, so the least of some tries counts.
    let [small, large] = [Infinity, Infinity]
    for (let time = 0; time < 3 || (time < 9 && large >= 20 * small + 10); time++) {
      small = Math.min(small, spent(make(2 ** 17)))
      large = Math.min(large, spent(make(2 ** 20)))
    }
    assert.isBelow(large, 20 * small + 10)
  })
})

describe("what is held of an answer grows as it does", () => {
  it.each(Object.keys(growing))("%s", (shape) => {
    const make = growing[shape]
    if (make === undefined) return assert.fail(shape)
    const size = 2 ** 18
    // A character takes two bytes, a tool call with its parts some hundred; what is there already is not counted.
    assert.isBelow(held(make(size)), 16 * size)
    assert.isBelow(held(make(4 * size)), 64 * size)
  })
})
