import { once } from "node:events"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, ManagedRuntime } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"
import * as Uncaught from "../../src/core/Uncaught.ts"

/** What the process hears of while the test's own listener stands in for the runner's. */
const heard = async (act: () => Promise<void> | void): Promise<unknown> => {
  const others = process.listeners("uncaughtException")
  process.removeAllListeners("uncaughtException")
  const next = once(process, "uncaughtException")
  try {
    await act()
    return (await next)[0]
  } finally {
    for (const other of others) process.on("uncaughtException", other)
  }
}

describe("a callback that throws", () => {
  it("holds up no other, and its error reaches the process", async () => {
    const ran: Array<number> = []
    const bug = new Error("a bug in a callback")
    const error = await heard(() =>
      Uncaught.runAll([
        () => ran.push(1),
        () => {
          throw bug
        },
        () => ran.push(3)
      ])
    )
    assert.deepStrictEqual([ran, error], [[1, 3], bug])
  })

  it("leaves nobody asleep who waits for the same job or for another", async () => {
    const runtime = ManagedRuntime.make(Layer.merge(Supervisor.layer(), Logger.layer([])))
    const submit = () => runtime.runPromise(Supervisor.submit(Effect.sleep(5)))
    const [one, two] = [await submit(), await submit()]
    const error = await heard(async () => {
      runtime.runCallback(Job.join(one), {
        onExit: () => {
          throw new Error("a bug in a callback")
        }
      })
      await Promise.all([runtime.runPromise(Job.join(one)), runtime.runPromise(Job.join(two))])
    })
    assert.strictEqual(String(error), "Error: a bug in a callback")
    await runtime.dispose()
  })
})
