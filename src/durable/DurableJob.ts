/**
 * Defines jobs that survive a crash: submitted to a store by anybody, run by whichever worker has a handler for them.
 *
 * A durable job may be started more than once: when its worker is lost, it is started again. It ends once. What its handler does
 * outside has to bear that, for example by the job's id as an idempotency key.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Layer, Schema } from "effect"
 * import { DurableJob, JobStore } from "holdfast/durable"
 * import { Supervisor } from "holdfast/supervisor"
 *
 * const Length = DurableJob.make("length", { payload: Schema.String, success: Schema.Number })
 * const worker = DurableJob.layerWorker([Length.toHandler((text) => Effect.succeed(text.length))])
 *
 * const program = Effect.gen(function* () {
 *   const id = yield* Length.submit("holdfast")
 *   return yield* Effect.flatten(Length.await(id))
 * })
 * const services = Layer.provideMerge(worker, [JobStore.layerMemory(), Supervisor.layer()])
 * await Effect.runPromise(Effect.provide(program, services)) // => 8
 * ```
 */
import { Clock, Duration, Effect, type Exit, Layer, Option, Schedule, Schema, Stream } from "effect"
import type { Metadata } from "../core/JobEvent.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as Priority from "../core/queue/Priority.ts"
import type { Supervisor } from "../supervisor/Supervisor.ts"
import {
  Cancelled,
  Crashed,
  DurableJobError,
  NotFound,
  StillRunning,
  Undecodable,
  WorkerLost
} from "./DurableJobError.ts"
import * as Handlers from "./durable-job/Handler.ts"
import * as News from "./durable-job/News.ts"
import * as Texts from "./durable-job/Texts.ts"
import * as Worker from "./durable-job/Worker.ts"
import { type Cancellation, type Job, type JobEvent, JobStore, type Store } from "./JobStore.ts"
import type { JobStoreError } from "./JobStoreError.ts"

export type { Attempt, Handler } from "./durable-job/Handler.ts"

/** The forms of a job's data, and when it is tried again. */
export interface Definition<P, A, E, G> {
  readonly payload: Schema.Codec<P, unknown>
  readonly success: Schema.Codec<A, unknown>
  /** What a handler may fail with. Default: nothing. */
  readonly error?: Schema.Codec<E, unknown> | undefined
  /** What a handler reports of how far it is. Default: nothing. */
  readonly progress?: Schema.Codec<G, unknown> | undefined
  /**
   * When to try again after a failure, counted over all attempts since the job was submitted or queued again, whatever process
   * made them. Default: never.
   */
  readonly attempts?: Schedule.Schedule<unknown, E> | undefined
  /** Which form the payload has. Default 1. */
  readonly version?: number | undefined
}

export interface SubmitOptions {
  /** Names the job for good; a second submission with it joins the first. Default: one made at random. */
  readonly id?: string | undefined
  /** Joins the job of the same name and `key` that was submitted with this one and is still kept. Default: none. */
  readonly idempotencyKey?: string | undefined
  /** Who it is for: shares limits and takes turns with other keys. Default: nobody. */
  readonly key?: string | undefined
  /** How urgent it is within its key. Default `normal`. */
  readonly priority?: Priority.Priority | undefined
  /** How long not to start it. Default: not at all. */
  readonly delay?: Duration.Input | undefined
  /** Facts to find it by. Default: none. */
  readonly metadata?: Metadata | undefined
}

export interface WorkerOptions {
  /** How many jobs run at the same time, as far as the supervisor lets them. Default 8. */
  readonly concurrency?: number | undefined
  /** Names the worker to people. Default `worker`. */
  readonly worker?: string | undefined
  /** How often to look when no signal comes, and to renew claims: below the store's `lease`. Default 1 second. */
  readonly poll?: Duration.Input | undefined
}

/** What holds where options say nothing. */
export const defaults = { concurrency: 8, worker: "worker", poll: "1 second" } as const

/** Jobs of one name, with the types of what they are given and give. */
export interface DurableJob<P, A, E, G> {
  readonly name: string
  /** Keeps a job, and gives its id once it is safe. Fails with `Undecodable` for a payload that its schema does not take. */
  readonly submit: (
    payload: P,
    options?: SubmitOptions
  ) => Effect.Effect<string, DurableJobError | JobStoreError, JobStore>
  /**
   * Waits for a job's end, at most for `limit` when there is one, and gives it. Giving up the wait never touches the job.
   *
   * The exit has the job's own error, or a `DurableJobError`: `Cancelled`, `WorkerLost`, `Crashed`, `Undecodable`. The wait itself
   * fails with `NotFound`, with `StillRunning` when the limit passes, or with a `JobStoreError`.
   */
  readonly await: (
    id: string,
    options?: { readonly limit?: Duration.Input | undefined }
  ) => Effect.Effect<Exit.Exit<A, E | DurableJobError>, DurableJobError | JobStoreError, JobStore>
  /** Cancels a job: one that waits at once, one that runs when its worker has interrupted it. The first reason counts. */
  readonly cancel: (
    id: string,
    reason?: string
  ) => Effect.Effect<Cancellation["is"], DurableJobError | JobStoreError, JobStore>
  /** Follows the events of a job behind number `after`, without gaps, until it has ended. Default: from the first on. */
  readonly events: (
    id: string,
    options?: { readonly after?: number | undefined }
  ) => Stream.Stream<JobEvent, DurableJobError | JobStoreError, JobStore>
  /** What the job last said of how far its newest attempt is. */
  readonly progress: (id: string) => Effect.Effect<Option.Option<G>, DurableJobError | JobStoreError, JobStore>
  /** Says how such jobs are run. */
  readonly toHandler: <R>(
    handle: (payload: P, attempt: Handlers.Attempt<G>) => Effect.Effect<A, E, R>
  ) => Handlers.Handler<R>
}

const submitFields: OptionCheck.Fields<SubmitOptions> = {
  id: true,
  idempotencyKey: true,
  key: true,
  priority: true,
  delay: true,
  metadata: true
}

/** Defines jobs of a name. Submitters and workers share the definition. */
export const make = <P, A, E = never, G = never>(
  name: string,
  definition: Definition<P, A, E, G>
): DurableJob<P, A, E, G> => {
  const check = OptionCheck.of("DurableJob.make")
  check.label("name", name)
  check.fields(definition, { payload: true, success: true, error: true, progress: true, attempts: true, version: true })
  for (const form of ["payload", "success", "error", "progress"] as const) {
    const schema = definition[form]
    const isOptional = form === "error" || form === "progress"
    if (!Schema.isSchema(schema) && !(isOptional && schema === undefined)) check.reject(form, "a schema", schema)
  }
  const { attempts, version = 1 } = definition
  if (attempts !== undefined && !Schedule.isSchedule(attempts)) check.reject("attempts", "a schedule", attempts)
  check.whole("version", version, 0)
  const forms: Handlers.Forms<P, A, E, G> = {
    payload: Texts.of("payload", definition.payload),
    success: Texts.of("result", definition.success),
    // Without a schema there is no value of the type.
    error: Texts.of("error", definition.error ?? (Schema.Never as unknown as Schema.Codec<E, unknown>)),
    progress: Texts.of("progress", definition.progress ?? (Schema.Never as unknown as Schema.Codec<G, unknown>)),
    attempts
  }
  return {
    name,
    submit: (payload, options = {}) =>
      Effect.gen(function* () {
        const { id, idempotencyKey, key, metadata } = options
        checkSubmission(options)
        const dueMillis =
          options.delay === undefined ? undefined : (yield* Clock.currentTimeMillis) + millisOf(options.delay)
        const text = yield* forms.payload.encode(id ?? name, payload)
        const store = yield* JobStore
        const job = {
          name,
          version,
          payload: text,
          id,
          idempotencyKey,
          key,
          metadata,
          dueMillis,
          priority: options.priority === undefined ? undefined : Priority.toNumber(options.priority)
        }
        const [submitted] = yield* store.submit([job])
        return submitted?.id ?? (yield* Effect.die(new Error("the store gave no id")))
      }),
    await: (id, options = {}) =>
      Effect.gen(function* () {
        const awaiting = OptionCheck.of("DurableJob.await")
        awaiting.fields(options, { limit: true })
        const { limit } = options
        const millis = limit === undefined ? undefined : awaiting.millis("limit", limit, { atLeast: 0, endless: true })
        const store = yield* JobStore
        const ended = News.until(
          store,
          id,
          Effect.map(kept(store, id), (job) =>
            Option.liftPredicate(job, ({ endedAtMillis }) => endedAtMillis !== undefined)
          )
        )
        const job = yield* millis === undefined
          ? ended
          : Effect.timeoutOrElse(ended, {
              duration: millis,
              orElse: () => because(id, new StillRunning({ waited: Duration.millis(millis) }))
            })
        return yield* exitOf(job, forms)
      }),
    cancel: (id, reason = "cancelled") =>
      Effect.gen(function* () {
        const store = yield* JobStore
        const [done] = yield* store.cancel({ ids: [id], names: [name] }, reason)
        return done?.is ?? (yield* because(id, new NotFound()))
      }),
    events: (id, options = {}) => {
      OptionCheck.of("DurableJob.events").fields(options, { after: true })
      return Stream.flatMap(
        Stream.unfold(options.after ?? 0, (after) => nextEvents(id, after)),
        Stream.fromIterable
      )
    },
    progress: (id) =>
      Effect.gen(function* () {
        const { progress } = yield* kept(yield* JobStore, id)
        return progress === undefined ? Option.none() : Option.some(yield* forms.progress.decode(id, progress))
      }),
    toHandler: (handle) => Handlers.make(name, forms, handle)
  }
}

/**
 * Works for as long as its scope lasts: claims jobs that it has a handler for, and runs each as a job of the supervisor, with the
 * job's name, key, priority and metadata, and its id as the fact `durableJob`.
 *
 * Closing it, and draining the supervisor, interrupts what runs and gives it back to the store, where it waits for the next worker
 * as if it had not been started.
 */
export const layerWorker = <R = never>(
  handlers: ReadonlyArray<Handlers.Handler<R>>,
  options: WorkerOptions = {}
): Layer.Layer<never, never, JobStore | Supervisor | R> => {
  const check = OptionCheck.of("DurableJob.layerWorker")
  check.fields(options, { concurrency: true, worker: true, poll: true })
  const { concurrency = defaults.concurrency, poll = defaults.poll, worker = defaults.worker } = options
  const byName = new Map(handlers.map((handler) => [handler.name, handler]))
  if (byName.size < handlers.length)
    check.reject("handlers", "one for each name", handlers.map(({ name }) => name).join(", "))
  const settings = {
    concurrency: check.whole("concurrency", concurrency, 1, 10_000),
    worker: check.label("worker", worker),
    poll: Duration.millis(check.millis("poll", poll))
  }
  return Layer.effectDiscard(Worker.work(byName, settings))
}

const submitting = OptionCheck.of("DurableJob.submit")

/** Dates end some time after that. */
const longestDelay = 8e15

const millisOf = (delay: Duration.Input): number => {
  const millis = submitting.millis("delay", delay, { atLeast: 0 })
  return submitting.number("delay", millis, { atMost: longestDelay })
}

const checkSubmission = (options: SubmitOptions): void => {
  submitting.fields(options, submitFields)
  const { delay, id, idempotencyKey, key = "", metadata = {}, priority = "normal" } = options
  if (id !== undefined) submitting.label("id", id)
  if (idempotencyKey !== undefined) submitting.label("idempotencyKey", idempotencyKey)
  if (delay !== undefined) millisOf(delay)
  submitting.text("key", key)
  submitting.facts("metadata", metadata)
  if (!Priority.isPriority(priority)) submitting.reject("priority", "a level or a finite number", priority)
  submitting.number("priority", Priority.toNumber(priority), { atLeast: -1e6, atMost: 1e6 })
}

const because = (id: string, reason: DurableJobError["reason"]) => Effect.fail(new DurableJobError({ id, reason }))

const kept = (store: Store, id: string): Effect.Effect<Job, DurableJobError | JobStoreError> =>
  Effect.flatMap(
    store.get(id),
    Option.match({ onNone: () => because(id, new NotFound()), onSome: (job) => Effect.succeed(job) })
  )

const nextEvents = (id: string, after: number) =>
  Effect.gen(function* () {
    const store = yield* JobStore
    const look = Effect.gen(function* () {
      const events = yield* store.events(id, after)
      if (events.length > 0) return Option.some(events)
      const job = yield* kept(store, id)
      return job.endedAtMillis !== undefined && job.events <= after ? Option.some([]) : Option.none()
    })
    const events = yield* News.until<ReadonlyArray<JobEvent>, DurableJobError | JobStoreError>(store, id, look)
    const last = events.at(-1)
    return last === undefined ? undefined : ([events, last.sequence] as const)
  })

const exitOf = <P, A, E, G>(
  { cancelReason, id, lost, result, state }: Job,
  forms: Handlers.Forms<P, A, E, G>
): Effect.Effect<Exit.Exit<A, E | DurableJobError>> =>
  Effect.gen(function* () {
    if (state === "cancelled") return yield* because(id, new Cancelled({ reason: cancelReason ?? "" }))
    if (result === undefined) return yield* because(id, new WorkerLost({ times: lost }))
    if (state === "completed") return yield* forms.success.decode(id, result)
    const failure: Handlers.Kept = JSON.parse(result)
    if (failure.is === "crash") return yield* because(id, new Crashed({ problem: failure.problem }))
    if (failure.is === "misfit") return yield* because(id, new Undecodable(failure))
    return yield* Effect.flatMap(forms.error.decode(id, failure.text), Effect.fail)
  }).pipe(Effect.exit)
