/**
 * Finds out how many calls a server takes at a time, from how long it takes and what it refuses.
 *
 * For servers that say nothing of their limits. Calls pass the same gate as those of a `Bulkhead`, whose width follows
 * the rule in {@link Gradient}: wider while calls are as fast as ever, narrower as they begin to stand in a queue, and
 * narrower by a fifth when the server refuses, times out or fails a tenth of them.
 */
import { Cause, Duration, Effect, Exit, Stream } from "effect"
import * as Content from "../core/stream/Content.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import * as Gate from "./gate/Gate.ts"
import * as GateSettings from "./gate/GateSettings.ts"
import type * as Gradient from "./adaptive-limit/Gradient.ts"
import * as Verdict from "../core/call/Verdict.ts"
import { LimitLearner } from "./adaptive-limit/LimitLearner.ts"

export interface Options extends GateSettings.Options {
  /** The limit to begin with. Default 20. */
  readonly initial?: number | undefined
  /** The lowest limit. Default 1. */
  readonly min?: number | undefined
  /** The highest limit. Default 200. */
  readonly max?: number | undefined
  /** How many times as long as without a queue calls may take before the limit shrinks. Default 1.5. */
  readonly tolerance?: number | undefined
  /** The shortest time to look at before the limit changes; it is two rounds of calls, and 10 of them, too. Default 1 second. */
  readonly window?: Duration.Input | undefined
}

export const defaults = {
  initial: 20,
  min: 1,
  max: 200,
  tolerance: 1.5,
  window: "1 second",
  ...GateSettings.defaults
} as const

/**
 * Limits calls in flight to what the provider turns out to take; the others wait for their turn, as in `Bulkhead`.
 *
 * Fails with the `PolicyReason`s `QueueFull` and `DeadlineTooNear` for the same reasons as `Bulkhead.limit`. What counts:
 *
 * - *Latency*: until the whole answer, or until the first content of a stream; of calls that succeed.
 * - *Refusals*: a rate limit shrinks the limit at once; overload, broken answers, time limits and deadlines that passed
 *   while the call was in flight shrink it when they are a tenth of the calls. Once for all calls that were in flight
 *   together. Bad requests, credentials and quotas say nothing.
 * - *Retry-After*: until then the limit does not grow.
 *
 * A stream is in flight until it has ended or its reader has left.
 */
export const learned = (options: Options = {}): PolicyKind.Of<"AdaptiveLimit"> => {
  check.fields(options, fields)
  const makeLimit = limit(options)
  return PolicyKind.of("AdaptiveLimit", (next) =>
    Effect.gen(function* () {
      const { gate, learner } = yield* makeLimit
      yield* PolicyHealth.register(health(gate))
      const observer = observe(gate, learner, Verdict.of)
      return {
        ...next,
        generateText: (request) => gate.run(next.generateText(request), refused, observer("answer")),
        streamText: (request) =>
          gate.stream(
            (permit) => {
              let isSilent = true
              return Stream.mapArray(next.streamText(request), (parts) => {
                if (isSilent && parts.some(Content.isContent)) {
                  isSilent = false
                  answered(gate, learner, permit, "firstContent")
                }
                return parts
              })
            },
            refused,
            observer("firstContent")
          )
      }
    })
  )
}

/**
 * Makes a limit that learns for any effects: the result wraps each effect that is to share it.
 *
 * `classify` says what an error tells about the server: `busy` when it refused, `fault` when it is unwell, `none` when it
 * was the request; for `retryAfter` the limit does not grow. A wrapped effect fails with the `PolicyReason` itself, `QueueFull` or
 * `DeadlineTooNear`, when it is not let in.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { AdaptiveLimit } from "holdfast/policy"
 *
 * const program = Effect.gen(function* () {
 *   const limited = yield* AdaptiveLimit.make({
 *     classify: (status: number) => ({ blame: status === 503 ? "busy" : "none" })
 *   })
 *   return yield* limited(Effect.succeed("rows"))
 * })
 * await Effect.runPromise(program) // => "rows"
 * ```
 */
export const make = <E>(options: Options & { readonly classify: Verdict.Classify<E> }) => {
  check.fields(options, { ...fields, classify: true })
  const verdictOf = Verdict.by(check.callback("classify", options.classify))
  return Effect.map(limit(options), ({ gate, learner }) => {
    const observer = observe(gate, learner, verdictOf)("answer")
    return <A, E1 extends E, R>(self: Effect.Effect<A, E1, R>): Effect.Effect<A, E1 | Refusal, R> =>
      gate.run(self, PolicyReason.toError, observer)
  })
}

/** What a call is told that is not let in. */
export type Refusal = Gate.Refusal & Error

const refused = (refusal: Gate.Refusal) => PolicyReason.toAiError("AdaptiveLimit", refusal)

const limit = (options: Options): Effect.Effect<{ readonly gate: Gate.Gate; readonly learner: LimitLearner }> => {
  const gateSettings = GateSettings.resolve("AdaptiveLimit", options)
  const min = check.whole("min", options.min ?? defaults.min, 1)
  const max = check.whole("max", options.max ?? Math.max(min, defaults.max), min)
  const usual = Math.max(min, Math.min(max, defaults.initial))
  const initial = check.whole("initial", options.initial ?? usual, min, max)
  const tolerance = check.number("tolerance", options.tolerance ?? defaults.tolerance, { atLeast: 1 })
  const windowMillis = check.millis("window", options.window ?? defaults.window)
  return Effect.sync(() => ({
    gate: new Gate.Gate(gateSettings, initial),
    learner: new LimitLearner({ min, max, tolerance, windowMillis }, initial)
  }))
}

const check = OptionCheck.of("AdaptiveLimit")

const fields: OptionCheck.Fields<Options> = {
  ...GateSettings.fields,
  initial: true,
  min: true,
  max: true,
  tolerance: true,
  window: true
}

/** Tells the learner how calls end. */
const observe =
  <E>(gate: Gate.Gate, learner: LimitLearner, verdictOf: (error: E) => Verdict.Verdict) =>
  (kind: Gradient.Kind): Gate.Observer<E> => ({
    started: (permit) => {
      permit.round = learner.started(gate.inFlight, permit.startedAt)
    },
    ended: (permit, exit) => {
      if (Exit.isSuccess(exit)) {
        if (kind === "answer") answered(gate, learner, permit, kind)
        return
      }
      const { now } = permit
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "Some") {
        const { blame, retryAfter } = verdictOf(error.value)
        learner.failed(blame, permit.round, now, retryAfter === undefined ? 0 : Duration.toMillis(retryAfter))
      } else if (Cause.hasInterruptsOnly(exit.cause) && permit.deadline !== undefined && permit.deadline <= now) {
        learner.failed("fault", permit.round, now)
      }
      gate.resize(learner.limit, now)
    }
  })

const answered = (gate: Gate.Gate, learner: LimitLearner, permit: Gate.Permit, kind: Gradient.Kind): void => {
  const { now } = permit
  learner.answered(kind, permit.round, now - permit.startedAt, now)
  gate.resize(learner.limit, now)
}

const health = (gate: Gate.Gate): Effect.Effect<PolicyHealth.AdaptiveLimitHealth> =>
  Effect.sync(() => ({
    _tag: "AdaptiveLimit",
    limit: gate.limit,
    inFlight: gate.inFlight,
    waiting: gate.waiting,
    score: gate.score
  }))
