/**
 * Moves jobs through their states. Every transition is one synchronous step, so no fiber ever sees half of one.
 *
 * User code never runs inside a step: job fibers start and end, and waiters and readers wake, from the dispatcher
 * afterwards. Only a call starts in the turn of who submits it, when the step is done.
 */
import { Cause, Clock, Context, Deferred, type Duration, Effect, Exit, type Fiber, Scheduler } from "effect"
import type { JobEvent } from "../core/JobEvent.ts"
import { RollingCount } from "../core/window/RollingCount.ts"
import { Admission } from "./Admission.ts"
import { Entrance } from "./Entrance.ts"
import { EventLog, type Unplaced } from "./EventLog.ts"
import * as FailureHook from "./FailureHook.ts"
import { DuplicateId, JobError, NotAccepting, QueueFull } from "./JobError.ts"
import * as JobFiber from "./lifecycle/JobFiber.ts"
import * as JobId from "./records/JobId.ts"
import { JobRecord, type Progress, type Submission, type Supervision, type Work } from "./records/JobRecord.ts"
import * as Outcome from "./records/Outcome.ts"
import { Lending } from "./Lending.ts"
import { JobTable } from "./records/JobTable.ts"
import type { Settings } from "./lifecycle/Settings.ts"

export class Lifecycle implements Supervision {
  readonly events: EventLog
  readonly table: JobTable
  readonly admission: Admission
  readonly rates = { started: rateCount(), succeeded: rateCount(), failed: rateCount() }
  private readonly settings: Settings
  private readonly hook: FailureHook.FailureHook
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly madeAtMillis: number
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly entrance = new Entrance()
  private readonly lending = new Lending({
    lend: (record) => this.lendSlot(record),
    takeBack: (record) => this.takeSlotBack(record)
  })
  private startable: Array<JobRecord> = []
  private readonly refused = Deferred.makeUnsafe<void>()
  private refusal: NotAccepting["because"] | undefined = undefined
  private lastNumber = 0
  private settleScheduled = false
  private watched: Set<JobRecord> | undefined = undefined

  constructor(settings: Settings, hook: FailureHook.FailureHook, context: Context.Context<never>) {
    this.settings = settings
    this.hook = hook
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.madeAtMillis = this.clock.currentTimeMillisUnsafe()
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.events = new EventLog(settings.eventHistory, (millis) => this.toEpoch(millis), this.schedule)
    this.table = new JobTable(settings.retention)
    this.admission = new Admission(settings)
  }

  /** The supervisor's time: milliseconds since it was made. Small numbers take no memory of their own in a record. */
  now(): number {
    return this.clock.currentTimeMillisUnsafe() - this.madeAtMillis
  }

  /** The supervisor's time as milliseconds since 1970. */
  toEpoch(millis: number): number {
    return this.madeAtMillis + millis
  }

  get isAccepting(): boolean {
    return this.refusal === undefined
  }

  /**
   * Stops accepting work that no running job owns. What waits is cancelled, what repeats begins no further round.
   * Returns all jobs there is to account for.
   */
  refuse(because: NotAccepting["because"]): ReadonlySet<JobRecord> {
    this.refusal = because
    const watched = (this.watched ??= new Set(this.table.liveRecords))
    for (const record of Array.from(this.table.liveRecords)) {
      if (record.state === "pending") this.stop(record, { _tag: "Cancel", reason: because })
    }
    this.schedule(() => Deferred.doneUnsafe(this.refused, Effect.void))
    this.scheduleSettle()
    return watched
  }

  /** Asks every job to end. */
  stopAll(reason: string): void {
    for (const record of Array.from(this.table.liveRecords)) this.stop(record, { _tag: "Cancel", reason })
  }

  /** Waits until no job lives. */
  readonly awaitIdle: Effect.Effect<void> = Effect.suspend(() => {
    const record = this.table.oldestLive
    return record === undefined ? Effect.void : Effect.andThen(this.awaitEnd(record), this.awaitIdle)
  })

  /**
   * Accepts a job, to be started as soon as there is a slot, or says why not. A call needs none: who submits it calls
   * {@link begin}.
   */
  submit(submission: Submission, work: Work, parent: JobRecord | undefined): JobRecord | JobError {
    const { idempotencyKey, kind, metadata } = submission
    const known = idempotencyKey === undefined ? undefined : this.table.getByIdempotencyKey(idempotencyKey)
    if (known !== undefined) return known
    const reason = this.whyNot(submission, parent)
    if (reason !== undefined) return new JobError({ id: JobId.toText(submission.jobId), reason })
    const now = this.now()
    const record = new JobRecord(this, submission, work, parent, ++this.lastNumber, now, this.settings.agingMillis)
    this.table.add(record)
    if (kind === "job") this.admission.queue(record)
    else if (kind === "periodic") this.startable.push(record)
    this.watched?.add(record)
    if (parent !== undefined) (parent.children ??= new Set()).add(record)
    this.events.append(record, { _tag: "JobSubmitted", metadata, parentId: parent?.id }, now)
    if (kind !== "call") this.scheduleSettle()
    return record
  }

  private whyNot({ jobId, kind }: Submission, parent: JobRecord | undefined): JobError["reason"] | undefined {
    if (!this.table.isFree(jobId)) return new DuplicateId()
    if (parent?.result !== undefined || parent?.stop !== undefined)
      return new NotAccepting({ because: "parent ending" })
    if (this.refusal !== undefined && (this.refusal === "closed" || parent === undefined)) {
      return new NotAccepting({ because: this.refusal })
    }
    if (kind === "job" && this.admission.isFull) return new QueueFull({ maxPending: this.settings.maxPending })
    return undefined
  }

  /**
   * Calls `accept` as soon as there is room in the queue, or fails with `refusal` when there was none within `limit`.
   * Giving up withdraws it.
   */
  enter(
    accept: () => JobRecord | JobError,
    waiter: JobRecord | undefined,
    refusal: JobError,
    limit: Duration.Duration | undefined
  ): Effect.Effect<JobRecord, JobError> {
    const wait = this.entrance.wait(accept, refusal, (late) => {
      this.scheduleSettle()
      const timer = limit === undefined ? undefined : this.after(limit, late)
      return () => timer?.interruptUnsafe()
    })
    // Whoever waits for room lends the slot as well: it may be the one that would make room.
    return this.lending.forSlot(waiter, wait)
  }

  /** Asks a job to end, for the first reason given: a waiting one ends at once, a running one is interrupted. */
  stop(record: JobRecord, stop: Outcome.Stop): void {
    if (record.result !== undefined || record.stop !== undefined) return
    record.stop = stop
    record.stoppedAtMillis = this.now()
    if (record.state === "pending") this.end(record, Exit.interrupt())
    else {
      this.schedule(() => record.fiber?.interruptUnsafe())
      this.scheduleSettle()
    }
  }

  /** Waits until a job has ended. Giving up does not touch the job. */
  awaitEnd(record: JobRecord): Effect.Effect<void> {
    return Effect.suspend(() =>
      record.endedAtMillis === undefined
        ? Effect.andThen(this.awaitNews(record, record.progress), this.awaitEnd(record))
        : Effect.void
    )
  }

  /**
   * Waits until a job has ended or has reported other progress than `seen`. Looks and subscribes in one step: news
   * between the two would wake nobody.
   */
  awaitNews(record: JobRecord, seen: Progress | undefined): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (record.endedAtMillis !== undefined || record.progress !== seen) return resume(Effect.void)
      return Effect.sync(record.onNews(() => resume(Effect.void)))
    })
  }

  /** Waits until the supervisor no longer accepts work. */
  readonly awaitRefusal: Effect.Effect<void> = Effect.suspend(() => Deferred.await(this.refused))

  /** Waits for a job on behalf of another, which lends its slot meanwhile: see `Lending`. */
  waitingFor<A, E>(target: JobRecord, waiter: JobRecord | undefined, wait: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.lending.forJob(target, waiter, wait)
  }

  /** Takes down how far a job is, for whoever follows it. */
  report(record: JobRecord, progress: Progress): void {
    if (record.result !== undefined) return
    record.progress = progress
    this.wake(record)
  }

  /**
   * Decides how a job ended; runs in the job's own fiber, last. The job has ended only when its children have, and its
   * failure is reported.
   */
  finish(record: JobRecord, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    const result = (record.result = Outcome.make(record, record.stop, exit))
    if (Exit.isSuccess(exit) && record.children === undefined) return undefined
    const children = Array.from(record.children ?? [])
    for (const child of children) this.stop(child, { _tag: "Cancel", reason: "parent ended" })
    return Effect.andThen(
      Effect.forEach(children, (child) => this.awaitEnd(child), { discard: true }),
      FailureHook.report(this.hook, record, result)
    )
  }

  emit(record: JobRecord, event: Unplaced<JobEvent>, now = this.now()): void {
    this.events.append(record, event, now)
  }

  private lendSlot(record: JobRecord): void {
    this.admission.free(record)
    this.scheduleSettle()
  }

  private takeSlotBack(record: JobRecord): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (!Admission.needsSlot(record)) return resume(Effect.void)
      this.admission.returnTo(record, () => this.schedule(() => resume(Effect.void)))
      this.scheduleSettle()
    })
  }

  private readonly schedule = (task: () => void): void => this.dispatcher.scheduleTask(task, 0)

  private scheduleSettle(): void {
    if (this.settleScheduled) return
    this.settleScheduled = true
    this.schedule(this.settle)
  }

  // Starts what may start, then lets in what waits for room.
  private readonly settle = (): void => {
    this.settleScheduled = false
    const startable = this.startable
    this.startable = []
    for (const record of startable) this.begin(record)
    this.admission.settle(this.begin)
    this.entrance.letIn(() => !this.admission.isFull || this.refusal !== undefined)
  }

  /** Starts the fiber of a job that may run; it runs until it waits for something. To be called outside of any step. */
  readonly begin = (record: JobRecord): void => {
    const { work } = record
    if (work === undefined || record.state !== "pending") return
    record.work = undefined
    const now = (record.startedAtMillis = this.now())
    this.rates.started.add(now)
    this.table.start(record)
    this.emit(record, started, now)
    const { timeout } = record
    if (timeout !== undefined) {
      record.timer = this.after(timeout, () => this.stop(record, { _tag: "Timeout", after: timeout }))
    }
    JobFiber.start(record, work)
  }

  /** Sees to the end of a job whose fiber has ended. */
  ended(record: JobRecord, exit: Exit.Exit<unknown, unknown>): void {
    if (record.result !== undefined) return this.end(record, exit)
    // It was stopped before its first step, which would have seen to `finish`.
    Effect.runForkWith(this.context)(Effect.suspend(() => this.finish(record, exit) ?? Effect.void)).addObserver(() =>
      this.end(record, exit)
    )
  }

  private end(record: JobRecord, fiberExit: Exit.Exit<unknown, unknown>): void {
    const result = (record.result ??= Outcome.make(record, record.stop, fiberExit))
    const now = this.now()
    if (record.state === "pending" && record.kind === "job") this.admission.withdraw(record)
    this.admission.free(record)
    record.timer?.interruptUnsafe()
    record.timer = undefined
    record.fiber = undefined
    record.work = undefined
    record.children = undefined
    record.endedAtMillis = now
    record.parent?.children?.delete(record)
    this.table.end(record, result.state, now)
    const trailed = record.trail === undefined ? undefined : { trail: record.trail.trail }
    record.trail = undefined
    if (result.state === "completed") {
      this.rates.succeeded.add(now)
      this.emit(record, trailed === undefined ? completed : { ...completed, ...trailed }, now)
    } else if (result.state === "failed") {
      this.rates.failed.add(now)
      const cause = Exit.isFailure(result.exit) ? result.exit.cause : Cause.empty
      this.emit(record, { _tag: "JobFailed", cause, ...trailed }, now)
    } else this.emit(record, { _tag: "JobCancelled", reason: Outcome.reasonOf(record.stop), ...trailed }, now)
    this.wake(record)
    if (this.admission.isUnsettled || !this.entrance.isEmpty) this.scheduleSettle()
  }

  private wake(record: JobRecord): void {
    const listeners = record.takeListeners()
    if (listeners === undefined) return
    this.schedule(() => {
      for (const listener of listeners) listener()
    })
  }

  private after(duration: Duration.Duration, task: () => void): Fiber.Fiber<void> {
    return Effect.runForkWith(this.context)(Effect.andThen(Effect.sleep(duration), Effect.sync(task)))
  }
}

// What every job emits, made once.
const started = { _tag: "JobStarted" } as const
const completed = { _tag: "JobCompleted" } as const

/** Counts over the last 60 seconds. */
const rateCount = () => new RollingCount(60_000, 60)
