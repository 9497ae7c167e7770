import { assert, describe, it } from "@effect/vitest"
import { runWithOneHash } from "./oneHash.ts"
import { without } from "../../../src/provider/errors/Quotations.ts"

const prompt = 'Say to Émile:\n"the kelp grows thirty metres in a year", at C:\\new\\tab.'

describe("what a text quotes", () => {
  it.each([
    ["as it is", `invalid: ${prompt}`],
    ["its middle", "invalid: kelp grows thirty metres"],
    ["in JSON", `invalid: ${JSON.stringify({ content: prompt })}`],
    ["in JSON within JSON", `invalid: ${JSON.stringify(JSON.stringify({ content: prompt }))}`],
    ["in capitals, with other spaces", `invalid: ${prompt.toUpperCase().replaceAll(" ", "\t ")}`],
    ["escaped where it is not ASCII", `invalid: ${JSON.stringify(prompt).replace("É", "\\u00c9")}`]
  ])("is left out: %s", (_how, text) => {
    const left = without(text, [prompt])
    assert.match(left, /^invalid: .*<left out>/)
    assert.notMatch(left, /kelp|metres/i)
  })

  it("is left out where it is a short text, and whole", () => {
    assert.strictEqual(without("no secret plan, please", ["secret plan"]), "no <left out>, please")
    assert.strictEqual(without("no secret, please", ["secret plan"]), "no secret, please")
  })

  it("is all that is left out, every time it is said", () => {
    const text = "the model does not know kelp grows thirty metres, so kelp grows thirty metres."
    assert.strictEqual(without(text, [prompt]), "the model does not know <left out>, so <left out>.")
    assert.strictEqual(
      without("rate limit reached for gpt-5", [prompt, "the model", "hi"]),
      "rate limit reached for gpt-5"
    )
    assert.strictEqual(without("", [prompt]), "")
  })

  it("is found behind another run that has the same hash", () => {
    const [one, other] = [runWithOneHash(1), runWithOneHash(2)]
    assert.strictEqual(without(`${one} and ${other}`, [other]), `${one} and <left out>`)
    assert.strictEqual(without(`${other} and ${one}`, [other]), `<left out> and ${one}`)
  })

  it("is found in work that grows with the texts", () => {
    const millis = (size: number): number => {
      const [text, asked] = ["ab".repeat(size), ["aaab".repeat(size), "xyz ".repeat(size)]]
      const before = process.cpuUsage()
      for (let times = 0; times < 20; times++) without(text, asked)
      const { system, user } = process.cpuUsage(before)
      return (system + user) / 1_000
    }
    millis(4_000)
    // Eight times as much; what is quadratic takes sixty-four times as long.
    assert.isBelow(millis(64_000), 25 * Math.max(5, millis(8_000)))
  })
})
