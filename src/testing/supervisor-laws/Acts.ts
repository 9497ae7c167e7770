/**
 * Does what a program says: the steps of its clients, and the work of its jobs.
 */
import type { JobError } from "../../supervisor/JobError.ts"
import { Effect, Exit, Fiber, type Scope } from "effect"
import * as Job from "../../supervisor/Job.ts"
import { Supervisor } from "../../supervisor/Supervisor.ts"
import * as SeededScheduler from "../SeededScheduler.ts"
import type { Tested } from "./Handles.ts"
import * as Program from "./Program.ts"
import {
  callOf,
  currentId,
  dying,
  errorOf,
  type Failure,
  finalizers,
  optionsOf,
  roundsOf,
  Unspeakable
} from "./Submission.ts"
import { givingUp, type Waited, waiting } from "./Waiting.ts"
import { endingOf } from "../laws/Ending.ts"
import { Calls, type Handle, type Stage } from "./Calls.ts"
import type { Actor } from "./Trace.ts"

/**
 * What an async function waits for. It is rejected with what a job failed with, or with the `JobError`; and after the abort,
 * which is no answer, with the reason of that.
 */
const promised = <A>(start: () => Promise<A>, { signal }: Job.PromiseTools): Effect.Effect<A, JobError> =>
  Effect.catch(Effect.tryPromise({ try: start, catch: (thrown) => thrown as JobError | typeof dying }), (error) => {
    if (signal.aborted) return Effect.never
    // A job of others may be joined by its key. A promise does not tell a defect from a failure.
    return error === dying ? Effect.die(error) : Effect.fail(error)
  })

const endOf = ({ end }: Program.Job, attempt: number): Effect.Effect<void, Failure> => {
  if (end === "fail" || (end === "fail once" && attempt === 1)) return Effect.fail("fail")
  if (end === "fail badly") return Effect.fail(new Unspeakable())
  if (end === "die") return Effect.die("die")
  if (end === "never") return Effect.never
  return end === "interrupt" ? Effect.interrupt : Effect.void
}

/** Whoever cancels goes on at once, as does whoever gives up. */
const atOnce: Waited = { isGivenUp: true }

export class Acts {
  private readonly tested: Tested
  private readonly stage: Stage
  readonly calls: Calls
  private readonly plans: ReadonlyMap<string, Program.Job>
  private readonly handles = new Map<string, Handle>()
  // Number 0 is who reads all of it.
  private readers = 1

  constructor(tested: Tested, program: Program.Program, stage: Stage) {
    this.plans = new Map(Program.jobsOf(program).map((job) => [job.name, job]))
    this.tested = tested
    this.stage = stage
    this.calls = new Calls(tested, stage)
  }

  private get supervisor(): Supervisor["Service"] {
    return this.tested.supervisor
  }

  /** Takes a step of a client. */
  client(step: Program.Step, by: Actor): Effect.Effect<void> {
    const { stage, supervisor } = this
    switch (step.do) {
      case "submit":
        return this.submit(step.job, by)
      case "run":
        return step.leaveAfter === undefined
          ? Effect.asVoid(this.run(step.job, by))
          : this.runAndLeave(step.job, by, step.leaveAfter)
      case "sleep":
        return Effect.sleep(step.millis)
      case "list":
        return this.calls.list(by)
      case "prune":
        return Effect.gen(function* () {
          stage.note({ _tag: "PruneCalled", by })
          yield* supervisor.prune
          stage.note({ _tag: "PruneReturned", by })
        })
      case "read":
        return stage.follow(this.calls.read(this.readers++, step))
      case "cancel all":
        return this.calls.cancelAll(by)
      case "await all":
        return Effect.ignore(this.tested.awaitAll(step.limit))
      case "drain":
        return this.calls.drain(step.deadline, by)
      case "set clock":
        return SeededScheduler.setWallClockBy(step.by)
      case "close":
        return stage.close(by)
      case "pause name":
      case "resume name":
        return this.calls.pauseName(step.name, step.do === "pause name", by)
      default: {
        const job = this.handles.get(step.job)
        return job === undefined ? Effect.void : this.calls.use(job, step, by)
      }
    }
  }

  /** Submits the alert for the failure of that number. */
  alert(number: number): Effect.Effect<void> {
    return this.submit(Program.alert, "hook", `${number}`)
  }

  private submit(job: Program.Job, by: Actor, attempts = "1", tools?: Job.PromiseTools): Effect.Effect<void> {
    const { stage, supervisor } = this
    const options = optionsOf(job, attempts)
    const name = Program.nameIn(job.name, attempts)
    return Effect.suspend(() => {
      stage.note({ _tag: "SubmitCalled", job: name, by })
      const work = this.workOf(job, attempts)
      const submit = Effect.suspend((): Effect.Effect<Handle, JobError> => {
        if (job.every !== undefined) return supervisor.every(work, roundsOf(job.every, options))
        return tools === undefined
          ? supervisor.submit(work, options)
          : promised(() => tools.submit(work, options), tools)
      })
      return Effect.map(Effect.exit(submit), (exit) => {
        if (Exit.isFailure(exit)) return void stage.note({ _tag: "Refused", job: name, by, why: endingOf(exit) })
        const handle = exit.value
        const label = stage.label(handle.name, handle.id)
        this.handles.set(job.name, handle)
        stage.meet(handle.id, handle)
        stage.note(
          label === stage.label(name, handle.id)
            ? { _tag: "Submitted", job: stage.label(name, handle.id), by }
            : { _tag: "Joined", job: name, other: label, by }
        )
      })
    })
  }

  /** Submits and waits, and says what it came to: given up when it gave up waiting for room. */
  private run(job: Program.Job, by: Actor, attempts = "1", tools?: Job.PromiseTools): Effect.Effect<Waited> {
    const options = optionsOf(job, attempts)
    const name = Program.nameIn(job.name, attempts)
    return Effect.suspend(() => {
      this.stage.note({ _tag: "RunCalled", job: name, by })
      const work = this.workOf(job, attempts)
      const run =
        tools === undefined ? this.supervisor.run(work, options) : promised(() => tools.run(work, options), tools)
      return Effect.map(Effect.exit(run), (exit) => {
        const how = endingOf(exit)
        this.stage.note({ _tag: "RunReturned", job: name, by, how })
        return { isGivenUp: how === "QueueFull" && typeof job.whenFull === "number", error: errorOf(exit) }
      })
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

  private workOf(job: Program.Job, attempts: string): Effect.Effect<string, Failure, Scope.Scope> {
    const { stage } = this
    let attempt = 0
    // By the work itself: whoever runs it may make of its exit what he likes, and close its scope when he likes.
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        attempt++
        const name = stage.label(Program.nameIn(job.name, attempts), yield* currentId)
        yield* Effect.acquireRelease(stage.take({ _tag: "Began", job: name }), () =>
          stage.take({ _tag: "Ended", job: name })
        )
        const { finalizer } = job
        if (finalizer !== undefined) yield* Effect.addFinalizer(() => finalizers[finalizer])
        if (job.by === "promise") yield* this.promise(restore, job, name, `${attempts}.${attempt}`, attempt)
        else
          yield* Effect.onExit(restore(this.perform(job, name, `${attempts}.${attempt}`, attempt)), (exit) =>
            stage.take({ _tag: "Worked", job: name, how: endingOf(exit) })
          )
        return name
      })
    )
  }

  private perform(job: Program.Job, name: string, attempts: string, attempt: number): Effect.Effect<void, Failure> {
    return Effect.gen({ self: this }, function* () {
      for (const piece of job.work) {
        const waited = yield* this.work(piece, name, attempts)
        if (waited?.error !== undefined && job.passesOn === true) return yield* Effect.fail(waited.error)
      }
      yield* endOf(job, attempt)
    })
  }

  /** The same as an async function. It obeys its signal, except where it blocks, and says itself when it has settled. */
  private promise(
    restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    job: Program.Job,
    name: string,
    attempts: string,
    attempt: number
  ): Effect.Effect<void, Failure> {
    const { stage } = this
    return Effect.flatMap(Effect.context<never>(), (context) => {
      const does = Effect.runPromiseWith(context)
      let hasStarted = false
      const work = Job.promise(
        // An async function is what is tried here.
        // @effect-diagnostics-next-line asyncFunction:off
        async (tools): Promise<void> => {
          hasStarted = true
          const { signal } = tools
          try {
            for (const piece of job.work) {
              signal.throwIfAborted()
              const work = this.work(piece, name, attempts, tools)
              const waited = await does(work, piece.do === "block" ? {} : { signal })
              if (waited?.error !== undefined && job.passesOn === true) throw waited.error
            }
            await does(endOf(job, attempt), { signal })
            stage.note({ _tag: "Worked", job: name, how: "success" })
          } catch (thrown) {
            stage.note({ _tag: "Worked", job: name, how: signal.aborted ? "interrupt" : endingOf(Exit.fail(thrown)) })
            throw signal.aborted ? signal.reason : thrown
          }
        },
        // It fails with what its end does.
        { catch: (thrown) => thrown as Failure }
      )
      return Effect.onExit(restore(Effect.provideService(work, Supervisor, this.supervisor)), (exit) =>
        hasStarted ? Effect.void : stage.take({ _tag: "Worked", job: name, how: endingOf(exit) })
      )
    })
  }

  private work(
    piece: Program.Work,
    by: string,
    attempts: string,
    tools?: Job.PromiseTools
  ): Effect.Effect<Waited | void> {
    const { stage } = this
    switch (piece.do) {
      case "sleep":
        return Effect.sleep(piece.millis)
      case "block":
        return Effect.uninterruptible(Effect.sleep(piece.millis))
      case "report":
        return Effect.suspend(() => {
          this.stage.note({ _tag: "Reported", job: by, fraction: piece.done / 4 })
          const progress = { done: piece.done, total: 4 }
          return tools === undefined ? Job.report(progress) : Effect.sync(() => tools.report(progress))
        })
      case "submit": {
        const submit = this.submit(piece.job, by, attempts, tools)
        const isLimited = typeof piece.job.whenFull === "number"
        if (piece.job.whenFull === undefined) return submit
        return waiting(stage, Effect.as(submit, { isGivenUp: isLimited }), by, callOf(piece.job, attempts))
      }
      case "run": {
        const run = this.run(piece.job, by, attempts, tools)
        const call = callOf(piece.job, attempts)
        if (piece.leaveAfter === undefined) return waiting(stage, run, by, call)
        const job = Program.nameIn(piece.job.name, attempts)
        return givingUp(
          stage,
          run,
          by,
          call,
          piece.leaveAfter,
          { _tag: "LeaveCalled", job, by },
          { _tag: "Left", job, by }
        )
      }
      case "drain":
        return waiting(stage, Effect.as(this.calls.drain(piece.deadline, by), atOnce), by, undefined)
      case "cancel all":
        return waiting(stage, Effect.as(this.calls.cancelAll(by), atOnce), by, undefined)
      case "fan out": {
        const all = Effect.forEach(piece.jobs, (job) => this.run(job, by, attempts, tools), {
          concurrency: "unbounded"
        })
        return waiting(
          stage,
          Effect.map(all, (waits) => ({
            isGivenUp: waits.some(({ isGivenUp }) => isGivenUp),
            error: waits.find(({ error }) => error !== undefined)?.error
          })),
          by,
          piece.jobs.map((job) => callOf(job, attempts)).find((call) => call !== undefined)
        )
      }
      default: {
        const job = this.handles.get(piece.job)
        if (job === undefined) return Effect.void
        const takesNone = this.plans.get(Program.planned(this.stage.label(job.name, job.id)))?.kind !== undefined
        const call = takesNone ? this.stage.label(job.name, job.id) : undefined
        if (piece.do === "cancel") return waiting(stage, Effect.as(this.calls.cancel(job, by), atOnce), by, call)
        if (piece.do === "await") return waiting(stage, this.calls.wait(job, by, piece.limit), by, call)
        if (piece.do !== "give up") return waiting(stage, this.calls.wait(job, by, undefined), by, call)
        const label = this.stage.label(job.name, job.id)
        const wait = this.calls.wait(job, by, undefined, piece.limit)
        return givingUp(stage, wait, by, call, piece.limit, undefined, { _tag: "Left", job: label, by })
      }
    }
  }
}
