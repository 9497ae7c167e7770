import { AsyncLocalStorage } from "node:async_hooks"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, ManagedRuntime, Layer, Schedule } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const tenant = new AsyncLocalStorage<string>()

/** Has requests of five tenants at the same time; gives what each saw of itself. */
const requests = async (
  options: Supervisor.Options,
  request: (see: () => void) => Effect.Effect<unknown, unknown, Supervisor.Supervisor>
): Promise<ReadonlyArray<string>> => {
  const runtime = ManagedRuntime.make(Layer.merge(Supervisor.layer(options), Logger.layer([])))
  await runtime.runPromise(Effect.void)
  const seen: Array<string> = []
  const see = (own: string) => () => void seen.push(`${own} sees ${tenant.getStore()}`)
  await Promise.all(
    ["a", "b", "c", "d", "e"].map((own) => tenant.run(own, () => runtime.runPromise(request(see(own)))))
  )
  await runtime.dispose()
  return seen.toSorted()
}

const own = ["a", "b", "c", "d", "e"].map((each) => `${each} sees ${each}`)

const later = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("an async function sees the AsyncLocalStorage of whoever submitted its job", () => {
  it.each([1, 2, 50])("while %i jobs run at a time, also after it has waited", async (concurrency) => {
    const request = (see: () => void) =>
      Supervisor.run(
        Job.promise(async () => {
          await later()
          see()
        })
      )
    assert.deepStrictEqual(await requests({ concurrency }, request), own)
  })

  it("in each attempt, and in jobs of its own", async () => {
    const request = (see: () => void) => {
      let attempts = 0
      const work = Job.promise(async ({ run }) => {
        if (++attempts < 2) throw new Error("again")
        await run(async () => see())
      })
      return Supervisor.run(work, { retry: Schedule.recurs(1) })
    }
    assert.deepStrictEqual(await requests({ concurrency: 1 }, request), own)
  })

  it("or of where its owner stood when it submitted it", async () => {
    const request = (see: () => void) =>
      Supervisor.run(Job.promise(({ run }) => tenant.run("part", () => run(async () => see()))))
    assert.deepStrictEqual(
      await requests({ concurrency: 2 }, request),
      own.map((each) => each.replace(/\w$/, "part"))
    )
  })

  it("in the listener of its signal, whoever cancels it", async () => {
    const request = (see: () => void) => {
      const work = Job.promise(({ signal }) => {
        signal.addEventListener("abort", see)
        return new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()))
      })
      return Effect.gen(function* () {
        const job = yield* Supervisor.submit(work)
        yield* Effect.promise(later)
        yield* Effect.promise(() => tenant.run("the one who cancels", () => Effect.runPromise(Job.cancel(job))))
      })
    }
    assert.deepStrictEqual(await requests({ concurrency: 5 }, request), own)
  })

  it("in jobs of Effects that submit, and in rounds", async () => {
    const request = (see: () => void) => {
      const work = Job.promise(async () => see())
      const parent = Effect.andThen(Effect.yieldNow, Supervisor.run(work))
      const schedule = Schedule.recurs(0)
      return Effect.andThen(
        Supervisor.run(parent),
        Effect.flatMap(Supervisor.every(work, { name: "round", schedule }), Job.join)
      )
    }
    const twice = own.flatMap((each) => [each, each])
    assert.deepStrictEqual(await requests({ concurrency: 1 }, request), twice)
  })
})
