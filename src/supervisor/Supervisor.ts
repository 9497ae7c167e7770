/**
 * Owns every background fiber: submit work, find it, wait for it, cancel it, drain.
 *
 * Jobs live in the scope of the supervisor's layer. Closing it ends every job, finalizers included, so nothing that was
 * submitted can outlive it.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Job, Supervisor } from "holdfast/supervisor"
 *
 * const program = Effect.gen(function* () {
 *   const job = yield* Supervisor.submit(Effect.succeed(42), { name: "answer" })
 *   return yield* Job.join(job)
 * })
 * await Effect.runPromise(Effect.provide(program, Supervisor.layer())) // => 42
 * ```
 */
import { type Config, Context, Duration, Effect, type Exit, Layer, Record, type Scope, Stream } from "effect"
import type { EventsMissed, JobEvent } from "../core/JobEvent.ts"
import * as Drain from "./Drain.ts"
import * as Job from "./Job.ts"
import { Expired, JobError, NotFound } from "./JobError.ts"
import { CurrentJob, recordOf } from "./records/JobRecord.ts"
import type { Counts, Filter } from "./records/JobTable.ts"
import type { JobFailure } from "./FailureHook.ts"
import * as Health from "./operations/Health.ts"
import { Lifecycle } from "./Lifecycle.ts"
import * as Periodic from "./operations/Periodic.ts"
import * as Settings from "./lifecycle/Settings.ts"
import * as Submit from "./operations/Submit.ts"

export type { Entry as DrainEntry, Options as DrainOptions, Report as DrainReport } from "./Drain.ts"
export type { Counts, Filter } from "./records/JobTable.ts"
export type { Health } from "./operations/Health.ts"
export type { Options as PeriodicOptions } from "./operations/Periodic.ts"
export type { JobFailure } from "./FailureHook.ts"
export type { Limits } from "./lifecycle/Settings.ts"
export { priorities, type Options as SubmitOptions } from "./operations/Submit.ts"

export interface Options<R = never> extends Settings.Limits {
  /** Hears of every job that failed, after it was logged. Its own failure is logged and emitted. Default: nothing. */
  readonly onFailure?: ((failure: JobFailure) => Effect.Effect<void, unknown, R>) | undefined
  /** How long `onFailure` may take for one job before it is given up. Default 5 seconds. */
  readonly onFailureTimeout?: Duration.Input | undefined
}

export const defaults = { ...Settings.defaults, onFailureTimeout: "5 seconds" } as const

/** Owns jobs. Made by {@link layer}; used through the functions of this module. */
export class Supervisor extends Context.Service<
  Supervisor,
  {
    /** Accepts work, and starts it in the background as soon as there is a slot. */
    readonly submit: <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options?: Submit.Options<E>
    ) => Effect.Effect<Job.Job<A, E>, JobError, Exclude<R, Scope.Scope>>
    /** Runs work as a job and waits for it. */
    readonly run: <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options?: Submit.Options<E>
    ) => Effect.Effect<A, E | JobError, Exclude<R, Scope.Scope>>
    /** Finds a job's handle. */
    readonly find: (id: string) => Effect.Effect<Job.Job<unknown, unknown>, JobError>
    /** Lists the jobs that match. */
    readonly list: (filter?: Filter) => Effect.Effect<ReadonlyArray<Job.JobStatus>>
    /** Finds the handles of all jobs that match. */
    readonly select: (filter?: Filter) => Effect.Effect<ReadonlyArray<Job.Job<unknown, unknown>>>
    /** Counts jobs, and model calls, by state. */
    readonly counts: Effect.Effect<Counts & { readonly calls: Counts }>
    /** Follows what happens. */
    readonly events: (options?: { readonly after?: number | undefined }) => Stream.Stream<JobEvent | EventsMissed>
    /** Repeats work in the background. */
    readonly every: <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options: Periodic.Options
    ) => Effect.Effect<Job.Job<void, never>, JobError, Exclude<R, Scope.Scope>>
    /** Takes stock. */
    readonly health: Effect.Effect<Health.Health>
    /** Drops what need not be kept. */
    readonly prune: Effect.Effect<void>
    /** Comes to rest. */
    readonly drain: (options?: Drain.Options) => Effect.Effect<Drain.Report>
  }
>()("holdfast/supervisor/Supervisor") {}

/**
 * Makes a supervisor for the layer's scope. Closing the scope interrupts every job and waits for all finalizers.
 *
 * Rejects options that are not whole numbers in range with a `RangeError`.
 */
export const layer = <R = never>(options: Options<R> = {}): Layer.Layer<Supervisor, never, R> =>
  Layer.effect(Supervisor, make(options))

/**
 * Makes a supervisor whose limits are read from configuration: `HOLDFAST_CONCURRENCY`, `HOLDFAST_MAX_PENDING`,
 * `HOLDFAST_TIMEOUT` and so on, one for each limit of {@link Options} in capitals. Limits in `options` hold where none is
 * configured. Fails with a `ConfigError` that names the key which is wrong.
 */
export const layerConfig = <R = never>(
  options: Options<R> & { readonly prefix?: string | undefined } = {}
): Layer.Layer<Supervisor, Config.ConfigError, R> =>
  Layer.effect(
    Supervisor,
    Effect.flatMap(Settings.config(options.prefix ?? "HOLDFAST"), (limits) =>
      make({ ...options, ...Record.filter(limits, (limit) => limit !== undefined) })
    )
  )

/** Makes a supervisor for the current scope; {@link layer} is this as a layer. */
export const make = <R = never>(
  options: Options<R> = {}
): Effect.Effect<Supervisor["Service"], never, R | Scope.Scope> => {
  const settings = Settings.fromLimits(options)
  const limit = Duration.fromInputUnsafe(options.onFailureTimeout ?? defaults.onFailureTimeout)
  return Effect.gen(function* () {
    const context = yield* Effect.context<R>()
    const run = (failure: JobFailure) =>
      options.onFailure === undefined ? Effect.void : Effect.provideContext(options.onFailure(failure), context)
    const lifecycle = yield* Effect.acquireRelease(
      Effect.sync(() => new Lifecycle(settings, { run, limit }, context)),
      close
    )
    const lag = yield* upkeep(lifecycle, settings.upkeepEvery)
    return Supervisor.of({
      submit: (effect, submitOptions) => Submit.submit(lifecycle, settings, effect, submitOptions),
      run: (effect, submitOptions) => Submit.run(lifecycle, settings, effect, submitOptions),
      find: (id) => findIn(lifecycle, id),
      list: (filter) => Effect.sync(() => lifecycle.table.select(filter ?? {}).map((record) => record.status())),
      select: (filter) => Effect.sync(() => lifecycle.table.select(filter ?? {})),
      counts: Effect.sync(() => ({ ...lifecycle.table.counts("job"), calls: lifecycle.table.counts("call") })),
      events: (eventOptions) => lifecycle.events.follow(eventOptions?.after),
      every: (effect, periodicOptions) => Periodic.every(lifecycle, settings, effect, periodicOptions),
      health: Effect.sync(() => Health.snapshot(lifecycle, settings, lag())),
      prune: Effect.sync(() => lifecycle.table.prune(lifecycle.now())),
      drain: (drainOptions) => Drain.drain(lifecycle, drainOptions)
    })
  })
}

/**
 * Starts work in the background and gives its handle at once.
 *
 * The job runs in the caller's context, in a scope of its own that closes when it ends. It waits while `concurrency` jobs
 * run. Submitted from inside a job, it belongs to that job and ends with it.
 *
 * Fails with a `JobError`: `QueueFull`, `DuplicateId`, or `NotAccepting` once the supervisor drains or has closed.
 */
export const submit = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: Submit.Options<E>
): Effect.Effect<Job.Job<A, E>, JobError, Exclude<R, Scope.Scope> | Supervisor> =>
  Effect.contextWith((context: Context.Context<Supervisor>) => Context.get(context, Supervisor).submit(effect, options))

/**
 * Runs work as a job and waits for it: {@link submit} and `Job.join` in one, except that the job ends with its caller.
 *
 * Interrupting the caller cancels the job and waits until it has ended. A job that several callers run, by one
 * `idempotencyKey`, is cancelled when the last of them is interrupted, and not at all when one of them submitted it.
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: Submit.Options<E>
): Effect.Effect<A, E | JobError, Exclude<R, Scope.Scope> | Supervisor> =>
  Effect.contextWith((context: Context.Context<Supervisor>) => Context.get(context, Supervisor).run(effect, options))

/**
 * Finds a job by its id. The handle is untyped, for only the submitter knows the types.
 *
 * Fails with a `JobError`: `Expired` when the supervisor gave out this id and no longer keeps the record, else `NotFound`.
 */
export const find = (id: string): Effect.Effect<Job.Job<unknown, unknown>, JobError, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.find(id))

/** Tells how a job is right now. Fails as {@link find}. */
export const get = (id: string): Effect.Effect<Job.JobStatus, JobError, Supervisor> =>
  Effect.flatMap(find(id), Job.status)

/** Cancels a job by its id: see `Job.cancel`. Fails as {@link find}. */
export const cancel = (
  id: string,
  options?: { readonly reason?: string | undefined }
): Effect.Effect<Job.JobStatus, JobError, Supervisor> => Effect.flatMap(find(id), (job) => Job.cancel(job, options))

/**
 * Waits for a job's end by its id: see `Job.await`. Fails as {@link find}, and with `StillRunning` when `limit` passes.
 */
const await_ = (
  id: string,
  options?: { readonly limit?: Duration.Input | undefined }
): Effect.Effect<Exit.Exit<unknown, unknown>, JobError, Supervisor> =>
  Effect.flatMap(find(id), (job) => Job.await(job, options))
export { await_ as await }

/** Lists the jobs and calls that match, in the order in which they were submitted. Default: all that are known. */
export const list = (filter?: Filter): Effect.Effect<ReadonlyArray<Job.JobStatus>, never, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.list(filter))

/** Finds the handles of all jobs and calls that match, in the order in which they were submitted. Default: all known. */
export const select = (filter?: Filter): Effect.Effect<ReadonlyArray<Job.Job<unknown, unknown>>, never, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.select(filter))

/** Counts jobs by state, and model calls in `calls`: pending and running ones now, ended ones since the start. */
export const counts: Effect.Effect<Counts & { readonly calls: Counts }, never, Supervisor> = Effect.flatMap(
  Supervisor,
  (supervisor) => supervisor.counts
)

/**
 * Follows what happens to jobs, in order and without gaps, until the supervisor closes.
 *
 * `after: n` gives the events n+1, n+2, …, so a reader can leave and come back; `after: 0` gives all that are kept.
 * Default: what happens from now on. A reader that is behind the bounded history gets `EventsMissed` in place of what
 * it missed.
 */
export const events = (options?: {
  readonly after?: number | undefined
}): Stream.Stream<JobEvent | EventsMissed, never, Supervisor> =>
  Stream.unwrap(Effect.map(Supervisor, (supervisor) => supervisor.events(options)))

/**
 * Repeats work in the background on an interval, a `Schedule` or a `Cron`, and gives the handle of the job that does.
 *
 * Each round is a job of its own. A failed round is recorded, logged and given to the failure hook; the next one begins
 * all the same. Periodic jobs take no slot, and end when the supervisor drains or closes.
 */
export const every = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: Periodic.Options
): Effect.Effect<Job.Job<void, never>, JobError, Exclude<R, Scope.Scope> | Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.every(effect, options))

/**
 * Waits until all jobs and calls that live now, and match, have ended; at most for `limit` when there is one.
 *
 * Fails with the `JobError` `StillRunning` of one that has not ended by then; no job is touched. Periodic jobs, which do
 * not end by themselves, are waited for only when the filter asks for that kind. From inside a job, that job and its
 * owners are left out.
 */
export const awaitAll = (
  filter?: Filter,
  options?: { readonly limit?: Duration.Input | undefined }
): Effect.Effect<void, JobError, Supervisor> => Effect.flatMap(living(filter), (jobs) => Job.awaitAll(jobs, options))

/**
 * Cancels all jobs and calls that live now, and match, and waits until they have ended: see `Job.cancel`. Leaves out what
 * {@link awaitAll} leaves out.
 */
export const cancelAll = (
  filter?: Filter,
  options?: { readonly reason?: string | undefined }
): Effect.Effect<void, never, Supervisor> => Effect.flatMap(living(filter), (jobs) => Job.cancelAll(jobs, options))

/** Takes stock: counts, rates, what waits longest, what is stuck, and one score from 100 to 0. */
export const health: Effect.Effect<Health.Health, never, Supervisor> = Effect.flatMap(
  Supervisor,
  (supervisor) => supervisor.health
)

/** Drops the records and results that need not be kept any longer, as upkeep does by itself. */
export const prune: Effect.Effect<void, never, Supervisor> = Effect.flatMap(
  Supervisor,
  (supervisor) => supervisor.prune
)

/**
 * Comes to rest: accepts no more jobs, cancels those that wait, lets those that run finish until the deadline, then
 * interrupts them. Gives a report that names every job and what became of it.
 *
 * A running job may still submit jobs of its own, for they are part of its work. Interrupting the drain leaves the
 * supervisor closed to new jobs.
 */
export const drain = (options?: Drain.Options): Effect.Effect<Drain.Report, never, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.drain(options))

const living = (filter: Filter = {}): Effect.Effect<ReadonlyArray<Job.Job<unknown, unknown>>, never, Supervisor> =>
  Effect.gen(function* () {
    const current = yield* CurrentJob
    const jobs = yield* select({ state: ["pending", "running"], ...filter })
    return jobs.filter((job) => {
      const isWanted = filter.kind === "periodic" || recordOf(job).kind !== "periodic"
      return isWanted && current?.isWithin(recordOf(job)) !== true
    })
  })

// Also for what cannot be seen otherwise: records that grow old while nothing happens, and a blocked event loop.
const upkeep = (lifecycle: Lifecycle, interval: Duration.Duration) =>
  Effect.gen(function* () {
    let lagMillis = 0
    const round = Effect.gen(function* () {
      const due = lifecycle.now() + Duration.toMillis(interval)
      yield* Effect.sleep(interval)
      lagMillis = Math.max(0, lifecycle.now() - due)
      lifecycle.table.prune(lifecycle.now())
    })
    if (Duration.isFinite(interval)) yield* Effect.forkScoped(Effect.forever(round))
    return () => lagMillis
  })

const findIn = (lifecycle: Lifecycle, id: string): Effect.Effect<Job.Job<unknown, unknown>, JobError> =>
  Effect.suspend(() => {
    const record = lifecycle.table.get(id)
    if (record !== undefined) return Effect.succeed(record)
    return Effect.fail(new JobError({ id, reason: lifecycle.table.hasIssued(id) ? new Expired() : new NotFound() }))
  })

const close = (lifecycle: Lifecycle) =>
  Effect.suspend(() => {
    lifecycle.refuse("closed")
    lifecycle.stopAll("supervisor closed")
    return Effect.ensuring(
      lifecycle.awaitIdle,
      Effect.sync(() => lifecycle.events.close())
    )
  })
