/**
 * Makes a job of an effect: what it is called, whose it is, how urgent.
 */
import { Context, Duration, Effect, type Scope } from "effect"
import * as Caller from "../../core/call/Caller.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import type { JobKind } from "../../core/JobEvent.ts"
import * as SafeText from "../../core/SafeText.ts"
import * as Priority from "../../core/queue/Priority.ts"
import { cancel, join } from "../Job.ts"
import { JobError } from "../JobError.ts"
import { noMetadata } from "../records/EventContents.ts"
import * as IdempotencyKey from "../records/IdempotencyKey.ts"
import * as JobId from "../records/JobId.ts"
import { CurrentJob, type Job, JobRecord, type Submission, type Work } from "../records/JobRecord.ts"
import * as FailureLog from "../lifecycle/FailureLog.ts"
import * as AsyncContext from "./AsyncContext.ts"
import * as StuckWarning from "../lifecycle/StuckWarning.ts"
import type { Lifecycle } from "../lifecycle/Lifecycle.ts"
import type { Settings } from "../lifecycle/Settings.ts"
import { check, type Options, rejectWork } from "./SubmitOptions.ts"
import * as Waiting from "./Waiting.ts"

export const submit = <A, E, R>(
  lifecycle: Lifecycle,
  settings: Settings,
  effect: Effect.Effect<A, E, R>,
  options: Options<E> = noOptions,
  accepted: (record: JobRecord, submitter: JobRecord | undefined) => void = keepGoing,
  keyOf: (parts: IdempotencyKey.Parts) => string = IdempotencyKey.of
): Effect.Effect<Job<A, E>, JobError, Exclude<R, Scope.Scope>> =>
  Effect.withFiber((fiber) => {
    const context = AsyncContext.keep(lifecycle.scheduler.keep<Exclude<R, Scope.Scope>>(fiber))
    if (options !== noOptions) check(options)
    if (!Effect.isEffect(effect)) rejectWork("Supervisor.submit", effect)
    const { kind = "job", priority } = options
    const owner = Context.get(context, CurrentJob)
    const current = owner?.supervision === lifecycle ? owner : undefined
    const parent = options.owner === "supervisor" ? undefined : current
    // Who owns work is who it is for: or a tenant would get round its limit by doing its work one level down.
    const key = options.key ?? parent?.key ?? ""
    const submission: Submission = {
      jobId: options.id === undefined ? lifecycle.table.nextId() : JobId.fromText(options.id),
      givenName: options.name,
      kind,
      metadata: options.metadata === undefined ? noMetadata : { ...options.metadata },
      key,
      priority: priority === undefined ? Priority.levels.normal : Priority.toNumber(priority),
      idempotencyKey: idempotencyKeyOf(options, key, context, keyOf),
      timeout: options.timeout === undefined ? timeoutOf(kind, settings) : Duration.fromInputUnsafe(options.timeout),
      trail: kind === "call" ? Context.get(context, CallTrail.Current) : undefined
    }
    const work = workOf(effect, options.retry, context)
    const room = parent !== undefined && options.whenFull === undefined ? "not asked for" : "asked for"
    const record = lifecycle.submit(submission, work, parent, room)
    if (record instanceof JobError) {
      const hasOwnId = options.id !== undefined
      const asking = { lifecycle, submission, work, parent, submitter: current, hasOwnId, accepted }
      return whenRefused<A, E>(asking, options.whenFull, record)
    }
    // Whose it is is settled in the same step, for its callers come and go.
    accepted(record, current)
    // By its own kind: a known job of another one has its own way to start.
    if (record.kind === "call") lifecycle.beginCall(record)
    return Effect.succeed(record as Job<A, E>)
  })

interface Asking {
  readonly lifecycle: Lifecycle
  readonly submission: Submission
  readonly work: Work
  readonly parent: JobRecord | undefined
  /** The job that submits. */
  readonly submitter: JobRecord | undefined
  /** Whether its id is the submitter's choice. */
  readonly hasOwnId: boolean
  readonly accepted: (record: JobRecord, submitter: JobRecord | undefined) => void
}

const acceptAfterWait = ({ accepted, hasOwnId, lifecycle, parent, submission, submitter, work }: Asking) => {
  let record = lifecycle.submit(submission, work, parent, "waited for")
  // While it waited for room somebody may have chosen the id that it was given.
  if (!hasOwnId && record instanceof JobError && record.reason._tag === "DuplicateId") {
    record = lifecycle.submit({ ...submission, jobId: lifecycle.table.nextId() }, work, parent, "waited for")
  }
  if (record instanceof JobRecord) accepted(record, submitter)
  return record
}

const idempotencyKeyOf = (
  { idempotencyKey, name }: Options<never>,
  key: string,
  context: Context.Context<never>,
  keyOf: (parts: IdempotencyKey.Parts) => string
) =>
  idempotencyKey === undefined
    ? undefined
    : keyOf({ tenant: Context.get(context, Caller.Current).tenant, name, key, idempotencyKey })

/** Has a job go on without callers: what was submitted is not theirs to end. */
export const keepGoing = (record: JobRecord): void => {
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
      job === undefined ? Effect.void : leave(job, lifecycle, settings)
    )
  })

const leave = (record: JobRecord, lifecycle: Lifecycle, { stuckAfterMillis }: Settings): Effect.Effect<unknown> => {
  if (record.runners === undefined || --record.runners > 0) return Effect.void
  if (record.endedAtMillis === undefined) {
    return StuckWarning.during(cancel(record, { reason: "its caller was interrupted" }), stuckAfterMillis, () => {
      // Upkeep need not say so again.
      lifecycle.table.ending.delete(record)
      return `whoever ran job ${SafeText.inLine(`${record.name} (${record.id})`)} was interrupted, and waits for it to end, but it ignores its interruption. A job that disposes of its own runtime never ends`
    })
  }
  // What a call answered has gone to its callers, and nobody asks for it by id; who comes with its idempotency key does.
  if (record.kind === "call" && record.idempotencyKey === undefined) record.dropResult()
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

const timeoutOf = (kind: JobKind, settings: Settings) => (kind === "job" ? settings.timeout : undefined)

const whenRefused = <A, E>(
  asking: Asking,
  whenFull: Options["whenFull"],
  refusal: JobError
): Effect.Effect<Job<A, E>, JobError> => {
  const { lifecycle, parent, submission, submitter } = asking
  if (refusal.reason._tag !== "QueueFull") return failAtLast(refusal)
  const warned = lifecycle.admission.noticeFull() ? FailureLog.warn(refusal.message) : Effect.void
  if (whenFull === undefined || whenFull === "refuse") return Effect.andThen(warned, Effect.fail(refusal))
  const limit = whenFull === "wait" ? undefined : Duration.fromInputUnsafe(whenFull)
  const entered = lifecycle.roomQueue.enter({
    accept: () => acceptAfterWait(asking),
    isHeld: () => lifecycle.pauses.covers(submission, parent),
    key: submission.key,
    name: submission.givenName ?? JobId.toText(submission.jobId),
    parent,
    idempotencyKey: submission.idempotencyKey,
    waiter: submitter,
    refusal,
    limit
  })
  return Effect.andThen(
    warned,
    Effect.map(Effect.catch(entered, failAtLast), (record) => record as Job<A, E>)
  )
}

// Who is to end is not told that nothing is accepted any more.
const failAtLast = (error: JobError) => Effect.andThen(Waiting.forOwnEnd, Effect.fail(error))
