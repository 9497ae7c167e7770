/** Jobs that never wait leave the event loop its turns: timers, sockets, cancellations and time limits. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Supervisor } from "holdfast/supervisor"

/** Counts the turns of the event loop while something is done. */
const turnsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    let turns = 0
    let next = setImmediate(function turn() {
      turns++
      next = setImmediate(turn)
    })
    return Effect.ensuring(
      Effect.map(effect, () => turns),
      Effect.sync(() => clearImmediate(next))
    )
  })

const chain = (length: number) =>
  Effect.gen(function* () {
    let begun = 0
    const link: Effect.Effect<unknown, unknown, Supervisor.Supervisor> = Effect.suspend(() =>
      ++begun < length ? Supervisor.submit(link, { owner: "supervisor" }) : Effect.void
    )
    yield* Supervisor.submit(link)
    yield* Effect.repeat(Effect.sleep(1), { until: () => begun >= length })
  })

describe("the event loop", () => {
  it.live("has its turns between jobs that each submit the next", () =>
    Effect.gen(function* () {
      const short = yield* turnsOf(chain(1_000))
      assert.isAtLeast(yield* turnsOf(chain(9_000)), short + 2)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 2, retain: 0 })))
  )

  it.live("has them by time too, so that jobs that compute can be cancelled", () =>
    Effect.gen(function* () {
      let done = 0
      const computing = Effect.sync(() => {
        const until = performance.now() + 2
        while (performance.now() < until);
        done++
      })
      yield* Supervisor.pauseName("computing")
      for (let n = 0; n < 200; n++) yield* Supervisor.submit(computing, { name: "computing" })
      yield* Supervisor.resumeName("computing")
      yield* Effect.sleep("5 millis")
      yield* Supervisor.cancelAll()
      assert.isBelow(done, 100)
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )
})
