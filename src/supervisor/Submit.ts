/**
 * Makes a job of an effect: what it is called, whose it is, how urgent.
 */
import { Context, Duration, Effect, type Schedule, type Scope } from "effect"
import { identity } from "effect/Function"
import type { JobKind, Metadata } from "../core/JobEvent.ts"
import { cancel, join } from "./Job.ts"
import { JobError } from "./JobError.ts"
import * as JobId from "./JobId.ts"
import { CurrentJob, type Job, type JobRecord, type Submission, type Work } from "./JobRecord.ts"
import type { Lifecycle } from "./Lifecycle.ts"
import type { Settings } from "./Settings.ts"

export interface Options<E = never> {
  /** What the job does, for people. Default: its id. */
  readonly name?: string | undefined
  /** How the job is found again; no other known job may have it. Default: `job-1`, `job-2`, … */
  readonly id?: string | undefined
  /** How long it may run, from its start; then it is interrupted and has failed. Default: the supervisor's. */
  readonly timeout?: Duration.Input | undefined
  /** Facts to list it by. Default: none. */
  readonly metadata?: Metadata | undefined
  /** Default `job`. The others take no slot: see {@link JobKind}. */
  readonly kind?: JobKind | undefined
  /** Who it is for (tenant, model, customer): shares `keyConcurrency` and takes turns with other keys. Default: nobody. */
  readonly key?: string | undefined
  /** How urgent it is, as a level or a number: see {@link priorities}. Default `normal`. */
  readonly priority?: keyof typeof priorities | number | undefined
  /** What to do when `maxPending` jobs wait: be refused, wait for room, or wait for at most so long. Default `refuse`. */
  readonly whenFull?: "refuse" | "wait" | Duration.Input | undefined
  /** When to try again after a failure, within the job's one time limit and slot. Default: never. */
  readonly retry?: Schedule.Schedule<unknown, E> | undefined
  /** Joins the known job that was submitted with this key, if there is one: nothing is started then. Default: none. */
  readonly idempotencyKey?: string | undefined
  /** Who ends it: the job it is submitted from, or only the supervisor. Default `parent`. */
  readonly owner?: "parent" | "supervisor" | undefined
}

/** The named levels of priority. A point is worth one `aging` of waiting among jobs of the same key. */
export const priorities = { low: -10, normal: 0, high: 10, critical: 20 } as const

export const submit = <A, E, R>(
  lifecycle: Lifecycle,
  settings: Settings,
  effect: Effect.Effect<A, E, R>,
  options: Options<E> = noOptions,
  whileWaiting: (wait: Effect.Effect<JobRecord, JobError>) => Effect.Effect<JobRecord, JobError> = identity
): Effect.Effect<Job<A, E>, JobError, Exclude<R, Scope.Scope>> =>
  Effect.contextWith((context: Context.Context<Exclude<R, Scope.Scope>>) => {
    const { kind = "job", priority = 0 } = options
    const owner = Context.get(context, CurrentJob)
    const current = owner?.supervision === lifecycle ? owner : undefined
    const submission: Submission = {
      jobId: options.id === undefined ? lifecycle.table.nextId() : JobId.fromText(options.id),
      givenName: options.name,
      kind,
      metadata: options.metadata ?? noMetadata,
      key: options.key ?? "",
      priority: typeof priority === "number" ? priority : priorities[priority],
      idempotencyKey: options.idempotencyKey,
      timeout: options.timeout === undefined ? timeoutOf(kind, settings) : Duration.fromInputUnsafe(options.timeout)
    }
    const parent = options.owner === "supervisor" ? undefined : current
    const work = workOf(effect, options.retry, context)
    const record = lifecycle.submit(submission, work, parent)
    return record instanceof JobError
      ? whenRefused<A, E>(lifecycle, record, submission, work, parent, options.whenFull, current, whileWaiting)
      : Effect.succeed(record as Job<A, E>)
  })

/**
 * Submits and waits; the job ends with its caller, also when that is interrupted while it waits for room. A job that was
 * there already, by its idempotency key, is its first caller's and goes on.
 */
export const run = <A, E, R>(
  lifecycle: Lifecycle,
  settings: Settings,
  effect: Effect.Effect<A, E, R>,
  options: Options<E> = noOptions
): Effect.Effect<A, E | JobError, Exclude<R, Scope.Scope>> =>
  Effect.uninterruptibleMask((restore) => {
    const { idempotencyKey } = options
    const isKnown = idempotencyKey !== undefined && lifecycle.table.getByIdempotencyKey(idempotencyKey) !== undefined
    return Effect.flatMap(submit(lifecycle, settings, effect, options, restore), (job) =>
      isKnown
        ? restore(join(job))
        : Effect.onInterrupt(restore(join(job)), () => cancel(job, { reason: "its caller was interrupted" }))
    )
  })

// A record holds work of every type. R is what the context has, and Scope, which the job's fiber is given.
const workOf = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  retry: Options<E>["retry"],
  context: Context.Context<Exclude<R, Scope.Scope>>
): Work => ({
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  effect: effect as Effect.Effect<A, E>,
  retry: retry as Work["retry"],
  context
})

// Shared by all jobs that are submitted without.
const noOptions = {}
const noMetadata: Metadata = {}

const timeoutOf = (kind: JobKind, settings: Settings) => (kind === "job" ? settings.timeout : undefined)

const whenRefused = <A, E>(
  lifecycle: Lifecycle,
  refusal: JobError,
  submission: Submission,
  work: Work,
  parent: JobRecord | undefined,
  whenFull: Options["whenFull"],
  current: JobRecord | undefined,
  whileWaiting: (wait: Effect.Effect<JobRecord, JobError>) => Effect.Effect<JobRecord, JobError>
): Effect.Effect<Job<A, E>, JobError> => {
  if (refusal.reason._tag !== "QueueFull") return Effect.fail(refusal)
  const warned = lifecycle.admission.noticeFull() ? Effect.logWarning(refusal.message) : Effect.void
  if (whenFull === undefined || whenFull === "refuse") return Effect.andThen(warned, Effect.fail(refusal))
  const limit = whenFull === "wait" ? undefined : Duration.fromInputUnsafe(whenFull)
  const accept = () => lifecycle.submit(submission, work, parent)
  const entered = whileWaiting(lifecycle.enter(accept, current, refusal, limit))
  return Effect.andThen(
    warned,
    Effect.map(entered, (record) => record as Job<A, E>)
  )
}
