/** What a client answers, and whom it tells. */
import { assert, describe, it } from "@effect/vitest"
import { toStandardJsonSchema } from "@valibot/to-json-schema"
import { Schema as EffectSchema } from "effect"
import { Client, type FakeAnswer, fakeModel, HoldfastError, type Part } from "holdfast/promise"
import * as v from "valibot"
import { z } from "zod"

const collect = async <A>(all: AsyncIterable<A>): Promise<ReadonlyArray<A>> => {
  const found: Array<A> = []
  for await (const each of all) found.push(each)
  return found
}

const abortable = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

const quick = { retry: { base: 1, cap: 1 } } as const
const rejection = (promise: Promise<unknown>): Promise<HoldfastError> =>
  promise.then(
    () => assert.fail("it was fulfilled"),
    (error) => error
  )

describe("generate", () => {
  it("gives the text, its tokens, the trail and what the conversation goes on with", async () => {
    const model = fakeModel("Kelp holds on.", "By its holdfast.")
    await using client = Client.make({ model })
    const first = await client.generate("What does kelp do?")
    assert.strictEqual(first.text, "Kelp holds on.")
    assert.deepStrictEqual(first.parts, [{ type: "text", text: "Kelp holds on." }])
    assert.deepStrictEqual({ ...first.usage }.outputTokens, 3)
    assert.strictEqual(first.finishReason, "stop")
    assert.deepStrictEqual(
      first.trail.attempts.map(({ origin, provider }) => [provider, origin]),
      [["fake", "call"]]
    )
    const turns = [
      { role: "user", content: "What does kelp do?" },
      ...first.messages,
      { role: "user", content: "How?" }
    ]
    assert.strictEqual((await client.generate(turns as never)).text, "By its holdfast.")
    assert.deepStrictEqual(
      model.calls[1]?.messages.map(({ role }) => role),
      ["user", "assistant", "user"]
    )
  })

  it("tells the model what the system option says, before the prompt", async () => {
    const model = fakeModel("yes")
    await using client = Client.make({ model })
    await client.generate([{ role: "user", content: [{ type: "text", text: "Sure?" }] }], { system: "Be brief." })
    assert.deepStrictEqual(
      model.calls[0]?.messages.map(({ role }) => role),
      ["system", "user"]
    )
    assert.strictEqual(model.calls[0]?.prompt, "Sure?")
  })

  it("chooses among several models by name, the first when none is named", async () => {
    await using client = Client.make({ models: { small: fakeModel("small"), large: fakeModel("large") } })
    const texts = [await client.generate("?"), await client.generate("?", { model: "large" })].map(({ text }) => text)
    assert.deepStrictEqual(texts, ["small", "large"])
    const error = await rejection(client.generate("?", { model: "larg" }))
    assert.instanceOf(error, RangeError)
    assert.strictEqual(error.message, 'Client option model must be one of small, large, got "larg"')
  })

  it("ends with code timeout when its time is up, and says which", async () => {
    await using client = Client.make({ model: fakeModel({ text: "late", delay: "1 hour" }) })
    const error = await rejection(client.generate("?", { timeout: 10 }))
    assert.instanceOf(error, HoldfastError)
    assert.deepStrictEqual([error.code, error.retryable, error.attempts.length], ["timeout", false, 1])
    assert.include(error.message, "no complete answer within 10ms")
  })

  it("refuses what makes no sense by a rejection that names it", async () => {
    await using client = Client.make({ model: fakeModel("yes") })
    const refused = async (options: object) => (await rejection(client.generate("?", options))).message
    assert.strictEqual(await refused({ temprature: 1 }), "Client has no option temprature: did you mean temperature?")
    assert.include(await refused({ timeout: "soon" }), "Client option timeout must be a duration above 0")
    assert.include(await refused({ signal: {} }), "Client option signal must be an AbortSignal")
    assert.include(await refused({ maxSteps: 0 }), "Client option maxSteps must be a whole number of at least 1")
    assert.include(await refused({ tools: { a: {} } }), "Client option tools.a.run must be a function")
    assert.include(await refused({ priority: "soon" }), "priority")
    assert.include((await rejection(client.generate(7 as never))).message, "the prompt must be a text or a list")
    assert.include((await rejection(client.generate([{ role: "x" }] as never))).message, "the prompt must be a text")
    const alone = await rejection(client.generate({ role: "user", content: "CANARY" } as never))
    assert.include(alone.message, "list of messages, got an object")
  })
})

describe("tools", () => {
  const asking: FakeAnswer = { toolCalls: [{ name: "add", params: { a: 1, b: 2 } }] }
  const add = { description: "Adds.", input: z.object({ a: z.number(), b: z.number() }) }

  it("are async functions, whose results the model is asked again with", async () => {
    const model = fakeModel(asking, "It is 3.")
    await using client = Client.make({ model })
    const tools = { add: { ...add, run: async ({ a, b }: { a: number; b: number }) => a + b } }
    const { messages, text, toolCalls } = await client.generate("1 + 2?", { tools })
    assert.strictEqual(text, "It is 3.")
    assert.deepStrictEqual(
      toolCalls.map(({ isFailure, name, params, result }) => ({ isFailure, name, params, result })),
      [{ name: "add", params: { a: 1, b: 2 }, result: 3, isFailure: false }]
    )
    assert.deepStrictEqual(
      messages.map(({ role }) => role),
      ["assistant", "tool", "assistant"]
    )
    assert.deepStrictEqual(model.calls[0]?.tools, ["add"])
    assert.deepStrictEqual(
      model.calls[1]?.messages.map(({ role }) => role),
      ["user", "assistant", "tool"]
    )
  })

  it("tell the model by a message what they throw, and what their schema refuses", async () => {
    const wrong: FakeAnswer = {
      toolCalls: [
        { name: "add", params: { a: "one" } },
        { name: "gone", params: {} }
      ]
    }
    await using client = Client.make({ model: fakeModel(wrong, asking, "Sorry.") })
    const run = () => Promise.reject(new Error("out of order"))
    const { toolCalls } = await client.generate("?", { tools: { add: { ...add, run } } })
    const [refused, unknown, thrown] = toolCalls
    assert.match(String(refused?.result), /expected number.* at a; .* at b/i)
    assert.strictEqual(unknown?.result, "there is no tool gone")
    assert.strictEqual(thrown?.result, "Error: out of order")
    assert.isTrue(toolCalls.every(({ isFailure }) => isFailure))
  })

  it("are asked for at most maxSteps times", async () => {
    const model = fakeModel(asking)
    await using client = Client.make({ model })
    const { finishReason } = await client.generate("?", { tools: { add: { ...add, run: () => 1 } }, maxSteps: 2 })
    assert.deepStrictEqual([finishReason, model.calls.length], ["tool-calls", 3])
  })

  it("abort with their call, and share its time", async () => {
    await using client = Client.make({ model: fakeModel(asking) })
    let aborted = false
    const run = (_: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted = true
          reject(signal.reason)
        })
      })
    const error = await rejection(client.generate("?", { tools: { add: { ...add, run } }, timeout: 20 }))
    assert.deepStrictEqual([error.code, aborted], ["timeout", true])
  })
})

describe("object", () => {
  const schemas = {
    zod: z.object({ metres: z.number().max(60) }),
    valibot: toStandardJsonSchema(v.object({ metres: v.pipe(v.number(), v.maxValue(60)) })),
    Effect: EffectSchema.toStandardJSONSchemaV1(
      EffectSchema.toStandardSchemaV1(
        EffectSchema.Struct({ metres: EffectSchema.Finite.check(EffectSchema.isLessThanOrEqualTo(60)) })
      )
    )
  }
  it.each(Object.entries(schemas))("gives what a schema of %s describes", async (_, schema) => {
    const model = fakeModel({ text: { metres: 45 } })
    await using client = Client.make({ model })
    const { object } = await client.object(schema, "How long?")
    const metres: number = object.metres
    assert.strictEqual(metres, 45)
  })

  it("asks again with what is wrong, and then says that the answer cannot be read", async () => {
    const model = fakeModel({ text: { metres: "long" } }, { text: { metres: 99 } }, { text: { metres: 45 } })
    await using client = Client.make({ model, pipeline: { repair: { times: 2 } } })
    const schema = z.object({ metres: z.number().refine((metres) => metres <= 60, "no holdfast is that long") })
    const { object, trail } = await client.object(schema, "How long?")
    assert.deepStrictEqual([object.metres, trail.attempts.length], [45, 3])
    assert.include(JSON.stringify(model.calls[2]?.messages), "no holdfast is that long")
    await using strict = Client.make({ model: fakeModel({ text: { metres: 99 } }), pipeline: { repair: false } })
    const error = await rejection(strict.object(schemas.zod, "How long?"))
    assert.deepStrictEqual([error.code, error.attempts.length], ["invalid_answer", 1])
  })

  it("refuses a schema that says no JSON schema", async () => {
    await using client = Client.make({ model: fakeModel("{}") })
    const bare = v.object({ metres: v.number() })
    const error = await rejection(client.object(bare as never, "?"))
    assert.instanceOf(error, RangeError)
    assert.include(error.message, "toStandardJsonSchema of @valibot/to-json-schema")
  })
})

describe("hooks", () => {
  it("hear of retries and fallbacks when they happen, and of the answer", async () => {
    const heard: Array<unknown> = []
    await using client = Client.make({
      model: fakeModel({ error: "provider_failed" }),
      fallback: [fakeModel({ error: "unauthorized" }), fakeModel("There.")],
      pipeline: { retry: { ...quick.retry, times: 1 } },
      onRetry: ({ attempt, error }) => heard.push(["retry", attempt, error]),
      onFallback: ({ attempt, from }) => heard.push(["fallback", attempt, from])
    })
    const { text } = await client.generate("?", {
      tenant: "acme",
      onFinish: ({ model, tenant, usage }) => heard.push(["finish", model, tenant, usage.outputTokens])
    })
    assert.strictEqual(text, "There.")
    const [retried, ...others] = heard as ReadonlyArray<ReadonlyArray<unknown>>
    assert.deepStrictEqual(retried?.slice(0, 2), ["retry", 2])
    assert.include(String(retried?.[2]), "the fake model was told to fail")
    assert.deepStrictEqual(others, [
      ["fallback", 3, "fake/fake-1"],
      ["fallback", 4, "fake/fake-1"],
      ["finish", "fake/fake-1", "acme", 1]
    ])
  })

  it("change nothing by what they throw, which is logged", async () => {
    const logged: Array<string> = []
    await using client = Client.make({
      model: fakeModel("yes"),
      log: ({ level, message }) => logged.push(`${level} ${message}`)
    })
    const onFinish = () => {
      throw new Error("no disk")
    }
    assert.strictEqual((await client.generate("?", { onFinish })).text, "yes")
    const late = (async () => {
      throw new Error("no network")
    }) as () => void
    assert.strictEqual((await client.generate("?", { onFinish: late })).text, "yes")
    await client.health()
    assert.deepStrictEqual(logged, ["warn a hook threw: Error: no disk", "warn a hook threw: Error: no network"])
  })

  it("are told what a call cost", async () => {
    await using client = Client.make({
      model: fakeModel("one two"),
      pipeline: { spend: { money: 1_000_000, prices: { "fake/fake-1": { input: 1, output: 1 } } } }
    })
    const costs: Array<unknown> = []
    const { cost } = await client.generate("?", { onFinish: ({ cost }) => costs.push(cost) })
    assert.isAbove(cost ?? 0, 0)
    assert.deepStrictEqual(costs, [cost])
  })
})

describe("an idempotencyKey", () => {
  it("sends one request for calls with the same one, beside each other and one after the other", async () => {
    const model = fakeModel({ text: "first", delay: 5 }, "second")
    await using client = Client.make({ model })
    const options = { idempotencyKey: "order-7" }
    const beside = await Promise.all([client.generate("?", options), client.generate("?", options)])
    const texts = [...beside, await client.generate("?", options)].map(({ text }) => text)
    assert.deepStrictEqual([texts, model.calls.length], [["first", "first", "first"], 1])
    assert.strictEqual((await client.generate("?", { ...options, tenant: "other" })).text, "second")
  })

  it("is good for another try when the call failed", async () => {
    const model = fakeModel({ error: "invalid_request" }, "yes")
    await using client = Client.make({ model })
    const options = { idempotencyKey: "order-7" }
    assert.strictEqual((await rejection(client.generate("?", options))).code, "invalid_request")
    assert.strictEqual((await client.generate("?", options)).text, "yes")
  })

  it("has a call end only when the last of its callers leaves", async () => {
    const model = fakeModel({ text: "late", delay: "1 hour" }, "next")
    await using client = Client.make({ model })
    const [one, other] = [new AbortController(), new AbortController()]
    const calls = [one, other].map(({ signal }) =>
      rejection(client.generate("?", { idempotencyKey: "k", signal })).then(({ name }) => name)
    )
    one.abort()
    assert.strictEqual(await calls[0], "AbortError")
    assert.strictEqual((await client.counts()).calls.running, 1)
    other.abort()
    assert.strictEqual(await calls[1], "AbortError")
    assert.strictEqual((await client.counts()).calls.running, 0)
    assert.strictEqual((await client.generate("?", { idempotencyKey: "k" })).text, "next")
  })

  it("has a call end when all of its callers leave by one signal", async () => {
    const model = fakeModel({ text: "late", delay: "1 hour" })
    await using client = Client.make({ model })
    const { abort, signal } = abortable()
    const calls = [1, 2, 3].map(() => rejection(client.generate("?", { idempotencyKey: "k", signal })))
    abort()
    for (const call of calls) assert.strictEqual((await call).name, "AbortError")
    assert.strictEqual((await client.counts()).calls.running, 0)
  })

  it("gives a stream to several readers, each from its start", async () => {
    const model = fakeModel("one two three")
    await using client = Client.make({ model })
    const read = async () => collect(client.stream("?", { idempotencyKey: "s" }))
    assert.deepStrictEqual(
      [await read(), await read(), model.calls.length],
      [["one", " two", " three"], ["one", " two", " three"], 1]
    )
  })
})

describe("Client.make", () => {
  const refused = (options: object): string => {
    try {
      Client.make(options)
      return "taken"
    } catch (error) {
      assert.instanceOf(error, RangeError)
      return error.message
    }
  }

  it.each([
    [{ modle: "x" }, "Client has no option modle: did you mean model?"],
    [{ model: 7 }, `Client option model must be a text such as "openai/gpt-5-mini"`],
    [{ model: "nobody/x" }, `Client option model must be "name/model" with one of the names openai,`],
    [{ model: "gpt-5-mini" }, `Client option model must be "name/model"`],
    [{ model: "mistral/x" }, "set MISTRAL_API_KEY, or give apiKey"],
    [{ models: [] }, "Client option models must be an object"],
    [{ model: fakeModel("a"), models: { model: fakeModel("b") } }, "names other than model"],
    [{ timeout: 0 }, "Client option timeout must be a duration above 0"],
    [{ jobs: { concurrency: 0 } }, "Supervisor option concurrency must be a whole number of at least 1"],
    [{ jobs: 5 }, "Client option jobs must be an object"],
    [{ pipeline: { retrys: {} } }, "Client option pipeline has no option retrys: did you mean retry?"],
    [{ pipeline: 1 }, "Client option pipeline must be an object"],
    [{ policies: [], fallback: [] }, "policies takes the place of pipeline and fallback"],
    [{ policies: 1 }, "Client option policies must be a list"],
    [{ log: true }, "Client option log must be a function"],
    [{ onRetry: 1 }, "Client option onRetry must be a function"],
    [{ apiKey: "" }, "Client option apiKey must be a text that is not empty"]
  ])("refuses %o", (options, message) => {
    assert.include(refused(options), message)
  })

  it("makes a client without a model, which says so when it is asked", async () => {
    await using client = Client.make()
    assert.strictEqual(await client.run(async () => 1), 1)
    assert.include((await rejection(client.generate("?"))).message, "the client has no model")
  })

  it("takes policies of one's own in place of the standard ones", async () => {
    const model = fakeModel({ error: "provider_failed" }, "yes")
    await using client = Client.make({ model, policies: [] })
    assert.strictEqual((await rejection(client.generate("?"))).code, "provider_failed")
    assert.strictEqual(model.calls.length, 1)
  })
})

describe("a stream", () => {
  it("gives text as it arrives, and beside it the parts, the answer and the tokens", async () => {
    await using client = Client.make({ model: fakeModel("one two three") })
    const stream = client.stream("?")
    assert.deepStrictEqual(await collect(stream), ["one", " two", " three"])
    const parts: ReadonlyArray<Part> = await collect(stream.parts)
    assert.deepStrictEqual(parts, [
      { type: "text", text: "one" },
      { type: "text", text: " two" },
      { type: "text", text: " three" }
    ])
    assert.strictEqual((await stream.response).text, "one two three")
    assert.strictEqual((await stream.usage).outputTokens, 3)
  })

  it("is read to its end by whoever asks for the answer alone", async () => {
    await using client = Client.make({ model: fakeModel("word ".repeat(100)) })
    assert.strictEqual((await client.stream("?").response).text.split(" ").length, 101)
  })

  it("runs tools, and tells of them among its parts", async () => {
    const model = fakeModel({ text: "Hm.", toolCalls: [{ name: "now", params: {} }] }, "Noon.")
    await using client = Client.make({ model })
    const stream = client.stream("?", { tools: { now: { input: z.object({}), run: () => "12:00" } } })
    const kinds = (await collect(stream.parts)).map(({ type }) => type)
    assert.deepStrictEqual(kinds, ["text", "tool-call", "tool-result", "text"])
    const { text, toolCalls } = await stream.response
    assert.deepStrictEqual([text, toolCalls[0]?.result], ["Noon.", "12:00"])
  })

  it("is not asked for before somebody reads it", async () => {
    const model = fakeModel("yes")
    await using client = Client.make({ model })
    const stream = client.stream("?")
    await client.health()
    assert.strictEqual(model.calls.length, 0)
    await stream.response
    assert.strictEqual(model.calls.length, 1)
  })

  it("is read ahead of its reader by a few parts only", async () => {
    await using client = Client.make({ model: fakeModel("word ".repeat(10_000)) })
    const stream = client.stream("?")
    const reader = stream[Symbol.asyncIterator]()
    await reader.next()
    await client.health()
    assert.strictEqual((await client.counts()).calls.running, 1)
    await reader.return?.()
    assert.strictEqual((await client.counts()).calls.running, 0)
  })

  it("fails in the loop, and says why to whoever asks later", async () => {
    await using client = Client.make({ model: fakeModel({ error: "unauthorized" }) })
    const stream = client.stream("?")
    assert.strictEqual((await rejection(collect(stream))).code, "unauthorized")
    assert.strictEqual((await rejection(stream.response)).code, "unauthorized")
  })

  it("throws at once for options that make no sense", async () => {
    await using client = Client.make({ model: fakeModel("yes") })
    assert.throws(() => client.stream("?", { timeuot: 1 } as never), RangeError, "did you mean timeout?")
  })
})
