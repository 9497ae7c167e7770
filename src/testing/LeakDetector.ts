/**
 * Finds what a program leaves behind: fibers still running, and timers, sockets, servers and other handles still open.
 *
 * Fibers are counted through Effect's own fiber metrics, and only those started within the program. Handles are the ones
 * that keep the Node process alive (`process.getActiveResourcesInfo`), compared before and after; timers, of which test
 * runners always have some coming and going, are followed one by one instead.
 */
import { createHook } from "node:async_hooks"
import process from "node:process"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Metric, Predicate, Record, Schema } from "effect"

export interface Options {
  /** How long what is closing may take to be gone, by the real clock. Default: 1 second. */
  readonly settle?: Duration.Input | undefined
  /**
   * Whether to look at the handles of the process too. Default: true. They belong to everything that runs in the
   * process, so turn this off for checks that run side by side.
   */
  readonly handles?: boolean | undefined
}

/** What holds where {@link Options} say nothing. */
export const defaults = { settle: "1 second", handles: true } as const

/** How many of what were left behind. */
export class Leaked extends Schema.TaggedError<Leaked>()("Leaked", {
  /** Fibers started by the program that have not ended. */
  fibers: Schema.Int,
  /** Handles that were not open before, by Node's name for their kind: `Timeout`, `TCPSocketWrap`, `TCPServerWrap`, … */
  handles: Schema.Record(Schema.String, Schema.Int)
}) {
  override get message(): string {
    const counts = [["fiber", this.fibers] as const, ...Record.toEntries(this.handles)]
    return `left behind: ${counts.flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : [])).join(", ")}`
  }
}

/** What is alive at one moment. */
export interface Snapshot {
  /** Fibers started within `watch` that have not ended. */
  readonly fibers: number
  /** Open handles of the whole process, by kind. */
  readonly handles: Readonly<Record<string, number>>
}

export interface LeakDetector {
  /**
   * Counts the fibers an effect starts, at any depth and also detached ones, without changing what it does. The fiber
   * that runs it is not counted. A metrics service that is already there keeps hearing of every fiber.
   */
  readonly watch: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** The fibers started within `watch` that are alive right now. */
  readonly liveFibers: Effect.Effect<number>
  /** What is alive right now. */
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * Makes a detector to read from inside a test, for facts such as "the loser of the race is gone".
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, Fiber } from "effect"
 * import { LeakDetector } from "holdfast/testing"
 *
 * const counts = Effect.gen(function*() {
 *   const detector = yield* LeakDetector.make
 *   const fiber = yield* detector.watch(Effect.forkChild(Effect.never))
 *   const during = yield* detector.liveFibers
 *   yield* Fiber.interrupt(fiber)
 *   return [during, yield* detector.liveFibers]
 * })
 * await Effect.runPromise(counts) // => [1, 0]
 * ```
 */
export const make: Effect.Effect<LeakDetector> = Effect.sync(() => {
  let live = 0
  const count = (present: Metric.FiberRuntimeMetricsService | undefined): Metric.FiberRuntimeMetricsService => ({
    recordFiberStart: (context) => {
      live++
      present?.recordFiberStart(context)
    },
    recordFiberEnd: (context, exit) => {
      live--
      present?.recordFiberEnd(context, exit)
    }
  })
  const liveFibers = Effect.sync(() => live)
  return {
    watch: (effect) =>
      Effect.flatMap(Metric.FiberRuntimeMetrics, (present) =>
        Effect.provideService(effect, Metric.FiberRuntimeMetrics, count(present))
      ),
    liveFibers,
    snapshot: Effect.map(openHandles, (handles) => ({ fibers: live, handles }))
  }
})

/**
 * Runs a program and fails with {@link Leaked} when it leaves anything behind.
 *
 * The program runs in a fiber of its own, so fibers it forked as children end with it; what it forks detached, or into
 * the scope of whoever called, has to be gone by its end. Its result, failure or interruption is otherwise passed on;
 * when it fails *and* leaks, `Leaked` comes first in the cause. Works under `TestClock`: fibers are counted there, and
 * the time for handles to close is real time.
 *
 * **Gotchas**
 *
 * - Handles that do not keep the process alive (`unref`) are not seen. Among them are the idle connections `fetch` keeps.
 * - Handles other than timers are counted by kind: one that was open before and closes meanwhile hides one that is left.
 * - While something sleeps by `TestClock`, a fiber of the clock's own, which warns of that, counts as one more.
 * - Fibers started with `Effect.run*` inside the program are not its own and are not counted; their handles are seen.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { LeakDetector } from "holdfast/testing"
 *
 * const clean = Effect.sleep("1 millis").pipe(Effect.forkChild, Effect.as("done"))
 * await Effect.runPromise(LeakDetector.check(clean)) // => "done"
 *
 * const leaky = Effect.forkDetach(Effect.never)
 * const check = LeakDetector.check(leaky, { settle: "20 millis" }).pipe(Effect.flip)
 * (await Effect.runPromise(check)).message // => "left behind: 1 fiber"
 * ```
 */
export const check = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: Options = {}
): Effect.Effect<A, E | Leaked, R> =>
  followTimers((timers) =>
    Effect.gen(function* () {
      const detector = yield* make
      const before = yield* detector.snapshot
      const exit = yield* timers.during(Effect.exit(detector.watch(inItsOwnFiber(effect))))
      const handles = Effect.map(detector.snapshot, (now) => ({
        ...added(before.handles, Record.remove(now.handles, "Timeout")),
        ...(timers.running() > 0 ? { Timeout: timers.running() } : {})
      }))
      const left = yield* settle(
        Effect.all({
          handles: (options.handles ?? defaults.handles) ? handles : Effect.succeed({}),
          fibers: detector.liveFibers
        }),
        Duration.fromInputUnsafe(options.settle ?? defaults.settle)
      )
      if (isNothing(left)) return yield* exit
      const leaked = Cause.fail(new Leaked(left))
      return yield* Effect.failCause(Exit.isFailure(exit) ? Cause.combine(leaked, exit.cause) : leaked)
    })
  )

const inItsOwnFiber = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.acquireUseRelease(Effect.forkChild(effect), Fiber.join, Fiber.interrupt)

interface Timers {
  /** Notes the timers created while an effect runs. */
  readonly during: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** How many of those still run. */
  readonly running: () => number
}

const followTimers = <A, E, R>(use: (timers: Timers) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let noting = false
    const noted: Array<WeakRef<object>> = []
    const hook = createHook({
      init: (_id, kind, _trigger, resource) => {
        if (noting && kind === "Timeout") noted.push(new WeakRef(resource))
      }
    })
    const note = (value: boolean) =>
      Effect.sync(() => {
        noting = value
      })
    const timers: Timers = {
      during: (effect) =>
        Effect.acquireUseRelease(
          note(true),
          () => effect,
          () => note(false)
        ),
      running: () => noted.filter((timer) => isRunning(timer.deref())).length
    }
    return Effect.acquireUseRelease(
      Effect.sync(() => hook.enable()),
      () => use(timers),
      () => Effect.sync(() => hook.disable())
    )
  })

/** Tells a timer that keeps the process alive from one that fired, was cleared, or was told not to. */
const isRunning = (timer: object | undefined): boolean =>
  Predicate.hasProperty(timer, "_destroyed") &&
  timer._destroyed === false &&
  Predicate.hasProperty(timer, "hasRef") &&
  Predicate.isFunction(timer.hasRef) &&
  timer.hasRef() === true

/** The handles of the later moment that the earlier one did not have. */
const added = (before: Snapshot["handles"], now: Snapshot["handles"]): Snapshot["handles"] =>
  Record.filter(
    Record.map(now, (count, kind) => count - (before[kind] ?? 0)),
    (count) => count > 0
  )

const isNothing = ({ fibers, handles }: Snapshot): boolean => fibers <= 0 && Record.isEmptyRecord(handles)

/** Reads until nothing is left or the limit has passed. Handles close after the event that closed them. */
const settle = (left: Effect.Effect<Snapshot>, limit: Duration.Duration): Effect.Effect<Snapshot> =>
  Effect.gen(function* () {
    const until = (yield* Clock.currentTimeMillis) + Duration.toMillis(limit)
    let last = yield* left
    for (let pause = 1; !isNothing(last) && (yield* Clock.currentTimeMillis) < until; pause = Math.min(2 * pause, 50)) {
      yield* Effect.sleep(Duration.millis(pause))
      last = yield* left
    }
    return last
  }).pipe(Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()))

/**
 * Counts the open handles, from outside of any timer's callback: a timer that is just firing still counts as open.
 * Left out is `Immediate`, with which Effect's scheduler yields; it is gone within one turn of the event loop.
 */
const openHandles: Effect.Effect<Snapshot["handles"]> = Effect.map(Effect.yieldNow, () => {
  const counts: Record<string, number> = {}
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind !== "Immediate") counts[kind] = (counts[kind] ?? 0) + 1
  }
  return counts
})
