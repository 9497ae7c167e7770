/**
 * Makes a job of an effect: what it is called, whose it is, how urgent; its scope, context, retries and span.
 */
import {
  type Cause,
  Context,
  Duration,
  Effect,
  type Exit,
  type Fiber,
  References,
  type Schedule,
  type Scope,
  Tracer
} from "effect"
import type { JobKind, Metadata } from "../core/JobEvent.ts"
import { JobError } from "./JobError.ts"
import { CurrentJob, JobHandle } from "./JobHandle.ts"
import type { JobRecord, Submission } from "./JobRecord.ts"
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
  options: Options<E>
): Effect.Effect<JobHandle<A, E>, JobError, Exclude<R, Scope.Scope>> =>
  Effect.contextWith((context: Context.Context<Exclude<R, Scope.Scope>>) => {
    const { kind = "job", priority = 0 } = options
    const id = options.id ?? lifecycle.table.nextId()
    const handle = Context.get(context, CurrentJob)
    const current = handle?.lifecycle === lifecycle ? handle.record : undefined
    const submission: Submission = {
      id,
      name: options.name ?? id,
      kind,
      metadata: options.metadata ?? {},
      key: options.key ?? "",
      priority: typeof priority === "number" ? priority : priorities[priority],
      idempotencyKey: options.idempotencyKey,
      timeout: options.timeout === undefined ? timeoutOf(kind, settings) : Duration.fromInputUnsafe(options.timeout),
      parent: options.owner === "supervisor" ? undefined : current,
      fork: (record, finish) => fork(lifecycle, record, effect, options, context, finish)
    }
    return Effect.map(
      admit(lifecycle, submission, options.whenFull ?? "refuse", current),
      (record) => new JobHandle<A, E>(record, lifecycle)
    )
  })

const timeoutOf = (kind: JobKind, settings: Settings) => (kind === "job" ? settings.timeout : undefined)

const admit = (
  lifecycle: Lifecycle,
  submission: Submission,
  whenFull: NonNullable<Options["whenFull"]>,
  current: JobRecord | undefined
): Effect.Effect<JobRecord, JobError> => {
  const record = lifecycle.submit(submission)
  if (!(record instanceof JobError)) return Effect.succeed(record)
  if (record.reason._tag !== "QueueFull") return Effect.fail(record)
  const warned = lifecycle.admission.noticeFull() ? Effect.logWarning(record.message) : Effect.void
  if (whenFull === "refuse") return Effect.andThen(warned, Effect.fail(record))
  // A job that waits for room lends its slot: it may be the one whose slot would make room.
  const entered = Effect.andThen(warned, lifecycle.lendSlot(current, lifecycle.enter(submission)))
  if (whenFull === "wait") return entered
  return Effect.timeoutOrElse(entered, { duration: whenFull, orElse: () => Effect.fail(record) })
}

const fork = <A, E, R>(
  lifecycle: Lifecycle,
  record: JobRecord,
  effect: Effect.Effect<A, E, R>,
  { retry }: Options<E>,
  submitted: Context.Context<Exclude<R, Scope.Scope>>,
  finish: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
): Fiber.Fiber<A, E> => {
  const { id, name, parent } = record.submission
  const context = submitted.pipe(
    Context.add(CurrentJob, new JobHandle<unknown, unknown>(record, lifecycle)),
    Context.add(References.CurrentLogAnnotations, {
      ...Context.get(submitted, References.CurrentLogAnnotations),
      jobId: id,
      jobName: name,
      ...(parent === undefined ? {} : { parentJobId: parent.id })
    })
  )
  const once = Effect.scoped(effect)
  const work = retry === undefined ? once : retrying(lifecycle, record, once, retry)
  return Effect.runForkWith(context)(Effect.onExit(inSpan(work, record, submitted), finish))
}

const retrying = <A, E, R>(
  lifecycle: Lifecycle,
  record: JobRecord,
  once: Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<unknown, E>
): Effect.Effect<A, E, R> => {
  let failed: Cause.Cause<E> | undefined
  const attempt = Effect.suspend(() => {
    if (failed !== undefined) {
      lifecycle.emit(record, { _tag: "JobRetrying", attempt: record.attempt, cause: failed })
      record.attempt++
    }
    return Effect.annotateLogs(once, { jobAttempt: record.attempt })
  })
  return attempt.pipe(
    Effect.tapCause((cause) =>
      Effect.sync(() => {
        failed = cause
      })
    ),
    Effect.retry(schedule)
  )
}

// Only where somebody traces: a span of its own, because a job may outlive the span it was submitted in.
const inSpan = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  { submission: { id, name } }: JobRecord,
  submitted: Context.Context<never>
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> | Effect.Effect<A, E, R> => {
  const submitter = Context.getOrUndefined(submitted, Tracer.ParentSpan)
  if (submitter === undefined) return work
  return Effect.withSpan(work, name, {
    root: true,
    attributes: { "holdfast.job.id": id },
    links: [{ span: submitter, attributes: {} }]
  })
}
