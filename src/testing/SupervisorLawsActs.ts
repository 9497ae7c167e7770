/**
 * Does what a program says: the steps of its clients, and the work of its jobs.
 */
import type { JobError } from "../supervisor/JobError.ts"
import { Effect, Exit, Fiber, Schedule, type Scope, Stream } from "effect"
import * as Job from "../supervisor/Job.ts"
import { CurrentJob } from "../supervisor/records/JobRecord.ts"
import * as Supervisor from "../supervisor/Supervisor.ts"
import * as Program from "./supervisor-laws/Generate.ts"
import { type Actor, endingOf, interruptLimit, type Unplaced } from "./supervisor-laws/Trace.ts"

type Handle = Job.Job<unknown, string>

/** Where it is done. */
export interface Stage {
  readonly note: (note: Unplaced) => void
  readonly take: (note: Unplaced) => Effect.Effect<void>
  /** Follows something in the background until the supervisor has closed. */
  readonly follow: (effect: Effect.Effect<void>) => Effect.Effect<void>
  /** Watches a job's state from now on. */
  readonly meet: (id: string, job: () => Job.Job<unknown, unknown>) => void
  readonly close: (by: Actor) => Effect.Effect<void>
  /** What a job is called in notes: its name, and its id where many have that name. */
  readonly label: (name: string, id: string) => string
}

export class Acts {
  private readonly supervisor: Supervisor.Supervisor["Service"]
  private readonly stage: Stage
  private readonly plans: ReadonlyMap<string, Program.Job>
  private readonly handles = new Map<string, Handle>()
  // Number 0 is who reads all of it.
  private readers = 1
  private watchers = 0

  constructor(supervisor: Supervisor.Supervisor["Service"], program: Program.Program, stage: Stage) {
    this.plans = new Map(Program.jobsOf(program).map((job) => [job.name, job]))
    this.supervisor = supervisor
    this.stage = stage
  }

  /** Takes a step of a client. */
  client(step: Program.Step, by: Actor): Effect.Effect<void> {
    const { stage, supervisor } = this
    switch (step.do) {
      case "submit":
        return this.submit(step.job, by)
      case "run":
        return step.leaveAfter === undefined ? this.run(step.job, by) : this.runAndLeave(step.job, by, step.leaveAfter)
      case "sleep":
        return Effect.sleep(step.millis)
      case "list":
        return Effect.asVoid(supervisor.list())
      case "prune":
        return Effect.gen(function* () {
          stage.note({ _tag: "PruneCalled", by })
          yield* supervisor.prune
          stage.note({ _tag: "PruneReturned", by })
        })
      case "read":
        return stage.follow(this.read(this.readers++, step))
      case "cancel all":
        return Effect.gen({ self: this }, function* () {
          stage.note({ _tag: "CancelAllCalled", by })
          yield* this.provide(Supervisor.cancelAll())
          stage.note({ _tag: "CancelAllReturned", by })
        })
      case "await all":
        return Effect.ignore(this.provide(Supervisor.awaitAll({}, { limit: step.limit })))
      case "drain":
        return Effect.gen(function* () {
          stage.note({ _tag: "DrainCalled", deadline: step.deadline, by })
          const { clean, jobs } = yield* supervisor.drain({ deadline: step.deadline, interruptLimit })
          const labelled = jobs.map((entry) => ({ ...entry, name: stage.label(entry.name, entry.id) }))
          stage.note({ _tag: "DrainReturned", by, report: { clean, jobs: labelled } })
        })
      case "close":
        return stage.close(by)
      default: {
        const job = this.handles.get(step.job)
        return job === undefined ? Effect.void : this.use(job, step, by)
      }
    }
  }

  /** Reads events. */
  read(
    reader: number,
    { after, count, pause }: { readonly after: number; readonly count: number; readonly pause: number }
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.stage.note({ _tag: "ReaderBegan", reader, after })
      const events = this.supervisor.events({ after }).pipe(Stream.take(count))
      return Stream.runForEach(events, (event) =>
        Effect.andThen(this.stage.take({ _tag: "Read", reader, event }), pause > 0 ? Effect.sleep(pause) : Effect.void)
      )
    })
  }

  private use(handle: Handle, step: Extract<Program.Step, { readonly job: string }>, by: Actor): Effect.Effect<void> {
    const { stage } = this
    const job = stage.label(handle.name, handle.id)
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
          stage.note({ _tag: "Left", job, by })
        })
      case "cancel":
        return this.cancel(handle, by)
      case "find":
        return Effect.map(Effect.exit(this.supervisor.find(handle.id)), (exit) =>
          stage.note({ _tag: "Found", job, how: endingOf(exit) })
        )
      case "watch": {
        const watcher = this.watchers++
        return stage.follow(
          Effect.gen(function* () {
            yield* Stream.runForEach(Job.progress(handle), ({ fraction }) =>
              stage.take({ _tag: "Progress", job, watcher, fraction })
            ).pipe(Effect.ignore)
            stage.note({ _tag: "ProgressEnded", job, watcher })
          })
        )
      }
    }
  }

  private wait(handle: Handle, by: Actor, limit: number | undefined): Effect.Effect<void> {
    const job = this.stage.label(handle.name, handle.id)
    const wait = limit === undefined ? Job.join(handle) : Effect.flatten(Job.await(handle, { limit }))
    return Effect.suspend(() => {
      this.stage.note({ _tag: "WaitCalled", job, by, limit })
      return Effect.map(Effect.exit(wait), (exit) => {
        const how = endingOf(exit)
        this.stage.note(how === "StillRunning" ? { _tag: "GaveUp", job, by } : { _tag: "WaitReturned", job, by, how })
      })
    })
  }

  private cancel(handle: Handle, by: Actor): Effect.Effect<void> {
    const job = this.stage.label(handle.name, handle.id)
    return Effect.suspend(() => {
      this.stage.note({ _tag: "CancelCalled", job, by })
      return Effect.map(Job.cancel(handle), ({ state }) => this.stage.note({ _tag: "CancelReturned", job, by, state }))
    })
  }

  private submit(job: Program.Job, by: Actor, attempts = "1"): Effect.Effect<void> {
    const { stage, supervisor } = this
    const options = optionsOf(job, attempts)
    const { name } = options
    return Effect.suspend(() => {
      stage.note({ _tag: "SubmitCalled", job: name, by })
      const work = this.workOf(job, attempts)
      const submit: Effect.Effect<Handle, JobError> =
        job.every === undefined
          ? supervisor.submit(work, options)
          : supervisor.every(work, { ...options, schedule: job.every.millis, overlap: job.every.overlap })
      return Effect.map(Effect.exit(submit), (exit) => {
        if (Exit.isFailure(exit)) return stage.note({ _tag: "Refused", job: name, by, why: endingOf(exit) })
        const handle = exit.value
        this.handles.set(job.name, handle)
        stage.meet(handle.id, () => handle)
        stage.note(
          handle.name === name
            ? { _tag: "Submitted", job: stage.label(name, handle.id), by }
            : { _tag: "Joined", job: name, other: handle.name, by }
        )
      })
    })
  }

  private run(job: Program.Job, by: Actor, attempts = "1"): Effect.Effect<void> {
    const options = optionsOf(job, attempts)
    const { name } = options
    return Effect.suspend(() => {
      this.stage.note({ _tag: "RunCalled", job: name, by })
      return Effect.map(Effect.exit(this.provide(Supervisor.run(this.workOf(job, attempts), options))), (exit) =>
        this.stage.note({ _tag: "RunReturned", job: name, by, how: endingOf(exit) })
      )
    })
  }

  private runAndLeave(job: Program.Job, by: Actor, after: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const running = yield* Effect.forkChild(this.run(job, by))
      yield* Effect.sleep(after)
      this.stage.note({ _tag: "LeaveCalled", job: job.name, by })
      yield* Fiber.interrupt(running)
      this.stage.note({ _tag: "Left", job: job.name, by })
    })
  }

  private workOf(job: Program.Job, attempts: string): Effect.Effect<string, string, Scope.Scope> {
    const { stage } = this
    let attempt = 0
    return Effect.gen({ self: this }, function* () {
      attempt++
      const name = stage.label(Program.nameIn(job.name, attempts), (yield* CurrentJob)?.id ?? "")
      yield* Effect.acquireRelease(stage.take({ _tag: "Began", job: name }), (_, exit) =>
        stage.take({ _tag: "Ended", job: name, how: endingOf(exit) })
      )
      const { finalizer } = job
      if (finalizer !== undefined) yield* Effect.addFinalizer(() => finalizers[finalizer])
      for (const piece of job.work) yield* this.perform(piece, name, `${attempts}.${attempt}`)
      if (job.end === "fail" || (job.end === "fail once" && attempt === 1)) return yield* Effect.fail("fail")
      if (job.end === "die") return yield* Effect.die("die")
      if (job.end === "never") return yield* Effect.never
      if (job.end === "interrupt") return yield* Effect.interrupt
      return name
    })
  }

  private perform(piece: Program.Work, by: string, attempts: string): Effect.Effect<void> {
    switch (piece.do) {
      case "sleep":
        return Effect.sleep(piece.millis)
      case "block":
        return Effect.uninterruptible(Effect.sleep(piece.millis))
      case "report":
        return Effect.suspend(() => {
          this.stage.note({ _tag: "Reported", job: by, fraction: piece.done / 4 })
          return Job.report({ done: piece.done, total: 4 })
        })
      case "submit": {
        const submit = this.submit(piece.job, by, attempts)
        return piece.job.whenFull === undefined ? submit : this.waiting(submit, by, callOf(piece.job, attempts))
      }
      case "run":
        return this.waiting(this.run(piece.job, by, attempts), by, callOf(piece.job, attempts))
      case "fan out": {
        const all = Effect.forEach(piece.jobs, (job) => this.run(job, by, attempts), { concurrency: "unbounded" })
        return this.waiting(Effect.asVoid(all), by, undefined)
      }
      default: {
        const job = this.handles.get(piece.job)
        if (job === undefined) return Effect.void
        if (piece.do === "cancel") return this.cancel(job, by)
        const takesNone = this.plans.get(Program.planned(job.name))?.kind !== undefined
        const call = takesNone ? this.stage.label(job.name, job.id) : undefined
        return this.waiting(this.wait(job, by, undefined), by, call)
      }
    }
  }

  private waiting(wait: Effect.Effect<void>, job: string, call: string | undefined): Effect.Effect<void> {
    return Effect.acquireUseRelease(
      this.stage.take({ _tag: "WaitBegan", job, call }),
      () => wait,
      () => this.stage.take({ _tag: "WaitEnded", job })
    )
  }

  private provide<A, E>(effect: Effect.Effect<A, E, Supervisor.Supervisor>): Effect.Effect<A, E> {
    return Effect.provideService(effect, Supervisor.Supervisor, this.supervisor)
  }
}

const callOf = ({ kind, name }: Program.Job, attempts: string): string | undefined =>
  kind === undefined ? undefined : Program.nameIn(name, attempts)

const finalizers = { slow: Effect.sleep(2), die: Effect.die("finalizer") }

const optionsOf = (job: Program.Job, attempts: string) => ({
  name: Program.nameIn(job.name, attempts),
  timeout: job.timeout,
  key: job.key,
  priority: job.priority,
  kind: job.kind === "call" ? job.kind : undefined,
  whenFull: job.whenFull,
  idempotencyKey: job.idempotencyKey,
  owner: job.owner,
  retry: job.retry === undefined ? undefined : Schedule.recurs(job.retry)
})
