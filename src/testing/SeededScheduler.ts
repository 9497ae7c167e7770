/**
 * Runs a program in an order of its own choosing: which fiber goes on next, where one is preempted, when time passes.
 *
 * All of it follows from one seed. A run is synchronous, takes no real time however long the program sleeps, and is
 * repeated exactly by its seed. Thousands of seeds find what one order, always the same, never shows.
 *
 * **Gotchas**
 *
 * Everything the program waits for must happen within Effect: a promise or a socket never answers here, and the run ends
 * as a {@link Deadlock}. {@link runAsync} lets promises settle.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Ref } from "effect"
 * import { SeededScheduler } from "holdfast/testing"
 *
 * const lostUpdate = Effect.gen(function* () {
 *   const counter = yield* Ref.make(0)
 *   const increment = Effect.flatMap(Ref.get(counter), (n) => Ref.set(counter, n + 1))
 *   yield* Effect.all([increment, increment], { concurrency: 2 })
 *   return yield* Ref.get(counter)
 * })
 * const report = SeededScheduler.explore(lostUpdate, { runs: 200 })
 * Array.from(report.outcomes.keys()).toSorted() // => ["success(1)", "success(2)"]
 * ```
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Inspectable, Random, Scheduler } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import { Chance } from "./seed/Chance.ts"
import { SeededClock } from "./seed/Clock.ts"
import { Deadlock, Endless, type Point, SeededOrder } from "./seeded-scheduler/Order.ts"

export { Deadlock, Endless, type Point } from "./seeded-scheduler/Order.ts"

export interface Options {
  /** Chooses the order; the same seed gives the same run. A whole number. Default 0. */
  readonly seed?: number | undefined
  /** Turns and operations of fibers after which the run is given up as {@link Endless}. Default 1,000,000. */
  readonly maxSteps?: number | undefined
  /** Preempts once, here; everything else goes on in the order in which it came. Default: the seed chooses. */
  readonly preempt?: Point | undefined
  /** Called after every turn of a fiber, when none runs: the place to check what must hold at all times. Default: nothing. */
  readonly onStep?: (() => void) | undefined
}

/** What holds where {@link Options} and {@link ExploreOptions} say nothing. */
export const defaults = { seed: 0, maxSteps: 1_000_000, runs: 1_000, keep: 10 } as const

/** One run: how it ended, and which order it took. */
export interface Run<out A, out E> {
  readonly exit: Exit.Exit<A, E | Deadlock | Endless>
  readonly seed: number
  /** Turns that fibers, and the tasks of other dispatchers, took. */
  readonly steps: number
  /** A number for the order: equal orders have equal numbers, different ones almost never. */
  readonly order: number
  /** Whether time could pass although something was ready, as it does on a busy machine. */
  readonly isLate: boolean
  /** Fibers that were asleep at the end. */
  readonly asleep: number
}

/**
 * Runs a program in the order its seed chooses.
 *
 * `Clock`, `Random` and `Scheduler` are the run's own: time moves on to the next sleeper when nothing is ready (with
 * some seeds also earlier, as on a busy machine), and starts at 0. What is ready when the
 * program ends goes on until it waits, and is then dropped.
 *
 * **Example**
 *
 * ```ts run
 * import { Clock, Effect, Exit } from "effect"
 * import { SeededScheduler } from "holdfast/testing"
 *
 * const slow = Effect.andThen(Effect.sleep("1 day"), Clock.currentTimeMillis)
 * SeededScheduler.run(slow, { seed: 7 }).exit // => Exit.succeed(86_400_000)
 *
 * const stuck = SeededScheduler.run(Effect.never, { seed: 7 })
 * stuck.exit // => Exit.fail(new SeededScheduler.Deadlock({ seed: 7, steps: 0 }))
 * ```
 */
export const run = <A, E>(effect: Effect.Effect<A, E>, options: Options = {}): Run<A, E> =>
  runIn(orderOf(options), effect)

/**
 * Runs a program as {@link run} does, and between the turns of fibers lets promises settle: all that can at once, as async
 * functions do that wait for each other or for the program. What waits for a socket or a real timer still does not.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Exit } from "effect"
 * import { SeededScheduler } from "holdfast/testing"
 *
 * const program = Effect.promise(async () => {
 *   const later = await Promise.resolve(20)
 *   return later + 1
 * })
 * const { exit } = await Effect.runPromise(SeededScheduler.runAsync(program))
 * exit // => Exit.succeed(21)
 * ```
 */
export const runAsync = <A, E>(effect: Effect.Effect<A, E>, options: Options = {}): Effect.Effect<Run<A, E>> =>
  Effect.gen(function* () {
    const turns = turnsOf(orderOf(options), effect)
    let turn = turns.next(false)
    while (turn.done !== true) {
      yield* afterPromises
      turn = turns.next(true)
    }
    return turn.value
  })

// What may settle at once comes before the next turn of the event loop.
const afterPromises = Effect.callback<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * Sets the wall clock of a run forward, or back when the duration is negative, as a time server or a person does.
 *
 * What sleeps goes on sleeping, and monotonic time does not notice. Outside of a run it is a defect.
 *
 * **Example**
 *
 * ```ts run
 * import { Clock, Effect, Exit } from "effect"
 * import { SeededScheduler } from "holdfast/testing"
 *
 * const program = Effect.gen(function* () {
 *   yield* Effect.sleep("1 second")
 *   yield* SeededScheduler.setWallClockBy("-1 hour")
 *   return [yield* Clock.currentTimeMillis, Number(yield* Clock.monotonicTimeNanos)]
 * })
 * SeededScheduler.run(program).exit // => Exit.succeed([-3_599_000, 1_000_000_000])
 * ```
 */
export const setWallClockBy = (duration: Duration.Input): Effect.Effect<void> =>
  Effect.map(Clock.Clock, (clock) => {
    if (!(clock instanceof SeededClock)) throw new Error("there is no run whose wall clock could be set")
    clock.setWallClockBy(Duration.toMillis(Duration.fromInputUnsafe(duration)))
  })

export interface ExploreOptions extends Pick<Options, "maxSteps" | "onStep"> {
  /** The first seed; the others follow one by one. Default 0. */
  readonly seed?: number | undefined
  /** How many seeds to run. Default 1,000. */
  readonly runs?: number | undefined
  /** What counts as one outcome. Default: the exit, in words; all deadlocks are one. */
  readonly outcome?: ((exit: Exit.Exit<unknown, unknown>) => string) | undefined
  /** How many failures, and how many distinct outcomes, to keep. Default 10 failures and 1,000 outcomes. */
  readonly keep?: number | undefined
}

/** What many orders of one program came to. */
export interface Report<out E> {
  readonly runs: number
  /** How many different orders there were among them. */
  readonly orders: number
  /** How often each outcome came, and a seed that gives it. */
  readonly outcomes: ReadonlyMap<string, { readonly count: number; readonly seed: number }>
  /** The first runs that failed, deadlocked or did not end. Run a seed again to see it again. */
  readonly failures: ReadonlyArray<{ readonly seed: number; readonly cause: Cause.Cause<E | Deadlock | Endless> }>
}

/** Runs a program with many seeds and tells its outcomes, with a seed for each. */
export const explore = <A, E>(effect: Effect.Effect<A, E>, options: ExploreOptions = {}): Report<E> => {
  check.fields(options, exploreFields)
  const first = check.whole("seed", options.seed ?? defaults.seed, Number.MIN_SAFE_INTEGER)
  const runs = check.whole("runs", options.runs ?? defaults.runs, 1)
  const describe = check.callback("outcome", options.outcome ?? inWords)
  const keep = check.whole("keep", options.keep ?? defaults.keep, 0)
  const { maxSteps, onStep } = options
  const orders = new Set<number>()
  const outcomes = new Map<string, { count: number; seed: number }>()
  const failures: Array<Report<E>["failures"][number]> = []
  for (let seed = first; seed < first + runs; seed++) {
    const { exit, order } = run(effect, { maxSteps, onStep, seed })
    orders.add(order)
    const outcome = describe(exit)
    const known = outcomes.get(outcome)
    if (known !== undefined) known.count++
    else if (outcomes.size < maxOutcomes) outcomes.set(outcome, { count: 1, seed })
    if (Exit.isFailure(exit) && failures.length < keep) {
      failures.push({ seed, cause: exit.cause })
    }
  }
  return { runs, orders: orders.size, outcomes, failures }
}

const maxOutcomes = 1_000

const check = OptionCheck.of("SeededScheduler")

const fields: OptionCheck.Fields<Options> = { seed: true, maxSteps: true, preempt: true, onStep: true }
const exploreFields: OptionCheck.Fields<ExploreOptions> = {
  seed: true,
  runs: true,
  outcome: true,
  keep: true,
  maxSteps: true,
  onStep: true
}

// A deadlock is one outcome, whatever seed it came with and however long it took.
const inWords = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return `success(${Inspectable.toStringUnknown(exit.value, 0)})`
  const words = exit.cause.reasons.map((reason) => {
    if (Cause.isInterruptReason(reason)) return "interrupted"
    if (Cause.isDieReason(reason)) return `die(${said(reason.defect)})`
    return isGivenUp(reason.error) ? reason.error._tag : `fail(${said(reason.error)})`
  })
  return Array.from(new Set(words)).join(", ") || "interrupted"
}

const said = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : Inspectable.toStringUnknown(error, 0)

const isGivenUp = (error: unknown): error is Deadlock | Endless => error instanceof Deadlock || error instanceof Endless

/**
 * Lists the points at which a program can be preempted: every operation of every fiber, in a run that preempts nowhere.
 *
 * To run with each of them is a sweep: it finds whatever a single preemption can break.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Exit, Ref } from "effect"
 * import { SeededScheduler } from "holdfast/testing"
 *
 * const lostUpdate = Effect.gen(function* () {
 *   const counter = yield* Ref.make(0)
 *   const increment = Effect.flatMap(Ref.get(counter), (n) => Ref.set(counter, n + 1))
 *   yield* Effect.all([increment, increment], { concurrency: 2 })
 *   return yield* Ref.get(counter)
 * })
 * const lost = SeededScheduler.points(lostUpdate).filter((preempt) => {
 *   const { exit } = SeededScheduler.run(lostUpdate, { preempt })
 *   return Exit.isSuccess(exit) && exit.value === 1
 * })
 * lost.length > 0 // => true
 * ```
 */
export const points = <A, E>(effect: Effect.Effect<A, E>): ReadonlyArray<Point> => {
  const order = orderOf({ preempt: nowhere })
  runIn(order, effect)
  return order.operations.flatMap((count, fiber) =>
    Array.from({ length: count }, (_, operation) => ({ fiber, operation }))
  )
}

const nowhere: Point = { fiber: -1, operation: 0 }

const orderOf = (options: Options): SeededOrder => {
  check.fields(options, fields)
  const { maxSteps, onStep, preempt, seed } = options
  if (onStep !== undefined) check.callback("onStep", onStep)
  if (preempt !== undefined && preempt !== nowhere) checkPoint(preempt)
  return new SeededOrder({
    seed: check.whole("seed", seed ?? defaults.seed, Number.MIN_SAFE_INTEGER),
    maxSteps: check.whole("maxSteps", maxSteps ?? defaults.maxSteps, 0),
    onStep,
    preempt
  })
}

const checkPoint = (point: Point): void => {
  check.fields(point, { fiber: true, operation: true, pastNextTimer: true }, "preempt")
  check.whole("preempt.fiber", point.fiber, 0)
  check.whole("preempt.operation", point.operation, 0)
  check.flag("preempt.pastNextTimer", point.pastNextTimer ?? false)
}

const runIn = <A, E>(scheduler: SeededOrder, effect: Effect.Effect<A, E>): Run<A, E> => {
  const turns = turnsOf(scheduler, effect)
  let turn = turns.next(false)
  while (turn.done !== true) turn = turns.next(false)
  return turn.value
}

function* turnsOf<A, E>(scheduler: SeededOrder, effect: Effect.Effect<A, E>): Generator<void, Run<A, E>, boolean> {
  const { seed } = scheduler.settings
  const context = Context.make(Scheduler.Scheduler, scheduler).pipe(
    Context.add(Clock.Clock, scheduler.clock),
    Context.add(Random.Random, new Chance(~seed))
  )
  const fiber = Effect.runForkWith(context)(effect)
  const exit = yield* scheduler.turns(() => fiber.pollUnsafe())
  const { clock, isLate, order, steps } = scheduler
  return { exit, seed, steps, order, isLate, asleep: clock.asleep }
}
