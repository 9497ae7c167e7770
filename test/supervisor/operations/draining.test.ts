import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Supervisor } from "holdfast/supervisor"

const pass = (seconds: number) => Effect.replicateEffect(TestClock.adjust("100 millis"), seconds * 10)

it.effect.each(["skip", "queue", "cancel previous"] as const)(
  "once a drain has begun no round begins, and the one that runs ends by itself (overlap %s)",
  (overlap) =>
    Effect.gen(function* () {
      let begun = 0
      const round = Effect.andThen(
        Effect.sync(() => begun++),
        Effect.sleep("2500 millis")
      )
      yield* Supervisor.submit(Effect.sleep("20 seconds"))
      yield* Supervisor.every(round, { name: "watch", schedule: "1 second", overlap })
      yield* pass(1.5)
      const before = begun
      assert.isAbove(before, 0)
      const draining = yield* Effect.forkChild(Supervisor.drain({ deadline: "25 seconds" }))
      yield* pass(30)
      const { jobs } = yield* Fiber.join(draining)
      assert.strictEqual(begun, before)
      const watched = jobs.filter(({ name }) => name === "watch")
      assert.deepStrictEqual(
        watched.map(({ outcome }) => outcome),
        watched.map(() => "completed")
      )
    }).pipe(Effect.provide(Supervisor.layer()))
)

it.effect("says of each job which one owned it", () =>
  Effect.gen(function* () {
    yield* Supervisor.submit(Supervisor.run(Effect.never, { name: "page" }), { name: "document" })
    yield* TestClock.adjust("1 millis")
    const { jobs } = yield* Supervisor.cancelAll()
    assert.deepStrictEqual(
      jobs.map(({ name, parentId }) => [name, parentId]),
      [
        ["document", undefined],
        ["page", "job-1"]
      ]
    )
  }).pipe(Effect.provide(Supervisor.layer()))
)

it.effect("who waits for room is refused at once, though parts of a running job keep the queue full", () =>
  Effect.gen(function* () {
    yield* Supervisor.submit(Effect.andThen(Supervisor.submit(Effect.void), Effect.sleep("1 minute")))
    yield* TestClock.adjust("1 millis")
    const waiting = yield* Effect.forkChild(Effect.flip(Supervisor.submit(Effect.void, { whenFull: "wait" })))
    yield* TestClock.adjust("1 millis")
    assert.isUndefined(waiting.pollUnsafe())
    const draining = yield* Effect.forkChild(Supervisor.drain({ deadline: "2 minutes" }))
    yield* TestClock.adjust("1 millis")
    assert.isDefined(waiting.pollUnsafe())
    assert.strictEqual((yield* Fiber.join(waiting)).reason._tag, "NotAccepting")
    yield* TestClock.adjust("2 minutes")
    yield* Fiber.join(draining)
  }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1, maxPending: 1 })))
)
