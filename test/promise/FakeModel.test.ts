import { assert, describe, it } from "@effect/vitest"
import { Client, fakeModel } from "holdfast/promise"

describe("a fake model", () => {
  it("gives its replies in order, and the last one from then on", async () => {
    await using client = Client.make({ model: fakeModel("one", { text: ["two"] }, ({ prompt }) => `${prompt}?`) })
    const texts: Array<string> = []
    for (const prompt of ["a", "b", "c", "d"]) texts.push((await client.generate(prompt)).text)
    assert.deepStrictEqual(texts, ["one", '["two"]', "c?", "d?"])
  })

  it("says the same whole and in pieces", async () => {
    const text = " Kelp,\n and  more. "
    await using client = Client.make({ model: fakeModel(text) })
    assert.strictEqual((await client.generate("?")).text, text)
    assert.strictEqual((await client.stream("?").response).text, text)
  })

  it("takes down what it was asked, and how", async () => {
    const model = fakeModel("yes")
    await using client = Client.make({ model })
    await client.generate("one")
    await client.stream("two").response
    assert.deepStrictEqual(
      model.calls.map(({ prompt, streamed, tools }) => [prompt, streamed, tools]),
      [
        ["one", false, []],
        ["two", true, []]
      ]
    )
  })

  it("refuses what makes no sense, at once or when a function gives it", async () => {
    assert.throws(() => fakeModel(), RangeError, "at least one reply")
    const wrong = { eror: "network" } as never
    assert.throws(() => fakeModel(wrong), RangeError, "did you mean error?")
    await using client = Client.make({ model: fakeModel(() => wrong) })
    const message = await client.generate("?").catch((error: Error) => error.message)
    assert.strictEqual(message, "fakeModel has no option eror: did you mean error?")
  })
})
