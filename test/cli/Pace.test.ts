import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { IdGenerator } from "effect/ai"
import { RateLimiter } from "effect/persistence"
import { TestClock } from "effect/testing"
import * as Pace from "../../src/cli/Pace.ts"
import { request, scripted } from "../policy/scripted.ts"

/** Sends `count` calls at once at this pace, and gives the times at which they were let through. */
const timesOf = (perMinute: number, count: number) =>
  Effect.gen(function* () {
    const times: Array<number> = []
    const { provider } = scripted([{}])
    const paced = yield* Pace.perMinute(perMinute)({
      ...provider,
      generateText: (options) =>
        Effect.andThen(
          Effect.map(Clock.currentTimeMillis, (now) => times.push(now)),
          provider.generateText(options)
        )
    })
    const call = paced.generateText(yield* request)
    const fiber = yield* Effect.forkChild(Effect.replicateEffect(call, count, { concurrency: "unbounded" }))
    for (let passed = 0; passed < (60_000 * count) / perMinute + 1_000; passed += 5) yield* TestClock.adjust(5)
    yield* Fiber.join(fiber)
    return times
  }).pipe(
    Effect.provide(RateLimiter.layer),
    Effect.provide(RateLimiter.layerStoreMemory),
    Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)
  )

describe("Pace", () => {
  it.effect("lets one call through every second at 60 a minute, none of them in a burst", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* timesOf(60, 6), [0, 1_000, 2_000, 3_000, 4_000, 5_000])
    })
  )

  it.effect("keeps within any limit over any minute, and uses it", () =>
    Effect.gen(function* () {
      const times = yield* timesOf(1_000, 1_500)
      for (const [at, time] of times.entries()) {
        assert.isAtLeast((times[at + 1_001] ?? Infinity) - time, 60_000)
      }
      assert.approximately(times.at(-1) ?? 0, 1_499 * 60, 500)
    })
  )

  it.effect("spreads high limits over each hundredth of a second", () =>
    Effect.gen(function* () {
      const times = yield* timesOf(60_000, 100)
      const busiest = Math.max(
        ...times.map((time) => times.filter((other) => other >= time && other < time + 10).length)
      )
      assert.isAtMost(busiest, 20)
      assert.approximately(times.at(-1) ?? 0, 90, 15)
    })
  )
})
