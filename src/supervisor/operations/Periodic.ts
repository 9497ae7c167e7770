/**
 * Repeats work in the background: a job that begins a round whenever its schedule says so.
 *
 * Each round is a job of its own and belongs to the periodic job. A round that fails is recorded, logged and given to the
 * failure hook like any other job; the next one begins all the same.
 */
import { Cron, Deferred, Duration, Effect, Pull, Random, type Scope } from "effect"
import * as Job from "../Job.ts"
import type { JobError } from "../JobError.ts"
import * as IdempotencyKey from "../records/IdempotencyKey.ts"
import { CurrentJob, type JobRecord, recordOf } from "../records/JobRecord.ts"
import type { Rounds } from "../records/Rounds.ts"
import type { Lifecycle } from "../lifecycle/Lifecycle.ts"
import type { Settings } from "../lifecycle/Settings.ts"
import { maxQueued, type Options, validate } from "./PeriodicOptions.ts"
import * as RoundTimes from "./RoundTimes.ts"
import * as Submit from "./Submit.ts"
import { rejectWork } from "./SubmitOptions.ts"

/** The round that runs. */
interface Running {
  readonly round: Job.Job<unknown, unknown>
  readonly ended: Deferred.Deferred<void>
  hasSkipped: boolean
  /** Whether somebody found that it has ended, and begins the one that waits for it. */
  isSeenTo: boolean
}

export const every = <A, E, R>(
  lifecycle: Lifecycle,
  settings: Settings,
  effect: Effect.Effect<A, E, R>,
  given: Options
): Effect.Effect<Job.Job<void, never>, JobError, Exclude<R, Scope.Scope>> => {
  validate(given)
  if (!Effect.isEffect(effect)) rejectWork("Supervisor.every", effect)
  // A copy: rounds to come are not changed by whoever changes what was given.
  const options = { ...given, metadata: { ...given.metadata } }
  const common = { name: options.name, kind: "periodic", metadata: options.metadata } as const
  const submitRound = (work: Effect.Effect<unknown, unknown, R>) =>
    Submit.submit(lifecycle, settings, work, { ...common, timeout: options.timeout })

  const loop = Effect.gen(function* () {
    const rounds = (yield* CurrentJob)?.rounds ?? noRounds()
    const { overlap = "skip" } = options
    // The round that runs; rounds never run side by side. `ended` is done once it is no longer this one.
    let running: Running | undefined
    let queued = 0

    const start: Effect.Effect<void, JobError, Exclude<R, Scope.Scope> | Scope.Scope> = Effect.gen(function* () {
      const round = yield* submitRound(effect)
      const ended = Deferred.makeUnsafe<void>()
      const begun: Running = { round, ended, hasSkipped: false, isSeenTo: false }
      running = begun
      rounds.started++
      const end = Effect.andThen(Job.await(round), seeToEnd(begun))
      yield* Effect.forkScoped(Effect.interruptible(Effect.ensuring(end, Deferred.succeed(ended, undefined))))
    }).pipe(Effect.uninterruptible)

    // Done by whoever first finds that the round has ended, as a whole: nobody else does what is left undone.
    const seeToEnd = Effect.fnUntraced(function* (ended: Running) {
      if (running !== ended || ended.isSeenTo) return
      ended.isSeenTo = true
      const failed = recordOf(ended.round).state === "failed"
      if (failed) rounds.failed++
      rounds.failedInARow = failed ? rounds.failedInARow + 1 : 0
      // Nobody else may begin a round between this one and the one that waits for it.
      if (queued === 0) running = undefined
      else {
        queued--
        yield* Effect.tapError(start, () =>
          Effect.sync(() => {
            running = undefined
          })
        )
      }
    }, Effect.uninterruptible)

    const awaitLast: Effect.Effect<void> = Effect.suspend(() =>
      running === undefined ? Effect.void : Effect.andThen(Deferred.await(running.ended), awaitLast)
    )

    const begin = Effect.gen(function* () {
      if (running !== undefined && recordOf(running.round).endedAtMillis !== undefined) yield* seeToEnd(running)
      if (running === undefined) return yield* start
      if (overlap === "cancel previous") {
        const { ended, round } = running
        yield* Job.cancel(round, { reason: "the next round begins" })
        yield* Deferred.await(ended)
        return yield* start
      }
      if (overlap === "queue" && queued < maxQueued) {
        queued++
        return
      }
      rounds.skipped++
      // One event for each round that took too long: a fast schedule would push everything else out of the history.
      if (!running.hasSkipped) lifecycle.emit(recordOf(running.round), { _tag: "RoundSkipped" })
      running.hasSkipped = true
    })

    const beginAll = Effect.gen(function* () {
      const { jitter, schedule } = options
      const putOff = jitter === undefined ? 0 : Math.floor((yield* Random.next) * Duration.toMillis(jitter))
      if (!Cron.isCron(schedule)) yield* Effect.sleep(putOff)
      const next = yield* RoundTimes.make(schedule, putOff)
      if (!Cron.isCron(schedule)) yield* begin
      yield* next.pipe(
        Effect.andThen(begin),
        Effect.forever,
        Pull.catchDone(() => Effect.void)
      )
    })

    yield* Effect.raceFirst(beginAll, lifecycle.awaitRefusal)
    yield* awaitLast
  }).pipe(
    // A round that is not accepted means that the end has come.
    Effect.catchTag("JobError", () => Effect.void)
  )

  const accepted = (record: JobRecord) => {
    Submit.keepGoing(record)
    // There from the first status on, and those of one that is joined are its own.
    record.rounds ??= noRounds()
  }
  const { id, idempotencyKey } = options
  return Submit.submit(lifecycle, settings, loop, { ...common, id, idempotencyKey }, accepted, (parts) => {
    const key = IdempotencyKey.of({ ...parts, isRepeated: true })
    // One that has ended, or was asked to, begins no further round: it is no reason not to start.
    const known = lifecycle.table.getByIdempotencyKey(key)
    if (known?.result !== undefined || known?.stop !== undefined) lifecycle.table.forgetIdempotencyKey(key)
    return key
  })
}

const noRounds = (): Rounds => ({ started: 0, failed: 0, skipped: 0, failedInARow: 0 })
