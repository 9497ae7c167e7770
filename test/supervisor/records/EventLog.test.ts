import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, identity, Schema, Stream } from "effect"
import type { JobEvent } from "holdfast/core"
import { JobError } from "holdfast/supervisor"
import { EventLog, type Followed } from "../../../src/supervisor/records/EventLog.ts"

const soon = (task: () => void) => void Promise.resolve().then(task)

const logOf = (capacity: number) => new EventLog(capacity, 1_000, (millis) => 1_000 + millis, soon)

const subject = (number: number): Followed => ({
  jobId: number,
  number,
  givenName: "first",
  kind: "job",
  eventCount: 0,
  latestEvent: 0,
  endedAtMillis: undefined
})

const write = (log: EventLog, count: number, job: Followed = subject(1)) => {
  for (let n = 0; n < count; n++) {
    log.append(job, { _tag: "JobStarted" }, n)
  }
}

const places = (stream: ReturnType<typeof EventLog.prototype.follow<never>>) =>
  Effect.map(Stream.runCollect(stream), (events) =>
    events.map((event) => (event._tag === "EventsMissed" ? [event.from, event.to] : event.sequence))
  )

/** All that is kept. A reader that comes after the end is given the events without what they carried. */
const whole = (log: EventLog) =>
  Effect.gen(function* () {
    const reading = yield* Effect.forkChild(Stream.runCollect(log.follow(identity, 0)), { startImmediately: true })
    log.close()
    return yield* Fiber.join(reading)
  })

/** The numbers of one job's events, with those it was told it missed. */
const ofJob = (stream: ReturnType<typeof EventLog.prototype.followJob<never>>) =>
  Effect.map(Stream.runCollect(stream), (events) =>
    events.flatMap((event) =>
      event._tag === "EventsMissed"
        ? Array.from({ length: event.to - event.from + 1 }, (_, n) => event.from + n)
        : [event.jobSequence]
    )
  )

describe("EventLog", () => {
  it.effect("tells a reader behind the history which events it missed, then goes on without a gap", () =>
    Effect.gen(function* () {
      const log = logOf(4)
      write(log, 10)
      log.close()
      assert.deepStrictEqual(yield* places(log.follow(identity, 2)), [[3, 6], 7, 8, 9, 10])
    })
  )

  it.effect("tells a reader whose position no event had that it missed all so far, then goes on", () =>
    Effect.gen(function* () {
      const log = logOf(8)
      const job = subject(1)
      const early = yield* Effect.forkChild(places(log.follow(identity, 5_000)))
      yield* Effect.yieldNow
      write(log, 3, job)
      const reader = yield* Effect.forkChild(places(log.follow(identity, 5_000)))
      const ofOne = yield* Effect.forkChild(ofJob(log.followJob(job, identity, 9)))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      write(log, 1, job)
      log.close()
      assert.deepStrictEqual(yield* Fiber.join(early), [1, 2, 3, 4])
      assert.deepStrictEqual(yield* Fiber.join(reader), [[1, 3], 4])
      assert.deepStrictEqual(yield* Fiber.join(ofOne), [1, 2, 3, 4])
    })
  )

  it.effect("tells a reader about a gap that opens while it reads", () =>
    Effect.gen(function* () {
      const log = logOf(4)
      write(log, 2)
      const seen = yield* places(
        log.follow(identity, 0).pipe(
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
      const reading = yield* Effect.forkChild(places(log.follow(identity)))
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
        const reading = yield* Effect.forkChild(places(log.follow(identity, after)))
        for (const burst of bursts) {
          write(log, burst)
          yield* Effect.yieldNow
        }
        log.close()
        const total = bursts.reduce((sum, burst) => sum + burst, 0)
        // The reader looks first after the first burst; a position that no event has by then is from before a restart.
        const start = after > (bursts[0] ?? 0) ? 0 : after
        const expected = Array.from({ length: total - start }, (_, n) => start + 1 + n)
        const seen = (yield* Fiber.join(reading)).flatMap((place) => {
          if (typeof place === "number") return [place]
          const [from = 0, to = 0] = place
          return Array.from({ length: to - from + 1 }, (_, n) => from + n)
        })
        assert.deepStrictEqual(seen, expected)
      })
  )

  it.effect("gives a reader of one job that job's events by their own numbers, and ends with the job", () =>
    Effect.gen(function* () {
      const log = logOf(8)
      const job = { ...subject(2), endedAtMillis: undefined as number | undefined }
      const reading = yield* Effect.forkChild(ofJob(log.followJob(job, identity, 0)))
      yield* Effect.yieldNow
      for (let n = 0; n < 3; n++) {
        write(log, 2)
        write(log, 1, job)
        yield* Effect.yieldNow
      }
      job.endedAtMillis = 0
      write(log, 1, job)
      assert.deepStrictEqual(yield* Fiber.join(reading), [1, 2, 3, 4])
    })
  )

  it.effect("does not mistake an event of an earlier job with the same id for one of this job", () =>
    Effect.gen(function* () {
      const log = logOf(8)
      write(log, 2, { ...subject(1), jobId: "again" })
      const job = { ...subject(2), jobId: "again" }
      write(log, 1, job)
      log.close()
      assert.deepStrictEqual(yield* ofJob(log.followJob(job, identity, 0)), [1])
    })
  )

  it.effect.prop(
    "gives a reader of one job every number once, in order, counting what it was told it missed",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
      Schema.Array(Schema.Array(Schema.Boolean)),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
    ],
    ([capacity, bursts, after]) =>
      Effect.gen(function* () {
        const log = logOf(capacity)
        const [job, other] = [subject(1), subject(2)]
        const reading = yield* Effect.forkChild(ofJob(log.followJob(job, identity, after)))
        for (const burst of bursts) {
          for (const isMine of burst) write(log, 1, isMine ? job : other)
          yield* Effect.yieldNow
        }
        log.close()
        const start = after > (bursts[0] ?? []).filter((isMine) => isMine).length ? 0 : after
        const expected = Array.from({ length: job.eventCount - start }, (_, n) => start + 1 + n)
        assert.deepStrictEqual(yield* Fiber.join(reading), expected)
      })
  )

  it.effect("lets go of what events carry when their job is not kept, and keeps it of the others", () =>
    Effect.gen(function* () {
      const log = logOf(8)
      for (const number of [1, 2]) {
        const job = { ...subject(number), jobId: "again" }
        log.append(job, { _tag: "JobSubmitted", metadata: { number }, parentId: undefined }, 0)
        log.append(job, { _tag: "JobFailed", cause: Cause.fail(number) }, 0)
      }
      log.strip(-1, (_, number) => number === 2)
      const events = yield* whole(log)
      assert.deepStrictEqual(
        events.map((event) => ("metadata" in event ? event.metadata : "cause" in event && Cause.squash(event.cause))),
        [{}, new JobError.JobError({ id: "again", jobName: "first", reason: new JobError.Expired() }), { number: 2 }, 2]
      )
    })
  )

  it.effect("lets go of what events carry when it has closed and its last reader has left", () =>
    Effect.gen(function* () {
      const log = logOf(8)
      const job = subject(1)
      log.append(job, { _tag: "JobSubmitted", metadata: { number: 1 }, parentId: undefined }, 0)
      log.append(job, { _tag: "JobFailed", cause: Cause.fail("no") }, 0)
      const contents = (event: JobEvent.JobEvent | JobEvent.EventsMissed) =>
        "metadata" in event ? event.metadata : "cause" in event && Cause.hasFails(event.cause) && event.error
      const follow = (reader: Stream.Stream<JobEvent.JobEvent | JobEvent.EventsMissed>) =>
        Effect.forkChild(
          Stream.runCollect(
            Stream.map(
              Stream.tap(reader, () => Effect.yieldNow),
              contents
            )
          )
        )
      const readers = yield* Effect.forEach([log.follow(identity, 0), log.followJob(job, identity, 0)], follow)
      yield* Fiber.interrupt(yield* follow(log.follow(identity, 0)))
      yield* Effect.yieldNow
      log.close()
      for (const reader of readers) assert.deepStrictEqual(yield* Fiber.join(reader), [{ number: 1 }, "no"])
      const late = yield* Stream.runCollect(Stream.map(log.follow(identity, 0), contents))
      assert.deepStrictEqual(late, [
        {},
        String(new JobError.JobError({ id: "job-1", jobName: "first", reason: new JobError.Expired() }))
      ])
    })
  )

  it.effect.prop(
    "keeps causes up to a number of bytes, the latest ones, however the ring goes round",
    [
      Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 600 })))
    ],
    ([capacity, lengths]) =>
      Effect.gen(function* () {
        const log = logOf(capacity)
        const job = subject(1)
        for (const length of lengths) {
          log.append(job, { _tag: "JobRetrying", attempt: 1, cause: Cause.fail("x".repeat(length)) }, 0)
          yield* Effect.yieldNow
        }
        const events = yield* whole(log)
        const kept = events.flatMap((event) => {
          if (event._tag === "EventsMissed") return []
          const error = "cause" in event ? Cause.squash(event.cause) : undefined
          return [typeof error === "string" ? error.length : undefined]
        })
        const latest = lengths.slice(Math.max(0, lengths.length - capacity))
        // All that fit from the end on: what is longer than the limit drops itself, and what is empty is never dropped alone.
        let bytes = 0
        const fits = latest.toReversed().map((length) => (bytes += 2 * length) <= 1_000)
        for (const [n, does] of fits.toReversed().entries()) if (does) assert.strictEqual(kept[n], latest[n])
        assert.isAtMost(2 * kept.reduce((sum: number, length) => sum + (length ?? 0), 0), 1_000)
      })
  )
})
