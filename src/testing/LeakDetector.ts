/**
 * Finds what a program leaves behind: fibers still running, and timers, sockets, servers and other handles still open.
 *
 * Fibers are counted through Effect's own fiber metrics, and only those started within the program. Handles are the ones
 * that keep the Node process alive (`process.getActiveResourcesInfo`), and only those that the program started: what a test
 * runner or another test starts meanwhile is not its fault. They are told apart by their async context.
 */
import * as OptionCheck from "../core/OptionCheck.ts"
import { Cause, Clock, Duration, Effect, Exit, Metric, Record, Schema } from "effect"
import * as Monotonic from "../core/Monotonic.ts"
import { following, ofProcess } from "./leak-detector/Handles.ts"
import * as ShownError from "../core/ShownError.ts"

export interface Options {
  /** How long what is closing may take to be gone, by the real clock. Default: 1 second. */
  readonly settle?: Duration.Input | undefined
  /**
   * Whether to look at the handles the program started too. Default: true. A runtime that does not tell of handles, such as
   * Bun, gets a warning in the log, and only fibers are looked at.
   */
  readonly handles?: boolean | undefined
}

/** What holds where {@link Options} say nothing. */
export const defaults = { settle: "1 second", handles: true } as const

/** How many places of handles that were left behind are told. */
export const maxOrigins = 10

/** How many of what were left behind, and where that was made. */
export class Leaked extends ShownError.TaggedError<Leaked>()("Leaked", {
  /** Fibers started by the program that have not ended. */
  fibers: Schema.Int,
  /** Handles it started that are open, by Node's name for their kind: `Timeout`, `TCPSocketWrap`, `TCPServerWrap`, … */
  handles: Schema.Record(Schema.String, Schema.Int),
  /**
   * Where in the program those handles were made, as `Timeout at /app/src/poll.ts:12:5`. Left out is what Effect made by
   * itself, as the timer of a sleep. Of more than {@link maxOrigins} the first are given.
   */
  origins: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const counts = [[this.fibers === 1 ? "fiber" : "fibers", this.fibers] as const, ...Record.toEntries(this.handles)]
    const left = counts.flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : [])).join(", ")
    return `left behind: ${left}${this.origins.length === 0 ? "" : ` (${this.origins.join(", ")})`}`
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
    snapshot: Effect.map(ofProcess, (handles) => ({ fibers: live, handles }))
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
 * - What a server that was there before accepts is that server's, not the program's.
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
  following((handles) =>
    Effect.gen(function* () {
      const check = OptionCheck.of("LeakDetector")
      check.fields(options, { settle: true, handles: true })
      const looks = check.flag("handles", options.handles ?? defaults.handles)
      const settleMillis = check.millis("settle", options.settle ?? defaults.settle, { atLeast: 0 })
      if (looks && !handles.areSeen) yield* Effect.logWarning(blind)
      const detector = yield* make
      const exit = yield* Effect.exit(detector.watch(handles.follow(effect)))
      const left = yield* settle(
        Effect.all({ handles: looks ? handles.open : Effect.succeed({}), fibers: detector.liveFibers }),
        Duration.millis(settleMillis)
      )
      if (isNothing(left)) return yield* exit
      const origins = looks ? (yield* handles.origins).slice(0, maxOrigins) : []
      const leaked = Cause.fail(new Leaked({ ...left, origins }))
      return yield* Effect.failCause(Exit.isFailure(exit) ? Cause.combine(leaked, exit.cause) : leaked)
    })
  )

const blind = "LeakDetector: this runtime does not tell which timers and sockets are open; only fibers are checked"

const isNothing = ({ fibers, handles }: Snapshot): boolean => fibers <= 0 && Record.isEmptyRecord(handles)

/** Reads until nothing is left or the limit has passed. Handles close after the event that closed them. */
const settle = (left: Effect.Effect<Snapshot>, limit: Duration.Duration): Effect.Effect<Snapshot> =>
  Effect.gen(function* () {
    const until = (yield* Monotonic.millis) + Duration.toMillis(limit)
    let last = yield* left
    for (let pause = 1; !isNothing(last) && (yield* Monotonic.millis) < until; pause = Math.min(2 * pause, 50)) {
      yield* Effect.sleep(Duration.millis(pause))
      last = yield* left
    }
    return last
  }).pipe(Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()))
