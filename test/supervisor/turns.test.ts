/** Jobs that never wait leave the event loop its turns: timers, sockets, cancellations and time limits. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Supervisor } from "holdfast/supervisor"

describe("the event loop", () => {
  it.live("has its turns between jobs that each submit the next", () =>
    Effect.gen(function* () {
      let begun = 0
      let before = 0
      let mostBetweenTurns = 0
      const look = () => {
        mostBetweenTurns = Math.max(mostBetweenTurns, begun - before)
        before = begun
      }
      const turn = () => {
        look()
        next = setImmediate(turn)
      }
      let next = setImmediate(turn)
      const link: Effect.Effect<unknown, unknown, Supervisor.Supervisor> = Effect.suspend(() =>
        ++begun < 20_000 ? Supervisor.submit(link, { owner: "supervisor" }) : Effect.void
      )
      yield* Supervisor.submit(link)
      yield* Effect.repeat(Effect.sleep(1), { until: () => begun >= 20_000 })
      clearImmediate(next)
      look()
      assert.isAtMost(mostBetweenTurns, 5_000)
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
