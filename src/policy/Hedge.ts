/**
 * Makes a second attempt when the first is late, and takes whichever answers first.
 *
 * What makes calls late is often bad luck that the next attempt does not have, and few calls are late: a few per cent
 * more requests take the slowest answers away. See Dean and Barroso, "The Tail at Scale", CACM 2013,
 * https://research.google/pubs/the-tail-at-scale/ .
 */
import { Clock, Duration, Effect, Predicate, Stream } from "effect"
import * as Monotonic from "../core/Monotonic.ts"
import * as Attempt from "../core/call/Attempt.ts"
import * as AttemptAllowance from "../core/call/AttemptAllowance.ts"
import * as CallContext from "../core/call/CallContext.ts"
import * as CallTrail from "../core/call/CallTrail.ts"
import * as Deadline from "../core/call/Deadline.ts"
import type * as Decision from "../core/call/Decision.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import { keyOf, type ModelProvider } from "../core/call/ModelProvider.ts"
import * as RecordedAttempts from "../core/call/RecordedAttempts.ts"
import * as StreamRace from "./racing/StreamRace.ts"
import * as FirstSuccess from "./racing/FirstSuccess.ts"
import { LatencyWindow } from "../core/window/LatencyWindow.ts"

export interface Options {
  /** Second attempts for each call, on average. Default 0.05. */
  readonly maxShare?: number | undefined
  /** Who is asked second. Default: the same provider again. */
  readonly to?: ModelProvider | undefined
}

export interface AdaptiveOptions extends Options {
  /** The share of calls, 0 to 1, that are answered before a second attempt is due. Default 0.95. */
  readonly quantile?: number | undefined
  /** How many of the latest calls it learns from. Default 1,000. */
  readonly samples?: number | undefined
  /** How many calls it must have seen before it makes second attempts. Default 50. */
  readonly warmUp?: number | undefined
}

export const defaults = { maxShare: 0.05, quantile: 0.95, samples: 1_000, warmUp: 50 } as const

/**
 * Makes a second attempt when a stream has given no content, or a call no answer, after `delay`.
 *
 * - The first to give content, or an answer, wins. The other is interrupted and has ended before the winner's first part
 *   is returned. From then on the winner streams on as if it were alone.
 * - When one fails, the other is waited for. A first attempt that fails before the second is due fails the call: trying
 *   again is `Retry`'s business.
 * - No second attempt is made beyond `maxShare`, when the `RetryBudget` allows none, when the provider's circuit is open or
 *   its limits leave no room (`ModelProvider.readiness`), or when it is not expected to answer before the deadline. The
 *   first attempt is then waited for.
 * - Interrupting the call ends both.
 */
export const afterDelay = (delay: Duration.Input, options: Options = {}): PolicyKind.Of<"Hedge"> => {
  check.fields(options, fields)
  return policy(fixed(delay, options))
}

/**
 * As {@link afterDelay}, with a delay learned from the latest calls: the time to the first content that 95 % of the
 * streams need at most, and for answers that are not streamed the time to the answer.
 *
 * An attempt that lost counts with the time it had, so that the delay is not learned from the lucky ones alone. Where
 * latencies have a gap just before the quantile, as between warm and cold servers, the delay ends in the gap.
 */
export const adaptive = (options: AdaptiveOptions = {}): PolicyKind.Of<"Hedge"> => {
  check.fields(options, adaptiveFields)
  return policy(learned(options))
}

/**
 * Hedges any effects: the result wraps each effect, which is run a second time when it is late. They must bear being run
 * twice. With a `delay` it is fixed, otherwise it is learned from all effects wrapped by this result.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Hedge } from "holdfast/policy"
 *
 * let asked = 0
 * const lookup = Effect.suspend(() => Effect.as(Effect.sleep(++asked === 1 ? "1 minute" : "1 millis"), asked))
 *
 * const program = Effect.gen(function* () {
 *   const hedged = yield* Hedge.make({ delay: "10 millis", maxShare: 1 })
 *   return yield* hedged(lookup)
 * })
 * await Effect.runPromise(program) // => 2
 * ```
 */
export const make = (
  options:
    | (Omit<AdaptiveOptions, "to"> & { readonly delay?: undefined })
    | (Omit<Options, "to"> & { readonly delay: Duration.Input }) = {}
): Effect.Effect<<A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>> => {
  check.fields(options, effectFields)
  if (options.delay !== undefined) check.fields(options, { maxShare: true, delay: true })
  const settings = options.delay === undefined ? learned(options) : fixed(options.delay, options)
  return Effect.gen(function* () {
    const hedge = new Hedge(settings)
    yield* PolicyHealth.register(Effect.sync(() => hedge.health))
    return <A, E, R>(self: Effect.Effect<A, E, R>) =>
      hedge
        .first(hedge.answers, { budget: "effect" }, [self, self], ([first]) => first)
        .pipe(CallContext.contributingEffect(settings, 1))
  })
}

interface Settings {
  readonly maxShare: number
  readonly to: ModelProvider | undefined
  readonly samples: number
  /** Says after how many milliseconds a second attempt is due; `undefined`: not now. */
  readonly delay: (latencies: LatencyWindow) => number | undefined
}

/** Who is asked second. */
interface Target {
  /** The key of its budget. None for another provider, whose first attempt this is. */
  readonly budget?: string
  readonly readiness?: ModelProvider["readiness"]
  /** Who is asked first and second. */
  readonly providers?: readonly [ModelProvider, ModelProvider]
}

const policy = (settings: Settings): PolicyKind.Of<"Hedge"> =>
  PolicyKind.of("Hedge", (next) =>
    Effect.gen(function* () {
      const hedge = new Hedge(settings)
      yield* PolicyHealth.register(Effect.sync(() => hedge.health))
      const second = settings.to === undefined ? next : RecordedAttempts.recorded(settings.to)
      const key = keyOf(next)
      const counted = AttemptAllowance.count(key)
      const asked = settings.to === undefined ? next : RecordedAttempts.several(next)
      const target: Target = {
        ...(settings.to === undefined ? { budget: key } : {}),
        readiness: second.readiness,
        providers: [next, second]
      }
      const pick =
        RecordedAttempts.providerOf(asked) === undefined ? FirstSuccess.mostHopeful : FirstSuccess.ofOneProvider
      const generateText: typeof next.generateText = (request) => {
        const other = Effect.suspend(() => second.generateText(request))
        const attempts = [next.generateText(request), Effect.provideService(other, Attempt.CurrentOrigin, "hedge")]
        return Effect.andThen(counted, hedge.first(hedge.answers, target, attempts, pick))
      }
      const streamText: typeof next.streamText = (request) => {
        const other = Stream.suspend(() => second.streamText(request))
        const streams = [next.streamText(request), Stream.provideService(other, Attempt.CurrentOrigin, "hedge")]
        return StreamRace.compete(streams, "content", (attempts) =>
          Effect.andThen(counted, hedge.first(hedge.streams, target, attempts, pick))
        )
      }
      // Each provider that it is put around has second attempts of its own.
      return CallContext.contributing({ ...asked, generateText, streamText }, hedge, 1)
    })
  )

/** For how many calls second attempts may be saved up while none are needed. */
const savedCalls = 1_000

/** Latencies that at least double just before the quantile are a gap; "just before" is this share of the calls. */
const slack = 0.02

class Hedge {
  readonly answers: LatencyWindow
  readonly streams: LatencyWindow
  private calls = 0
  private hedged = 0
  private won = 0
  private tokens = 0
  private readonly settings: Settings

  constructor(settings: Settings) {
    this.settings = settings
    this.answers = new LatencyWindow(settings.samples)
    this.streams = new LatencyWindow(settings.samples)
  }

  /** Runs the first attempt, and the second when it is due and allowed. `pick` says which failure to end with. */
  first<A, E, R>(
    latencies: LatencyWindow,
    target: Target,
    attempts: ReadonlyArray<Effect.Effect<A, E, R>>,
    pick: (errors: readonly [E, ...Array<E>]) => E
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber) => {
      const { maxShare } = this.settings
      const clock = fiber.getRef(Clock.Clock)
      const startedAt = Monotonic.millisUnsafe(clock)
      const learn = () => latencies.add(Monotonic.millisUnsafe(clock) - startedAt)
      const delay = this.settings.delay(latencies)
      this.calls++
      this.tokens = Math.min(Math.max(1, maxShare * savedCalls), this.tokens + maxShare)
      const plan: FirstSuccess.Plan<never> = {
        delay: Duration.millis(delay ?? Infinity),
        afterFailure: "end",
        permit: () => this.permit(latencies, target, delay ?? 0)
      }
      return Effect.flatMap(
        FirstSuccess.run(delay === undefined ? attempts.slice(0, 1) : attempts, plan),
        (outcome) => {
          if (outcome._tag === "Lost") return FirstSuccess.fail(outcome.causes, pick)
          learn()
          if (outcome.started === 1) return Effect.succeed(outcome.value)
          if (outcome.index === 1) this.won++
          const winner = target.providers?.[outcome.index]
          return winner === undefined
            ? Effect.succeed(outcome.value)
            : Effect.as(FirstSuccess.recordWinner(outcome, "Hedge", winner), outcome.value)
        }
      )
    })
  }

  get health(): PolicyHealth.HedgeHealth {
    const { answers, calls, hedged, settings, streams, won } = this
    const delayMillis = settings.delay(streams.size >= answers.size ? streams : answers)
    return { _tag: "Hedge", delayMillis, calls, hedged, won, score: 100 }
  }

  private permit(latencies: LatencyWindow, target: Target, delay: number): Effect.Effect<boolean> {
    return Effect.flatMap(this.whyNot(latencies, target), (why) => {
      if (why !== undefined) return Effect.as(CallTrail.record({ _tag: "HedgeRefused", why }), false)
      this.hedged++
      return Effect.as(CallTrail.record({ _tag: "HedgeStarted", afterMillis: delay }), true)
    })
  }

  /** Says why no second attempt may be made now, or pays for it. */
  private whyNot(latencies: LatencyWindow, { budget, readiness }: Target): Effect.Effect<WhyNot | undefined> {
    return Effect.gen({ self: this }, function* () {
      if ((yield* Deadline.remainingMillis) <= latencies.quantile(0.5)) return "deadline"
      const ready = readiness === undefined ? "ready" : yield* readiness
      if (ready !== "ready") return ready
      if (this.tokens < 1) return "share"
      if (!(yield* AttemptAllowance.take(budget))) return "budget"
      this.tokens--
      return undefined
    })
  }
}

type WhyNot = (typeof Decision.HedgeRefused.Type)["why"]

const fixed = (delay: Duration.Input, options: Options): Settings => {
  const delayMillis = check.millis("delay", delay, { atLeast: 0 })
  return { ...resolve(options), delay: () => delayMillis }
}

const learned = (options: AdaptiveOptions): Settings => {
  const quantile = check.number("quantile", options.quantile ?? defaults.quantile, { above: 0, below: 1 })
  const settings = resolve(options)
  const warmUp = check.whole("warmUp", options.warmUp ?? defaults.warmUp, 1, settings.samples)
  return {
    ...settings,
    delay: (latencies) => (latencies.size < warmUp ? undefined : latencies.quantileBeforeGap(quantile, slack))
  }
}

const resolve = ({ maxShare = defaults.maxShare, samples = defaults.samples, to }: AdaptiveOptions) => {
  if (to !== undefined && !Predicate.hasProperty(to, "generateText")) check.reject("to", "a provider", to)
  return {
    maxShare: check.number("maxShare", maxShare, { atLeast: 0, atMost: 1 }),
    samples: check.whole("samples", samples, 1, 1_000_000),
    to
  }
}

const check = OptionCheck.of("Hedge")

const fields: OptionCheck.Fields<Options> = { maxShare: true, to: true }
const adaptiveFields: OptionCheck.Fields<AdaptiveOptions> = {
  ...fields,
  quantile: true,
  samples: true,
  warmUp: true
}
const effectFields: OptionCheck.Fields<Omit<AdaptiveOptions, "to"> & { readonly delay?: Duration.Input | undefined }> =
  {
    maxShare: true,
    quantile: true,
    samples: true,
    warmUp: true,
    delay: true
  }
