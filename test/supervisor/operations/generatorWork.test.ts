import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { Job, Supervisor } from "holdfast/supervisor"

const pages = async function* () {
  yield 1
}
const list = function* () {
  yield 1
}

const given = list as unknown as Effect.Effect<void>

it("Job.promise refuses a generator function, of which a call runs nothing", () => {
  for (const work of [pages, list]) {
    assert.throws(
      () => Job.promise(work as never),
      RangeError,
      "Job.promise takes an async function, not a generator function, of which a call runs nothing"
    )
  }
})

it.effect("what a supervisor is given in place of an Effect says how to make one", () =>
  Effect.gen(function* () {
    const doors = [Supervisor.submit(given), Supervisor.run(given), Supervisor.every(given, { name: "n", schedule: 1 })]
    for (const door of doors) {
      const exit = yield* Effect.exit<unknown, unknown, Supervisor.Supervisor>(door)
      assert.include(
        String(Exit.isFailure(exit) && Cause.squash(exit.cause)),
        "takes an Effect: make one of a generator function by Effect.gen, got"
      )
    }
  }).pipe(Effect.provide(Supervisor.layer()))
)
