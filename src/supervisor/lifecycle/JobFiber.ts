/**
 * Runs a job's work in a fiber of its own: its scope, context, retries and span.
 */
import { Cause, Clock, Context, Effect, Exit, References, Schedule, Scope, Tracer } from "effect"
import * as CauseChain from "../../core/CauseChain.ts"
import * as Monotonic from "../../core/Monotonic.ts"
import { JobError } from "../JobError.ts"
import { CurrentJob, type JobRecord, type Work } from "../records/JobRecord.ts"
import { RetryEvents } from "./RetryEvents.ts"

/** Starts the fiber of a job, which calls `finish` last, and `ended` when it has. */
export const start = (record: JobRecord, { context: submitted, effect, retry }: Work): void => {
  const scope = { ...emptyScope }
  const facts = annotations(record, Context.get(submitted, References.CurrentLogAnnotations))
  const named = Context.addUnsafe(submitted, References.CurrentLogAnnotations.key, facts)
  const current = Context.addUnsafe(named, CurrentJob.key, record)
  const context = Context.addUnsafe<never, Scope.Scope, Scope.Scope>(current, Scope.Scope.key, scope)
  const work = retry === undefined ? effect : retrying(record, effect, retry)
  const fiber = Effect.runForkWith(context)(
    Effect.onExitPrimitive(inSpan(work, record, submitted), (exit) => close(record, scope, exit))
  )
  record.fiber = fiber
  // In one function with the other: two closures then share what they close over.
  fiber.addObserver((exit) => record.supervision.ended(record, exit, context))
}

// A scope is plain data as long as it is empty, and to copy one takes a fraction of the time that it takes to make one.
const emptyScope = Scope.makeUnsafe()

const close = (record: JobRecord, scope: Scope.Closeable, exit: Exit.Exit<unknown, unknown>) => {
  const closing = Scope.closeUnsafe(scope, exit)
  if (closing === undefined) return record.supervision.finish(record, exit)
  return Effect.flatMap(
    Effect.exit(closing),
    (closed) => record.supervision.finish(record, both(exit, closed)) ?? Effect.void
  )
}

/** What everything a job logs carries: its own facts, and of the submitter's all but those of another job. */
const annotations = (
  { givenName, id, parent }: JobRecord,
  inherited: Readonly<Record<string, unknown>>
): Readonly<Record<string, unknown>> => {
  const name = givenName ?? id // and not the record's `name`, which would write the id out once more
  if (parent !== undefined) return { ...inherited, jobId: id, jobName: name, jobAttempt: 1, parentJobId: parent.id }
  if (inherited === noAnnotations) return { jobId: id, jobName: name, jobAttempt: 1 }
  if (!("parentJobId" in inherited)) return { ...inherited, jobId: id, jobName: name, jobAttempt: 1 }
  const { parentJobId: _, ...others } = inherited
  return { ...others, jobId: id, jobName: name, jobAttempt: 1 }
}

// What most have: by itself the new object is half as large, and made in half the time.
const noAnnotations = Context.get(Context.empty(), References.CurrentLogAnnotations)

/** What work and its finalizers came to: finalizers can only make it worse. */
const both = <A, E>(exit: Exit.Exit<A, E>, closed: Exit.Exit<void>): Exit.Exit<A, E> => {
  if (Exit.isSuccess(closed)) return exit
  return Exit.failCause(Exit.isSuccess(exit) ? closed.cause : Cause.combine(exit.cause, closed.cause))
}

// The schedule measures by a clock that nobody sets; the work has that of its submitter.
const retrying = <A, E, R>(
  record: JobRecord,
  effect: Effect.Effect<A, E, R>,
  schedule: Schedule.Schedule<unknown, E>
): Effect.Effect<A, E, R> =>
  Effect.clockWith((clock) => {
    const events = new RetryEvents(record)
    let failed: Cause.Cause<E> | undefined
    // What the last attempt failed with, while the next one is waited for.
    let awaited: Cause.Cause<E> | undefined
    const attempt = Effect.suspend(() => {
      if (awaited !== undefined) record.attempt++
      awaited = undefined
      return Effect.annotateLogs(Effect.scoped(effect), { jobAttempt: record.attempt })
    })
    const noted = Effect.tapCause(attempt, (cause) =>
      Effect.sync(() => {
        failed = cause
      })
    )
    const told = Schedule.tap(
      Schedule.while(schedule, ({ input }) => !isCancelled(input)),
      () =>
        Effect.sync(() => {
          awaited = failed
          if (failed !== undefined) events.note(failed, Monotonic.millisUnsafe(clock))
        })
    )
    // A job that runs out of time meanwhile says what it failed with, too.
    return noted.pipe(
      Effect.updateService(Clock.Clock, () => clock),
      Effect.retry({ schedule: told }),
      Effect.updateService(Clock.Clock, Monotonic.goingOn),
      Effect.onInterrupt(() =>
        awaited !== undefined && record.stop?._tag === "Timeout" ? Effect.failCause(awaited) : Effect.void
      )
    )
  })

// Somebody ended a job that this one waited for: to start it again would undo that. Whatever the error is dressed up in.
const isCancelled = (error: unknown, levels = 3): boolean => {
  try {
    for (const each of CauseChain.of(error)) {
      if (each instanceof JobError && each.reason._tag === "Cancelled") return true
      if (!(each instanceof AggregateError) || levels === 0) continue
      if (each.errors.some((one) => isCancelled(one, levels - 1))) return true
    }
  } catch {
    // What cannot be read is something else.
  }
  return false
}

// Only where somebody traces: a span of its own, because a job may outlive the span it was submitted in. A call is not
// outlived by its caller, and has the span of its LanguageModel.
const inSpan = <A, E, R>(
  work: Effect.Effect<A, E, R>,
  record: JobRecord,
  submitted: Context.Context<never>
): Effect.Effect<A, E, Exclude<R, Tracer.ParentSpan>> | Effect.Effect<A, E, R> => {
  const submitter = Context.getOrUndefined(submitted, Tracer.ParentSpan)
  if (submitter === undefined || record.kind === "call") return work
  const { sampled, spanId, traceId } = submitter
  return Effect.withSpan(work, record.name, {
    root: true,
    captureStackTrace: false,
    attributes: { "holdfast.job.id": record.id },
    // By its ids alone: jobs that submit one another would keep every span before theirs.
    links: [{ span: Tracer.externalSpan({ sampled, spanId, traceId }), attributes: {} }]
  })
}
