import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { EventLog } from "../../src/supervisor/EventLog.ts"

const soon = (task: () => void) => void Promise.resolve().then(task)

const logOf = (capacity: number) => new EventLog(capacity, (millis) => 1_000 + millis, soon)

const write = (log: EventLog, count: number) => {
  for (let n = 0; n < count; n++) {
    log.append({ jobId: 1, givenName: "first", kind: "job" }, { _tag: "JobStarted" }, n)
  }
}

const places = (stream: ReturnType<EventLog["follow"]>) =>
  Effect.map(Stream.runCollect(stream), (events) =>
    events.map((event) => (event._tag === "EventsMissed" ? [event.from, event.to] : event.sequence))
  )

describe("EventLog", () => {
  it.effect("tells a reader behind the history which events it missed, then goes on without a gap", () =>
    Effect.gen(function* () {
      const log = logOf(4)
      write(log, 10)
      log.close()
      assert.deepStrictEqual(yield* places(log.follow(2)), [[3, 6], 7, 8, 9, 10])
    })
  )

  it.effect("tells a reader about a gap that opens while it reads", () =>
    Effect.gen(function* () {
      const log = logOf(4)
      write(log, 2)
      const seen = yield* places(
        log.follow(0).pipe(
          Stream.tap((event) =>
            Effect.sync(() => {
              if (event._tag === "JobStarted" && event.sequence === 2) {
                write(log, 7)
                log.close()
              }
            })
          )
        )
      )
      assert.deepStrictEqual(seen, [1, 2, [3, 5], 6, 7, 8, 9])
    })
  )

  it.effect("gives what happens from now on when no position is named", () =>
    Effect.gen(function* () {
      const log = logOf(8)
      write(log, 3)
      const reading = yield* Effect.forkChild(places(log.follow()))
      yield* Effect.yieldNow
      write(log, 2)
      log.close()
      assert.deepStrictEqual(yield* Fiber.join(reading), [4, 5])
    })
  )

  it.effect.prop(
    "gives any reader every number once, in order, counting what it was told it missed",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 12 }))),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
    ],
    ([capacity, bursts, after]) =>
      Effect.gen(function* () {
        const log = logOf(capacity)
        const reading = yield* Effect.forkChild(places(log.follow(after)))
        for (const burst of bursts) {
          write(log, burst)
          yield* Effect.yieldNow
        }
        log.close()
        const total = bursts.reduce((sum, burst) => sum + burst, 0)
        const expected = Array.from({ length: Math.max(0, total - after) }, (_, n) => after + 1 + n)
        const seen = (yield* Fiber.join(reading)).flatMap((place) => {
          if (typeof place === "number") return [place]
          const [from = 0, to = 0] = place
          return Array.from({ length: to - from + 1 }, (_, n) => from + n)
        })
        assert.deepStrictEqual(seen, expected)
      })
  )
})
