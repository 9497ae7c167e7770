/**
 * Runs a program against a supervisor, in an order chosen by a seed, and takes notes of all that can be seen of it: from
 * inside the work, from the answers to calls, and by looking at the supervisor after every turn of a fiber.
 */
import {
  Cause,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Logger,
  Metric,
  References,
  Schedule,
  Scope,
  Stream
} from "effect"
import * as Job from "../supervisor/Job.ts"
import { JobError } from "../supervisor/JobError.ts"
import * as Supervisor from "../supervisor/Supervisor.ts"
import * as SeededScheduler from "./SeededScheduler.ts"
import type * as Program from "./SupervisorLawsProgram.ts"
import type { Actor, Ending, Note, Trace, Unplaced } from "./SupervisorLawsTrace.ts"

/** Builds the supervisor under test. It has to heed the limits and the failure hook it is given. */
export type Make = (options: Supervisor.Options) => Effect.Effect<Supervisor.Supervisor["Service"], never, Scope.Scope>

/** How long clients may wait before the supervisor is closed, in milliseconds. */
const patience = 60
/** How long the failure hook may take, and interrupted jobs in a drain, in milliseconds. */
export const hookLimit = 5
export const interruptLimit = 2

/** Runs a program once. */
export const rehearse = (make: Make, program: Program.Program, options: SeededScheduler.Options = {}): Trace => {
  const stage = new Stage(make, program)
  const run = SeededScheduler.run(stage.play, { maxSteps: 20_000, ...options, onStep: stage.look })
  return {
    program,
    seed: run.seed,
    notes: stage.notes,
    ending: endingOf(run.exit),
    isLate: run.isLate,
    left: { fibers: stage.fibers, sleepers: run.asleep },
    order: run.order,
    steps: run.steps
  }
}

/** How an exit is called in a trace. */
export const endingOf = (exit: Exit.Exit<unknown, unknown>): Ending => {
  if (Exit.isSuccess(exit)) return "success"
  const [first] = exit.cause.reasons
  if (first === undefined || Cause.isInterruptReason(first)) return "interrupt"
  if (Cause.isDieReason(first)) return "die"
  const { error } = first
  if (error instanceof JobError) return error.reason._tag
  return error instanceof SeededScheduler.Deadlock || error instanceof SeededScheduler.Endless
    ? error._tag
    : String(error)
}

type Handle = Job.Job<string, string>

class Stage {
  readonly notes: Array<Note> = []
  fibers = 0
  private readonly make: Make
  private readonly program: Program.Program
  private clock: Clock.Clock = Clock.Clock.defaultValue()
  private supervisor: Supervisor.Supervisor["Service"] | undefined = undefined
  private readonly handles = new Map<string, Handle>()
  private readonly live = new Map<string, { readonly job: Job.Job<unknown, unknown>; state: string }>()
  private readonly known = new Set<string>()
  private readonly followers: Array<Fiber.Fiber<unknown, unknown>> = []
  private readonly closed = Deferred.makeUnsafe<void>()
  private readonly scope = Scope.makeUnsafe()
  private isClosing = false
  private readers = 0
  private lastCounts = ""
  private lastMillis = 0

  constructor(make: Make, program: Program.Program) {
    this.make = make
    this.program = program
  }

  readonly play: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      this.clock = yield* Clock.Clock
      const supervisor = yield* Scope.provide(this.make(this.options), this.scope)
      this.supervisor = supervisor
      yield* this.follow(this.read(supervisor, { after: 0, count: Infinity, pause: 0 }))
      const clients = yield* Effect.forEach(this.program.clients, (steps, index) =>
        Effect.forkDetach(
          Effect.forEach(steps, (step) => this.act(supervisor, step, `client ${index}`), { discard: true })
        )
      )
      yield* Effect.timeoutOption(Fiber.awaitAll(clients), patience)
      yield* this.close("main")
      yield* Fiber.awaitAll(clients)
      yield* Fiber.awaitAll(this.followers)
    })
  ).pipe(
    Effect.provideService(Logger.CurrentLoggers, new Set([Logger.make((entry) => this.log(entry))])),
    Effect.provideService(Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => void this.fibers++,
      recordFiberEnd: () => void this.fibers--
    })
  )

  /** Looks at the supervisor from outside, when no fiber runs. */
  readonly look = (): void => {
    const { supervisor } = this
    if (supervisor === undefined) return
    const counts = Effect.runSync(supervisor.counts)
    const { cancelled, completed, failed, pending, running } = counts
    const { calls } = counts
    const text = `${pending} ${running} ${completed} ${failed} ${cancelled} ${calls.pending} ${calls.running} ${calls.completed} ${calls.failed} ${calls.cancelled}`
    if (text === this.lastCounts) return
    this.lastCounts = text
    const all = pending + running + completed + failed + cancelled
    const allCalls = calls.pending + calls.running + calls.completed + calls.failed + calls.cancelled
    if (all + allCalls > this.known.size) {
      for (const { id } of Effect.runSync(supervisor.list())) this.meet(id, () => Effect.runSync(supervisor.find(id)))
    }
    for (const [id, seen] of this.live) {
      const { cause, key, kind, name, parentId, startedAtMillis, state } = Effect.runSync(Job.status(seen.job))
      if (state === seen.state) continue
      seen.state = state
      const why = cause === undefined ? "" : endingOf(Exit.failCause(cause))
      this.note({ _tag: "State", job: name, id, state, key, kind, parentId, startedAt: startedAtMillis, why })
      if (state !== "pending" && state !== "running") this.live.delete(id)
    }
    this.note({
      _tag: "Counted",
      counts: {
        pending: pending + calls.pending,
        running: running + calls.running,
        completed: completed + calls.completed,
        failed: failed + calls.failed,
        cancelled: cancelled + calls.cancelled
      }
    })
  }

  private meet(id: string, job: () => Job.Job<unknown, unknown>): void {
    if (this.known.has(id)) return
    this.known.add(id)
    this.live.set(id, { job: job(), state: "" })
  }

  private note(note: Unplaced): void {
    const at = this.clock.currentTimeMillisUnsafe()
    if (at !== this.lastMillis) this.notes.push({ _tag: "TimePassed", at })
    this.lastMillis = at
    this.notes.push({ ...note, at })
  }

  private readonly take = (note: Unplaced): Effect.Effect<void> => Effect.sync(() => this.note(note))

  private get options(): Supervisor.Options {
    const { hook, limits } = this.program
    return {
      ...limits,
      upkeepEvery: Duration.infinity,
      onFailureTimeout: hookLimit,
      onFailure: (failure) =>
        Effect.andThen(this.take({ _tag: "Hooked", job: failure.job.name, text: failure.job.state }), hooks[hook])
    }
  }

  private log({ fiber, message }: Logger.Options<unknown>): void {
    const { jobName } = fiber.getRef(References.CurrentLogAnnotations)
    this.note({ _tag: "Logged", job: String(jobName), text: String(Array.isArray(message) ? message[0] : message) })
  }

  private follow(effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.map(Effect.forkDetach(effect), (fiber) => void this.followers.push(fiber))
  }

  private act(supervisor: Supervisor.Supervisor["Service"], step: Program.Step, by: Actor): Effect.Effect<void> {
    switch (step.do) {
      case "submit":
        return this.submit(supervisor, step.job, by)
      case "run":
        return this.run(supervisor, step.job, by, step.leaveAfter)
      case "sleep":
        return Effect.sleep(step.millis)
      case "list":
        return Effect.map(supervisor.list(), (found) =>
          this.note({ _tag: "Listed", jobs: Object.fromEntries(found.map(({ name, state }) => [name, state])) })
        )
      case "prune":
        return supervisor.prune
      case "read":
        return this.follow(this.read(supervisor, step))
      case "cancel all":
        return Effect.andThen(
          this.take({ _tag: "CancelAllCalled", by }),
          Effect.andThen(
            Effect.provideService(Supervisor.cancelAll(), Supervisor.Supervisor, supervisor),
            this.take({ _tag: "CancelAllReturned", by })
          )
        )
      case "await all":
        return Supervisor.awaitAll({}, { limit: step.limit }).pipe(
          Effect.ignore,
          Effect.provideService(Supervisor.Supervisor, supervisor)
        )
      case "drain":
        return Effect.gen({ self: this }, function* () {
          this.note({ _tag: "DrainCalled", deadline: step.deadline, by })
          const report = yield* supervisor.drain({ deadline: step.deadline, interruptLimit })
          this.note({ _tag: "DrainReturned", by, report })
        })
      case "close":
        return this.close(by)
      default: {
        const job = this.handles.get(step.job)
        return job === undefined ? Effect.void : this.use(supervisor, job, step, by)
      }
    }
  }

  private use(
    supervisor: Supervisor.Supervisor["Service"],
    handle: Handle,
    step: Extract<Program.Step, { readonly job: string }>,
    by: Actor
  ): Effect.Effect<void> {
    const job = handle.name
    switch (step.do) {
      case "join":
        return this.wait(handle, by, undefined)
      case "await":
        return this.wait(handle, by, step.limit)
      case "leave":
        return Effect.gen({ self: this }, function* () {
          const waiting = yield* Effect.forkChild(this.wait(handle, by, undefined))
          yield* Effect.sleep(step.after)
          yield* Fiber.interrupt(waiting)
          this.note({ _tag: "Left", job, by })
        })
      case "cancel":
        return this.cancel(handle, by)
      case "find":
        return Effect.map(Effect.exit(supervisor.find(handle.id)), (exit) =>
          this.note({ _tag: "Found", job, how: endingOf(exit) })
        )
      case "watch":
        return this.follow(
          Effect.andThen(
            Stream.runForEach(Job.progress(handle), ({ fraction }) => this.take({ _tag: "Progress", job, fraction })),
            this.take({ _tag: "ProgressEnded", job })
          )
        )
    }
  }

  private wait(handle: Handle, by: Actor, limit: number | undefined): Effect.Effect<void> {
    const job = handle.name
    const wait = limit === undefined ? Job.join(handle) : Effect.flatten(Job.await(handle, { limit }))
    return Effect.suspend(() => {
      this.note({ _tag: "WaitCalled", job, by, limit })
      return Effect.map(Effect.exit(wait), (exit) => {
        const how = endingOf(exit)
        this.note(how === "StillRunning" ? { _tag: "GaveUp", job, by } : { _tag: "WaitReturned", job, by, how })
      })
    })
  }

  private cancel(handle: Handle, by: Actor): Effect.Effect<void> {
    const job = handle.name
    return Effect.suspend(() => {
      this.note({ _tag: "CancelCalled", job, by })
      return Effect.map(Job.cancel(handle), ({ state }) => this.note({ _tag: "CancelReturned", job, by, state }))
    })
  }

  private close(by: Actor): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isClosing) return Deferred.await(this.closed)
      this.isClosing = true
      this.note({ _tag: "CloseCalled", by })
      return Effect.map(Scope.close(this.scope, Exit.void), () => {
        this.note({ _tag: "CloseReturned", by })
        Deferred.doneUnsafe(this.closed, Exit.void)
      })
    })
  }

  private read(
    supervisor: Supervisor.Supervisor["Service"],
    { after, count, pause }: { readonly after: number; readonly count: number; readonly pause: number }
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const reader = this.readers++
      this.note({ _tag: "ReaderBegan", reader, after })
      const events = supervisor.events({ after }).pipe(Stream.take(count))
      return Stream.runForEach(events, (event) =>
        Effect.andThen(this.take({ _tag: "Read", reader, event }), pause > 0 ? Effect.sleep(pause) : Effect.void)
      )
    })
  }

  private submit(supervisor: Supervisor.Supervisor["Service"], job: Program.Job, by: Actor): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.note({ _tag: "SubmitCalled", job: job.name, by })
      return Effect.map(Effect.exit(supervisor.submit(this.workOf(supervisor, job), submitOptions(job))), (exit) => {
        if (Exit.isSuccess(exit)) this.submitted(job, exit.value, by)
        else this.note({ _tag: "Refused", job: job.name, by, why: endingOf(exit) })
      })
    })
  }

  private submitted(job: Program.Job, handle: Handle, by: Actor): void {
    this.handles.set(job.name, handle)
    this.meet(handle.id, () => handle)
    if (handle.name === job.name) this.note({ _tag: "Submitted", job: job.name, id: handle.id, by })
    else this.note({ _tag: "Joined", job: job.name, other: handle.name, by })
  }

  private run(
    supervisor: Supervisor.Supervisor["Service"],
    job: Program.Job,
    by: Actor,
    leaveAfter?: number
  ): Effect.Effect<void> {
    const run = Supervisor.run(this.workOf(supervisor, job), submitOptions(job)).pipe(
      Effect.provideService(Supervisor.Supervisor, supervisor)
    )
    return Effect.gen({ self: this }, function* () {
      this.note({ _tag: "SubmitCalled", job: job.name, by })
      if (leaveAfter === undefined) {
        this.note({ _tag: "WaitReturned", job: job.name, by, how: endingOf(yield* Effect.exit(run)) })
        return
      }
      const running = yield* Effect.forkChild(run)
      yield* Effect.sleep(leaveAfter)
      this.note({ _tag: "CancelCalled", job: job.name, by })
      yield* Fiber.interrupt(running)
      this.note({ _tag: "Left", job: job.name, by })
    })
  }

  private workOf(
    supervisor: Supervisor.Supervisor["Service"],
    job: Program.Job
  ): Effect.Effect<string, string, Scope.Scope> {
    const { name } = job
    let attempt = 0
    return Effect.gen({ self: this }, function* () {
      attempt++
      yield* Effect.acquireRelease(this.take({ _tag: "Began", job: name }), (_, exit) =>
        this.take({ _tag: "Ended", job: name, how: endingOf(exit) })
      )
      if (job.finalizer !== undefined) yield* Effect.addFinalizer(() => finalizers[job.finalizer ?? "slow"])
      for (const piece of job.work) yield* this.perform(supervisor, name, attempt, piece)
      if (job.end === "fail" || (job.end === "fail once" && attempt === 1)) return yield* Effect.fail("fail")
      if (job.end === "die") return yield* Effect.die("die")
      if (job.end === "never") return yield* Effect.never
      if (job.end === "interrupt") return yield* Effect.interrupt
      return name
    })
  }

  private perform(
    supervisor: Supervisor.Supervisor["Service"],
    by: string,
    attempt: number,
    piece: Program.Work
  ): Effect.Effect<void> {
    switch (piece.do) {
      case "sleep":
        return Effect.sleep(piece.millis)
      case "block":
        return Effect.uninterruptible(Effect.sleep(piece.millis))
      case "report":
        return Effect.suspend(() => {
          this.note({ _tag: "Reported", job: by, fraction: piece.done / 4 })
          return Job.report({ done: piece.done, total: 4 })
        })
      case "submit": {
        const submit = this.submit(supervisor, ofAttempt(attempt, piece.job), by)
        return piece.job.whenFull === undefined ? submit : this.waiting(by, submit)
      }
      case "run":
        return this.waiting(by, this.run(supervisor, ofAttempt(attempt, piece.job), by))
      default: {
        const job = this.handles.get(piece.job)
        if (job === undefined) return Effect.void
        return piece.do === "cancel" ? this.cancel(job, by) : this.waiting(by, this.wait(job, by, undefined))
      }
    }
  }

  private waiting(job: string, wait: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.acquireUseRelease(
      this.take({ _tag: "WaitBegan", job }),
      () => wait,
      () => this.take({ _tag: "WaitEnded", job })
    )
  }
}

const hooks = {
  note: Effect.void,
  slow: Effect.sleep(2),
  die: Effect.die("hook"),
  hang: Effect.never
}

const finalizers = { slow: Effect.sleep(2), die: Effect.die("finalizer") }

const ofAttempt = (attempt: number, job: Program.Job): Program.Job => ({
  ...job,
  name: job.name + "'".repeat(attempt - 1)
})

const submitOptions = (job: Program.Job): Supervisor.SubmitOptions<string> => ({
  name: job.name,
  timeout: job.timeout,
  key: job.key,
  priority: job.priority,
  kind: job.kind,
  whenFull: job.whenFull,
  idempotencyKey: job.idempotencyKey,
  owner: job.owner,
  retry: job.retry === undefined ? undefined : Schedule.recurs(job.retry)
})
