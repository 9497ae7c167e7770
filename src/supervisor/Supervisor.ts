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
import { type Config, Context, type Duration, Effect, Layer, Record, Scope, Stream } from "effect"
import type { EventsMissed, JobEvent } from "../core/JobEvent.ts"
import { find } from "./operations/ById.ts"
import * as Closing from "./operations/Closing.ts"
import * as CancelOptions from "./operations/CancelOptions.ts"
import * as Drain from "./operations/Drain.ts"
import * as Job from "./Job.ts"
import { Expired, JobError, NotFound } from "./JobError.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import type { Filter } from "./records/Filter.ts"
import type { Counts } from "./records/JobTable.ts"
import { asEffect, type JobFailure, limitOf } from "./lifecycle/FailureHook.ts"
import * as Health from "./operations/Health.ts"
import { Lifecycle } from "./lifecycle/Lifecycle.ts"
import * as Upkeep from "./lifecycle/Upkeep.ts"
import * as Living from "./operations/Living.ts"
import * as Periodic from "./operations/Periodic.ts"
import type * as Report from "./operations/Report.ts"
import * as SafeText from "../core/SafeText.ts"
import * as Settings from "./lifecycle/Settings.ts"
import type { Options as PeriodicOptions } from "./operations/PeriodicOptions.ts"
import * as Submit from "./operations/Submit.ts"
import { maxText, type Options as SubmitOptions } from "./operations/SubmitOptions.ts"
import { type Snapshot, Supervisor } from "./operations/SupervisorService.ts"
import * as Waiting from "./operations/Waiting.ts"

export type { Options as DrainOptions } from "./operations/Drain.ts"
export type { TimeLimit } from "./operations/Living.ts"
export type { Entry as DrainEntry, Report as DrainReport } from "./operations/Report.ts"
export type { Filter } from "./records/Filter.ts"
export type { Counts } from "./records/JobTable.ts"
export type { Health } from "./operations/Health.ts"
export type { Snapshot } from "./operations/SupervisorService.ts"
export type { Options as PeriodicOptions } from "./operations/PeriodicOptions.ts"
export type { JobFailure } from "./lifecycle/FailureHook.ts"
export type { Limits } from "./lifecycle/Settings.ts"
export { priorities, type Options as SubmitOptions } from "./operations/SubmitOptions.ts"

export interface Options<R = never> extends Settings.Limits {
  /**
   * Hears of each job that failed, when it has ended; may use the supervisor; 16 at a time. It is not called for jobs that it
   * submits itself, nor for those that they submit. Default: nothing.
   */
  readonly onFailure?: ((failure: JobFailure) => Effect.Effect<void, unknown, R>) | undefined
  /** How long `onFailure` may take for one job before it is given up. Default 5 seconds. */
  readonly onFailureTimeout?: Duration.Input | undefined
}

const fields: OptionCheck.Fields<Options> = { ...Settings.fields, onFailure: true, onFailureTimeout: true }

/** What holds for the options that are not given. */
export const defaults = { ...Settings.defaults, onFailureTimeout: "5 seconds" } as const

export { Supervisor }
export { await, cancel, find, get, join, pause, progress, resume } from "./operations/ById.ts"

/**
 * Makes a supervisor for the layer's scope. Closing the scope interrupts every job and waits for all finalizers. A job that
 * closes the scope itself, and those that own it or wait for it, are interrupted and not waited for: they end when closing has.
 *
 * Once all have ended, records and results are dropped; a handle still gives what its own job came to.
 *
 * Throws a `RangeError` when it is called with an option that makes no sense or does not exist.
 */
export const layer = <R = never>(options: Options<R> = {}): Layer.Layer<Supervisor, never, Exclude<R, Supervisor>> =>
  Layer.effect(Supervisor, make(options))

/**
 * Makes a supervisor whose limits are read from configuration: `HOLDFAST_CONCURRENCY`, `HOLDFAST_MAX_PENDING`,
 * `HOLDFAST_TIMEOUT` and so on, one for each limit of {@link Options} in capitals. Limits in `options` hold where none is
 * configured. Fails with a `ConfigError` that names the key which is wrong.
 */
export const layerConfig = <R = never>(
  options: Options<R> & { readonly prefix?: string | undefined } = {}
): Layer.Layer<Supervisor, Config.ConfigError, Exclude<R, Supervisor>> => {
  const check = OptionCheck.of("Supervisor")
  check.fields(options, { ...fields, prefix: true })
  const { prefix = "HOLDFAST", ...given } = options
  check.text("prefix", prefix)
  return Layer.effect(
    Supervisor,
    Effect.flatMap(Settings.config(prefix), (limits) =>
      make({ ...given, ...Record.filter(limits, (limit) => limit !== undefined) })
    )
  )
}

/** Makes a supervisor for the current scope; {@link layer} is this as a layer. */
export const make = <R = never>(
  options: Options<R> = {}
): Effect.Effect<Supervisor["Service"], never, Exclude<R, Supervisor> | Scope.Scope> => {
  OptionCheck.of("Supervisor").fields(options, fields)
  const settings = Settings.fromLimits(options)
  const { onFailure, onFailureTimeout = defaults.onFailureTimeout } = options
  const limit = limitOf(onFailure, onFailureTimeout)
  return Effect.gen(function* () {
    const context = yield* Effect.context<Exclude<R, Supervisor>>()
    const hear = (failure: JobFailure) => (onFailure === undefined ? Effect.void : asEffect(onFailure(failure)))
    const run = (failure: JobFailure): Effect.Effect<void, unknown> =>
      // R is what the context has, and the supervisor itself.
      // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
      Effect.provideService(hear(failure), Supervisor, supervisor) as Effect.Effect<void, unknown>
    const hook = onFailure === undefined ? undefined : { run, limit }
    const lifecycle = new Lifecycle(settings, hook, context)
    // Not with the context of here: the job that closes it is known by the fiber that does.
    yield* Scope.addFinalizer(yield* Effect.scope, Closing.close(lifecycle, settings))
    const lag = yield* Upkeep.run(lifecycle, settings)
    const supervisor = Supervisor.of({
      submit: (effect, submitOptions) => Submit.submit(lifecycle, settings, effect, submitOptions),
      run: (effect, submitOptions) => Submit.run(lifecycle, settings, effect, submitOptions),
      find: (id) => findIn(lifecycle, id),
      list: (filter = {}) =>
        Effect.sync(() => lifecycle.table.select("Supervisor.list", filter).map((record) => record.status())),
      select: (filter = {}) => Effect.sync(() => lifecycle.table.select("Supervisor.select", filter)),
      snapshot: (filter = {}) =>
        Effect.sync(() => ({
          jobs: lifecycle.table.select("Supervisor.snapshot", filter).map((record) => record.status()),
          position: lifecycle.events.position
        })),
      counts: Effect.sync(() => ({ ...lifecycle.table.counts("job"), calls: lifecycle.table.counts("call") })),
      events: (eventOptions) => lifecycle.events.follow(Waiting.forAnyNews, eventOptions?.after),
      every: (effect, periodicOptions) => Periodic.every(lifecycle, settings, effect, periodicOptions),
      pauseName: (name) =>
        Effect.suspend(
          () => lifecycle.pauses.pauseName(checkName("pauseName", name), lifecycle.table.liveRecords) ?? Effect.void
        ),
      resumeName: (name) => Effect.sync(() => lifecycle.pauses.resumeName(checkName("resumeName", name))),
      health: Effect.sync(() => Health.snapshot(lifecycle, settings, lag())),
      prune: Effect.sync(() => Upkeep.prune(lifecycle, settings)),
      drain: (drainOptions) => Drain.drain(lifecycle, drainOptions)
    })
    return supervisor
  })
}

/**
 * Starts work in the background and gives its handle at once.
 *
 * The job runs in the caller's context, in a scope of its own that closes when it ends. It waits while `concurrency` jobs
 * run. Submitted from inside a job, it belongs to that job and ends with it.
 *
 * Fails with a `JobError`: `QueueFull`, `DuplicateId`, or `NotAccepting` once the supervisor drains or has closed, or when the
 * job it is submitted from is ending. An option that makes no sense, or work that is no Effect, is a `RangeError` as a defect.
 */
export const submit = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: SubmitOptions<E>
): Effect.Effect<Job.Job<A, E>, JobError, Exclude<R, Scope.Scope> | Supervisor> =>
  Effect.withFiber((fiber) => Context.getUnsafe(fiber.context, Supervisor).submit(effect, options))

/**
 * Runs work as a job and waits for it: {@link submit} and `Job.join` in one, except that the job ends with its caller.
 *
 * Interrupting the caller cancels the job and waits until it has ended. A job that several callers run, by one
 * `idempotencyKey`, is cancelled when the last of them is interrupted, and not at all when one of them submitted it.
 *
 * Fails as {@link submit} and as `Job.join`. An option that makes no sense is a `RangeError` as a defect.
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options?: SubmitOptions<E>
): Effect.Effect<A, E | JobError, Exclude<R, Scope.Scope> | Supervisor> =>
  Effect.withFiber((fiber) => Context.getUnsafe(fiber.context, Supervisor).run(effect, options))

/** Lists the jobs and calls that match, in the order in which they were submitted. Default: all that are known. */
export const list = (filter?: Filter): Effect.Effect<ReadonlyArray<Job.JobStatus>, never, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.list(filter))

/**
 * Lists the jobs and calls that match, as {@link list} does, together with the position to follow events from.
 *
 * Both are of the same moment: `events({ after: position })` goes on exactly where the list stands.
 */
export const snapshot = (filter?: Filter): Effect.Effect<Snapshot, never, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.snapshot(filter))

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
 * it missed. A job that waits for events lends its slot meanwhile, as in `Job.join`.
 *
 * With `job`, the id of a job, it follows that job alone by its own numbers, as `Job.events` does, and fails as both do.
 */
export function events(options?: {
  readonly after?: number | undefined
  readonly job?: undefined
}): Stream.Stream<JobEvent | EventsMissed, never, Supervisor>
export function events(options: {
  readonly after?: number | undefined
  readonly job: string
}): Stream.Stream<JobEvent | EventsMissed, JobError, Supervisor>
export function events(
  options: { readonly after?: number | undefined; readonly job?: string | undefined } = {}
): Stream.Stream<JobEvent | EventsMissed, JobError, Supervisor> {
  const check = OptionCheck.of("Supervisor.events")
  check.fields(options, { after: true, job: true })
  const { after, job } = options
  if (job !== undefined && after !== undefined) check.whole("after", after, 0)
  if (job !== undefined && typeof job !== "string") {
    check.reject("job", "the id of a job (with a handle, use Job.events)", job)
  }
  return job === undefined
    ? Stream.unwrap(Effect.map(Supervisor, (supervisor) => supervisor.events({ after })))
    : Stream.unwrap(Effect.map(find(job), (found) => Job.events(found, { after })))
}

/**
 * Repeats work in the background on an interval, a `Schedule` or a `Cron`, and gives the handle of the job that does.
 *
 * Each round is a job of its own. A failed round is recorded, logged and given to the failure hook; the next one begins
 * all the same. Periodic jobs take no slot, and end when the supervisor drains or closes.
 *
 * Fails with a `JobError`: `DuplicateId`, or `NotAccepting`. An option that makes no sense is a `RangeError` as a defect.
 */
export const every = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: PeriodicOptions
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
  options?: { readonly limit?: Living.TimeLimit | undefined }
): Effect.Effect<void, JobError, Supervisor> => {
  Living.checkLimits("Supervisor.awaitAll", filter, options?.limit)
  return Effect.flatMap(living(filter), (jobs) => Job.awaitAll(jobs, options))
}

/**
 * Cancels all jobs and calls that live now, and match, and waits until they have ended, at most for `limit` when there is
 * one: see `Job.cancel`. Leaves out what {@link awaitAll} leaves out.
 *
 * Gives a report like {@link drain}, which names every job that was cancelled and what became of it, and goes on accepting
 * jobs.
 */
export const cancelAll = (
  filter?: Filter,
  options?: Job.CancelOptions & { readonly limit?: Living.TimeLimit | undefined }
): Effect.Effect<Report.Report, never, Supervisor> => {
  Living.checkLimits("Supervisor.cancelAll", filter, options?.limit)
  const read = { ...CancelOptions.read("Supervisor.cancelAll", options, { limit: true }), limit: options?.limit }
  return Effect.flatMap(living(filter), (jobs) => Job.cancelAll(jobs, read))
}

/**
 * Holds back all jobs of a name, those that wait and those to come, and the rounds of periodic jobs: see `Job.pause`. Those
 * that run go on; calls are not held.
 *
 * At most 1,000 names are paused at the same time; a further one fails with the `JobError` `TooManyPaused`.
 */
export const pauseName = (name: string): Effect.Effect<void, JobError, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.pauseName(name))

/** Lets the jobs of a name go, but for those that were paused by themselves. */
export const resumeName = (name: string): Effect.Effect<void, never, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.resumeName(name))

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
 * A running job's own jobs still start, for they are part of its work, whether it submitted them before the drain or during
 * it. One that is paused stays so: it starts when it is resumed, or is cancelled at the deadline. Interrupting the drain leaves the supervisor closed to new jobs.
 *
 * Called inside a job, it does not wait for that job, other jobs that drain, and all that cannot end before these: those that
 * own them or wait for them. They are `caller`s in the report, are not interrupted at the deadline, and go on with the report.
 */
export const drain = (options?: Drain.Options): Effect.Effect<Report.Report, never, Supervisor> =>
  Effect.flatMap(Supervisor, (supervisor) => supervisor.drain(options))

const living = (filter: Filter | undefined) =>
  Effect.flatMap(Supervisor, (supervisor) => Living.living(supervisor, filter))

const findIn = (lifecycle: Lifecycle, id: string): Effect.Effect<Job.Job<unknown, unknown>, JobError> =>
  Effect.suspend(() => {
    if (typeof id !== "string") {
      throw new RangeError(
        `the id of a job is a text; this is ${typeof id === "object" ? "an object" : SafeText.of(id)}`
      )
    }
    const record = lifecycle.table.get(id)
    if (record !== undefined) return Effect.succeed(record)
    return Effect.fail(new JobError({ id, reason: lifecycle.table.hasIssued(id) ? new Expired() : new NotFound() }))
  })

const checkName = (owner: "pauseName" | "resumeName", name: string): string =>
  OptionCheck.of(`Supervisor.${owner}`).text("name", name, maxText)
