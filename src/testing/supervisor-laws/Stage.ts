/**
 * Runs a program against a supervisor, in an order chosen by a seed, and takes notes of all that can be seen of it: from
 * inside the work, from the answers to calls, and by looking at the supervisor after every turn of a fiber.
 */
import { Cause, Clock, Deferred, Duration, Effect, Exit, Fiber, Logger, Metric, References, Scope } from "effect"
import * as Job from "../../supervisor/Job.ts"
import type * as Supervisor from "../../supervisor/Supervisor.ts"
import * as SeededScheduler from "../SeededScheduler.ts"
import { Acts, type Stage as StageOfActs } from "../SupervisorLawsActs.ts"
import { jobsOf, planned, type Program } from "./Generate.ts"
import { type Actor, endingOf, hookLimit, type Note, type Trace, type Unplaced } from "./Trace.ts"

/** Builds the supervisor under test. It has to heed the limits and the failure hook it is given. */
export type Make = (options: Supervisor.Options) => Effect.Effect<Supervisor.Supervisor["Service"], never, Scope.Scope>

/** How long clients may wait before the supervisor is closed, in milliseconds. */
const patience = 60

/** Turns and operations after which a program is taken to go on for ever. One takes about a thousand. */
const maxSteps = 400_000

/** Runs a program once. */
export const rehearse = (make: Make, program: Program, options: SeededScheduler.Options = {}): Trace => {
  const stage = new Stage(make, program)
  const run = SeededScheduler.run(stage.play, { maxSteps, ...options, onStep: stage.look })
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

/** Lists the points at which a program's run can be preempted: see `SeededScheduler.points`. */
export const pointsOf = (make: Make, program: Program): ReadonlyArray<SeededScheduler.Point> =>
  SeededScheduler.points(new Stage(make, program).play)

class Stage implements StageOfActs {
  readonly notes: Array<Note> = []
  fibers = 0
  private readonly make: Make
  private readonly program: Program
  private readonly scope = Scope.makeUnsafe()
  private readonly closed = Deferred.makeUnsafe<void>()
  private readonly followers: Array<Fiber.Fiber<unknown, unknown>> = []
  private readonly known = new Set<string>()
  private readonly live = new Map<string, { readonly job: Job.Job<unknown, unknown>; state: string }>()
  private readonly periodic: ReadonlySet<string>
  private supervisor: Supervisor.Supervisor["Service"] | undefined = undefined
  private clock: Clock.Clock = Clock.Clock.defaultValue()
  private isClosing = false
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
  }

  label(name: string, id: string): string {
    return this.periodic.size > 0 && this.periodic.has(planned(name)) ? `${name}#${id}` : name
  }

  readonly play: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      this.clock = yield* Clock.Clock
      this.supervisor = yield* Scope.provide(this.make(this.options), this.scope)
      const acts = new Acts(this.supervisor, this.program, this)
      yield* this.follow(acts.read(0, { after: 0, count: Infinity, pause: 0 }))
      const clients = yield* Effect.forEach(this.program.clients, (steps, index) =>
        Effect.forkDetach(Effect.forEach(steps, (step) => acts.client(step, `client ${index}`), { discard: true }))
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

  note(note: Unplaced): void {
    const at = this.clock.currentTimeMillisUnsafe()
    if (at !== this.lastMillis) this.notes.push({ _tag: "TimePassed", at })
    this.lastMillis = at
    if (note._tag === "PruneReturned") this.pruned = true
    this.notes.push({ ...note, at })
  }

  readonly take = (note: Unplaced): Effect.Effect<void> => Effect.sync(() => this.note(note))

  follow(effect: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.map(Effect.forkDetach(effect), (fiber) => void this.followers.push(fiber))
  }

  meet(id: string, job: () => Job.Job<unknown, unknown>): void {
    if (this.known.has(id)) return
    this.known.add(id)
    this.live.set(id, { job: job(), state: "" })
  }

  close(by: Actor): Effect.Effect<void> {
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

  /** Looks at the supervisor from outside, when no fiber runs. */
  readonly look = (): void => {
    const { supervisor } = this
    if (supervisor === undefined) return
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
    // Periodic jobs are not counted.
    const hasUncounted = this.periodic.size > 0
    if (isSame && !hasUncounted) return this.pruned ? this.lookAtKept(completed + failed + cancelled) : undefined
    const counts = (this.lastCounts = { pending, running, completed, failed, cancelled })
    if (hasUncounted || pending + running + completed + failed + cancelled > this.known.size) {
      for (const { id } of atOnce(supervisor.list())) this.meet(id, () => atOnce(supervisor.find(id)))
    }
    const seen = this.notes.length
    for (const each of this.live.values()) this.lookAt(each)
    if (!isSame || this.notes.length > seen) this.note({ _tag: "Counted", counts })
    if (isSame) return
    if (completed + failed + cancelled > 0) this.lookAtKept(completed + failed + cancelled)
    // It costs more to see than the rest, and changes as seldom.
    if (this.changes++ % 4 === 0) this.note({ _tag: "TookStock", health: atOnce(supervisor.health) })
  }

  private lookAtKept(ended: number): void {
    this.pruned = false
    if (!this.keepsLittle || this.supervisor === undefined) return
    const records = atOnce(this.supervisor.select({ state: ["completed", "failed", "cancelled"] }))
    const results = records.filter((job) => endingOf(atOnce(Job.await(job))) !== "Expired")
    this.note({ _tag: "Kept", records: records.map(({ id }) => id), results: results.map(({ id }) => id), ended })
  }

  private lookAt(seen: { readonly job: Job.Job<unknown, unknown>; state: string }): void {
    const { cause, id, name, parentId, startedAtMillis, state } = atOnce(Job.status(seen.job))
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
      onFailure: ({ job }) =>
        Effect.andThen(this.take({ _tag: "Hooked", job: this.label(job.name, job.id), text: job.state }), hooks[hook])
    }
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
