import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Logger, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { JobEvent } from "holdfast/core"
import { Job, type JobError, Supervisor } from "holdfast/supervisor"
import { settle, whileTimePasses } from "./settle.ts"

const tagsOf = (events: ReadonlyArray<JobEvent.JobEvent | JobEvent.EventsMissed>) => events.map(({ _tag }) => _tag)

const allEvents = Effect.gen(function* () {
  const { position } = yield* Supervisor.snapshot()
  return yield* Supervisor.events({ after: 0 }).pipe(Stream.take(position), Stream.runCollect)
})

const only = <Tag extends JobEvent.JobEvent["_tag"]>(
  events: ReadonlyArray<JobEvent.JobEvent | JobEvent.EventsMissed>,
  tag: Tag
) => events.filter((event): event is Extract<JobEvent.JobEvent, { readonly _tag: Tag }> => event._tag === tag)

describe("the events of one job", () => {
  it.effect("are numbered by themselves, whatever happens to others meanwhile", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const job = yield* Supervisor.submit(Deferred.await(gate))
      yield* Supervisor.run(Effect.void)
      yield* Deferred.succeed(gate, undefined)
      const events = yield* Stream.runCollect(Job.events(job, { after: 0 }))
      assert.deepStrictEqual(
        events.map((event) => event._tag !== "EventsMissed" && [event._tag, event.jobSequence, event.jobId]),
        [
          ["JobSubmitted", 1, job.id],
          ["JobStarted", 2, job.id],
          ["JobCompleted", 3, job.id]
        ]
      )
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("are resumed by number without a gap, also by id and after the end", () =>
    Effect.gen(function* () {
      const { id } = yield* Supervisor.submit(Effect.void)
      const first = yield* Supervisor.events({ job: id, after: 0 }).pipe(Stream.take(1), Stream.runCollect)
      yield* Supervisor.awaitAll()
      const rest = yield* Stream.runCollect(Supervisor.events({ job: id, after: 1 }))
      assert.deepStrictEqual([tagsOf(first), tagsOf(rest)], [["JobSubmitted"], ["JobStarted", "JobCompleted"]])
      assert.deepStrictEqual(yield* Stream.runCollect(Supervisor.events({ job: id, after: 3 })), [])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("say what the history no longer has, by the job's own numbers", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never)
      for (let n = 0; n < 5; n++) yield* Supervisor.run(Effect.void)
      yield* Job.cancel(job)
      assert.deepStrictEqual(
        (yield* Stream.runCollect(Job.events(job, { after: 0 }))).map((event) =>
          event._tag === "EventsMissed" ? event : event._tag
        ),
        [{ _tag: "EventsMissed", jobId: job.id, from: 1, to: 2 }, "JobCancelled"]
      )
    }).pipe(Effect.provide(Supervisor.layer({ eventHistory: 4 })))
  )

  it.effect("fail for an id nobody has, and for nothing else", () =>
    Effect.gen(function* () {
      const none = yield* Effect.flip(Stream.runCollect(Supervisor.events({ job: "nobody", after: 0 })))
      assert.strictEqual(none.reason._tag, "NotFound")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it("have a type that tells whether they can fail", () => {
    const all: Stream.Stream<unknown, never, Supervisor.Supervisor> = Supervisor.events({ after: 0 })
    const one: Stream.Stream<unknown, JobError.JobError, Supervisor.Supervisor> = Supervisor.events({ job: "job-1" })
    // @ts-expect-error the events of a job by its id fail where there is no such job
    const wrong: Stream.Stream<unknown, never, Supervisor.Supervisor> = Supervisor.events({ job: "job-1" })
    assert.isTrue([all, one, wrong].every(Stream.isStream))
  })
})

describe("a snapshot", () => {
  it.effect("has the position from which its events go on", () =>
    Effect.gen(function* () {
      yield* Supervisor.run(Effect.void, { name: "before" })
      const running = yield* Supervisor.submit(Effect.never, { name: "running" })
      yield* settle
      const { jobs, position } = yield* Supervisor.snapshot({ state: "running" })
      yield* Job.cancel(running)
      const next = yield* Supervisor.events({ after: position }).pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(
        jobs.map(({ name }) => name),
        ["running"]
      )
      assert.deepStrictEqual(tagsOf(next), ["JobCancelled"])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("shows nothing whose events come later, and misses nothing whose events came before", () =>
    Effect.gen(function* () {
      const submitting = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 50 }), () =>
          Effect.andThen(Effect.yieldNow, Supervisor.submit(Effect.void))
        )
      )
      for (let looks = 0; looks < 20; looks++) {
        yield* Effect.yieldNow
        const { jobs, position } = yield* Supervisor.snapshot()
        const known = new Set(
          only(
            yield* Supervisor.events({ after: 0 }).pipe(Stream.take(position), Stream.runCollect),
            "JobSubmitted"
          ).map(({ jobId }) => jobId)
        )
        assert.deepStrictEqual(new Set(jobs.map(({ id }) => id)), known)
      }
      yield* Fiber.join(submitting)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("JobProgressed", () => {
  const chatty = Effect.gen(function* () {
    for (let n = 1; n <= 10_000; n++) {
      yield* Job.report({ done: n, total: 20_000 })
      if (n % 1_000 === 0) yield* Effect.sleep("100 millis")
    }
    yield* Job.report({ fraction: 0.9 }, "last")
  })

  it.effect("comes at most so often, and tells the last report before the end", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(chatty)
      yield* whileTimePasses(Job.join(job))
      const events = yield* allEvents
      assert.deepStrictEqual(
        only(events, "JobProgressed").map(({ progress }) => progress.fraction),
        [0.25, 0.5, 0.9]
      )
      assert.strictEqual(events.at(-1)?._tag, "JobCompleted")
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is told of a job that reports once and goes on", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.andThen(Job.report({ fraction: 0.5 }, "half"), Effect.never))
      yield* TestClock.adjust("499 millis")
      assert.lengthOf(only(yield* allEvents, "JobProgressed"), 0)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(
        only(yield* allEvents, "JobProgressed").map(({ progress }) => progress),
        [{ fraction: 0.5, message: "half" }]
      )
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(only(yield* allEvents, "JobProgressed"), 1)
      yield* Job.cancel(job)
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("fills no more than a part of the history at once, and lets every job have its turn", () =>
    Effect.gen(function* () {
      const work = Effect.forever(Effect.andThen(Job.report({ fraction: 0.1 }), Effect.sleep("10 millis")))
      const jobs = yield* Effect.forEach(Array.from({ length: 10 }), () => Supervisor.submit(work))
      yield* settle
      const { position } = yield* Supervisor.snapshot()
      yield* TestClock.adjust("2 seconds")
      const told = only(
        yield* Supervisor.events({ after: position }).pipe(Stream.take(16), Stream.runCollect),
        "JobProgressed"
      )
      assert.strictEqual((yield* Supervisor.snapshot()).position - position, 16)
      assert.deepStrictEqual(new Set(told.map(({ jobId }) => jobId)), new Set(jobs.map(({ id }) => id)))
    }).pipe(Effect.provide(Supervisor.layer({ eventHistory: 64 })))
  )

  it.effect("is left out but for the last one when it may come never", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(chatty)
      yield* whileTimePasses(Job.join(job))
      assert.deepStrictEqual(
        only(yield* allEvents, "JobProgressed").map(({ progress }) => progress.message),
        ["last"]
      )
    }).pipe(Effect.provide(Supervisor.layer({ progressEvery: Infinity })))
  )
})

describe("who asked for a cancellation", () => {
  it.effect("is in the event and in the status, also while the job has not ended", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const job = yield* Supervisor.submit(Effect.onInterrupt(Effect.never, () => Deferred.await(gate)))
      yield* settle
      const cancelling = yield* Effect.forkChild(Job.cancel(job, { reason: "too slow", by: "ada" }))
      yield* settle
      const ending = yield* Job.status(job)
      assert.deepStrictEqual([ending.state, ending.cancelledBy], ["running", { by: "ada", jobId: undefined }])
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(cancelling)).cancelledBy?.by, "ada")
      const [event] = only(yield* allEvents, "JobCancelled")
      assert.deepStrictEqual([event?.reason, event?.cancelledBy], ["too slow", { by: "ada", jobId: undefined }])
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("names the job in which it was asked", () =>
    Effect.gen(function* () {
      const victim = yield* Supervisor.submit(Effect.never)
      yield* Supervisor.run(Supervisor.cancelAll({ name: victim.name }), { id: "watchdog" })
      assert.deepStrictEqual((yield* Job.status(victim)).cancelledBy, { by: undefined, jobId: "watchdog" })
    }).pipe(Effect.provide(Supervisor.layer()))
  )

  it.effect("is nobody when the supervisor ends a job by itself", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Effect.never)
      yield* settle
      yield* Supervisor.drain({ deadline: 0 })
      assert.isUndefined((yield* Job.status(job)).cancelledBy)
      assert.notProperty(only(yield* allEvents, "JobCancelled")[0], "cancelledBy")
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("the time in which a slot was lent", () => {
  it.effect("is counted while it goes on, and told at the end", () =>
    Effect.gen(function* () {
      const child = Supervisor.run(Effect.sleep("3 seconds"))
      const job = yield* Supervisor.submit(Effect.andThen(Effect.delay(child, "1 second"), Effect.sleep("5 seconds")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Job.status(job)).lentMillis, 1_000)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Job.status(job)).lentMillis, 3_000)
      assert.deepStrictEqual(
        only(yield* allEvents, "JobCompleted").map(({ lentMillis }) => lentMillis),
        [undefined, 3_000]
      )
    }).pipe(Effect.provide(Supervisor.layer({ concurrency: 1 })))
  )

  it.effect("counts a job that ends while it has lent it", () =>
    Effect.gen(function* () {
      const job = yield* Supervisor.submit(Supervisor.run(Effect.never))
      yield* TestClock.adjust("2 seconds")
      yield* Job.cancel(job)
      assert.strictEqual((yield* Job.status(job)).lentMillis, 2_000)
    }).pipe(Effect.provide(Supervisor.layer()))
  )
})

describe("an event with a cause", () => {
  const unreadable = Object.defineProperty(new Error("x"), "message", {
    get: () => {
      throw new Error("no message")
    }
  })

  it.effect.each([
    ["an error", new Error("the disk is full", { cause: new Error("quota") }), /^Error: the disk is full.*quota/s],
    ["a text", "busy", /^busy$/],
    ["an error that cannot be read", unreadable, /./]
  ] as const)("says why in a text that JSON keeps: %s", ([, error, expected]) =>
    Effect.gen(function* () {
      const failing = Supervisor.run(Effect.fail(error), { retry: Schedule.recurs(1) })
      yield* Effect.exit(Effect.provide(failing, Logger.layer([Logger.make(() => assert.fail("a broken logger"))])))
      yield* settle
      const events = JSON.parse(JSON.stringify(yield* allEvents)) as ReadonlyArray<JobEvent.JobEvent>
      const told = events.flatMap((event) => ("error" in event ? [[event._tag, event.error] as const] : []))
      assert.sameMembers(
        told.map(([tag]) => tag),
        ["JobRetrying", "JobFailed", "FailureHookFailed", "FailureLogFailed", "FailureLogFailed"]
      )
      for (const [tag, text] of told) {
        assert.match(
          text,
          tag === "FailureLogFailed" ? /a broken logger/ : tag === "FailureHookFailed" ? /full hook/ : expected
        )
      }
    }).pipe(Effect.provide(Supervisor.layer({ onFailure: () => Effect.fail("full hook") })))
  )
})
