/** What a program may fail with and nobody can look at: it reaches whoever asked, as it is, and nothing else notices. */
import { assert, describe, it } from "@effect/vitest"
import { Client, fakeModel, type LogEntry } from "holdfast/promise"
import { hostile } from "../core/hostile.ts"

const thrownBy = async (promise: Promise<unknown>): Promise<{ readonly error: unknown }> => {
  try {
    await promise
  } catch (error) {
    return { error }
  }
  return assert.fail("it was fulfilled")
}

/** Whether it is this very value: an assertion that failed would print it. */
const isSame = async (promise: Promise<unknown>, value: unknown): Promise<void> =>
  assert.isTrue(Object.is((await thrownBy(promise)).error, value))

describe.each(Object.entries(hostile))("%s", (_, make) => {
  it("is what run, submit and define reject with, thrown or rejected", async () => {
    await using client = Client.make({ log: false })
    const value = make()
    const fail = () => {
      throw value
    }
    await isSame(client.run(fail), value)
    await isSame(
      client.run(() => Promise.reject(value)),
      value
    )
    await isSame(
      client.run(({ run }) => run(fail)),
      value
    )
    await isSame(client.define("fail", fail).run(undefined), value)
    const job = await client.submit(fail)
    await isSame(job.result(), value)
    const { error, state } = await job.status()
    assert.deepStrictEqual([state, typeof error], ["failed", "string"])
    const types: Array<string> = []
    for await (const { type } of job.events({ after: 0 })) types.push(type)
    assert.deepStrictEqual(types, ["submitted", "started", "failed"])
  })

  it("is what a schema throws", async () => {
    await using client = Client.make({ log: false })
    const value = make()
    const validate = () => {
      throw value
    }
    const refused = client.define("n", () => 1, {
      "~standard": { version: 1, vendor: "test", validate, jsonSchema: { input: () => ({}), output: () => ({}) } }
    })
    await isSame(refused.run(1), value)
    await isSame(refused.submit(1), value)
  })

  it("is thrown by a hook, and the call has its answer", async () => {
    const logged: Array<LogEntry> = []
    await using client = Client.make({ model: fakeModel("yes"), log: (entry) => logged.push(entry) })
    const value = make()
    const onFinish = () => {
      throw value
    }
    assert.strictEqual((await client.generate("Is it?", { onFinish })).text, "yes")
  })

  it("is the reason of a signal", async () => {
    await using client = Client.make({ log: false })
    const value = make()
    const { error } = await thrownBy(client.run(() => 1, { signal: AbortSignal.abort(value) }))
    assert.isTrue(Object.is(error, value) || (error instanceof DOMException && error.name === "AbortError"))
  })

  it("is thrown by a round, and the next begins", async () => {
    await using client = Client.make({ log: false })
    const { promise: second, resolve } = Promise.withResolvers<void>()
    const value = make()
    let rounds = 0
    const job = await client.every(
      1,
      () => {
        if (++rounds === 2) resolve()
        throw value
      },
      { name: "n" }
    )
    await second
    assert.strictEqual((await job.cancel()).state, "cancelled")
  })
})
