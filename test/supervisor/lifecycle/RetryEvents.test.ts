import { assert, it } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Job, Supervisor } from "holdfast/supervisor"

const attemptsTold = (job: Job.Job<unknown, unknown>) =>
  Effect.map(Stream.runCollect(Job.events(job, { after: 0 })), (events) =>
    events.flatMap((event) => (event._tag === "JobRetrying" ? [event.attempt] : []))
  )

it.effect("a retry without a pause leaves the history of events to the other jobs", () =>
  Effect.gen(function* () {
    const other = yield* Supervisor.submit(Effect.succeed(1))
    yield* Job.join(other)
    const failing = yield* Supervisor.submit(Effect.fail("always"), { retry: Schedule.recurs(2_000) })
    yield* Job.await(failing)
    assert.deepStrictEqual(yield* attemptsTold(failing), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    const tags = yield* Stream.runCollect(Job.events(other, { after: 0 }))
    assert.deepStrictEqual(
      tags.map(({ _tag }) => _tag),
      ["JobSubmitted", "JobStarted", "JobCompleted"]
    )
  }).pipe(Effect.provide(Supervisor.layer({ eventHistory: 100 })))
)

it.effect("a retry that pauses tells of every attempt, and one that is fast of ten in a second", () =>
  Effect.gen(function* () {
    const slow = yield* Supervisor.submit(Effect.fail("no"), {
      retry: Schedule.upTo(Schedule.spaced("100 millis"), { times: 25 })
    })
    const fast = yield* Supervisor.submit(Effect.fail("no"), {
      retry: Schedule.upTo(Schedule.spaced("50 millis"), { times: 25 })
    })
    for (let n = 0; n < 60; n++) yield* TestClock.adjust("50 millis")
    assert.deepStrictEqual(
      yield* attemptsTold(slow),
      Array.from({ length: 25 }, (_, index) => index + 1)
    )
    assert.deepStrictEqual(yield* attemptsTold(fast), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 21, 22, 23, 24, 25])
  }).pipe(Effect.provide(Supervisor.layer()))
)
