/**
 * Moves jobs through their states. Every transition is one synchronous step, so no fiber ever sees half of one.
 *
 * User code never runs inside a step: job fibers start and end, and waiters and readers wake, from the dispatcher
 * afterwards. Only a call starts in the turn of who submits it, when the step is done.
 */
import { Clock, Context, Deferred, type Duration, Effect, Exit } from "effect"
import type { JobEvent, Progress } from "../../core/JobEvent.ts"
import { lastMinute } from "../../core/window/RollingCount.ts"
import { Admission } from "./Admission.ts"
import * as CallStack from "./CallStack.ts"
import { type Room, RoomQueue } from "./RoomQueue.ts"
import * as Uncaught from "../../core/Uncaught.ts"
import * as ErrorOf from "../records/ErrorOf.ts"
import * as EndEvent from "../records/EndEvent.ts"
import { noMetadata, type Unplaced } from "../records/EventContents.ts"
import { EventLog } from "../records/EventLog.ts"
import * as FailureHook from "./FailureHook.ts"
import * as FailureLog from "./FailureLog.ts"
import { DuplicateId, type JobError, NotAccepting, QueueFull } from "../JobError.ts"
import * as JobFiber from "./JobFiber.ts"
import { isPartOfWork, JobRecord, type Submission, type Supervision, type Work } from "../records/JobRecord.ts"
import { JobScheduler } from "./JobScheduler.ts"
import { Pauses } from "./Pauses.ts"
import * as RandomId from "../../core/RandomId.ts"
import * as JobNews from "../records/JobNews.ts"
import * as Outcome from "../records/Outcome.ts"
import { SlotLending } from "./SlotLending.ts"
import { ProgressEvents } from "./ProgressEvents.ts"
import { JobTable } from "../records/JobTable.ts"
import type { Settings } from "./Settings.ts"
import { SupervisorTime } from "./SupervisorTime.ts"
import { Turns } from "./Turns.ts"
import { Watch } from "../records/Watch.ts"

export class Lifecycle implements Supervision {
  readonly events: EventLog
  readonly table: JobTable
  readonly admission: Admission
  readonly pauses = new Pauses(this)
  readonly regroup = (of: string | JobRecord): void => this.roomQueue.regroup(of)
  readonly pause = (record: JobRecord, paused: boolean): void => this.pauses.pause(record, paused)
  readonly isPaused = (record: JobRecord): boolean => this.pauses.isPaused(record)
  readonly rates = { started: lastMinute(), succeeded: lastMinute(), failed: lastMinute() }
  droppedReports = 0
  readonly dropReport = (): void => void this.droppedReports++
  private readonly settings: Settings
  readonly hook: FailureHook.FailureHook
  private readonly context: Context.Context<never>
  readonly scheduler: JobScheduler
  readonly time: SupervisorTime
  private readonly turns: Turns
  readonly roomQueue: RoomQueue
  readonly lending: SlotLending
  /** The jobs in which a drain is under way, once for each. */
  readonly drainCallers = new Set<{ readonly caller: JobRecord }>()
  private readonly progressEvents: ProgressEvents
  private readonly startable: Array<JobRecord> = []
  private readonly refused = Deferred.makeUnsafe<void>()
  private refusal: NotAccepting["because"] | undefined = undefined
  private lastNumber = 0
  private settleScheduled = false
  readonly watch = new Watch()

  constructor(settings: Settings, hook: FailureHook.Hook | undefined, context: Context.Context<never>) {
    this.settings = settings
    this.context = context
    this.scheduler = new JobScheduler(context)
    this.time = new SupervisorTime(Context.get(context, Clock.Clock))
    this.turns = new Turns(context)
    const { after, soon } = this.turns
    this.events = new EventLog(settings.eventHistory, settings.retention.resultBytes, (ms) => this.toEpoch(ms), soon)
    this.hook = new FailureHook.FailureHook(hook, context, soon)
    this.table = new JobTable(settings.retention, settings.ids === "random" ? RandomId.maker(context) : undefined)
    this.admission = new Admission(settings, () => this.now(), this.pauses)
    this.progressEvents = new ProgressEvents(settings, after, (record, event) => this.emit(record, event))
    this.lending = new SlotLending(this.admission, soon, () => this.scheduleSettle())
    this.roomQueue = new RoomQueue(this.admission, this.lending, () => this.scheduleSettle())
  }

  /** The supervisor's time, by which everything but dates is decided: see {@link SupervisorTime}. */
  now(): number {
    return this.time.now()
  }

  /** The date of a moment in the supervisor's time, as milliseconds since 1970. */
  toEpoch(millis: number): number {
    return this.time.toEpoch(millis)
  }

  get isAccepting(): boolean {
    return this.refusal === undefined
  }

  /**
   * Stops accepting work that no running job owns. What waits is cancelled, unless the supervisor drains and it is part of
   * a running job; what repeats begins no further round. Once closed, all jobs are asked to end.
   */
  refuse(because: NotAccepting["because"]): void {
    if (this.refusal !== "closed") this.refusal = because
    if (because === "closed") this.stopAll("supervisor closed")
    for (const record of Array.from(this.table.liveRecords)) {
      const mayStart = because === "draining" && isPartOfWork(record.parent)
      if (record.state === "pending" && !mayStart) this.stop(record, { _tag: "Cancel", reason: because })
    }
    this.turns.soon(() => Deferred.doneUnsafe(this.refused, Effect.void))
    this.roomQueue.refuse()
    this.scheduleSettle()
  }

  /** Ends the readers of events, and lets go of all records and results: who keeps a handle keeps what is its own. */
  close(): void {
    this.events.close()
    this.turns.soon(() => this.table.clear())
  }

  /** Asks jobs to end: all of them, or all but some. */
  stopAll(reason: string, leftOut?: ReadonlySet<JobRecord>): void {
    for (const record of Array.from(this.table.liveRecords)) {
      if (leftOut?.has(record) !== true) this.stop(record, { _tag: "Cancel", reason })
    }
  }

  /** Waits until no job lives. */
  readonly awaitIdle: Effect.Effect<void> = Effect.suspend(() => {
    const record = this.table.oldestLive
    return record === undefined ? Effect.void : Effect.andThen(JobNews.end(record), this.awaitIdle)
  })

  /**
   * Accepts a job, to be started as soon as there is a slot, or says why not. A call needs none: who submits it calls
   * {@link beginCall}. A known job with the same idempotency key is given as it is, whatever its kind.
   */
  submit(submission: Submission, work: Work, parent: JobRecord | undefined, room: Room): JobRecord | JobError {
    const { idempotencyKey, metadata } = submission
    const known = idempotencyKey === undefined ? undefined : this.table.getByIdempotencyKey(idempotencyKey)
    if (known !== undefined) return known
    const reason = this.whyNot(submission, parent, room)
    if (reason !== undefined) return ErrorOf.refused(submission, reason)
    const now = this.now()
    const record = new JobRecord(this, submission, work, parent, ++this.lastNumber, now, this.settings.agingMillis)
    this.table.add(record)
    this.lineUp(record)
    this.watch.add(record)
    if (parent !== undefined) (parent.children ??= new Set()).add(record)
    const isPlain = metadata === noMetadata && parent === undefined
    this.events.append(record, isPlain ? submitted : { _tag: "JobSubmitted", metadata, parentId: parent?.id }, now)
    this.pauses.add(record)
    if (idempotencyKey !== undefined) this.roomQueue.know(idempotencyKey)
    return record
  }

  /** Puts a job that is no call where it waits for its start. */
  lineUp(record: JobRecord): void {
    if (record.kind === "call") return
    if (record.kind === "job") this.admission.queue(record)
    else this.startable.push(record)
    this.scheduleSettle()
  }

  withdraw(record: JobRecord): void {
    if (record.kind === "job") this.admission.withdraw(record)
  }

  private whyNot(submission: Submission, parent: JobRecord | undefined, room: Room): JobError["reason"] | undefined {
    const { jobId, key, kind } = submission
    if (!this.table.isFree(jobId)) return new DuplicateId()
    if (parent?.result !== undefined || parent?.stop !== undefined) return ErrorOf.endingParent(parent)
    if (this.refusal !== undefined && (this.refusal === "closed" || !isPartOfWork(parent))) {
      return new NotAccepting({ because: this.refusal })
    }
    if (kind !== "job" || room === "not asked for") return undefined
    // A newcomer does not go before those who wait for room.
    const isHeld = this.pauses.covers(submission, parent)
    const isFull =
      (room === "asked for" && this.roomQueue.comesFirst(key, isHeld)) ||
      (isHeld ? this.admission.isFullOfHeld : this.admission.isFull(key))
    return isFull ? new QueueFull({ maxPending: this.settings.maxPending }) : undefined
  }

  /** Asks a job to end, for the first reason given: a waiting one ends at once, a running one is interrupted. */
  stop(record: JobRecord, stop: Outcome.Stop): void {
    if (record.result !== undefined || record.stop !== undefined) return
    record.stop = stop
    record.stoppedAtMillis = this.now()
    if (record.state === "pending") this.end(record, Exit.interrupt())
    else {
      this.admission.interruptions++
      this.turns.soon(() => {
        // Nothing started meanwhile.
        if (--this.admission.interruptions === 0) this.scheduleSettle()
        record.fiber?.interruptUnsafe()
      })
      this.table.ending.add(record)
      this.lending.stop(record)
      this.scheduleSettle()
    }
  }

  /** Waits until the supervisor no longer accepts work. */
  readonly awaitRefusal: Effect.Effect<void> = Effect.suspend(() => Deferred.await(this.refused))
  readonly nextTurn = Effect.callback<void>((resume) => this.turns.soon(() => resume(Effect.void)))
  readonly lendSlot = (record: JobRecord): void => this.lending.lend(record)

  /** Waits for jobs on behalf of another, which lends its slot meanwhile: see `SlotLending`. */
  readonly waitingFor: Supervision["waitingFor"] = (targets, waiter, wait, resuming) =>
    this.lending.forJobs(targets, waiter, wait, resuming)
  readonly waitingForAny: Supervision["waitingForAny"] = (waiter, wait) => this.lending.forSlot(waiter, wait)

  /** Takes down how far a job is, for whoever follows it. */
  report(record: JobRecord, progress: Progress): void {
    if (record.result !== undefined) return
    // Frozen, for statuses and readers are given it as it is.
    record.progress = Object.freeze(progress)
    this.progressEvents.note(record)
    this.turns.wake(record.takeProgressListeners())
  }

  /**
   * Decides how a job ended; runs in the job's own fiber, last. The job has ended only when its children have, and its
   * failure is logged.
   */
  finish(record: JobRecord, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> | undefined {
    const result = (record.result = Outcome.make(record, record.stop, exit))
    if (Exit.isSuccess(exit) && record.children === undefined) return undefined
    const children = Array.from(record.children ?? [])
    for (const child of children) this.stop(child, { _tag: "Cancel", reason: "parent ended" })
    return Effect.andThen(Effect.forEach(children, JobNews.end, { discard: true }), FailureLog.end(record, result))
  }

  emit(record: JobRecord, event: Unplaced<JobEvent>, now = this.now()): void {
    this.events.append(record, event, now)
  }

  private scheduleSettle(): void {
    if (this.settleScheduled) return
    this.settleScheduled = true
    this.turns.soon(this.settle)
  }

  // Starts what may start, then lets in what waits for room.
  private readonly settle = (): void => {
    this.settleScheduled = false
    // Twice, for a periodic job begins its first round at once: whoever moves a `TestClock` next finds it begun.
    for (let pass = 0; pass < 2; pass++) {
      for (const record of this.startable.splice(0)) this.beginGuarded(record, this.now())
    }
    if (this.admission.settle(this.beginGuarded)) this.scheduleSettle()
    this.roomQueue.letIn()
  }

  // What a job's first step wakes may throw, and the others start all the same.
  private readonly beginGuarded = (record: JobRecord, now: number): void => {
    try {
      this.begin(record, now)
    } catch (error) {
      Uncaught.throwLater(error)
    }
  }

  /**
   * Starts a call in the turn of who submits it: nobody can end it before its first step, and what is answered at once costs
   * no turn of the event loop. Inside of many others it starts in a turn of its own.
   */
  beginCall(record: JobRecord): void {
    CallStack.begin(
      () => this.begin(record, this.now()),
      () => {
        this.startable.push(record)
        this.scheduleSettle()
      }
    )
  }

  /** Starts the fiber of a job that may run; it runs until it waits for something. To be called outside of any step. */
  private begin(record: JobRecord, now: number): void {
    const { work } = record
    if (work === undefined || record.state !== "pending" || this.pauses.isHeld(record)) return
    record.work = undefined
    record.startedAtMillis = now
    this.rates.started.add(now)
    this.table.start(record)
    this.emit(record, started, now)
    if (record.timeout !== undefined) this.limit(record, record.timeout)
    try {
      JobFiber.start(record, work)
    } catch (thrown) {
      // What the submitter's context holds could not be read.
      if (record.fiber !== undefined || record.endedAtMillis !== undefined) throw thrown
      this.ended(record, Exit.die(thrown), FailureHook.within(this.context, work.context))
    }
  }

  private limit(record: JobRecord, after: Duration.Duration): void {
    record.timer = this.turns.after(after, () => this.stop(record, { _tag: "Timeout", after }))
  }

  /** Sees to the end of a job whose fiber has ended; `context` is what that ran in. */
  ended(record: JobRecord, exit: Exit.Exit<unknown, unknown>, context: Context.Context<never>): void {
    if (record.result === undefined) this.finishUnstarted(record, exit, context)
    else this.end(record, exit, context)
  }

  // It was stopped before its first step, which would have seen to `finish`.
  private finishUnstarted(record: JobRecord, exit: Exit.Exit<unknown, unknown>, context: Context.Context<never>): void {
    Effect.runForkWith(this.context)(Effect.suspend(() => this.finish(record, exit) ?? Effect.void)).addObserver(() =>
      this.end(record, exit, context)
    )
  }

  // Nothing that a user gave is called from the second step on: a job ends as a whole or not at all.
  private end(record: JobRecord, fiberExit: Exit.Exit<unknown, unknown>, context = this.context): void {
    const now = this.now()
    const result = (record.result ??= Outcome.make(record, record.stop, fiberExit))
    if (record.isLending) record.lentMillis += now
    const event = EndEvent.of(record, result)
    const wasHeld = this.pauses.forget(record)
    if (record.state === "pending" && !wasHeld) this.withdraw(record)
    this.admission.free(record)
    record.timer?.interruptUnsafe()
    record.timer = undefined
    record.fiber = undefined
    record.work = undefined
    record.children = undefined
    this.progressEvents.end(record)
    record.endedAtMillis = now
    const isRound = record.parent?.rounds !== undefined
    record.parent?.children?.delete(record)
    record.parent = undefined
    this.table.end(record, result.state, now, isRound)
    if (result.state === "completed") this.rates.succeeded.add(now)
    else if (result.state === "failed") this.rates.failed.add(now)
    this.emit(record, event, now)
    record.trail = undefined
    this.watch.replace(record)
    if (result.isFailure) this.tellHook(record, result, context)
    this.turns.wake(record.takeEndListeners())
    this.turns.wake(record.takeProgressListeners())
    if (this.admission.isUnsettled || !this.roomQueue.isEmpty) this.scheduleSettle()
  }

  private tellHook(record: JobRecord, result: Outcome.Outcome, context: Context.Context<never>): void {
    Uncaught.run(() => this.hook.hear(record, result, context))
  }
}

// What happens to most jobs, made once.
const submitted = { _tag: "JobSubmitted", metadata: noMetadata, parentId: undefined } as const
const started = { _tag: "JobStarted" } as const
