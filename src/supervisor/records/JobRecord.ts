/**
 * Holds what the supervisor knows of one job, from the moment it is accepted until nobody asks for it any more.
 */
import {
  type Cause,
  Context,
  type Duration,
  type Effect,
  Equal,
  Exit,
  type Fiber,
  Hash,
  Inspectable,
  type Schedule,
  type Types
} from "effect"
import type * as CallTrail from "../../core/call/CallTrail.ts"
import type { JobEvent, JobKind, JobState, Metadata, Progress } from "../../core/JobEvent.ts"
import * as ReportedProgress from "./ReportedProgress.ts"
import * as SafeText from "../../core/SafeText.ts"
import type { EventLog } from "./EventLog.ts"
import type { Unplaced } from "./EventContents.ts"
import { RareFacts } from "./RareFacts.ts"
import { Expired, ForeignHandle, JobError } from "../JobError.ts"
import * as JobId from "./JobId.ts"
import * as SafeJson from "./SafeJson.ts"
import type { JobStatus } from "./JobStatus.ts"
import * as Outcome from "./Outcome.ts"

export const TypeId = "~holdfast/supervisor/Job"

/**
 * A job that gives `A` or fails with `E`. `id` finds it again through the supervisor, `name` says what it does. JSON and logs
 * show these two; handles of the same job are equal.
 */
export interface Job<out A, out E> {
  readonly [TypeId]: { readonly _A: Types.Covariant<A>; readonly _E: Types.Covariant<E> }
  readonly id: string
  readonly name: string
}

/**
 * The record behind a handle: it is the handle, whose type remembers what the job gives. Throws the `JobError`
 * `ForeignHandle` for a handle of another supervisor than Holdfast's.
 */
export const recordOf = (job: Job<unknown, unknown>): JobRecord => {
  if (job instanceof JobRecord) return job
  throw foreign(job)
}

/** Says that a handle is not one of Holdfast's supervisor; nothing when it is. */
export const whyForeign = (job: Job<unknown, unknown>): JobError | undefined =>
  job instanceof JobRecord ? undefined : foreign(job)

// What plain JavaScript hands over may be no handle at all.
const foreign = (job: unknown): JobError => {
  if (typeof job === "object" && job !== null && "id" in job)
    return new JobError({ id: String(job.id), reason: new ForeignHandle() })
  const hint = typeof job === "string" ? "an id: use Supervisor.join, Supervisor.cancel and the like" : SafeText.of(job)
  throw new RangeError(`a job's handle is what Supervisor.submit gives; this is ${hint}`)
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
  readonly now: () => number
  readonly toEpoch: (millis: number) => number
  readonly events: EventLog
  readonly pause: (record: JobRecord, paused: boolean) => void
  readonly isPaused: (record: JobRecord) => boolean
  readonly stop: (record: JobRecord, stop: Outcome.Stop) => void
  readonly waitingFor: <A, E>(
    targets: ReadonlyArray<JobRecord>,
    waiter: JobRecord,
    wait: Effect.Effect<A, E>,
    resuming?: "at once"
  ) => Effect.Effect<A, E>
  readonly waitingForAny: <A, E>(waiter: JobRecord, wait: Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Waits until what was scheduled by now is done, such as the interruption of jobs that were asked to end. */
  readonly nextTurn: Effect.Effect<void>
  /** Lends the slot of a job that waits. */
  readonly lendSlot: (record: JobRecord) => void
  readonly report: (record: JobRecord, progress: Progress) => void
  readonly dropReport: () => void
  readonly finish: (record: JobRecord, exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void> | undefined
  readonly ended: (record: JobRecord, exit: Exit.Exit<unknown, unknown>, context: Context.Context<never>) => void
  readonly emit: (record: JobRecord, event: Unplaced<JobEvent>) => void
}

export class JobRecord extends RareFacts<JobRecord> implements Job<unknown, unknown>, Submission, Equal.Equal {
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
  /** The job that owns this one, while this one lives. */
  parent: JobRecord | undefined
  /** Its id, which is all that is kept of it afterwards. */
  readonly parentId: JobId.JobId | undefined
  /** In the supervisor's own time, as are the next ones: see `Lifecycle.now`. */
  readonly submittedAtMillis: number
  /** The order of submission. */
  readonly number: number
  /** Where it stands among the waiting jobs of its key: see `FairQueue`. */
  readonly place: number
  readonly order: number
  heapIndex = -1
  /** How many events it has had. */
  eventCount = 0
  /** The number of its latest event among those of all jobs. */
  latestEvent = 0
  /** Its neighbours among the jobs that live. */
  previous: JobRecord | undefined = undefined
  next: JobRecord | undefined = undefined
  startedAtMillis: number | undefined = undefined
  endedAtMillis: number | undefined = undefined
  attempt = 1
  hasSlot = false
  /** How many callers run it and wait; it ends with the last. None when it was submitted, and goes on without anybody. */
  runners: number | undefined = 0
  /** Present until the job starts. */
  work: Work | undefined
  /** Present while the job runs. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined = undefined
  /** Decided when the work has ended; the job has ended once its children and its report have too. */
  result: Outcome.Outcome | undefined = undefined

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
    super()
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
    this.parentId = parent?.jobId
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

  /** All that a handle shows: behind it stand other jobs, and what theirs are. */
  toJSON(): object {
    return { _id: "Job", id: this.id, name: this.name }
  }

  override toString(): string {
    return `Job(${this.name === this.id ? this.id : `${this.id}, ${this.name}`})`
  }

  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }

  // There may be two records of a job, with its result and without.
  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof JobRecord && that.number === this.number && that.supervision === this.supervision
  }

  [Hash.symbol](): number {
    return Hash.number(this.number)
  }

  /** True when `ancestor` is this job or owns it, directly or through others. An owner is always older than what it owns. */
  isWithin(ancestor: JobRecord): boolean {
    return firstNotAfter(this, ancestor.number) === ancestor
  }

  /** This job and all that own it. */
  owners(): Iterable<JobRecord> {
    return upwards(this)
  }

  /** Takes a report of how far it is. What makes no sense is dropped and counted: a report never fails a job. */
  report(reported: ReportedProgress.ReportedProgress, message: string | undefined): void {
    const progress = ReportedProgress.read(reported, message)
    if (progress === undefined) this.supervision.dropReport()
    else this.supervision.report(this, progress)
  }

  /** Lets go of its result, which has gone to the only one who asked for it. */
  dropResult(): void {
    if (this.result !== undefined) this.result = Outcome.withOnly(this, this.result, () => new Expired())
  }

  /** The same record without its result, for when that is no longer kept. Handles given out keep the original. */
  withoutResult(): JobRecord {
    const record: JobRecord = Object.assign(Object.create(JobRecord.prototype), this)
    record.separate()
    record.dropResult()
    return record
  }

  /** What a report says of it, when it has ended: its names and what became of it, and nothing that its submitter gave. */
  forReport(): JobRecord {
    const record = this.withoutResult()
    return Object.assign(record, {
      metadata: {},
      key: "",
      idempotencyKey: undefined,
      progress: undefined,
      stop: undefined
    })
  }

  status(): JobStatus {
    const { id, key, kind, metadata, priority } = this
    const cause = this.causeOfEnd()
    return SafeJson.withoutCause({
      id,
      name: this.givenName ?? id,
      kind,
      state: this.state,
      metadata: { ...metadata },
      parentId: this.parentId === undefined ? undefined : JobId.toText(this.parentId),
      submittedAtMillis: this.supervision.toEpoch(this.submittedAtMillis),
      startedAtMillis: this.sinceEpoch(this.startedAtMillis),
      endedAtMillis: this.sinceEpoch(this.endedAtMillis),
      cause,
      error: cause === undefined ? undefined : SafeText.ofCause(cause),
      key,
      priority,
      attempt: this.attempt,
      progress: this.progress,
      rounds: this.rounds === undefined ? undefined : { ...this.rounds },
      stoppedAtMillis: this.sinceEpoch(this.stoppedAtMillis),
      cancelledBy: this.stop?._tag === "Cancel" ? this.stop.cancelledBy : undefined,
      isPaused: this.supervision.isPaused(this),
      lentMillis: this.lentMillis + (this.isLending ? this.supervision.now() : 0)
    })
  }

  /** True while it runs without the slot it had, which it lent. */
  get isLending(): boolean {
    return this.state === "running" && this.kind === "job" && !this.hasSlot
  }

  private causeOfEnd(): Cause.Cause<unknown> | undefined {
    if (this.result === undefined || this.result.state === "completed") return undefined
    return Exit.isFailure(this.result.exit) ? this.result.exit.cause : undefined
  }

  private sinceEpoch(millis: number | undefined): number | undefined {
    return millis === undefined ? undefined : this.supervision.toEpoch(millis)
  }
}

/** Whether what a job owns is part of its work. A periodic job's rounds are not: it need not begin a further one. */
export const isPartOfWork = (owner: JobRecord | undefined): boolean => owner !== undefined && owner.rounds === undefined

// By loops: jobs own each other to any depth.
const firstNotAfter = (from: JobRecord, number: number): JobRecord | undefined => {
  let record: JobRecord | undefined = from
  while (record !== undefined && record.number > number) record = record.parent
  return record
}

function* upwards(from: JobRecord): Generator<JobRecord> {
  for (let record: JobRecord | undefined = from; record !== undefined; record = record.parent) yield record
}

/** The job the running fiber belongs to, if any: how a job's own jobs, calls and reports find it. */
export const CurrentJob = Context.Reference<JobRecord | undefined>("holdfast/supervisor/JobRecord/CurrentJob", {
  defaultValue: () => undefined
})
