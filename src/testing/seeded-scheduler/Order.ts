/**
 * Decides which fiber goes on next, and before which operation one is preempted.
 *
 * All dispatchers of a run share one pool of what is ready. Within a dispatcher tasks keep their priorities and their
 * order, as Effect promises; between dispatchers anything goes.
 */
import { Cause, Exit, type Fiber, Predicate, Schema, type Scheduler } from "effect"
import { Chance } from "../seed/Chance.ts"
import { SeededClock } from "../seed/Clock.ts"
import * as ShownError from "../../core/ShownError.ts"

/** A place in a run: just before a fiber's operation number `operation`, until nothing else can go on. */
export interface Point {
  /** The fibers of a run are numbered from 0 in the order of their first operation. */
  readonly fiber: number
  /** Counted from 0 within the fiber. */
  readonly operation: number
  /** Whether to let the sleepers that are due next go first, too. Default: false. */
  readonly pastNextTimer?: boolean | undefined
}

/** Nothing was ready and nothing slept, but the program had not ended. Run the seed again to see it again. */
export class Deadlock extends ShownError.TaggedError<Deadlock>()("Deadlock", { seed: Schema.Int, steps: Schema.Int }) {
  override get message(): string {
    return `deadlock after ${this.steps} steps with seed ${this.seed}`
  }
}

/** The program went on for longer than it may. */
export class Endless extends ShownError.TaggedError<Endless>()("Endless", { seed: Schema.Int, steps: Schema.Int }) {
  override get message(): string {
    return `no end after ${this.steps} turns of fibers with seed ${this.seed}: with the operations of fibers these are as many as maxSteps lets be. Raise maxSteps, or sleep for less: what repeats, as the upkeep of a supervisor each second, counts for all of a sleep (see its upkeepEvery)`
  }
}

/** How the next to go on is chosen: any that is ready, the one that is ready longest, or by ranks drawn at first sight. */
const choices = ["any", "any", "first", "rank"] as const

/** Operations after which a fiber is always preempted, as by Effect's own scheduler. */
const longTurn = 2_048

/** Operations between two preemptions, on average. */
const gaps = [Infinity, 3, 10, 40] as const

export interface Settings {
  readonly seed: number
  readonly maxSteps: number
  readonly preempt: Point | undefined
  readonly onStep: (() => void) | undefined
}

export class SeededOrder implements Scheduler.Scheduler {
  readonly executionMode = "async"
  readonly clock = new SeededClock()
  /** Operations of each fiber, by its number; counted when there is a point to preempt at. */
  readonly operations: Array<number> = []
  /** Turns taken so far. */
  steps = 0

  private operationCount = 0
  readonly settings: Settings
  private readonly chance: Chance
  private readonly choice: (typeof choices)[number]
  private readonly meanGap: number
  /** Whether time may pass although something is ready, as on a busy machine. */
  readonly isLate: boolean
  private readonly isBusy: boolean
  private readonly ready: Array<Dispatcher> = []
  private readonly fiberNumbers = new Map<number, number>()
  private untilPreemption: number
  private isPreempting = false
  private held: Dispatcher | undefined = undefined
  private isHeldPastTimer = false
  private dispatchers = 0
  private lowestRank = 0
  private digest = 0
  private otherDigest = 0

  constructor(settings: Settings) {
    this.settings = settings
    this.chance = new Chance(settings.seed)
    const isFree = settings.preempt === undefined
    this.choice = isFree ? this.chance.oneOf(choices) : "first"
    this.meanGap = isFree ? this.chance.oneOf(gaps) : Infinity
    this.isBusy = isFree && this.chance.onceIn(4)
    this.isHeldPastTimer = settings.preempt?.pastNextTimer === true
    this.isLate = this.isBusy || this.isHeldPastTimer
    this.untilPreemption = this.nextGap()
  }

  /** A number for the order taken so far. */
  get order(): number {
    return (this.digest >>> 0) * 2 ** 21 + (this.otherDigest >>> 11)
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    const { preempt } = this.settings
    this.operationCount++
    if (isEndingUnstarted(fiber)) return false
    if (preempt !== undefined) {
      if (!this.isAt(preempt, fiber.id) && fiber.currentOpCount < longTurn) return false
    } else if (--this.untilPreemption > 0 && fiber.currentOpCount < longTurn) return false
    else this.untilPreemption = this.nextGap()
    this.isPreempting = true
    this.note(fiber.currentOpCount)
    return true
  }

  makeDispatcher(): Dispatcher {
    return new Dispatcher(this, this.dispatchers++, this.choice === "rank" ? this.chance.next() : 0)
  }

  schedule(dispatcher: Dispatcher, task: () => void, priority: number): void {
    if (!this.isPreempting) return this.add(dispatcher, task, priority)
    // The first task after a fiber was told to yield is how it goes on. It must not hold up what it scheduled before.
    this.isPreempting = false
    const aside = this.makeDispatcher()
    aside.rank = --this.lowestRank
    if (this.settings.preempt !== undefined) this.held = aside
    this.add(aside, task, priority)
  }

  private get isTooLong(): boolean {
    return this.steps + this.operationCount >= this.settings.maxSteps
  }

  /**
   * Takes turns until `done` gives something, or nothing can go on. Then, what is ready goes on until it waits. Pauses before
   * each turn, for whoever lets something else happen then: that counts as a step, too.
   */
  *turns<A>(done: () => A | undefined): Generator<void, A | Exit.Exit<never, Deadlock | Endless>, boolean> {
    const { seed } = this.settings
    try {
      for (;;) {
        if (yield) this.settings.onStep?.()
        const result = done()
        if (result !== undefined) {
          yield* this.settle()
          return result
        }
        if (this.isTooLong) return Exit.fail(new Endless({ seed, steps: this.steps }))
        const task = this.next()
        if (task === undefined) return Exit.fail(new Deadlock({ seed, steps: this.steps }))
        this.turn(task)
      }
    } catch (defect) {
      return Exit.failCause(Cause.die(defect))
    }
  }

  private *settle(): Generator<void, void, boolean> {
    for (let [first] = this.ready; first !== undefined && !this.isTooLong; [first] = this.ready) {
      const task = this.takeFrom(first)
      if (task !== undefined) this.turn(task)
      if (yield) this.settings.onStep?.()
    }
  }

  private turn(task: () => void): void {
    this.steps++
    task()
    this.settings.onStep?.()
  }

  private add(dispatcher: Dispatcher, task: () => void, priority: number): void {
    if (dispatcher.isEmpty) this.ready.push(dispatcher)
    dispatcher.add(task, priority)
  }

  private next(): (() => void) | undefined {
    const { clock, ready } = this
    const isOnlyHeld = ready.length === 1 && ready[0] === this.held
    if (ready.length === 0 || (isOnlyHeld && this.isHeldPastTimer) || (this.isBusy && this.chance.onceIn(16))) {
      for (const wake of clock.advance()) this.add(this.makeDispatcher(), wake, 0)
      if (isOnlyHeld) this.isHeldPastTimer = false
    }
    const dispatcher = ready[this.choose()]
    return dispatcher === undefined ? undefined : this.takeFrom(dispatcher)
  }

  /** Takes a task that is ready from its dispatcher, which goes to the end of the line. */
  takeFrom(dispatcher: Dispatcher): (() => void) | undefined {
    if (dispatcher === this.held) this.held = undefined
    const task = dispatcher.take()
    const { ready } = this
    if (ready.at(-1) === dispatcher) ready.pop()
    else ready.splice(ready.indexOf(dispatcher), 1)
    if (!dispatcher.isEmpty) ready.push(dispatcher)
    this.note(dispatcher.number)
    return task
  }

  private choose(): number {
    const { ready } = this
    if (ready.length < 2) return 0
    if (this.held !== undefined) return ready[0] === this.held ? 1 : 0
    if (this.choice === "any") return this.chance.below(ready.length)
    if (this.choice === "first") return 0
    let best = 0
    for (let index = 1; index < ready.length; index++) {
      if ((ready[index]?.rank ?? 0) > (ready[best]?.rank ?? 0)) best = index
    }
    return best
  }

  private isAt(point: Point, id: number): boolean {
    let fiber = this.fiberNumbers.get(id)
    if (fiber === undefined) {
      fiber = this.fiberNumbers.size
      this.fiberNumbers.set(id, fiber)
    }
    const operation = this.operations[fiber] ?? 0
    this.operations[fiber] = operation + 1
    return fiber === point.fiber && operation === point.operation
  }

  private nextGap(): number {
    return this.meanGap === Infinity ? Infinity : 1 + this.chance.below(2 * this.meanGap - 1)
  }

  private note(decision: number): void {
    this.digest = Math.imul(this.digest ^ decision, 0x01000193)
    this.otherDigest = Math.imul(this.otherDigest + decision, 0x85ebca6b) ^ (this.otherDigest >>> 13)
  }
}

/**
 * Whether a fiber may be at the first step after an interruption. If it was interrupted before it had started, and put off now,
 * Effect would start it after all; Effect's own scheduler puts nobody off at a first step.
 */
const isEndingUnstarted = (fiber: Fiber.Fiber<unknown, unknown>): boolean =>
  fiber.currentOpCount === 1 &&
  Predicate.hasProperty(fiber, "_interruptedCause") &&
  fiber._interruptedCause !== undefined

class Dispatcher implements Scheduler.SchedulerDispatcher {
  readonly number: number
  rank: number
  private readonly order: SeededOrder
  private readonly tasks: Array<{ readonly run: () => void; readonly priority: number }> = []

  constructor(order: SeededOrder, number: number, rank: number) {
    this.order = order
    this.number = number
    this.rank = rank
  }

  get isEmpty(): boolean {
    return this.tasks.length === 0
  }

  scheduleTask(task: () => void, priority: number): void {
    this.order.schedule(this, task, priority)
  }

  add(run: () => void, priority: number): void {
    const { tasks } = this
    let place = tasks.length
    while (place > 0 && (tasks[place - 1]?.priority ?? 0) > priority) place--
    if (place === tasks.length) tasks.push({ run, priority })
    else tasks.splice(place, 0, { run, priority })
  }

  take(): (() => void) | undefined {
    return this.tasks.shift()?.run
  }

  flush(): void {
    while (!this.isEmpty) this.order.takeFrom(this)?.()
  }
}
