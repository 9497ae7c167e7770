/** The jobs of a client: async functions that somebody owns. */
import { assert, describe, it } from "@effect/vitest"
import { Client, fakeModel, HoldfastError, type Job, type JobTools } from "holdfast/promise"
import { z } from "zod"

const silent = () => Client.make({ log: false, jobs: { ids: "counted" } })

const rejection = (promise: Promise<unknown>): Promise<HoldfastError> =>
  promise.then(
    () => assert.fail("it was fulfilled"),
    (error) => error
  )

/** Work that goes on until its signal aborts, and then cleans up. */
const endless = () => {
  const { promise: started, resolve } = Promise.withResolvers<void>()
  const seen = { cleaned: false }
  const work = ({ signal }: JobTools): Promise<never> =>
    new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        seen.cleaned = true
        reject(signal.reason)
      })
      resolve()
    })
  return { work, started, seen }
}

const collect = async <A>(all: AsyncIterable<A>): Promise<ReadonlyArray<A>> => {
  const found: Array<A> = []
  for await (const each of all) found.push(each)
  return found
}

describe("a job that is ending", () => {
  const logged = () => {
    const lines: Array<string> = []
    const log = ({ level, message }: { readonly level: string; readonly message: string }) =>
      void lines.push(`${level} ${message}`)
    return { client: Client.make({ log, jobs: { ids: "counted" } }), lines }
  }

  it("ends although it reads the events and the progress of a job of its own, and is no failure", async () => {
    const { client, lines } = logged()
    for (const read of ["events", "progress"] as const) {
      const { started, work } = endless()
      const job = await client.submit(async ({ submit }) => {
        const child = await submit(work)
        await collect<unknown>(read === "events" ? child.events({ after: 0 }) : child.progress)
      })
      await started
      assert.strictEqual((await job.cancel()).state, "cancelled")
    }
    await client.close()
    assert.deepStrictEqual(lines, [])
  })

  it("is no failure when the client closes while it waits by the client's own methods", async () => {
    const { client, lines } = logged()
    const { started, work } = endless()
    await client.submit(() => client.run(work))
    await client.submit(async () => (await client.submit(work)).result())
    await started
    await client.close()
    assert.deepStrictEqual(lines, [])
  })
})

describe("a job", () => {
  it("has a handle that is no promise, and gives its result to whoever asks", async () => {
    await using client = silent()
    const job = await client.submit(async () => 42, { name: "answer", metadata: { user: "u-1" } })
    assert.notProperty(job, "then")
    assert.deepStrictEqual([job.id, await job.result(), await job.result()], ["job-1", 42, 42])
    const { error, metadata, name, state } = await job.status()
    assert.deepStrictEqual(
      { error, metadata, name, state },
      { error: undefined, metadata: { user: "u-1" }, name: "answer", state: "completed" }
    )
  })

  it("has a random id unless it is asked otherwise", async () => {
    await using client = Client.make()
    assert.match((await client.submit(() => 1)).id, /^job-[0-9a-f-]{36}$/)
  })

  it("fails with what its work threw, as it is, and is logged once", async () => {
    const logged: Array<string> = []
    await using client = Client.make({ log: ({ message }) => logged.push(message) })
    const mine = new TypeError("page 7 is missing")
    const job = await client.submit(() => Promise.reject(mine))
    assert.strictEqual(await rejection(job.result()), mine)
    assert.strictEqual(await rejection(client.run(() => Promise.reject(mine))), mine)
    assert.strictEqual((await job.status()).error, "TypeError: page 7 is missing")
    assert.strictEqual(logged.length, 2)
    assert.include(logged[0], "page 7 is missing")
  })

  it("tells onJobFailure of it, once, and the log which job it is about", async () => {
    const logged: Array<string> = []
    const heard: Array<ReadonlyArray<unknown>> = []
    const client = Client.make({
      log: ({ job, message }) => logged.push(`${job?.name}: ${message}`),
      onJobFailure: async ({ error, job }) => {
        heard.push([job.name, job.state, error])
        throw new Error("no alert today")
      }
    })
    const mine = new Error("disk full")
    const job = await client.submit(() => Promise.reject(mine), { name: "import" })
    assert.strictEqual(await rejection(job.result()), mine)
    const late = await client.submit(endless().work, { name: "late", timeout: 1 })
    assert.strictEqual((await rejection(late.result())).code, "timeout")
    const ended = await client.submit(endless().work, { name: "ended" })
    await ended.cancel()
    await client.close()
    assert.deepStrictEqual(heard.slice(0, 1), [["import", "failed", mine]])
    const [name, state, error] = heard[1] ?? []
    assert.deepStrictEqual([name, state], ["late", "failed"])
    assert(error instanceof HoldfastError && error.code === "timeout")
    assert.strictEqual(heard.length, 2)
    const failed = logged.filter((line) => line.includes("the failure hook failed"))
    assert.strictEqual(failed.length, 2)
    assert.match(failed[0] ?? "", /^import: .*no alert today/)
  })

  it("does not fail, nor is told to onJobFailure, when what it asks of the client is refused because that is closed", async () => {
    const heard: Array<unknown> = []
    const doors: Record<string, (client: Client) => Promise<unknown>> = {
      run: (client) => client.run(() => 1),
      submit: (client) => client.submit(() => 1),
      every: (client) => client.every("1 hour", () => {}, { name: "late" }),
      find: (client) => client.job("nobody")
    }
    for (const [name, door] of Object.entries(doors)) {
      for (const isAborted of [false, true]) {
        const client = Client.make({
          log: false,
          onJobFailure: ({ error }) => void heard.push([name, isAborted, error])
        })
        const closes = Promise.withResolvers<void>()
        const job = await client.submit(async ({ signal }) => {
          await closes.promise
          if (isAborted && !signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve))
          return await door(client)
        })
        while ((await job.status()).state !== "running") await new Promise(setImmediate)
        const closing = client.close()
        closes.resolve()
        await closing
        assert.strictEqual((await job.status()).state, "cancelled")
      }
    }
    assert.deepStrictEqual(heard, [])
  })

  it("tells onJobFailure and the log what failed beside its cancellation", async () => {
    const said: Array<string> = []
    await using client = Client.make({
      log: ({ message }) => said.push(message),
      onJobFailure: ({ error }) => void said.push(`hook: ${error}`)
    })
    const { started, work } = endless()
    const job = await client.submit(async (tools) => {
      await work(tools).catch(() => {})
      throw new Error("disk full")
    })
    await started
    await job.cancel("stop")
    await client.drain()
    assert.include(said, "hook: Error: disk full")
    assert.include(said.join(), "job failed: ")
    assert.strictEqual(said.filter((line) => line.includes("disk full")).length, 2)
  })

  it("lets nothing begin while it is being closed, for as long as a job cleans up", async () => {
    const client = Client.make({ log: false, jobs: { concurrency: 2, maxPending: 1 } })
    const begun = { now: 0, atClose: 0 }
    const { promise: started, resolve } = Promise.withResolvers<void>()
    const slow = ({ signal }: JobTools) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener("abort", () => setTimeout(reject, 60, signal.reason))
        resolve()
      })
    const counted = (tools: JobTools) => {
      begun.now++
      return endless().work(tools)
    }
    void client.run(slow)
    await started
    for (let n = 0; n < 5; n++) void client.submit(counted, { whenFull: "wait" })
    await client.every(5, () => void begun.now++, { name: "tick", overlap: "queue" })
    begun.atClose = begun.now
    await client.close()
    assert.strictEqual(begun.now, begun.atClose)
  })

  it("does not tell onJobFailure of what that brought about by the client, or an alert that fails would go on for ever", async () => {
    const heard: Array<string> = []
    const told = Promise.withResolvers<void>()
    const alert = () => Promise.reject(new Error("no mail today"))
    const client = Client.make({
      log: false,
      onJobFailure: async ({ job }) => {
        heard.push(job.name)
        if (heard.length > 9) return
        await client.run(alert, { name: "run" }).catch(() => {})
        await (await client.submit(alert, { name: "submitted" })).result().catch(() => {})
        const sends = async () => {
          await client.run(alert, { name: "run in it" }).catch(() => {})
          await client.submit(alert, { name: "submitted in it" })
        }
        await client.run(sends, { name: "sends" })
        await client.waitAll()
        const often = await client.every("1 hour", alert, { name: "often" })
        while ((await often.status()).rounds?.failed !== 1) await new Promise((resolve) => setImmediate(resolve))
        told.resolve()
      }
    })
    await client.run(alert, { name: "import" }).catch(() => {})
    await told.promise
    const { jobs } = await client.health()
    await client.close()
    assert.deepStrictEqual(heard, ["import"])
    assert.strictEqual(jobs.failureHook.missed, 5)
  })

  it("is known by its handle when the client is closed, too", async () => {
    const client = silent()
    const done = await client.submit(() => 42)
    const cut = await client.submit(endless().work)
    assert.strictEqual(await done.result(), 42)
    await client.close()
    assert.strictEqual(await done.result(), 42)
    assert.strictEqual((await done.status()).state, "completed")
    assert.strictEqual((await done.cancel()).state, "completed")
    assert.strictEqual((await rejection(cut.result())).code, "cancelled")
    assert.strictEqual((await cut.status()).state, "cancelled")
    assert.strictEqual((await rejection(client.job(done.id))).code, "closed")
  })

  it("reports how far it is, to the end", async () => {
    await using client = silent()
    let go = () => {}
    const started = new Promise<void>((resolve) => (go = resolve))
    const job = await client.submit(async ({ report }) => {
      await started
      report({ done: 1, total: 2 }, "half")
      report({ fraction: 1 })
    })
    const seen = collect(job.progress)
    go()
    assert.deepStrictEqual((await seen).at(-1), { fraction: 1, message: undefined })
  })

  it("tells what happens to it, from the start if asked", async () => {
    await using client = silent()
    const job = await client.submit(() => Promise.reject(new Error("no")))
    const events = await collect(job.events({ after: 0 }))
    assert.deepStrictEqual(
      events.map(({ error, sequence, type }) => [sequence, type, error]),
      [
        [1, "submitted", undefined],
        [2, "started", undefined],
        [3, "failed", "Error: no"]
      ]
    )
    assert.notProperty(events[2], "cause")
  })

  it("is cancelled with its clean-up, and its result says why", async () => {
    await using client = silent()
    const { seen, started, work } = endless()
    const job = await client.submit(work)
    await started
    assert.deepStrictEqual([(await job.cancel("not needed")).state, seen.cleaned], ["cancelled", true])
    const error = await rejection(job.result())
    assert.instanceOf(error, HoldfastError)
    assert.deepStrictEqual([error.code, error.message], ["cancelled", "Job job-1 was cancelled: not needed"])
  })

  it("runs out of time", async () => {
    await using client = silent()
    const error = await rejection(client.run(endless().work, { timeout: 5 }))
    assert.deepStrictEqual([error.code, error.message], ["timeout", "Job job-1 ran longer than its timeout of 5ms"])
  })

  it("goes on when the wait for it ends, by time or signal", async () => {
    await using client = silent()
    const { started, work } = endless()
    const job = await client.submit(work)
    await started
    assert.strictEqual((await rejection(job.result({ timeout: 5 }))).code, "still_running")
    const given = new AbortController()
    const waiting = rejection(job.result({ signal: given.signal }))
    given.abort()
    assert.strictEqual((await waiting).name, "AbortError")
    assert.strictEqual((await job.status()).state, "running")
  })

  it("ends with whoever runs it", async () => {
    await using client = silent()
    const caller = new AbortController()
    const { seen, started, work } = endless()
    const running = rejection(client.run(work, { signal: caller.signal }))
    await started
    caller.abort(new TypeError("enough"))
    assert.deepStrictEqual([(await running).message, seen.cleaned], ["enough", true])
  })

  it("starts jobs of its own, for which it lends its slot, and which end with it", async () => {
    await using client = Client.make({ log: false, jobs: { concurrency: 1, ids: "counted" } })
    const sum = await client.run(async ({ run, submit }) => {
      const two = await submit(() => 2)
      return (await run(() => 1)) + (await run(async ({ run }) => run(() => two.result())))
    })
    assert.strictEqual(sum, 3)
    const child = Promise.withResolvers<string>()
    const parent = await client.submit(async (tools) => {
      child.resolve((await tools.submit(endless().work)).id)
      return endless().work(tools)
    })
    const own = await client.job(await child.promise)
    await parent.cancel()
    assert.strictEqual((await own.status()).state, "cancelled")
  })

  it.each<[string, (tools: JobTools, client: Client) => Promise<unknown>, unknown]>([
    ["result", async ({ submit }) => (await submit(() => 1)).result(), 1],
    ["result within a time", async ({ submit }) => (await submit(() => 1)).result({ timeout: "1 minute" }), 1],
    ["progress", async ({ submit }) => collect((await submit(() => {})).progress), []],
    [
      "events",
      async ({ submit }) => (await collect((await submit(() => {})).events({ after: 0 }))).map(({ type }) => type),
      ["submitted", "started", "completed"]
    ],
    ["run of the client", async (_, client) => client.run(() => 1), 1],
    ["job of the client", async (_, client) => (await client.submit(() => 1)).result(), 1],
    ["waitAll", async ({ submit }, client) => (await submit(() => 1), client.waitAll({ name: "other" })), undefined],
    ["cancelAll", async (_, client) => (await client.cancelAll()).jobs, []],
    ["drain", async (_, client) => (await client.drain()).jobs.map(({ outcome }) => outcome), ["caller"]]
  ])("lends its slot to what it waits for, and does not wait for itself: %s", async (_, work, wanted) => {
    await using client = Client.make({ log: false, jobs: { concurrency: 1 } })
    assert.deepStrictEqual(await client.run((tools) => work(tools, client)), wanted)
  })

  it("cannot wait for itself", async () => {
    await using client = silent()
    const own = Promise.withResolvers<Job<unknown>>()
    const job = await client.submit(async () => rejection((await own.promise).result()))
    own.resolve(job)
    assert.strictEqual(((await job.result()) as HoldfastError).code, "waits_for_itself")
  })

  it("ends with the calls and runs that it began, and not with what it submitted apart", async () => {
    const model = fakeModel({ text: "late", delay: "1 hour" })
    await using client = Client.make({ model, log: false })
    const apart = Promise.withResolvers<Job<unknown>>()
    const { started, work } = endless()
    const job = await client.submit(async ({ signal }) => {
      const left = [
        rejection(client.generate("?")),
        rejection(client.run(work)),
        rejection(collect(client.stream("?")))
      ]
      await started
      apart.resolve(await client.submit(endless().work))
      await new Promise((aborted) => signal.addEventListener("abort", aborted))
      return Promise.all(left)
    })
    const other = await apart.promise
    await job.cancel()
    const running = await client.jobs({ state: "running" })
    assert.deepStrictEqual(
      running.map(({ id }) => id),
      [other.id]
    )
  })

  it("is not known any more to what its function leaves behind", async () => {
    await using client = Client.make({ log: false, jobs: { concurrency: 1 } })
    const later = Promise.withResolvers<unknown>()
    await client.run(() => void setTimeout(() => later.resolve(client.run(() => 1)), 20))
    assert.strictEqual(await later.promise, 1)
    assert.lengthOf(
      (await client.jobs()).filter(({ parentId }) => parentId !== undefined),
      0
    )
  })

  it("sees the errors of its own jobs as a client shows them", async () => {
    await using client = silent()
    const error = await client.run(({ run }) => rejection(run(endless().work, { timeout: 5 })))
    assert.deepStrictEqual([error instanceof HoldfastError, error.code], [true, "timeout"])
    assert.include(error.stack, "ClientJobs.test.ts")
  })
})

describe("all jobs", () => {
  it("are found, listed, counted, cancelled and waited for", async () => {
    await using client = silent()
    const { started, work } = endless()
    await client.submit(work, { name: "a", metadata: { kind: "sync" } })
    await started
    await client.submit(() => 1, { name: "b" })
    assert.strictEqual((await client.job("job-2")).id, "job-2")
    assert.deepStrictEqual(
      [(await rejection(client.job("job-9"))).code, (await rejection(client.job("x"))).code],
      ["not_found", "not_found"]
    )
    assert.strictEqual((await rejection(client.waitAll({}, { timeout: 5 }))).code, "still_running")
    assert.deepStrictEqual(
      (await client.jobs({ state: "running" })).map(({ name }) => name),
      ["a"]
    )
    const { clean, jobs } = await client.cancelAll({ metadata: { kind: "sync" } }, "stop")
    assert.deepStrictEqual([clean, jobs.map(({ name, outcome }) => `${name} ${outcome}`)], [true, ["a cancelled"]])
    await client.waitAll()
    const { calls, ...counts } = await client.counts()
    assert.deepStrictEqual(counts, { pending: 0, running: 0, completed: 1, failed: 0, cancelled: 1 })
    assert.strictEqual(calls.running, 0)
  })

  it("are refused when too many wait, or by an id that is taken", async () => {
    await using client = Client.make({ jobs: { concurrency: 1, maxPending: 0 }, log: false })
    await client.submit(endless().work, { id: "mine" })
    const full = await rejection(client.submit(() => 1))
    assert.deepStrictEqual([full.code, full.retryable], ["queue_full", true])
    assert.strictEqual((await rejection(client.submit(() => 1, { id: "mine" }))).code, "duplicate")
    assert.include((await rejection(client.submit(7 as never))).message, "must be an async function")
    assert.include((await rejection(client.submit(() => 1, { nmae: "x" } as never))).message, "did you mean name?")
  })

  it("are joined by an idempotencyKey", async () => {
    await using client = silent()
    let runs = 0
    const work = () => ++runs
    const ids = [await client.submit(work, { idempotencyKey: "k" }), await client.submit(work, { idempotencyKey: "k" })]
    assert.deepStrictEqual([await ids[1]?.result(), runs, ids[0]?.id === ids[1]?.id], [1, 1, true])
  })

  it("have the key of the job they belong to, and jobs apart have none", async () => {
    await using client = Client.make({ jobs: { keyConcurrency: 1 }, log: false })
    const work = async ({ run, submit }: JobTools) => {
      await run(() => 1, { name: "run" })
      await (await submit(() => 1, { name: "submit" })).result()
      await client.run(() => 1, { name: "client.run" })
      await run(() => 1, { name: "none", key: "" })
      await client.submit(() => 1, { name: "client.submit" })
    }
    await client.run(work, { name: "owner", key: "acme" })
    await client.waitAll()
    const keys = Object.fromEntries((await client.jobs()).map(({ key, name }) => [name, key]))
    const own = { owner: "acme", run: "acme", submit: "acme", "client.run": "acme" }
    assert.deepStrictEqual(keys, { ...own, none: "", "client.submit": "" })
  })
})

describe("a defined job", () => {
  it("has a name, and checks its input by a schema of any library", async () => {
    await using client = silent()
    const double = client.define(
      "double",
      async ({ n }, { report }) => {
        report({ fraction: 1 })
        return 2 * n
      },
      z.object({ n: z.coerce.number() })
    )
    assert.strictEqual(await double.run({ n: "21" }), 42)
    const job = await double.submit({ n: 1 }, { metadata: { user: "u" } })
    assert.deepStrictEqual([await job.result(), (await job.status()).name], [2, "double"])
    const error = await rejection(double.submit({ n: "many" }))
    assert.deepStrictEqual(
      [error.code, /^the input of double is refused: .* at n$/.test(error.message)],
      ["invalid_input", true]
    )
    assert.throws(() => client.define("double", () => 1), RangeError, "not defined yet")
  })

  it("may go without a schema", async () => {
    await using client = silent()
    const greet = client.define("greet", (name: string) => `Hello ${name}`)
    assert.strictEqual(await greet.run("kelp"), "Hello kelp")
  })
})

describe("work that repeats", () => {
  it("begins at once with an interval, goes on when a round fails, and is cancelled", async () => {
    await using client = silent()
    let rounds = 0
    let thirdRound = () => {}
    const third = new Promise<void>((resolve) => (thirdRound = resolve))
    const job = await client.every(
      1,
      async () => {
        if (++rounds === 2) throw new Error("once")
        if (rounds === 3) thirdRound()
      },
      { name: "tick" }
    )
    await third
    const { rounds: counted, state } = await job.cancel()
    assert.deepStrictEqual([state, counted?.failed], ["cancelled", 1])
  })

  it("takes a cron text with its time zone, and refuses what is none", async () => {
    await using client = silent()
    const nightly = await client.every("0 4 * * *", () => 1, { name: "nightly", timeZone: "Europe/Berlin" })
    const { kind, name } = await nightly.status()
    assert.deepStrictEqual([kind, name], ["periodic", "nightly"])
    assert.include((await rejection(client.every("0 4 * * 99", () => 1, { name: "x" }))).message, "a cron text such as")
    assert.include((await rejection(client.every("soon" as never, () => 1, { name: "x" }))).message, "schedule")
  })
})

describe("a client's life", () => {
  it("is told in numbers and in a line", async () => {
    await using client = Client.make({ model: fakeModel("yes"), jobs: { concurrency: 3 } })
    const { jobs, models, score } = await client.health()
    assert.deepStrictEqual([jobs.concurrency, Object.keys(models), score], [3, ["model"], 100])
    assert.strictEqual(await client.statusLine(), "jobs 0/3 | waiting 0 | 0/min, 0% failed | health 100")
  })

  it("comes to rest and says what became of each job", async () => {
    await using client = silent()
    const { started, work } = endless()
    await client.submit(work, { name: "long" })
    await started
    const { clean, jobs } = await client.drain({ deadline: 5 })
    assert.deepStrictEqual([clean, jobs.map(({ name, outcome }) => `${name} ${outcome}`)], [true, ["long cancelled"]])
    assert.strictEqual((await rejection(client.submit(() => 1))).code, "closed")
  })

  it("ends with all that runs, once, and says so to whoever comes later", async () => {
    const client = Client.make({ model: fakeModel({ text: "late", delay: "1 hour" }), log: false })
    const { seen, started, work } = endless()
    const job = await client.submit(work)
    await started
    const call = rejection(client.generate("?"))
    const stream = rejection(collect(client.stream("?")))
    const result = rejection(job.result())
    await client.health()
    await Promise.all([client.close(), client.close()])
    assert.isTrue(seen.cleaned)
    const codes = await Promise.all([call, stream, result, rejection(client.generate("?")), rejection(client.health())])
    assert.deepStrictEqual(
      codes.map(({ code }) => code),
      ["closed", "closed", "closed", "closed", "closed"]
    )
    for (const error of codes) assert.include(error.stack, "ClientJobs.test.ts")
  })
})
