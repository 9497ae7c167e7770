/**
 * Stops calling what fails, and finds out now and then whether it works again.
 *
 * Each key has a circuit. Closed, calls pass, and faults are counted. Too many of them open it: calls then fail at once,
 * before anything is sent. After a while one call may pass, as a probe; when it succeeds the circuit closes, and when it
 * fails it is open for twice as long as before, up to a maximum.
 *
 * The state machine is Effect's (`effect/persistence/CircuitBreaker`), in memory or in Redis. What counts as a fault, when
 * to open and for how long is decided here.
 */
import { Clock, Duration, Effect, Pull, Result, type Scope, Stream } from "effect"
import type { AiError } from "effect/ai"
import * as Caller from "../core/call/Caller.ts"
import * as Content from "../core/stream/Content.ts"
import * as Failure from "../core/Failure.ts"
import * as Opening from "../core/stream/OpenStream.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as OutcomeWindow from "../core/window/OutcomeWindow.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import type { ModelProvider, Policy } from "../core/call/ModelProvider.ts"
import { Circuit, type CircuitOpen, type Pass, type Settings, type Verdict } from "./circuit-breaker/Circuit.ts"
import * as CircuitKeeper from "./CircuitKeeper.ts"
import * as RetryBudget from "./RetryBudget.ts"

export { openingMillis, type CircuitOpen, type Settings, type Verdict } from "./circuit-breaker/Circuit.ts"
export type { CircuitBreakerStore } from "./CircuitKeeper.ts"

export interface Options {
  /** Opens a circuit when this share of the calls in the window are faults, above 0 to 1. Default 0.5. */
  readonly ratio?: number | undefined
  /** Calls that the window must hold before their ratio counts. Default 10. */
  readonly minCalls?: number | undefined
  /** How far back calls count. Default 30 seconds. */
  readonly window?: Duration.Input | undefined
  /** Opens a circuit after so many faults with no success between them, however far apart. Default 5. */
  readonly consecutive?: number | undefined
  /** How long a circuit is open the first time; twice as long each time its probe fails. Default 5 seconds. */
  readonly open?: Duration.Input | undefined
  /** What doubling never exceeds, and how long quota and authentication errors open a circuit. Default 5 minutes. */
  readonly maxOpen?: Duration.Input | undefined
  /** Whether each tenant (`Caller`) has circuits of its own, as when tenants bring their own API keys. Default false. */
  readonly perTenant?: boolean | undefined
  /** Circuits that are kept; one more, and the one not used for longest is forgotten. Default 1,000. */
  readonly maxKeys?: number | undefined
}

export interface SharedOptions extends Options {
  /** The longest wait for the shared store, before a call and after it. Default 50 milliseconds. */
  readonly storeTimeout?: Duration.Input | undefined
}

/**
 * Five seconds outlast a restart or a failover behind a load balancer, and five minutes keep the probes of a long outage
 * rare without missing its end by much. Ten calls are the fewest of which a half is not chance, thirty seconds hold them
 * in quiet services too, and five faults in a row are a sign where there are fewer.
 */
export const defaults = {
  ratio: 0.5,
  minCalls: 10,
  window: "30 seconds",
  consecutive: 5,
  open: "5 seconds",
  maxOpen: "5 minutes",
  perTenant: false,
  maxKeys: 1_000,
  storeTimeout: "50 millis"
} as const

/**
 * Keeps one circuit for a model (or one for each of its tenants), in memory.
 *
 * What counts is `Failure.blame`: a `fault` counts, `unusable` (quota, authentication) opens the circuit at once, `busy`
 * and `none` say nothing, as do interruptions and bugs. A circuit is open at least for as long as the provider asked for.
 * Calls it turns away fail with `PolicyReason` `CircuitOpen`, which is retryable after `retryAfterMillis` (0 while a probe
 * is under way).
 *
 * A stream is judged when it ends or fails; a reader that leaves early says nothing. A stream that is a probe closes the
 * circuit with its first content, so that a slow reader does not keep others waiting. A probe that is abandoned lets the
 * next call probe.
 */
export const perModel = (options: Options = {}): Policy => {
  const settings = resolve(options)
  return (next) => guarding(next, options, circuits(settings, options, CircuitKeeper.inMemory))
}

/**
 * As {@link perModel}, with circuits shared through the `CircuitBreakerStore` a layer provides, such as Effect's
 * `layerStoreRedis`.
 *
 * Each process judges by the calls it made itself. When one opens a circuit it is open for all, and of all their calls one
 * at a time probes. When the store is gone or frozen calls go on, by circuits of this process, until it answers again:
 * a call waits for it at most `storeTimeout` before and after, and one call a second asks it again.
 */
export const shared = (options: SharedOptions = {}): Policy<CircuitKeeper.CircuitBreakerStore> => {
  const settings = resolve(options)
  const timeout = check.millis("storeTimeout", options.storeTimeout ?? defaults.storeTimeout)
  return (next) =>
    Effect.flatMap(CircuitKeeper.shared(Duration.millis(timeout)), (keepers) =>
      guarding(next, options, circuits(settings, options, keepers))
    )
}

/**
 * Makes a breaker for any effects, with a circuit for each key, in memory. `classify` says whose fault an error is.
 *
 * A call it turns away fails with the plain `PolicyReason` `CircuitOpen`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/policy"
 *
 * const program = Effect.gen(function* () {
 *   const breaker = yield* CircuitBreaker.effect((_: "down") => ({ blame: "fault" }), { consecutive: 2 })
 *   const search = breaker("search")(Effect.fail("down" as const))
 *   yield* Effect.flip(search)
 *   yield* Effect.flip(search)
 *   return yield* Effect.flip(search)
 * })
 * const refused = await Effect.runPromise(program)
 * refused === "down" ? refused : [refused._tag, refused.key] // => ["CircuitOpen", "search"]
 * ```
 */
export const effect = <E>(classify: (error: E) => Verdict, options: Options = {}) => {
  const settings = resolve(options)
  return Effect.map(circuits(settings, options, CircuitKeeper.inMemory), ({ enter }) => {
    const guard = around(enter, classify)
    return (key: string) =>
      <A, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | CircuitOpen, R> =>
        guard(self, key)
  })
}

/** Fills in the defaults. Rejects an option that makes no sense with a `RangeError`. */
export const resolve = (options: Options): Settings => {
  const openMillis = check.millis("open", options.open ?? defaults.open)
  check.whole("maxKeys", options.maxKeys ?? defaults.maxKeys, 1)
  return {
    ratio: check.number("ratio", options.ratio ?? defaults.ratio, { above: 0, atMost: 1 }),
    minCalls: check.whole("minCalls", options.minCalls ?? defaults.minCalls, 1),
    consecutive: check.whole("consecutive", options.consecutive ?? defaults.consecutive, 1),
    windowMillis: check.millis("window", options.window ?? defaults.window),
    openMillis,
    maxOpenMillis: check.millis("maxOpen", options.maxOpen ?? defaults.maxOpen, { atLeast: openMillis })
  }
}

const check = OptionCheck.of("CircuitBreaker")

type Enter = (key: string, clock: Clock.Clock, restore: CircuitKeeper.Restore) => Effect.Effect<Pass, CircuitOpen>

interface Circuits {
  readonly enter: Enter
  readonly find: (key: string) => Circuit | undefined
}

// The circuits of one policy, the one used last at the end.
const circuits = (settings: Settings, options: Options, keepers: CircuitKeeper.Keepers): Effect.Effect<Circuits> =>
  Effect.suspend(() => {
    const maxKeys = options.maxKeys ?? defaults.maxKeys
    const known = new Map<string, Circuit>()
    let last: Circuit | undefined
    const use = (circuit: Circuit): Circuit => {
      known.delete(circuit.key)
      known.set(circuit.key, circuit)
      last = circuit
      for (const oldest of known.keys()) {
        if (known.size <= maxKeys) break
        known.delete(oldest)
      }
      return circuit
    }
    const enter: Enter = (key, clock, restore) => {
      if (last?.key === key) return last.enter(clock, restore)
      const circuit = known.get(key)
      if (circuit !== undefined) return use(circuit).enter(clock, restore)
      return Effect.flatMap(keepers(key), (keeper) =>
        use(known.get(key) ?? new Circuit(key, keeper, settings)).enter(clock, restore)
      )
    }
    return Effect.as(PolicyHealth.register(health(known)), { enter, find: (key) => known.get(key) })
  })

const guarding = (
  next: ModelProvider,
  { perTenant = defaults.perTenant }: Options,
  makeCircuits: Effect.Effect<Circuits>
): Effect.Effect<ModelProvider> =>
  Effect.map(makeCircuits, ({ enter, find }) => {
    const model = RetryBudget.keyOf(next)
    const keyOf = (tenant: string | undefined) => (perTenant && tenant !== undefined ? `${model}#${tenant}` : model)
    const guard = around(enter, verdictOf)
    return {
      ...next,
      generateText: (request) =>
        Effect.withFiber((fiber) =>
          Effect.catchTag(
            guard(next.generateText(request), keyOf(fiber.getRef(Caller.Current).tenant)),
            "CircuitOpen",
            refuse
          )
        ),
      streamText: (request) =>
        Opening.unwrap(
          Effect.uninterruptibleMask((restore) =>
            Effect.withFiber((fiber) =>
              enter(keyOf(fiber.getRef(Caller.Current).tenant), fiber.getRef(Clock.Clock), restore).pipe(
                Effect.catch(refuse),
                Effect.flatMap((pass) => watched(next.streamText(request), pass))
              )
            )
          )
        ),
      readiness: Effect.withFiber((fiber) => {
        const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
        const own = find(keyOf(fiber.getRef(Caller.Current).tenant))?.readinessAt(now) ?? "ready"
        return own === "ready" && next.readiness !== undefined ? next.readiness : Effect.succeed(own)
      })
    }
  })

const verdictOf = (error: AiError.AiError): Verdict => ({
  blame: Failure.blame(error),
  retryAfter: Failure.describe(error).retryAfter
})

const refuse = (open: CircuitOpen) => Effect.fail(PolicyReason.toAiError("CircuitBreaker", open))

// Nothing comes between being let through and being judged.
const around =
  <E>(enter: Enter, classify: (error: E) => Verdict) =>
  <A, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E | CircuitOpen, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) =>
        Effect.flatMap(enter(key, fiber.getRef(Clock.Clock), restore), (pass) =>
          Effect.onExitPrimitive(restore(self), (exit) => pass.ended(exit, classify))
        )
      )
    )

// Costs the success path of a stream one stack frame for each pull.
const watched = (
  stream: ReturnType<ModelProvider["streamText"]>,
  pass: Pass
): Effect.Effect<typeof stream, never, Scope.Scope> => {
  const judge = (effect: Effect.Effect<void> | undefined) =>
    effect === undefined ? Effect.void : Effect.uninterruptible(effect)
  const judged = Stream.transformPull(stream, (pull) => {
    const seen = pass.isProbe
      ? Effect.tap(pull, (parts) => (parts.some(Content.isContent) ? judge(pass.succeeded()) : Effect.void))
      : pull
    return Effect.succeed(
      Effect.tapCause(seen, (cause) => {
        const failed = Pull.filterDone(cause)
        return judge(Result.isSuccess(failed) ? pass.succeeded() : pass.failed(failed.failure, verdictOf))
      })
    )
  })
  return pass.holds
    ? Effect.as(
        Effect.addFinalizer(() => pass.abandoned() ?? Effect.void),
        judged
      )
    : Effect.succeed(judged)
}

const health = (known: ReadonlyMap<string, Circuit>): Effect.Effect<PolicyHealth.BreakerHealth> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const list = Array.from(known.values(), (circuit) => {
      const state = circuit.stateAt(now)
      const successRatio = OutcomeWindow.successRatio(circuit.window.tally(now))
      const score = state === "open" ? 0 : Math.round(successRatio * (state === "halfOpen" ? 50 : 100))
      return { key: circuit.key, state, successRatio, retryAfterMillis: circuit.retryAfterMillis(now), score }
    })
    const sum = list.reduce((total, { score }) => total + score, 0)
    return { _tag: "CircuitBreaker", circuits: list, score: list.length === 0 ? 100 : Math.round(sum / list.length) }
  })
