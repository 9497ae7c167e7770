/** What users hold, shown in every way there is to show it: short, and without keys, prompts or what stands behind it. */
import { inspect } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, Hash, Logger, Redacted, Schema, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { DurableJob, JobStore } from "holdfast/durable"
import { Model } from "holdfast/model"
import { CircuitBreaker, Fallback, Pipeline, ResponseCache, Retry, RetryBudget, SpendBudget } from "holdfast/policy"
import { Client, fakeModel, type HoldfastError } from "holdfast/promise"
import { ChatWire, Fetch, ProviderPool } from "holdfast/provider"
import { Job, Supervisor } from "holdfast/supervisor"

const secret = "sk-of-somebody"
const prompt = "a prompt of somebody"
const inside = /ManagedRuntime|memoMap|FiberImpl|Lifecycle/

const ways: Readonly<Record<string, (held: unknown) => string>> = {
  JSON: (held) => JSON.stringify({ held }),
  "console.log": (held) => inspect(held),
  "console.dir, however deep": (held) => inspect(held, { depth: Infinity, maxArrayLength: Infinity }),
  "a text": (held) => (typeof held === "function" ? "" : String(held))
}

/** A failure that its work gave, as libraries do, with the request that failed. */
const failure = () => Object.assign(new Error("401"), { request: { headers: { authorization: secret }, prompt } })

const isShownWell = (name: string, held: unknown) => {
  for (const [way, show] of Object.entries(ways)) {
    const shown = show(held).replace(/\n\s+at .*/g, "")
    assert.notInclude(shown, secret, `${name} in ${way}`)
    assert.notInclude(shown, prompt, `${name} in ${way}`)
    assert.notMatch(shown, inside, `${name} in ${way}`)
    assert.isBelow(shown.length, 2_000, `${name} in ${way}`)
  }
  assert.isTrue(Equal.equals(held, held), name)
}

const areShownWell = (all: Readonly<Record<string, unknown>>) =>
  Object.entries(all).forEach(([name, held]) => isShownWell(name, held))

const wire = ChatWire.provider({
  baseUrl: `https://user:${secret}@models.example/v1`,
  model: "m",
  apiKey: Redacted.make(secret),
  headers: { "x-key": secret }
})

/** A model that keeps no prompt: `fakeModel` does, for whoever asks what it was asked. */
const { calls: _, ...answering } = fakeModel("Kelp.")

describe("what is shown is short and safe", () => {
  it.effect("of a supervisor, its jobs, and what is told of them", () =>
    Effect.gen(function* () {
      for (let n = 0; n < 100; n++) yield* Supervisor.submit(Effect.never, { metadata: { secret } })
      const job = yield* Supervisor.submit(
        Effect.suspend(() => Effect.fail(failure())),
        { name: "mine" }
      )
      yield* Job.await(job)
      const events = yield* Stream.runCollect(Job.events(job, { after: 0 }))
      const { jobs } = yield* Supervisor.snapshot({ name: "mine" })
      areShownWell({
        service: yield* Supervisor.Supervisor,
        layer: Supervisor.layer(),
        job,
        found: yield* Supervisor.find(job.id),
        status: yield* Job.status(job),
        listed: jobs,
        health: yield* Supervisor.health,
        counts: yield* Supervisor.counts,
        refusal: yield* Effect.flip(Supervisor.get("nobody")),
        report: yield* Job.cancelAll([job]),
        ...Object.fromEntries(events.map((event) => [event._tag, event]))
      })
      assert.lengthOf(events, 3)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 200 })), Effect.provide(Logger.layer([])))
  )

  it.effect("of what the failure hook is given", () =>
    Effect.gen(function* () {
      const heard: Array<unknown> = []
      const onFailure = (told: Supervisor.JobFailure) => Effect.sync(() => void heard.push(told))
      const supervisor = yield* Supervisor.make({ onFailure })
      yield* Effect.exit(supervisor.run(Effect.suspend(() => Effect.fail(failure()))))
      yield* supervisor.drain()
      assert.lengthOf(heard, 1)
      isShownWell("told", heard[0])
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
  )

  it.effect("of providers, policies, pools, models and stores, once used too", () =>
    Effect.gen(function* () {
      const cache = yield* ResponseCache.make({ timeToLive: "1 hour" })
      const spend = yield* SpendBudget.make({ tokens: 1_000_000 })
      const pool = yield* ProviderPool.make({ providers: { one: answering, two: answering } })
      const length = DurableJob.make("length", { payload: Schema.String, success: Schema.Finite })
      const policies = [cache.policy, ...Pipeline.standard({ spend, fallback: [wire] })]
      const held = yield* Effect.gen(function* () {
        const held = { model: yield* LanguageModel.LanguageModel, health: yield* Model.ModelHealth }
        yield* LanguageModel.generateText({ prompt })
        return { ...held, taken: yield* Model.health }
      }).pipe(Effect.provide(Model.layer({ provider: pool, policies })))
      yield* length.submit(prompt, { metadata: { secret } })
      areShownWell({
        ...held,
        wire,
        pool,
        policies,
        cache,
        spend,
        length,
        store: yield* JobStore.JobStore,
        retry: Retry.transient(),
        budget: RetryBudget.of(),
        fallback: Fallback.to(wire),
        breaker: CircuitBreaker.perModel(),
        layer: Model.layer({ provider: wire }),
        fetch: Fetch.make()
      })
    }).pipe(Effect.scoped, Effect.provide([Supervisor.layer(), JobStore.layerMemory()]))
  )

  it("of a client, and what it gives", async () => {
    await using client = Client.make({ model: answering })
    const before = Hash.hash(client)
    await client.generate(prompt)
    const stream = client.stream(prompt)
    await stream.response
    const job = await client.submit(() => Promise.reject(failure()), { name: "mine" })
    await job.result().catch(() => undefined)
    const gone = await client.job("nobody").catch((error: HoldfastError) => error)
    areShownWell({
      client,
      stream,
      parts: stream.parts,
      job,
      progress: job.progress,
      status: await job.status(),
      defined: client.define("more", () => prompt),
      health: await client.health(),
      listed: await client.jobs({ name: "mine" }),
      report: await client.drain(),
      gone
    })
    assert.strictEqual(Hash.hash(client), before)
    assert.strictEqual(
      inspect({ client, stream, job }, { breakLength: Infinity }),
      `{ client: Client {}, stream: TextStream {}, job: Job { id: '${job.id}' } }`
    )
    assert.strictEqual(JSON.stringify({ client, stream, job }), `{"client":{},"stream":{},"job":{"id":"${job.id}"}}`)
  })
})
