/**
 * Makes a job of an effect: what it is called, whose it is, how urgent; its scope, context, retries and span.
 */
import { Cause, Context, Duration, Effect, Exit, References, type Schedule, Scope, Tracer } from "effect"
import type { JobKind, Metadata } from "../core/JobEvent.ts"
import * as Priority from "../core/Priority.ts"
import { cancel, join } from "./Job.ts"
import { JobError } from "./JobError.ts"
import { CurrentJob, type Fork, type Job, JobRecord, type Submission } from "./JobRecord.ts"
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
  options: Options<E>,
  accepted: (record: JobRecord, submitter: JobRecord | undefined) => void = keepGoing
): Effect.Effect<Job<A, E>, JobError, Exclude<R, Scope.Scope>> =>
  Effect.contextWith((context: Context.Context<Exclude<R, Scope.Scope>>) => {
    const { kind = "job", priority = "normal" } = options
    const id = options.id ?? lifecycle.table.nextId()
    const owner = Context.get(context, CurrentJob)
    const current = owner?.supervision === lifecycle ? owner : undefined
    const submission: Submission = {
      id,
      name: options.name ?? id,
      kind,
      metadata: options.metadata ?? {},
      key: options.key ?? "",
      priority: Priority.toNumber(priority),
      idempotencyKey: options.idempotencyKey,
      timeout: options.timeout === undefined ? timeoutOf(kind, settings) : Duration.fromInputUnsafe(options.timeout),
      parent: options.owner === "supervisor" ? undefined : current
    }
    const start = starting(effect, options.retry, context)
    // Whose it is is settled in the same step, for its callers come and go.
    const accept = () => {
      const record = lifecycle.submit(submission, start)
      if (record instanceof JobRecord) accepted(record, current)
      return record
    }
    const record = accept()
    return record instanceof JobError
      ? whenRefused<A, E>(lifecycle, record, accept, options.whenFull, current)
      : Effect.succeed(record as Job<A, E>)
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
  options: Options<E>
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
  if (record.runners === undefined || --record.runners > 0 || record.endedAtMillis !== undefined) return Effect.void
  return cancel(record, { reason: "its caller was interrupted" })
}

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

// Made here, and not where it is used, so that a waiting job holds on to nothing but these three.
const starting =
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    retry: Options<E>["retry"],
    submitted: Context.Context<Exclude<R, Scope.Scope>>
  ): Fork =>
  (record) => {
    const scope = Scope.makeUnsafe()
    const context = submitted.pipe(
      Context.add(CurrentJob, record),
      Context.add(
        References.CurrentLogAnnotations,
        annotations(record, Context.get(submitted, References.CurrentLogAnnotations))
      ),
      Context.add(Scope.Scope, scope)
    ) as Context.Context<R> // which is what the caller's context lacked: R is what it had, and Scope
    const work = retry === undefined ? effect : retrying(record, effect, retry)
    return Effect.runForkWith(context)(
      Effect.onExitPrimitive(inSpan(work, record, submitted), (exit) => {
        const closing = Scope.closeUnsafe(scope, exit)
        if (closing === undefined) return record.supervision.finish(record, exit)
        return Effect.flatMap(
          Effect.exit(closing),
          (closed) => record.supervision.finish(record, both(exit, closed)) ?? Effect.void
        )
      })
    )
  }

/** What everything a job logs carries: its own facts, and of the submitter's all but those of another job. */
const annotations = ({ submission: { id, name, parent } }: JobRecord, inherited: Readonly<Record<string, unknown>>) => {
  if (parent !== undefined) return { ...inherited, jobId: id, jobName: name, jobAttempt: 1, parentJobId: parent.id }
  if (!("parentJobId" in inherited)) return { ...inherited, jobId: id, jobName: name, jobAttempt: 1 }
  const { parentJobId: _, ...others } = inherited
  return { ...others, jobId: id, jobName: name, jobAttempt: 1 }
}

/** What work and its finalizers came to: finalizers can only make it worse. */
const both = <A, E>(exit: Exit.Exit<A, E>, closed: Exit.Exit<void>): Exit.Exit<A, E> => {
  if (Exit.isSuccess(closed)) return exit
  return Exit.failCause(Exit.isSuccess(exit) ? closed.cause : Cause.combine(exit.cause, closed.cause))
}

const retrying = <A, E, R>(
  record: JobRecord,
  effect: Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<unknown, E>
): Effect.Effect<A, E, R> => {
  let failed: Cause.Cause<E> | undefined
  const attempt = Effect.suspend(() => {
    if (failed !== undefined) {
      record.supervision.emit(record, { _tag: "JobRetrying", attempt: record.attempt, cause: failed })
      record.attempt++
    }
    return Effect.annotateLogs(Effect.scoped(effect), { jobAttempt: record.attempt })
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
