/**
 * Holds what the supervisor knows of one job, from the moment it is accepted until nobody asks for it any more.
 */
import { type Cause, Context, type Duration, type Effect, Exit, type Fiber, type Schedule, type Types } from "effect"
import type * as CallTrail from "../../core/CallTrail.ts"
import type { JobEvent, JobKind, JobState, Metadata } from "../../core/JobEvent.ts"
import type { Unplaced } from "../EventLog.ts"
import { Expired } from "../JobError.ts"
import * as JobId from "./JobId.ts"
import * as Outcome from "./Outcome.ts"

export const TypeId = "~holdfast/supervisor/Job"

/** A job that gives `A` or fails with `E`. `id` finds it again through the supervisor, `name` says what it does. */
export interface Job<out A, out E> {
  readonly [TypeId]: { readonly _A: Types.Covariant<A>; readonly _E: Types.Covariant<E> }
  readonly id: string
  readonly name: string
}

/** The record behind a handle: it is the handle, whose type remembers what the job gives. */
export const recordOf = (job: Job<unknown, unknown>): JobRecord => job as JobRecord

/** What anyone may know about a job at one moment: plain data, not updated afterwards. */
export interface JobStatus {
  readonly id: string
  readonly name: string
  readonly kind: JobKind
  readonly state: JobState
  readonly metadata: Metadata
  /** The job that owns this one. */
  readonly parentId: string | undefined
  /** Milliseconds since 1970, by the supervisor's `Clock`, as are the next two. */
  readonly submittedAtMillis: number
  readonly startedAtMillis: number | undefined
  readonly endedAtMillis: number | undefined
  /** Why it failed or was cancelled; for a timeout or a cancellation a `JobError` with that reason. */
  readonly cause: Cause.Cause<unknown> | undefined
  /** Which jobs it shares a limit and takes turns with; empty for none in particular. */
  readonly key: string
  readonly priority: number
  /** 1 for the first attempt, 2 for the first retry, … */
  readonly attempt: number
  /** What the job reported last. */
  readonly progress: Progress | undefined
  /** What became of its rounds; only for periodic jobs. */
  readonly rounds: Readonly<Rounds> | undefined
  /** When it was asked to end, if it was. A running job long after that ignores its interruption. */
  readonly stoppedAtMillis: number | undefined
}

/** What became of the rounds of a periodic job. */
export interface Rounds {
  started: number
  failed: number
  /** Not started, because the round before had not ended. */
  skipped: number
  /** How many of the latest rounds failed one after the other. */
  failedInARow: number
}

/** How far a job says it is. */
export interface Progress {
  /** From 0 to 1. */
  readonly fraction: number
  readonly message: string | undefined
}

/** What a job is submitted with: what it is called, how urgent it is. */
export interface Submission {
  readonly jobId: JobId.JobId
  readonly givenName: string | undefined
  readonly kind: JobKind
  readonly metadata: Metadata
  readonly key: string
  readonly priority: number
  readonly idempotencyKey: string | undefined
  readonly timeout: Duration.Duration | undefined
  /** What is written down about a model call on its way. */
  readonly trail: CallTrail.Recorder | undefined
}

/** What a job does, and the context it was submitted in. */
export interface Work {
  readonly effect: Effect.Effect<unknown, unknown>
  readonly retry: Schedule.Schedule<unknown, unknown> | undefined
  readonly context: Context.Context<never>
}

/** What a job needs of the supervisor that runs it; `Lifecycle` is it. */
export interface Supervision {
  readonly toEpoch: (millis: number) => number
  readonly stop: (record: JobRecord, stop: Outcome.Stop) => void
  readonly awaitEnd: (record: JobRecord) => Effect.Effect<void>
  readonly awaitNews: (record: JobRecord, seen: Progress | undefined) => Effect.Effect<void>
  readonly waitingFor: <A, E>(
    target: JobRecord,
    waiter: JobRecord | undefined,
    wait: Effect.Effect<A, E>
  ) => Effect.Effect<A, E>
  readonly report: (record: JobRecord, progress: Progress) => void
  readonly finish: (record: JobRecord, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> | undefined
  readonly ended: (record: JobRecord, exit: Exit.Exit<unknown, unknown>) => void
  readonly emit: (record: JobRecord, event: Unplaced<JobEvent>) => void
}

export class JobRecord implements Job<unknown, unknown>, Submission {
  declare readonly [TypeId]: Job<unknown, unknown>[typeof TypeId]
  // What lists are filtered by stands together: one cache line of each of very many records.
  state: JobState = "pending"
  readonly kind: JobKind
  readonly metadata: Metadata
  readonly key: string
  /** Absent when the name is the id. */
  readonly givenName: string | undefined
  readonly jobId: JobId.JobId
  readonly supervision: Supervision
  readonly priority: number
  readonly idempotencyKey: string | undefined
  readonly timeout: Duration.Duration | undefined
  trail: CallTrail.Recorder | undefined
  /** The job that owns this one. */
  readonly parent: JobRecord | undefined
  /** In the supervisor's own time, as are the next ones: see `Lifecycle.now`. */
  readonly submittedAtMillis: number
  /** The order of submission. */
  readonly number: number
  /** Where it stands among the waiting jobs of its key: see `WaitingLine`. */
  readonly place: number
  readonly order: number
  heapIndex = -1
  /** Its neighbours among the jobs that live. */
  previous: JobRecord | undefined = undefined
  next: JobRecord | undefined = undefined
  startedAtMillis: number | undefined = undefined
  endedAtMillis: number | undefined = undefined
  stoppedAtMillis: number | undefined = undefined
  attempt = 1
  hasSlot = false
  /** How many of its fibers wait for a job, and so lend its slot: see `Lending`. */
  waits = 0
  /** How many callers run it and wait; it ends with the last. None when it was submitted, and goes on without anybody. */
  runners: number | undefined = 0
  progress: Progress | undefined = undefined
  /** Present for periodic jobs. */
  rounds: Rounds | undefined = undefined
  /** Present until the job starts. */
  work: Work | undefined
  /** Present while the job runs. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  timer: Fiber.Fiber<unknown, unknown> | undefined = undefined
  stop: Outcome.Stop | undefined = undefined
  /** Decided when the work has ended; the job has ended once its children and its report have too. */
  result: Outcome.Outcome | undefined = undefined
  /** Jobs this one owns that have not ended. */
  children: Set<JobRecord> | undefined = undefined
  private listeners: Set<() => void> | undefined = undefined

  /** A child stands where its owner stood: what has begun goes on before what has not. */
  constructor(
    supervision: Supervision,
    submission: Submission,
    work: Work,
    parent: JobRecord | undefined,
    number: number,
    submittedAtMillis: number,
    agingMillis: number
  ) {
    this.supervision = supervision
    // A copy: one object less on the way to what lists are filtered by.
    this.jobId = submission.jobId
    this.givenName = submission.givenName
    this.kind = submission.kind
    this.metadata = submission.metadata
    this.key = submission.key
    this.priority = submission.priority
    this.idempotencyKey = submission.idempotencyKey
    this.timeout = submission.timeout
    this.trail = submission.trail
    this.work = work
    this.parent = parent
    this.number = number
    this.submittedAtMillis = submittedAtMillis
    const place = submittedAtMillis - submission.priority * agingMillis
    this.place = parent === undefined ? place : Math.min(place, parent.place)
    this.order = parent === undefined ? number : parent.order
  }

  /** Written out anew each time it is asked for. */
  get id(): string {
    return JobId.toText(this.jobId)
  }

  get name(): string {
    return this.givenName ?? this.id
  }

  /** True when `ancestor` is this job or owns it, directly or through others. */
  isWithin(ancestor: JobRecord): boolean {
    return this === ancestor || (this.parent?.isWithin(ancestor) ?? false)
  }

  /** Calls `listener` once, at the next news of the job (its end, its progress); returns how to withdraw. */
  onNews(listener: () => void): () => void {
    const listeners = (this.listeners ??= new Set())
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  takeListeners(): Iterable<() => void> | undefined {
    const { listeners } = this
    this.listeners = undefined
    return listeners
  }

  /** Lets go of its result, which has gone to the only one who asked for it. */
  dropResult(): void {
    if (this.result !== undefined) this.result = Outcome.withOnly(this, this.result, () => new Expired())
  }

  /** The same record without its result, for when that is no longer kept. Handles given out keep the original. */
  withoutResult(): JobRecord {
    const record: JobRecord = Object.assign(Object.create(JobRecord.prototype), this)
    record.dropResult()
    return record
  }

  status(): JobStatus {
    const { id, key, kind, metadata, priority } = this
    return {
      id,
      name: this.givenName ?? id,
      kind,
      state: this.state,
      metadata,
      parentId: this.parent?.id,
      submittedAtMillis: this.supervision.toEpoch(this.submittedAtMillis),
      startedAtMillis: this.sinceEpoch(this.startedAtMillis),
      endedAtMillis: this.sinceEpoch(this.endedAtMillis),
      cause: this.causeOfEnd(),
      key,
      priority,
      attempt: this.attempt,
      progress: this.progress,
      rounds: this.rounds === undefined ? undefined : { ...this.rounds },
      stoppedAtMillis: this.sinceEpoch(this.stoppedAtMillis)
    }
  }

  private causeOfEnd(): Cause.Cause<unknown> | undefined {
    if (this.result === undefined || this.result.state === "completed") return undefined
    return Exit.isFailure(this.result.exit) ? this.result.exit.cause : undefined
  }

  private sinceEpoch(millis: number | undefined): number | undefined {
    return millis === undefined ? undefined : this.supervision.toEpoch(millis)
  }
}

/** The job the running fiber belongs to, if any: how a job's own jobs, calls and reports find it. */
export const CurrentJob = Context.Reference<JobRecord | undefined>("holdfast/supervisor/JobRecord/CurrentJob", {
  defaultValue: () => undefined
})
