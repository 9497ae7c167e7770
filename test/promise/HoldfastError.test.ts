import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Client, type FakeError, fakeModel, HoldfastError } from "holdfast/promise"

const rejection = (promise: Promise<unknown>): Promise<HoldfastError> =>
  promise.then(
    () => assert.fail("it was fulfilled"),
    (error) => error
  )

const failing = async (error: FakeError, retryAfter?: number) => {
  await using client = Client.make({ model: fakeModel({ error, retryAfter }), policies: [] })
  return rejection(client.generate("?"))
}

describe("the error of a call", () => {
  it.each([
    ["rate_limited", true],
    ["provider_failed", true],
    ["network", true],
    ["unauthorized", false],
    ["quota_exhausted", false],
    ["invalid_request", false]
  ] as const)("has the code %s, and says whether another try makes sense", async (code, retryable) => {
    const error = await failing(code)
    assert.deepStrictEqual([error instanceof HoldfastError, error.code, error.retryable], [true, code, retryable])
  })

  it("says the same everywhere, with the frame of its caller", async () => {
    const error = await failing("rate_limited", 2_000)
    const title = `HoldfastError: ${error.message}`
    assert.strictEqual(String(error), title)
    assert.strictEqual(error.stack?.split("\n")[0], title)
    assert.include(error.stack?.split("\n")[1], "HoldfastError.test.ts")
    assert.isTrue(inspect(error).startsWith(title))
    assert.include(inspect(error), "code: 'rate_limited'")
    assert.include(inspect([error], { depth: 0 }), `[${title}]`)
    const json = JSON.parse(JSON.stringify(error))
    assert.deepInclude(json, { code: "rate_limited", message: error.message, retryable: true, retryAfter: 2_000 })
    assert.strictEqual(json.attempts[0].outcome.reason, "RateLimitError")
    assert.include(json.cause, "Rate limit exceeded")
  })

  it("shows its facts to a serializer that reads its own fields and its cause", async () => {
    const error = await failing("rate_limited")
    assert.deepInclude(Object.fromEntries(Object.entries(error)), { code: "rate_limited", retryable: true })
    assert.instanceOf(error.cause, Error)
    assert.strictEqual(error.name, "HoldfastError")
  })

  it("counts its attempts in words", async () => {
    await using client = Client.make({
      model: fakeModel({ error: "provider_failed" }),
      pipeline: { retry: { times: 2, base: 1, cap: 1 } }
    })
    const error = await rejection(client.generate("?"))
    assert.deepStrictEqual([error.attempts.length, error.message.endsWith("(3 attempts)")], [3, true])
  })
})

describe("an abort", () => {
  it.each([
    [
      "the signal's own reason",
      (controller: AbortController) => controller.abort(),
      "AbortError",
      "This operation was aborted"
    ],
    [
      "an error that was given",
      (controller: AbortController) => controller.abort(new TypeError("enough")),
      "TypeError",
      "enough"
    ],
    [
      "the platform's error with what was given",
      (controller: AbortController) => controller.abort("user left"),
      "AbortError",
      "This operation was aborted"
    ]
  ])("is %s", async (_, abort, name, message) => {
    await using client = Client.make({ model: fakeModel({ text: "late", delay: "1 hour" }) })
    const controller = new AbortController()
    const call = rejection(client.generate("?", { signal: controller.signal }))
    abort(controller)
    const error = await call
    assert.deepStrictEqual([error.name, error.message, error instanceof Error], [name, message, true])
    const again = await rejection(client.generate("?", { signal: controller.signal }))
    assert.deepStrictEqual([again.name, again.message], [name, message])
  })

  it("of a signal with a time is a TimeoutError, as it is of fetch", async () => {
    await using client = Client.make({ model: fakeModel({ text: "late", delay: "1 hour" }) })
    const error = await rejection(client.generate("?", { signal: AbortSignal.timeout(5) }))
    assert.strictEqual(error.name, "TimeoutError")
  })
})
