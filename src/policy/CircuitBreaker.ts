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
import { Clock, type Duration, Effect, Pull, Result, type Scope, Stream } from "effect"
import * as Monotonic from "../core/Monotonic.ts"
import * as Caller from "../core/call/Caller.ts"
import * as Key from "../core/call/Key.ts"
import * as Content from "../core/stream/Content.ts"
import * as OpenStream from "../core/stream/OpenStream.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as OutcomeWindow from "../core/window/OutcomeWindow.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import { KeptKeys } from "../core/window/KeptKeys.ts"
import { keyOf, type ModelProvider } from "../core/call/ModelProvider.ts"
import type { Restore } from "../core/Restore.ts"
import { Circuit, type CircuitOpen as Refusal, type Permit, type Settings } from "./circuit-breaker/Circuit.ts"
import * as CircuitStore from "./circuit-breaker/CircuitStore.ts"
import * as Verdict from "../core/call/Verdict.ts"

/** What an effect fails with that is not let through. */
export type CircuitOpen = Refusal & Error
export type { CircuitBreakerStore } from "./circuit-breaker/CircuitStore.ts"

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
  /**
   * Circuits that are kept. One that is open, or has seen faults lately, is never forgotten: where all are so, further keys
   * share one more, which quota and authentication errors of single tenants do not open. Default 1,000.
   */
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
 * What counts is its `Verdict`: a `fault` counts, `unusable` (quota, authentication) opens the circuit at once, `busy`
 * and `none` say nothing, as do interruptions and bugs. A circuit is open at least for as long as the provider asked for.
 * Calls it turns away fail with `PolicyReason` `CircuitOpen`, which is retryable after `retryAfterMillis` (0 while a probe
 * is under way).
 *
 * A stream is judged when it ends or fails; a reader that leaves early says nothing. A stream that is a probe closes the
 * circuit with its first content, so that a slow reader does not keep others waiting. A probe that is abandoned, or of which
 * nothing is known after five minutes, lets the next call probe.
 */
export const perModel = (options: Options = {}): PolicyKind.Of<"CircuitBreaker"> => {
  check.fields(options, fields)
  const settings = resolve(options)
  return PolicyKind.of("CircuitBreaker", (next) =>
    guarding(next, options, circuits(settings, options, CircuitStore.inMemory, othersOf(next)))
  )
}

/**
 * As {@link perModel}, with circuits shared through the `CircuitBreakerStore` a layer provides, such as Effect's
 * `layerStoreRedis`.
 *
 * Each process judges by the calls it made itself. When one opens a circuit it is open for all, and of all their calls one
 * at a time probes. When the store is gone or frozen calls go on, by circuits of this process, until it answers again, for
 * which it is probed each second: a call waits for it at most `storeTimeout` before and after. So do the calls of a single
 * circuit of which the store says what cannot be, or for more than five minutes that somebody probes it.
 */
export const shared = (
  options: SharedOptions = {}
): PolicyKind.Of<"CircuitBreaker", CircuitStore.CircuitBreakerStore> => {
  check.fields(options, { ...fields, storeTimeout: true })
  const settings = resolve(options)
  const timeoutMillis = check.millis("storeTimeout", options.storeTimeout ?? defaults.storeTimeout)
  return PolicyKind.of("CircuitBreaker", (next) =>
    Effect.flatMap(CircuitStore.shared({ ...settings, timeoutMillis }), (stores) =>
      guarding(next, options, circuits(settings, options, stores, othersOf(next)))
    )
  )
}

/**
 * Makes a breaker for any effects, with a circuit for each key, in memory. `classify` says whose fault an error is.
 *
 * A call it turns away fails with the `PolicyReason` `CircuitOpen` itself.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "holdfast/policy"
 *
 * const program = Effect.gen(function* () {
 *   const breaker = yield* CircuitBreaker.make({ classify: (_: "down") => ({ blame: "fault" }), consecutive: 2 })
 *   const search = breaker("search")(Effect.fail("down" as const))
 *   yield* Effect.flip(search)
 *   yield* Effect.flip(search)
 *   return yield* Effect.flip(search)
 * })
 * const refused = await Effect.runPromise(program)
 * refused === "down" ? refused : [refused._tag, refused.key] // => ["CircuitOpen", "search"]
 * ```
 */
export const make = <E>(options: Omit<Options, "perTenant"> & { readonly classify: Verdict.Classify<E> }) => {
  check.fields(options, { ...ofEffects, classify: true })
  const settings = resolve(options)
  const verdictOf = Verdict.by(check.callback("classify", options.classify))
  return Effect.map(circuits(settings, options, CircuitStore.inMemory), ({ acquire }) => {
    const guard = around(
      (key, clock, restore) => Effect.mapError(acquire(key, clock, restore), PolicyReason.toError),
      verdictOf
    )
    return (key: string) =>
      <A, E1 extends E, R>(self: Effect.Effect<A, E1, R>): Effect.Effect<A, E1 | CircuitOpen, R> =>
        guard(self, key)
  })
}

const resolve = (options: Options): Settings => {
  const openMillis = check.millis("open", options.open ?? defaults.open)
  check.whole("maxKeys", options.maxKeys ?? defaults.maxKeys, 1)
  check.flag("perTenant", options.perTenant ?? defaults.perTenant)
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

const ofEffects: OptionCheck.Fields<Omit<Options, "perTenant">> = {
  ratio: true,
  minCalls: true,
  window: true,
  consecutive: true,
  open: true,
  maxOpen: true,
  maxKeys: true
}
const fields: OptionCheck.Fields<Options> = { ...ofEffects, perTenant: true }

type Acquire<Refused = Refusal> = (key: string, clock: Clock.Clock, restore: Restore) => Effect.Effect<Permit, Refused>

interface Circuits {
  readonly acquire: Acquire
  readonly find: (key: string) => Circuit | undefined
}

const circuits = (
  settings: Settings,
  options: Options,
  stores: CircuitStore.CircuitStores,
  othersKey = Key.of(undefined, undefined)
): Effect.Effect<Circuits> =>
  Effect.clockWith((clock) => {
    const isClear = (circuit: Circuit) => circuit.isClearAt(Monotonic.millisUnsafe(clock))
    const known = new KeptKeys<Circuit>(options.maxKeys ?? defaults.maxKeys, isClear)
    const placeOf = (key: string) =>
      // What they share holds for all who may have opened it.
      known.peek(key) === undefined && known.shared !== undefined ? undefined : known.placeOf(key)
    const acquire: Acquire = (key, clock, restore) => {
      const place = placeOf(key)
      return (
        known.get(place)?.acquire(clock, restore) ??
        Effect.flatMap(stores(place ?? othersKey), (store) => {
          // Another key may have taken the last place meanwhile.
          if (placeOf(key) !== place) return acquire(key, clock, restore)
          const circuit = known.get(place) ?? new Circuit(place ?? othersKey, store, settings, place === undefined)
          known.set(place, circuit)
          return circuit.acquire(clock, restore)
        })
      )
    }
    return Effect.as(PolicyHealth.register(health(known)), { acquire, find: (key) => known.peek(key) ?? known.shared })
  })

/** The key of what tenants share for whom there is no room: that of no tenant. */
const othersOf = (next: ModelProvider) => Key.within(keyOf(next), undefined)

const guarding = (
  next: ModelProvider,
  { perTenant = defaults.perTenant }: Options,
  makeCircuits: Effect.Effect<Circuits>
): Effect.Effect<ModelProvider> =>
  Effect.map(makeCircuits, ({ acquire, find }) => {
    const model = keyOf(next)
    const circuitOf = (tenant: string | undefined) => (perTenant ? Key.ofTenant(model, tenant) : model)
    const guard = around(acquire, Verdict.of)
    return {
      ...next,
      generateText: (request) =>
        Effect.withFiber((fiber) =>
          Effect.catchTag(
            guard(next.generateText(request), circuitOf(fiber.getRef(Caller.Current).tenant)),
            "CircuitOpen",
            refuse
          )
        ),
      streamText: (request) =>
        OpenStream.unwrap(
          Effect.uninterruptibleMask((restore) =>
            Effect.withFiber((fiber) =>
              acquire(circuitOf(fiber.getRef(Caller.Current).tenant), fiber.getRef(Clock.Clock), restore).pipe(
                Effect.catch(refuse),
                Effect.flatMap((permit) => watched(next.streamText(request), permit))
              )
            )
          )
        ),
      readiness: Effect.withFiber((fiber) => {
        const now = Monotonic.millisUnsafe(fiber.getRef(Clock.Clock))
        const own = find(circuitOf(fiber.getRef(Caller.Current).tenant))?.readinessAt(now) ?? "ready"
        return own === "ready" && next.readiness !== undefined ? next.readiness : Effect.succeed(own)
      })
    }
  })

const refuse = (open: Refusal) => Effect.fail(PolicyReason.toAiError("CircuitBreaker", open))

// Nothing comes between being let through and being judged.
const around =
  <E, Refused>(acquire: Acquire<Refused>, verdictOf: (error: E) => Verdict.Verdict) =>
  <A, E1 extends E, R>(self: Effect.Effect<A, E1, R>, key: string): Effect.Effect<A, E1 | Refused, R> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber) =>
        Effect.flatMap(acquire(key, fiber.getRef(Clock.Clock), restore), (permit) =>
          Effect.onExitPrimitive(restore(self), (exit) => permit.release(exit, verdictOf))
        )
      )
    )

// Costs the success path of a stream one stack frame for each pull.
const watched = (
  stream: ReturnType<ModelProvider["streamText"]>,
  permit: Permit
): Effect.Effect<typeof stream, never, Scope.Scope> => {
  const judge = (effect: Effect.Effect<void> | undefined) =>
    effect === undefined ? Effect.void : Effect.uninterruptible(effect)
  const judged = Stream.transformPull(stream, (pull) => {
    const seen = permit.isProbe
      ? Effect.tap(pull, (parts) => (parts.some(Content.isContent) ? judge(permit.succeeded()) : Effect.void))
      : pull
    return Effect.succeed(
      Effect.tapCause(seen, (cause) => {
        const failed = Pull.filterDone(cause)
        return judge(Result.isSuccess(failed) ? permit.succeeded() : permit.failed(failed.failure, Verdict.of))
      })
    )
  })
  return permit.holds
    ? Effect.as(
        Effect.addFinalizer(() => permit.abandoned() ?? Effect.void),
        judged
      )
    : Effect.succeed(judged)
}

const health = (known: KeptKeys<Circuit>): Effect.Effect<PolicyHealth.BreakerHealth> =>
  Effect.map(Monotonic.millis, (now) => {
    const list = known.values.map((circuit) => {
      const state = circuit.stateAt(now)
      const successRatio = OutcomeWindow.successRatio(circuit.window.tally(now))
      const score = state === "open" ? 0 : Math.round(successRatio * (state === "halfOpen" ? 50 : 100))
      return { key: circuit.key, state, successRatio, retryAfterMillis: circuit.retryAfterMillis(now), score }
    })
    const sum = list.reduce((total, { score }) => total + score, 0)
    return { _tag: "CircuitBreaker", circuits: list, score: list.length === 0 ? 100 : Math.round(sum / list.length) }
  })
