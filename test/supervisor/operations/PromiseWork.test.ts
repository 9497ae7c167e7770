import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, ManagedRuntime } from "effect"
import { PolicyReason } from "holdfast/core"
import { Job, type JobError, Supervisor } from "holdfast/supervisor"

const quiet = Logger.layer([])

/** A runtime for plain TypeScript, disposed when the test ends. */
const using = async (options: Supervisor.Options, test: (runtime: Runtime) => Promise<void>): Promise<void> => {
  const runtime = ManagedRuntime.make(Layer.merge(Supervisor.layer(options), quiet))
  try {
    await test(runtime)
  } finally {
    await runtime.dispose()
  }
}
type Runtime = ManagedRuntime.ManagedRuntime<Supervisor.Supervisor, never>

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener("abort", abort)
  })

/** A few turns of the event loop. */
const turns = async (): Promise<void> => {
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve))
}

const dressed = (cause: unknown): never => {
  throw new Error("could not go on", { cause })
}

/** As a block of `await using` rejects whose disposal rejects too. */
const suppressing = (block: Promise<unknown>, disposal: Promise<unknown>): Promise<unknown> =>
  block.catch((suppressed: unknown) =>
    disposal.catch((error: unknown) =>
      Promise.reject(Object.assign(new Error("two"), { name: "SuppressedError", error, suppressed }))
    )
  )

const notAccepted = { _tag: "NotAccepted", description: "Job job-3 was refused" } as const

const thrownBy = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => assert.fail("it did not fail"),
    (thrown: unknown) => thrown
  )

const endOf = async (runtime: Runtime, work: Job.PromiseFunction<unknown>): Promise<Exit.Exit<unknown, unknown>> =>
  runtime.runPromise(Effect.flatMap(Supervisor.submit(Job.promise(work)), Job.await))

describe("a job made of an async function", () => {
  it("has ended, and given its slot back, only when the function has", () =>
    using({ concurrency: 1 }, async (runtime) => {
      let running = 0
      let most = 0
      const work = Job.promise(async ({ signal }) => {
        most = Math.max(most, ++running)
        try {
          await aborted(signal)
        } finally {
          await turns()
          running--
        }
      })
      const first = await runtime.runPromise(Supervisor.submit(work))
      await turns()
      await runtime.runPromise(Supervisor.submit(work))
      const { state } = await runtime.runPromise(Job.cancel(first))
      await turns()
      assert.deepStrictEqual({ state, most, running }, { state: "cancelled", most: 1, running: 1 })
      await runtime.dispose()
      assert.deepStrictEqual({ most, running }, { most: 1, running: 0 })
    }))

  it("keeps its slot and is stuck for as long as the function ignores its signal", () =>
    using({ concurrency: 1, stuckAfter: "1 millis", upkeepEvery: "1 hour" }, async (runtime) => {
      let end = () => {}
      const deaf = Job.promise(() => new Promise<void>((resolve) => (end = resolve)))
      await runtime.runPromise(Supervisor.submit(deaf, { name: "deaf" }))
      await turns()
      const report = await runtime.runPromise(Supervisor.drain({ deadline: "5 millis", interruptLimit: "5 millis" }))
      const { stuck } = await runtime.runPromise(Supervisor.health)
      assert.deepStrictEqual(
        [
          report.clean,
          ...report.jobs.map(({ name, outcome }) => `${name}: ${outcome}`),
          ...stuck.map(({ name }) => name)
        ],
        [false, "deaf: still running", "deaf"]
      )
      end()
    }))

  it.each<[string, Job.PromiseFunction<unknown>, unknown]>([
    ["a rejection", async () => Promise.reject(new Error("page 7 is missing")), "Error: page 7 is missing"],
    [
      "a throw before the first await",
      () => {
        throw new TypeError("not now")
      },
      "TypeError: not now"
    ],
    ["a rejection with undefined", () => Promise.reject(), "undefined"],
    ["an abort of its own", () => Promise.reject(new DOMException("mine", "AbortError")), "AbortError: mine"],
    [
      "a thenable whose then throws",
      () => ({
        get then(): never {
          throw new Error("then")
        }
      }),
      "Error: then"
    ]
  ])("fails with what was thrown: %s", (_, work, said) =>
    using({}, async (runtime) => {
      const exit = await endOf(runtime, work)
      assert(Exit.isFailure(exit))
      assert.strictEqual(String(Cause.squash(exit.cause)), said)
      assert.isFalse(Cause.hasDies(exit.cause))
    })
  )

  it("gives what is no promise, and what a thenable gives", () =>
    using({}, async (runtime) => {
      assert.strictEqual(await runtime.runPromise(Supervisor.run(Job.promise(() => 42))), 42)
      const thenable = { then: (resolve: (value: number) => void) => resolve(7) } as PromiseLike<number>
      assert.strictEqual(await runtime.runPromise(Supervisor.run(Job.promise(() => thenable))), 7)
    }))

  it("keeps what was thrown when `catch` throws over it", () =>
    using({}, async (runtime) => {
      const fail = (thrown: unknown): never => {
        throw new Error(`cannot translate ${typeof thrown}`)
      }
      const work = Job.promise(() => Promise.reject(new Error("disk full")), { catch: fail })
      const job = await runtime.runPromise(Supervisor.submit(work))
      await thrownBy(runtime.runPromise(Job.join(job)))
      const { error } = await runtime.runPromise(Job.status(job))
      assert.strictEqual(error, "Error: cannot translate object; Error: disk full")
    }))

  it("has the typed error that `catch` makes", () =>
    using({}, async (runtime) => {
      const work = Job.promise(() => Promise.reject(new Error("no")), {
        catch: (thrown) => ({ _tag: "Mine", thrown }) as const
      })
      const handled = Supervisor.run(work).pipe(Effect.catchTag("Mine", ({ thrown }) => Effect.succeed(String(thrown))))
      assert.strictEqual(await runtime.runPromise(handled), "Error: no")
    }))

  it("is cancelled without a failure when its signal's abort comes back, however it is dressed", () =>
    using({}, async (runtime) => {
      const dressed = [
        (reason: unknown) => reason,
        (reason: unknown) => new Error("request failed", { cause: reason }),
        () => Object.assign(new Error("canceled"), { code: "ERR_CANCELED" })
      ]
      for (const dress of dressed) {
        const job = await runtime.runPromise(
          Supervisor.submit(
            Job.promise(({ signal }) => aborted(signal).catch((reason) => Promise.reject(dress(reason))))
          )
        )
        await turns()
        await runtime.runPromise(Job.cancel(job, { reason: "enough" }))
        const exit = await runtime.runPromise(Job.await(job))
        assert(Exit.isFailure(exit))
        assert.lengthOf(exit.cause.reasons, 1)
      }
    }))

  it.each<[string, Job.PromiseFunction<unknown, Supervisor.Supervisor>]>([
    ["a job of its own was refused", ({ run }) => run(() => 1)],
    ["the handle of one was", ({ submit }) => submit(() => 1)],
    ["its caller names the refusal as the cause", ({ run }) => run(() => 1).catch(dressed)],
    ["all of several were", ({ run }) => Promise.any([run(() => 1), run(() => 2).catch(dressed)])],
    [
      "its disposal was, too",
      ({ run }) =>
        suppressing(
          run(() => 1),
          run(() => 2)
        )
    ],
    ["an Effect of another runtime was interrupted", ({ signal }) => Effect.runPromise(Effect.never, { signal })],
    ["a model's call was refused", () => Promise.reject(PolicyReason.toAiError("Model", notAccepted))]
  ])("is cancelled, or late, without a word of it when after the abort %s", (_, work) => {
    const heard: Array<string | undefined> = []
    const onFailure: Supervisor.Options["onFailure"] = ({ job }) => Effect.sync(() => heard.push(job.error))
    return using({ onFailure }, async (runtime) => {
      const after = Job.promise<unknown, Supervisor.Supervisor>(async (tools) => {
        await aborted(tools.signal).catch(() => {})
        return await work(tools)
      })
      const cancelled = await runtime.runPromise(Supervisor.submit(after))
      await runtime.runPromise(Supervisor.submit(after, { timeout: 1 }))
      await turns()
      const { error, state } = await runtime.runPromise(Job.cancel(cancelled, { reason: "enough" }))
      await runtime.runPromise(Supervisor.awaitAll())
      await turns()
      assert.deepStrictEqual(
        [state, error, heard],
        [
          "cancelled",
          "JobError: Job job-1 was cancelled: enough",
          ["JobError: Job job-2 ran longer than its timeout of 1ms"]
        ]
      )
    })
  })

  it("is cancelled where the abort of its owner comes to it another way, before its own", () => {
    const heard: Array<string> = []
    return using({ onFailure: ({ job }) => Effect.sync(() => heard.push(job.name)) }, async (runtime) => {
      const work = Job.promise(async ({ run, signal }) => {
        const mine = new AbortController()
        signal.addEventListener("abort", () => mine.abort())
        await run(() => aborted(mine.signal), { name: "child" })
      })
      const owner = await runtime.runPromise(Supervisor.submit(work))
      await turns()
      await runtime.runPromise(Job.cancel(owner))
      await turns()
      const [child] = await runtime.runPromise(Supervisor.list({ name: "child" }))
      assert.deepStrictEqual([child?.state, heard], ["cancelled", []])
    })
  })

  it("tells of a clean-up that failed after the abort", () => {
    const heard: Array<string | undefined> = []
    return using({ onFailure: ({ job }) => Effect.sync(() => heard.push(job.error)) }, async (runtime) => {
      const work = Job.promise(({ signal }) =>
        aborted(signal).catch(() => Promise.reject(new Error("roll-back failed")))
      )
      const job = await runtime.runPromise(Supervisor.submit(work))
      await turns()
      await runtime.runPromise(Job.cancel(job, { reason: "enough" }))
      await turns()
      assert.deepStrictEqual(heard, ["JobError: Job job-1 was cancelled: enough; Error: roll-back failed"])
    })
  })

  it("says in the signal's reason why it aborts", () =>
    using({}, async (runtime) => {
      let reason: unknown
      const work = Job.promise(({ signal }) => aborted(signal).catch((error: unknown) => void (reason = error)))
      const job = await runtime.runPromise(Supervisor.submit(work))
      await turns()
      await runtime.runPromise(Job.cancel(job, { reason: "the user left" }))
      assert.strictEqual(String(reason), "AbortError: the job was cancelled: the user left")
    }))
})

describe("the jobs of an async function", () => {
  it("lend it their slot: it runs them at a concurrency of 1, at any depth", () =>
    using({ concurrency: 1 }, async (runtime) => {
      const work = Job.promise(async ({ run }) => {
        const [one, two] = await Promise.all([
          run(async ({ run }) => run(async () => "deep")),
          run(Effect.succeed("an Effect"))
        ])
        return `${one}, ${two}`
      })
      assert.strictEqual(await runtime.runPromise(Supervisor.run(work)), "deep, an Effect")
    }))

  it("belong to it, and its reports are its own", () =>
    using({}, async (runtime) => {
      const parent = await runtime.runPromise(
        Supervisor.submit(
          Job.promise(async ({ report, submit }) => {
            report({ fraction: 0.5 }, "half")
            await submit(({ signal }) => aborted(signal), { name: "child" })
          })
        )
      )
      await runtime.runPromise(Job.join(parent))
      const [child] = await runtime.runPromise(Supervisor.list({ name: "child" }))
      const { progress } = await runtime.runPromise(Job.status(parent))
      assert.deepInclude(child, { state: "cancelled", parentId: parent.id })
      assert.deepInclude(progress, { fraction: 0.5, message: "half" })
    }))

  it("end when it is cancelled, and its wait with them", () =>
    using({ concurrency: 1 }, async (runtime) => {
      const order: Array<string> = []
      const work = Job.promise(async ({ run }) => {
        const child = run(({ signal }) => aborted(signal).finally(() => order.push("child cleaned up")))
        await child.catch((error: unknown) => order.push(String(error)))
      })
      const parent = await runtime.runPromise(Supervisor.submit(work))
      await turns()
      await runtime.runPromise(Job.cancel(parent, { reason: "enough" }))
      assert.deepStrictEqual(order, ["child cleaned up", "AbortError: the job was cancelled: enough"])
    }))

  it("fail with their own errors", () =>
    using({ concurrency: 1 }, async (runtime) => {
      const mine = new Error("mine")
      const work = Job.promise(({ run }) => thrownBy(run(() => Promise.reject(mine))))
      assert.strictEqual(await runtime.runPromise(Supervisor.run(work)), mine)
    }))

  it("that nobody waited for reject with the reason when it settles first", () =>
    using({}, async (runtime) => {
      let left: Promise<unknown> | undefined
      await runtime.runPromise(
        Supervisor.run(
          Job.promise(async ({ run }) => {
            left = thrownBy(run(Effect.never))
            await turns()
          })
        )
      )
      const error = (await left) as JobError.JobError
      assert.strictEqual(error.reason._tag, "NotAccepting")
    }))

  it("are named where an Effect is wanted and an async function is given", () =>
    using({}, async (runtime) => {
      const work = (async () => 1) as unknown as Effect.Effect<number>
      const error = await thrownBy(runtime.runPromise(Supervisor.submit(work)))
      assert.include(String(error), "Supervisor.submit takes an Effect: make one of an async function by Job.promise")
    }))

  it("are no Effects that it gives and nobody runs", () =>
    using({}, async (runtime) => {
      const inner = Supervisor.run(Effect.succeed(1))
      for (const work of [async () => inner, () => inner, ({ run }: Job.PromiseTools) => run(async () => inner)]) {
        const exit = await endOf(runtime, work)
        const error = Exit.isFailure(exit) && Cause.squash(exit.cause)
        assert.match(String(error), /^RangeError: the function of Job.promise gave an Effect, which nobody has run: /)
      }
      // An exit is a value, and so is an error, which in Effect may be an Effect too.
      for (const value of [Exit.fail("no"), new Cause.NoSuchElementError()]) {
        const exit = await endOf(runtime, async () => value)
        assert.strictEqual(Exit.isSuccess(exit) && exit.value, value)
      }
    }))

  it("are not started once it has settled", () =>
    using({}, async (runtime) => {
      let late: Job.PromiseTools["run"] | undefined
      await runtime.runPromise(Supervisor.run(Job.promise(async ({ run }) => void (late = run))))
      assert(late !== undefined)
      const error = (await thrownBy(late(() => 1))) as JobError.JobError
      assert.strictEqual(error.reason._tag, "NotAccepting")
    }))

  it("are refused by their own names, and by that of the job which would own them", () =>
    using({}, async (runtime) => {
      const said: Array<unknown> = []
      const work = Job.promise(async ({ run, signal, submit }) => {
        await aborted(signal).catch(() => {})
        for (const options of [
          { name: 'a "page"\n' },
          { id: "page-1", name: "page" },
          undefined,
          { name: 7 as never }
        ]) {
          said.push((await thrownBy(run(() => 1, options))) as Error)
        }
        said.push(await thrownBy(submit(() => 1, { id: "page-2" })))
      })
      const job = await runtime.runPromise(Supervisor.submit(work, { name: "document" }))
      await turns()
      await runtime.runPromise(Job.cancel(job))
      const why = 'was refused: the job that would own it, "document" (job-1), is ending'
      assert.deepStrictEqual(said.map(String), [
        `JobError: Job "a \\"page\\"\\n" ${why}`,
        `JobError: Job "page" (page-1) ${why}`,
        `JobError: A job ${why}`,
        `JobError: A job ${why}`,
        `JobError: Job page-2 ${why}`
      ])
      assert.deepInclude(JSON.parse(JSON.stringify(said[1])), {
        id: "page-1",
        jobName: "page",
        reason: {
          _tag: "NotAccepting",
          message: why,
          because: "parent ending",
          parentId: "job-1",
          parentName: "document"
        }
      })
    }))

  it("are cancelled, with nobody's rejection unhandled, when it settles without waiting for them", () =>
    using({}, async (runtime) => {
      await runtime.runPromise(
        Supervisor.run(
          Job.promise(async ({ run }) => {
            void run(({ signal }) => aborted(signal), { name: "left behind" })
            await turns()
          })
        )
      )
      await turns()
      const [child] = await runtime.runPromise(Supervisor.list({ name: "left behind" }))
      assert.strictEqual(child?.state, "cancelled")
    }))
})
