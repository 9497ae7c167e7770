/**
 * Repeats work in the background: a job that begins a round whenever its schedule says so.
 *
 * Each round is a job of its own and belongs to the periodic job. A round that fails is recorded, logged and given to the
 * failure hook like any other job; the next one begins all the same.
 */
import { Cron, Deferred, Duration, Effect, Pull, Random, Schedule, type Scope } from "effect"
import * as Job from "../Job.ts"
import type { JobError } from "../JobError.ts"
import { CurrentJob, recordOf, type Rounds } from "../records/JobRecord.ts"
import type { Lifecycle } from "../Lifecycle.ts"
import type { Settings } from "../lifecycle/Settings.ts"
import * as Submit from "./Submit.ts"

export interface Options {
  /** What it does, for people; its rounds have the same name. */
  readonly name: string
  /**
   * When rounds begin. With an interval or a `Schedule` the first begins at once, and a `Schedule` that ends ends the
   * periodic job; with a `Cron` the first begins when it says so.
   */
  readonly schedule: Duration.Input | Schedule.Schedule<unknown> | Cron.Cron
  /**
   * What to do when the round before has not ended: skip this one, let it follow (at most {@link maxQueued} do), or
   * cancel the one before. Default `skip`.
   */
  readonly overlap?: "skip" | "queue" | "cancel previous" | undefined
  /** The first round is put off by a random time up to this, so that many processes do not act as one. Default: none. */
  readonly jitter?: Duration.Input | undefined
  /** How long a round may run. Default: as long as it takes. */
  readonly timeout?: Duration.Input | undefined
  readonly metadata?: Submit.Options["metadata"]
}

/** How many rounds may wait for the one before them with `overlap: "queue"`; a further one is skipped. */
export const maxQueued = 100

export const every = <A, E, R>(
  lifecycle: Lifecycle,
  settings: Settings,
  effect: Effect.Effect<A, E, R>,
  options: Options
): Effect.Effect<Job.Job<void, never>, JobError, Exclude<R, Scope.Scope>> => {
  const common = { name: options.name, kind: "periodic", metadata: options.metadata } as const
  const submitRound = (work: Effect.Effect<unknown, unknown, R>) =>
    Submit.submit(lifecycle, settings, work, { ...common, timeout: options.timeout })

  const loop = Effect.gen(function* () {
    const rounds: Rounds = { started: 0, failed: 0, skipped: 0, failedInARow: 0 }
    const current = yield* CurrentJob
    if (current !== undefined) current.rounds = rounds
    const { overlap = "skip" } = options
    // The round that runs; rounds never run side by side. `ended` is done once it is no longer this one.
    let running: { readonly round: Job.Job<unknown, unknown>; readonly ended: Deferred.Deferred<void> } | undefined
    let queued = 0

    const start: Effect.Effect<void, JobError, Exclude<R, Scope.Scope> | Scope.Scope> = Effect.gen(function* () {
      const round = yield* submitRound(effect)
      const ended = Deferred.makeUnsafe<void>()
      running = { round, ended }
      rounds.started++
      yield* Effect.forkScoped(
        Effect.interruptible(Effect.ensuring(seeToEnd(round), Deferred.succeed(ended, undefined)))
      )
    }).pipe(Effect.uninterruptible)

    const seeToEnd = Effect.fnUntraced(function* (round: Job.Job<unknown, unknown>) {
      yield* Job.await(round)
      const failed = recordOf(round).state === "failed"
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
    })

    const awaitLast: Effect.Effect<void> = Effect.suspend(() =>
      running === undefined ? Effect.void : Effect.andThen(Deferred.await(running.ended), awaitLast)
    )

    const begin = Effect.gen(function* () {
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
      lifecycle.emit(recordOf(running.round), { _tag: "RoundSkipped" })
    })

    const beginAll = Effect.gen(function* () {
      if (options.jitter !== undefined) {
        const jitter = Duration.toMillis(options.jitter)
        yield* Effect.sleep(Duration.millis((yield* Random.next) * jitter))
      }
      const next = yield* Schedule.toStepWithSleep(scheduleOf(options.schedule))
      if (!Cron.isCron(options.schedule)) yield* begin
      yield* next(undefined).pipe(
        Effect.andThen(begin),
        Effect.forever,
        Pull.catchDone(() => Effect.void)
      )
    })

    yield* Effect.raceFirst(
      beginAll,
      Effect.map(lifecycle.awaitRefusal, () => {
        queued = 0
      })
    )
    yield* awaitLast
  }).pipe(
    // A parsed `Cron` does not fail to parse, and a round that is not accepted means that the end has come.
    Effect.catchTags({ CronParseError: Effect.die, JobError: () => Effect.void })
  )

  return Submit.submit(lifecycle, settings, loop, common)
}

const scheduleOf = (schedule: Options["schedule"]): Schedule.Schedule<unknown, unknown, Cron.CronParseError> => {
  if (Schedule.isSchedule(schedule)) return schedule as Schedule.Schedule<unknown>
  return Cron.isCron(schedule) ? Schedule.cron(schedule) : Schedule.fixed(schedule)
}
