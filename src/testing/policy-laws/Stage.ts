/**
 * Runs a program against a stack of policies, in the order its seed chooses, and notes what callers and models see.
 */
import { Clock, Context, Effect, Exit, Fiber, Logger, Metric, Predicate, Scope, Stream } from "effect"
import { type AiError, IdGenerator, type Response } from "effect/ai"
import * as Caller from "../../core/call/Caller.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as Deadline from "../../core/call/Deadline.ts"
import * as PolicyHealth from "../../core/call/PolicyHealth.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as PartCopy from "../../core/call/PartCopy.ts"
import * as Monotonic from "../../core/Monotonic.ts"
import { bounds } from "./Law.ts"
import { CurrentCall, Models, type Open } from "./Models.ts"
import type { Call, Program } from "./Program.ts"
import * as Requests from "./Requests.ts"
import type { Stack } from "./Stack.ts"
import type { AttemptSeen, CallSeen, Ending, Left, Part, Trace } from "./Trace.ts"
import { SeededClock } from "../seed/Clock.ts"
import * as SeededScheduler from "../SeededScheduler.ts"
import { endingOfRun } from "../laws/Ending.ts"

/** How long nothing may happen before whoever still waits is taken to wait for ever, in milliseconds: longer than any wait. */
const patience = 70_000

/** How long a call may wait while others go on: longer than any line. */
const longPatience = 10 * patience

/** When the last caller is interrupted, whatever happens. */
const latest = 1_200_000

/** How long after that everything has come to rest: circuits have closed, windows have passed. */
const rest = 24 * 3_600_000

/** How long an answer takes when it is counted how many calls are under way: a moment, in milliseconds. */
const probed = 10

/** Turns and operations after which a program is taken to go on for ever. One takes about two thousand. */
const maxSteps = 5_000_000

/** A call that goes on. */
interface Calling extends Open<CallSeen> {
  readonly request: Requests.Request
  readonly parts: Array<Part>
  readonly recorder: CallTrail.Recorder
  readonly counter: FiberCounter
  isOpen: boolean
  isGivenUp: boolean
}

/** Runs a program once. */
export const rehearse = (stack: Stack, program: Program): Trace => {
  const stage = new Stage(stack, program)
  const run = SeededScheduler.run(stage.play, { seed: program.order, maxSteps })
  return stage.trace(endingOfRun(run.exit), run)
}

class FiberCounter implements Metric.FiberRuntimeMetricsService {
  live = 0
  recordFiberStart(): void {
    this.live++
  }
  recordFiberEnd(): void {
    this.live--
  }
}

class Stage {
  private readonly stack: Stack
  private readonly program: Program
  private readonly scope = Scope.makeUnsafe()
  private readonly calls: Array<Calling> = []
  private readonly registry: Array<Effect.Effect<PolicyHealth.PolicyHealth>> = []
  private readonly building = new FiberCounter()
  /** The first call that is a probe. */
  private firstProbe = Infinity
  private clock: Clock.Clock = Clock.Clock.defaultValue()
  private models: Models | undefined
  private lastEvent = 0
  private settled: Trace["settled"] = { ...nothing, health: [] }
  private closed: Left = nothing

  constructor(stack: Stack, program: Program) {
    this.stack = stack
    this.program = program
  }

  readonly play: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      this.clock = yield* Clock.Clock
      const models = (this.models = yield* Models.make(this.program, 1 + this.stack.others))
      const [first, ...others] = models.providers
      if (first === undefined) return
      const provider = yield* Scope.provide(this.stack.build(first, others), this.scope).pipe(
        Effect.provideService(PolicyHealth.Registry, this.registry),
        Effect.provideService(Metric.FiberRuntimeMetrics, this.building)
      )
      const { program } = this
      if (program.clock !== undefined) yield* Effect.forkDetach(setting(program.clock))
      const clients = yield* Effect.forEach(program.clients, (calls) =>
        Effect.forkDetach(Effect.forEach(calls, (call) => this.call(provider, call), { discard: true }))
      )
      yield* this.awaitAll(clients)
      yield* this.untilAtRest
      const health = yield* Effect.all(this.registry)
      this.settled = { ...this.left, health }
      models.healed = {}
      this.firstProbe = this.calls.length
      yield* this.probe(provider, 1)
      const { atLeast } = bounds(this.stack.allows.concurrency)
      if (atLeast > 0) {
        models.healed = { latency: { headers: probed } }
        yield* this.probe(provider, atLeast)
      }
      yield* Scope.close(this.scope, Exit.void)
      if (this.stack.allows.closesBehind === true) yield* this.untilAtRest
      this.closed = this.left
    })
  ).pipe(Effect.provideService(Logger.CurrentLoggers, new Set()))

  trace(ending: string, run: Pick<Trace, "isLate" | "order" | "steps">): Trace {
    const { attempts, unsent } = this.models?.seen ?? { attempts: [], unsent: [] }
    const all = this.calls.map((call) => ({ ...call, decisions: call.recorder.trail.decisions }))
    const [calls, probes] = [all.slice(0, this.firstProbe), all.slice(this.firstProbe)]
    const { closed, program, settled } = this
    const { isLate, order, steps } = run
    return { program, calls, attempts, unsent, settled, probes, closed, ending, isLate, order, steps }
  }

  /** Waits for clients, and interrupts those that wait for ever. */
  private awaitAll(clients: ReadonlyArray<Fiber.Fiber<void>>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      for (;;) {
        yield* inTime(Fiber.awaitAll(clients))
        if (clients.every((client) => client.pollUnsafe() !== undefined)) return
        if (this.now >= latest || this.isStuck) break
      }
      const open = this.calls.filter(({ isOpen }) => isOpen)
      for (const call of open) this.giveUp(call)
      yield* Fiber.interruptAll(clients)
      for (const call of open) call.fibers = call.counter.live
    })
  }

  /** On a busy machine a step may pass while what goes on behind calls has hardly gone on. */
  private readonly untilAtRest: Effect.Effect<void> = Effect.gen({ self: this }, function* () {
    for (let step = 0; step < 4 || (step < 400 && !isNothing(this.left)); step++) yield* Effect.sleep(rest / 4)
  })

  private probe(provider: ModelProvider, count: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const first = this.calls.length
      const asked = Array.from({ length: count }, (_, index) =>
        this.call(provider, { method: "generateText", prompt: 10_000 + first + index })
      )
      const fiber = yield* Effect.forkDetach(Effect.all(asked, { concurrency: "unbounded", discard: true }))
      yield* inTime(Fiber.await(fiber))
      for (const call of this.calls) if (call.isOpen) this.giveUp(call)
      yield* Fiber.interrupt(fiber)
    })
  }

  private call(provider: ModelProvider, plan: Call): Effect.Effect<void> {
    const made = Effect.suspend(() => {
      const calling = this.begin(plan)
      const { leave } = plan
      const asked = Effect.suspend(() => {
        calling.isOpen = true
        return this.ask(provider, calling)
      }).pipe(Effect.onExit((exit) => Effect.sync(() => this.end(calling, exit))))
      // With an interruption, this goes on when it has returned.
      const ended = Effect.exit(leave === undefined ? asked : Effect.raceFirst(asked, after(leave.millis, leave.turns)))
      return Effect.map(ended, () => void (calling.fibers = calling.counter.live))
    })
    return plan.after === undefined ? made : Effect.delay(made, plan.after)
  }

  private begin(plan: Call): Calling {
    const now = (this.lastEvent = this.now)
    const request = Requests.of(plan.prompt)
    const calling: Calling = {
      number: this.calls.length,
      plan,
      request,
      asked: Requests.written(request),
      key: `${plan.tenant ?? ""}/${plan.task ?? ""}/${plan.prompt}`,
      startMillis: now,
      endMillis: now,
      ended: "interrupted",
      error: undefined,
      parts: [],
      decisions: [],
      orphans: [],
      fibers: 0,
      recorder: new CallTrail.Recorder(),
      counter: new FiberCounter(),
      isOpen: false,
      isGivenUp: false
    }
    this.calls.push(calling)
    return calling
  }

  private ask(provider: ModelProvider, calling: Calling): Effect.Effect<void, AiError.AiError> {
    const { counter, number, parts, plan, recorder, request, startMillis } = calling
    const { deadline, method, pause = 0, priority = 0, take, task, tenant } = plan
    const context = Context.make(CurrentCall, { number, recorder }).pipe(
      Context.add(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator),
      Context.add(CallTrail.Current, recorder),
      Context.add(Metric.FiberRuntimeMetrics, counter),
      Context.add(Caller.Current, { tenant, task, priority }),
      Context.add(Deadline.Current, deadline === undefined ? undefined : startMillis + deadline)
    )
    const asked =
      method === "generateText"
        ? Effect.map(provider.generateText(request), (answer) => void parts.push(...taken(answer)))
        : Stream.runForEachArray(read(provider.streamText(request), take), (chunk) => {
            parts.push(...taken(chunk))
            return pause > 0 ? Effect.sleep(pause) : Effect.void
          })
    return Effect.provideContext(asked, context)
  }

  /** Whether nothing has happened for so long that nothing will. */
  private get isStuck(): boolean {
    // Waits are sums of fractions.
    return this.now - Math.max(this.lastEvent, this.models?.lastEvent ?? 0) > patience - 1
  }

  /** Who is interrupted for taking for ever may need time to end; it has ended here. */
  private giveUp(call: Calling): void {
    call.isGivenUp = true
    call.ended = this.isStuck || this.now - call.startMillis >= longPatience ? "never" : "cut"
    call.endMillis = this.now
  }

  private end(call: Calling, exit: Exit.Exit<unknown, AiError.AiError>): void {
    call.isOpen = false
    this.lastEvent = this.now
    if (!call.isGivenUp) call.endMillis = this.lastEvent
    // A refresh behind a call that has its answer may wait for the same attempt.
    const isShared = this.calls.some(
      ({ counter, isOpen, key, recorder }) =>
        key === call.key && (isOpen || (counter.live > 0 && recorder.trail.decisions.some(isStaleHit)))
    )
    call.orphans = isShared
      ? []
      : this.open.flatMap(({ call: of, isBehind, number }) =>
          !isBehind && this.calls[of]?.key === call.key ? [number] : []
        )
    if (call.isGivenUp) return
    call.ended = endingOfCall(call, exit)
    if (Exit.isFailure(exit)) call.error = errorOf(exit)
  }

  private get open(): ReadonlyArray<AttemptSeen> {
    return this.models?.open ?? []
  }

  private get now(): number {
    return Monotonic.millisUnsafe(this.clock)
  }

  private get left(): Left {
    const ofCalls = this.calls.reduce((sum, { counter }) => sum + counter.live, 0)
    return {
      fibers: this.building.live + ofCalls,
      sleepers: this.clock instanceof SeededClock ? this.clock.asleep : 0,
      attempts: this.open.length
    }
  }
}

/** Lets time pass, step by step: on a busy machine one step may be over before anything was done in it. */
const pass = (millis: number, steps: number): Effect.Effect<void> =>
  Effect.forEach(Array.from({ length: steps }), () => Effect.sleep(millis / steps), { discard: true })

const inTime = (ended: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.asVoid(Effect.raceFirst(ended, pass(patience, 12)))

/** Sets the wall clock, when it is time for that. */
const setting = ({ after, by }: NonNullable<Program["clock"]>): Effect.Effect<void> =>
  Effect.delay(SeededScheduler.setWallClockBy(by), after)

const isStaleHit = ({ decision }: CallSeen["decisions"][number]): boolean =>
  decision._tag === "CacheHit" && decision.stale

const isNothing = ({ attempts, fibers, sleepers }: Left): boolean => attempts + fibers + sleepers === 0

const nothing: Left = { fibers: 0, sleepers: 0, attempts: 0 }

const read = <E, R>(
  stream: Stream.Stream<Response.StreamPartEncoded, E, R>,
  take: number | undefined
): Stream.Stream<Response.StreamPartEncoded, E, R> => (take === undefined ? stream : Stream.take(stream, take))

/** What a caller got. It then writes into it, as some do, which must be nothing to those who get the same. */
const taken = (parts: ReadonlyArray<Part>): ReadonlyArray<Part> => {
  const copies = parts.map(PartCopy.of)
  for (const part of parts) {
    if (part.type === "text") Object.assign(part, { text: scribble })
    if (part.type === "text-delta") Object.assign(part, { delta: scribble })
    if (part.type === "tool-call" && Predicate.isObject(part.params)) Object.assign(part.params, { scribble })
  }
  return copies
}

const scribble = "a caller wrote over this"

/** So long, and then so many turns, for all that may be ready at that time. */
const after = (millis: number, turns: number): Effect.Effect<void> => {
  const yields = Effect.forEach(Array.from({ length: turns }), () => Effect.yieldNow, { discard: true })
  return millis > 0 ? Effect.andThen(Effect.sleep(millis), yields) : yields
}

const endingOfCall = ({ parts, plan }: Calling, exit: Exit.Exit<unknown, unknown>): Ending => {
  if (Exit.isSuccess(exit)) {
    return parts.length >= (plan.take ?? Infinity) && parts.at(-1)?.type !== "finish" ? "left" : "succeeded"
  }
  if (exit.cause.reasons.some(({ _tag }) => _tag === "Die")) return "died"
  return exit.cause.reasons.some(({ _tag }) => _tag === "Fail") ? "failed" : "interrupted"
}

const errorOf = (exit: Exit.Failure<unknown, unknown>): unknown => {
  const [reason] = exit.cause.reasons
  return reason?._tag === "Fail" ? reason.error : reason?._tag === "Die" ? reason.defect : "interrupted"
}
