/**
 * Makes a job of an effect: what it is called, whose it is, how urgent.
 */
import { Context, Duration, Effect, type Schedule, type Scope } from "effect"
import * as CallTrail from "../../core/CallTrail.ts"
import type { JobKind, Metadata } from "../../core/JobEvent.ts"
import * as Priority from "../../core/Priority.ts"
import { cancel, join } from "../Job.ts"
import { JobError } from "../JobError.ts"
import * as JobId from "../records/JobId.ts"
import { CurrentJob, type Job, JobRecord, type Submission, type Work } from "../records/JobRecord.ts"
import type { Lifecycle } from "../Lifecycle.ts"
import type { Settings } from "../lifecycle/Settings.ts"

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
  readonly priority?: Priority.Priority | undefined
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
export const priorities = Priority.levels

export const submit = <A, E, R>(
  lifecycle: Lifecycle,
  settings: Settings,
  effect: Effect.Effect<A, E, R>,
  options: Options<E> = noOptions,
  accepted: (record: JobRecord, submitter: JobRecord | undefined) => void = keepGoing
): Effect.Effect<Job<A, E>, JobError, Exclude<R, Scope.Scope>> =>
  Effect.contextWith((context: Context.Context<Exclude<R, Scope.Scope>>) => {
    const { kind = "job", priority = "normal" } = options
    const owner = Context.get(context, CurrentJob)
    const current = owner?.supervision === lifecycle ? owner : undefined
    const submission: Submission = {
      jobId: options.id === undefined ? lifecycle.table.nextId() : JobId.fromText(options.id),
      givenName: options.name,
      kind,
      metadata: options.metadata ?? noMetadata,
      key: options.key ?? "",
      priority: Priority.toNumber(priority),
      idempotencyKey: options.idempotencyKey,
      timeout: options.timeout === undefined ? timeoutOf(kind, settings) : Duration.fromInputUnsafe(options.timeout),
      trail: kind === "call" ? Context.get(context, CallTrail.Current) : undefined
    }
    const parent = options.owner === "supervisor" ? undefined : current
    const work = workOf(effect, options.retry, context)
    // Whose it is is settled in the same step, for its callers come and go.
    const accept = () => {
      const record = lifecycle.submit(submission, work, parent)
      if (record instanceof JobRecord) accepted(record, current)
      return record
    }
    const record = accept()
    if (record instanceof JobError) return whenRefused<A, E>(lifecycle, record, accept, options.whenFull, current)
    // At once: nobody can end it before its first step, and what is answered at once costs no turn of the event loop.
    if (kind === "call") lifecycle.begin(record)
    return Effect.succeed(record as Job<A, E>)
  })

// What was submitted is not its callers' to end.
const keepGoing = (record: JobRecord): void => {
  record.runners = undefined
}

/**
 * Submits and waits; the job ends with the last of those who run it, also when that is interrupted while it waits for room.
 */
export const run = <A, E, R>(
  lifecycle: Lifecycle,
  settings: Settings,
  effect: Effect.Effect<A, E, R>,
  options: Options<E> = noOptions
): Effect.Effect<A, E | JobError, Exclude<R, Scope.Scope>> =>
  Effect.suspend(() => {
    let job: JobRecord | undefined
    const accepted = (record: JobRecord, submitter: JobRecord | undefined) => {
      // What a job owns ends with it and cannot keep it going.
      if (submitter?.isWithin(record) === true) return
      job = record
      if (record.runners !== undefined) record.runners++
    }
    return Effect.onExit(Effect.flatMap(submit(lifecycle, settings, effect, options, accepted), join), () =>
      job === undefined ? Effect.void : leave(job)
    )
  })

const leave = (record: JobRecord): Effect.Effect<unknown> => {
  if (record.runners === undefined || --record.runners > 0) return Effect.void
  if (record.endedAtMillis === undefined) return cancel(record, { reason: "its caller was interrupted" })
  // What a call answered has gone to its callers, and nobody asks for it by id.
  if (record.kind === "call") record.dropResult()
  return Effect.void
}

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
  accept: () => JobRecord | JobError,
  whenFull: Options["whenFull"],
  current: JobRecord | undefined
): Effect.Effect<Job<A, E>, JobError> => {
  if (refusal.reason._tag !== "QueueFull") return Effect.fail(refusal)
  const warned = lifecycle.admission.noticeFull() ? Effect.logWarning(refusal.message) : Effect.void
  if (whenFull === undefined || whenFull === "refuse") return Effect.andThen(warned, Effect.fail(refusal))
  const limit = whenFull === "wait" ? undefined : Duration.fromInputUnsafe(whenFull)
  const entered = Effect.map(lifecycle.enter(accept, current, refusal, limit), (record) => record as Job<A, E>)
  return Effect.andThen(warned, entered)
}
