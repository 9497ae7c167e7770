/** Hands every option of a client what makes no sense for it, and sees that it is refused by its name. */
import { assert, describe, it } from "@effect/vitest"
import { Client, fakeModel } from "holdfast/promise"
import { fieldsOf } from "../docs/pages.ts"
import { atLeast0, endless, orNull, senseless, texts, times, waits, wholes } from "../optionWalk.ts"

/** A file, its interface, who takes the options, and which of the senseless values each field takes all the same. */
type Row = readonly [
  string,
  string,
  (client: Client, options: object) => unknown,
  Readonly<Record<string, ReadonlyArray<string>>>
]

const model = fakeModel("yes")
const hooks = { onFinish: ["a function"], onRetry: ["a function"], onFallback: ["a function"] }
const call = {
  ...hooks,
  model: [],
  signal: [],
  timeout: endless,
  tenant: texts,
  priority: ["0", "-0", "-1", "1.5", "2^31"],
  idempotencyKey: ["a text"],
  system: texts,
  maxOutputTokens: wholes,
  temperature: atLeast0.concat("1.5", "2^53+1")
}
const limits = { deadline: waits, interruptLimit: waits }

const rows: ReadonlyArray<Row> = [
  ["src/promise/Call.ts", "CallOptions", (client, options) => client.generate("?", options), call],
  [
    "src/promise/Call.ts",
    "ToolOptions",
    (client, options) => client.generate("?", options),
    { tools: [], maxSteps: wholes }
  ],
  [
    "src/promise/ClientOptions.ts",
    "ClientOptions",
    (_, options) => Client.make(options),
    {
      model: [],
      models: [],
      fallback: ["an array"],
      apiKey: ["a text"],
      baseUrl: [],
      timeout: endless,
      pipeline: [],
      policies: ["an array"],
      jobs: [],
      onJobFailure: ["a function"],
      log: ["a function"]
    }
  ],
  [
    "src/promise/ClientOptions.ts",
    "JobLimits",
    (_, jobs) => Client.make({ jobs }),
    {
      ...orNull({
        concurrency: wholes,
        keyConcurrency: wholes,
        maxPending: atLeast0,
        retain: atLeast0,
        retainFor: endless,
        retainBytes: atLeast0,
        eventHistory: wholes,
        stuckAfter: endless
      }),
      timeout: endless,
      ids: []
    }
  ],
  ["src/promise/ClientOptions.ts", "DrainOptions", (client, options) => client.drain(options), limits],
  [
    "src/promise/ClientOptions.ts",
    "SignalOptions",
    (client, options) => client.closeOnSignals(options)(),
    { signals: ["an array"], onDrained: ["a function"] }
  ],
  [
    "src/promise/Job.ts",
    "JobOptions",
    (client, options) => client.submit(() => 1, options),
    {
      name: texts,
      id: ["a text"],
      timeout: endless,
      metadata: [],
      key: texts,
      priority: ["0", "-0", "-1", "1.5", "2^31"],
      whenFull: waits,
      idempotencyKey: ["a text"]
    }
  ],
  [
    "src/promise/Job.ts",
    "EveryOptions",
    (client, options) => client.every("1 hour", () => 1, { name: "n", ...options }),
    {
      name: texts,
      timeZone: [],
      overlap: [],
      jitter: ["0", "-0", ...times],
      timeout: endless,
      metadata: []
    }
  ],
  [
    "src/promise/Job.ts",
    "WaitOptions",
    async (client, options) => {
      const job = await client.submit(() => 1)
      await job.result()
      return job.result(options)
    },
    { timeout: waits, signal: [] }
  ],
  [
    "src/promise/FakeModel.ts",
    "FakeAnswer",
    (_, answer) => fakeModel(answer),
    {
      text: ["an empty text", "a text", "an object", "an array"],
      toolCalls: ["an array"],
      error: [],
      retryAfter: times,
      delay: waits
    }
  ]
]
describe.each(rows)("in %s, %s", (file, name, use, fields) => {
  it("has each of its fields here", () => {
    const own = fieldsOf(file, name).map((field) => field.name)
    const inherited = Object.keys({ ...hooks, ...limits }).filter((field) => !own.includes(field))
    assert.sameMembers(
      Object.keys(fields).filter((field) => !inherited.includes(field)),
      own
    )
  })

  it.each(Object.entries(fields))("%s", async (option, allowed) => {
    await using client = Client.make({ model, log: false })
    const taken: Array<string> = []
    for (const [said, value] of Object.entries(senseless)) {
      const outcome = await Promise.resolve()
        .then(() => use(client, { [option]: value }))
        .then(
          () => undefined,
          (error: unknown) => error
        )
      if (outcome instanceof RangeError && outcome.message.includes(option)) continue
      taken.push(outcome === undefined ? said : `${said}: ${String(outcome)}`)
    }
    assert.sameMembers(taken, [...allowed])
  })
})
