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
  Option,
  References,
  Scope
} from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import type * as Job from "../../supervisor/Job.ts"
import { JobError } from "../../supervisor/JobError.ts"
import type * as Supervisor from "../../supervisor/Supervisor.ts"
import * as SeededScheduler from "../SeededScheduler.ts"
import { Acts } from "./Acts.ts"
import type { Stage as StageOfCalls } from "./Calls.ts"
import { type Make, type Tested, testedOf } from "./Handles.ts"
import { alert, hasPauses, jobsOf, planned, sharedKey, type Program } from "./Program.ts"
import { endingOf, endingOfRun } from "../laws/Ending.ts"
import { type Actor, hookLimit, type Note, type Trace, type Unplaced } from "./Trace.ts"

/** How long clients may wait before the supervisor is closed, in milliseconds. */
const patience = 60

/** Turns and operations after which a program is taken to go on for ever. One takes about a thousand. */
const maxSteps = 400_000

/** Runs a program once. */
export const rehearse = (make: Make, program: Program): Effect.Effect<Trace> =>
  Effect.suspend(() => {
    const stage = new Stage(make, program)
    const options = { ...program.order, maxSteps, onStep: stage.look }
    const hasPromises = jobsOf(program).some(({ by }) => by === "promise")
    const run = hasPromises
      ? SeededScheduler.runAsync(stage.play, options)
      : Effect.sync(() => SeededScheduler.run(stage.play, options))
    return Effect.map(run, (run) => traceOf(stage, program, run))
  })

const traceOf = (stage: Stage, program: Program, run: SeededScheduler.Run<void, never>): Trace => ({
  program,
  seed: run.seed,
  notes: stage.notes,
  ending: endingOfRun(run.exit),
  defect: Exit.isFailure(run.exit) ? defectOf(run.exit.cause) : undefined,
  isLate: run.isLate,
  left: { fibers: stage.fibers, sleepers: run.asleep },
  order: run.order,
  steps: run.steps
})

/** What a look at the supervisor threw. */
const defectOf = ({ reasons }: Cause.Cause<unknown>): string | undefined => {
  const died = reasons.find(Cause.isDieReason)
  return died === undefined ? undefined : died.defect instanceof Error ? died.defect.message : "something"
}

/** Lists the points at which a program's run can be preempted: see `SeededScheduler.points`. */
export const pointsOf = (make: Make, program: Program): ReadonlyArray<SeededScheduler.Point> =>
  SeededScheduler.points(new Stage(make, program).play)

/** A job that lives, as it was when it was last looked at. */
interface Seen {
  readonly job: Job.Job<unknown, unknown>
  state: string
  isHeld: boolean
}

class Stage implements StageOfCalls {
  readonly notes: Array<Note> = []
  fibers = 0
  private readonly make: Make
  private readonly program: Program
  private readonly scope = Scope.makeUnsafe()
  private readonly closed = Deferred.makeUnsafe<void>()
  private readonly followers: Array<Fiber.Fiber<unknown, unknown>> = []
  private readonly known = new Set<string>()
  private readonly live = new Map<string, Seen>()
  // What the rounds repeat that are named as all are which share a key.
  private readonly rounds = new Map<string, string>()
  private readonly periodic: ReadonlySet<string>
  // What changes and is counted nowhere: periodic jobs, and who is held.
  private readonly hasUncounted: boolean
  private tested: Tested | undefined = undefined
  private acts: Acts | undefined = undefined
  private alerts = 0
  private clock: Clock.Clock = Clock.Clock.defaultValue()
  private isClosing = false
  private isClosed = false
  private pruned = false
  private readonly keepsLittle: boolean
  private changes = 0
  private lastCounts = { pending: 0, running: 0, completed: 0, failed: 0, cancelled: 0 }
  private lastMillis = 0

  constructor(make: Make, program: Program) {
    this.make = make
    this.program = program
    const { retain, retainFor, retainResults = retain, retainResultsFor } = program.limits
    this.keepsLittle = Math.min(retain, retainResults) < 10 || (retainFor ?? retainResultsFor) !== undefined
    this.periodic = new Set(jobsOf(program).flatMap(({ every, name }) => (every === undefined ? [] : [name])))
    this.hasUncounted = this.periodic.size > 0 || hasPauses(program)
  }

  label(name: string, id: string): string {
    const own = name === sharedKey ? (this.rounds.get(id) ?? id) : name
    return this.periodic.size > 0 && this.periodic.has(planned(own)) ? `${own}#${id}` : own
  }

  readonly play: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      this.clock = yield* Clock.Clock
      this.tested = testedOf(yield* Scope.provide(this.make(this.options), this.scope))
      const acts = (this.acts = new Acts(this.tested, this.program, this))
      yield* this.follow(acts.calls.read(0, { after: 0, count: Infinity, pause: 0 }))
      const clients = yield* Effect.forEach(this.program.clients, (steps, index) =>
        Effect.forkDetach(Effect.forEach(steps, (step) => acts.client(step, `client ${index}`), { discard: true }))
      )
      yield* Effect.timeoutOption(Fiber.awaitAll(clients), patience)
      if (this.program.rest !== undefined) yield* Effect.sleep(this.program.rest)
      yield* this.close("main")
      const ended = yield* Fiber.awaitAll(clients)
      // A client that died would try nothing more, and nobody would know.
      for (const exit of ended) if (Exit.isFailure(exit) && Exit.hasDies(exit)) return yield* exit
      yield* Fiber.awaitAll(this.followers)
    })
  ).pipe(
    (play) => Effect.suspend(() => Effect.provideService(play, Logger.CurrentLoggers, this.loggers)),
    Effect.provideService(Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => void this.fibers++,
      recordFiberEnd: () => void this.fibers--
    })
  )

  note(note: Unplaced): number {
    const at = Monotonic.millisUnsafe(this.clock)
    if (at !== this.lastMillis) this.notes.push({ _tag: "TimePassed", at })
    this.lastMillis = at
    if (note._tag === "PruneReturned") this.pruned = true
    this.notes.push({ ...note, at })
    return at
  }

  readonly take = (note: Unplaced): Effect.Effect<void> => Effect.sync(() => void this.note(note))

  follow(effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.map(Effect.forkDetach(effect), (fiber) => void this.followers.push(fiber))
  }

  meet(id: string, job: Job.Job<unknown, unknown>): void {
    if (this.known.has(id)) return
    this.known.add(id)
    this.live.set(id, { job, state: "", isHeld: false })
  }

  close(by: Actor): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isClosing) return Deferred.await(this.closed)
      this.isClosing = true
      this.note({ _tag: "CloseCalled", by })
      return Effect.map(Scope.close(this.scope, Exit.void), () => {
        this.isClosed = true
        this.note({ _tag: "CloseReturned", by })
        Deferred.doneUnsafe(this.closed, Exit.void)
      })
    })
  }

  /** Looks at the supervisor from outside, when no fiber runs. */
  readonly look = (): void => {
    if (this.tested === undefined) return
    const { supervisor } = this.tested
    const { calls, ...jobs } = atOnce(supervisor.counts)
    const pending = jobs.pending + calls.pending
    const running = jobs.running + calls.running
    const completed = jobs.completed + calls.completed
    const failed = jobs.failed + calls.failed
    const cancelled = jobs.cancelled + calls.cancelled
    const last = this.lastCounts
    const isSame =
      pending === last.pending &&
      running === last.running &&
      completed === last.completed &&
      failed === last.failed &&
      cancelled === last.cancelled
    const { hasUncounted } = this
    if (isSame && !hasUncounted) return this.pruned ? this.lookAtKept(completed + failed + cancelled) : undefined
    const counts = (this.lastCounts = { pending, running, completed, failed, cancelled })
    if (hasUncounted || pending + running + completed + failed + cancelled > this.known.size) {
      for (const job of atOnce(supervisor.select())) this.meet(job.id, job)
    }
    const seen = this.notes.length
    for (const each of this.live.values()) this.lookAt(each, this.tested)
    if (!isSame || this.notes.length > seen) this.note({ _tag: "Counted", counts })
    if (isSame) return
    if (completed + failed + cancelled > 0) this.lookAtKept(completed + failed + cancelled)
    // It costs more to see than the rest, and changes as seldom.
    if (this.changes++ % 4 === 0) this.note({ _tag: "TookStock", health: atOnce(supervisor.health) })
  }

  private lookAtKept(ended: number): void {
    this.pruned = false
    // One that has closed need keep nothing.
    if (!this.keepsLittle || this.isClosed || this.tested === undefined) return
    const { handles, supervisor } = this.tested
    const records = atOnce(supervisor.select({ state: ["completed", "failed", "cancelled"] }))
    const results = records.filter((job) => !isGone(job.id, atOnce(handles.await(job))))
    this.note({ _tag: "Kept", records: records.map(({ id }) => id), results: results.map(({ id }) => id), ended })
  }

  private lookAt(seen: Seen, tested: Tested): void {
    const { cause, id, isPaused, name, parentId, startedAtMillis, state } = atOnce(tested.handles.status(seen.job))
    if (name === sharedKey && parentId !== undefined && this.periodic.has(planned(parentId))) {
      this.rounds.set(id, parentId)
    }
    if (isPaused !== seen.isHeld) this.note({ _tag: "Held", job: this.label(name, id), isHeld: isPaused })
    seen.isHeld = isPaused
    if (state === seen.state) return
    seen.state = state
    const why = cause === undefined ? "" : endingOf(Exit.failCause(cause))
    const reasons = cause?.reasons.length ?? 0
    this.note({
      _tag: "State",
      job: this.label(name, id),
      id,
      state,
      parentId,
      startedAt: startedAtMillis,
      why,
      reasons
    })
    if (state !== "pending" && state !== "running") this.live.delete(id)
  }

  private get options(): Supervisor.Options {
    const { hook, limits } = this.program
    return {
      ...limits,
      upkeepEvery: Duration.infinity,
      onFailureTimeout: hookLimit,
      onFailure: ({ job }) => this.hooked(job, hook)
    }
  }

  private hooked(job: Job.JobStatus, hook: Program["hook"]): Effect.Effect<void> {
    const hooked = { _tag: "Hooked", job: this.label(job.name, job.id), text: job.state } as const
    if (hook === "throw") {
      this.note(hooked)
      throw new Error("hook")
    }
    // One that heard of its own alerts would alert for ever.
    const isOwn = planned(job.name) === alert.name
    const more = hook !== "alert" ? hooks[hook] : isOwn ? Effect.void : this.acts?.alert(++this.alerts)
    return Effect.andThen(this.take(hooked), more ?? Effect.void)
  }

  // One that throws must not keep the next from its turn.
  private get loggers(): ReadonlySet<Logger.Logger<unknown, unknown>> {
    const throwing = Logger.make(() => {
      throw new Error("logger")
    })
    const noting = Logger.make((entry) => this.log(entry))
    return new Set(this.program.logger === "throw" ? [throwing, noting] : [noting])
  }

  private log({ fiber, message }: Logger.Options<unknown>): void {
    const { jobId, jobName } = fiber.getRef(References.CurrentLogAnnotations)
    this.note({
      _tag: "Logged",
      job: this.label(String(jobName), String(jobId)),
      text: String(Array.isArray(message) ? message[0] : message)
    })
  }
}

/** Runs what has nothing to wait for. Cheaper than `Effect.runSync`, which makes a scheduler of its own each time. */
const atOnce = <A, E>(effect: Effect.Effect<A, E>): A => {
  const exit = Effect.runFork(effect).pollUnsafe()
  if (exit !== undefined && Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit === undefined ? Cause.die("looking at the supervisor took time") : exit.cause)
}

const hooks = {
  note: Effect.void,
  slow: Effect.sleep(2),
  die: Effect.die("hook"),
  hang: Effect.never
}

/** Whether a job's own result is kept no longer: it may have failed by that of another one. */
const isGone = (id: string, exit: Exit.Exit<unknown, unknown>): boolean => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return error instanceof JobError && error.reason._tag === "Expired" && error.id === id
}
