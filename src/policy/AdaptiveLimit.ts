/**
 * Finds out how many calls a server takes at a time, from how long it takes and what it refuses.
 *
 * For servers that say nothing of their limits. Calls pass the same gate as those of a `Bulkhead`, whose width follows
 * the rule in {@link Gradient}: wider while calls are as fast as ever, narrower as they begin to stand in a queue, and
 * narrower by a fifth when the server refuses, times out or fails a tenth of them.
 */
import { Cause, Duration, Effect, Exit, Stream } from "effect"
import type { AiError } from "effect/ai"
import * as Content from "../core/stream/Content.ts"
import * as Failure from "../core/Failure.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import type { Policy } from "../core/call/ModelProvider.ts"
import * as Gate from "./gate/Gate.ts"
import * as GateSettings from "./gate/GateSettings.ts"
import type * as Gradient from "./adaptive-limit/Gradient.ts"
import { Learner } from "./adaptive-limit/LimitLearner.ts"

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
export const learned = (options: Options = {}): Policy => {
  const makeLimit = limit(options)
  return (next) =>
    Effect.gen(function* () {
      const { gate, learner } = yield* makeLimit
      yield* PolicyHealth.register(health(gate))
      const observer = observe(gate, learner, judge)
      return {
        ...next,
        generateText: (request) => gate.run(next.generateText(request), refused, observer("answer")),
        streamText: (request) =>
          gate.stream(
            (visit) => {
              let isSilent = true
              return Stream.mapArray(next.streamText(request), (parts) => {
                if (isSilent && parts.some(Content.isContent)) {
                  isSilent = false
                  answered(gate, learner, visit, "firstContent")
                }
                return parts
              })
            },
            refused,
            observer("firstContent")
          )
      }
    })
}

/**
 * Makes a limit that learns for any effects: the result wraps each effect that is to share it.
 *
 * `classify` says what an error tells about the server: `busy` when it refused, `fault` when it is unwell, `none` when it
 * was the request. A wrapped effect fails with the plain `PolicyReason`, `QueueFull` or `DeadlineTooNear`, when it is not
 * let in.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { AdaptiveLimit } from "holdfast/policy"
 *
 * const program = Effect.gen(function* () {
 *   const limited = yield* AdaptiveLimit.effect((status: number) => (status === 503 ? "busy" : "none"))
 *   return yield* limited(Effect.succeed("rows"))
 * })
 * await Effect.runPromise(program) // => "rows"
 * ```
 */
export const effect = <E>(classify: (error: E) => Failure.Blame, options: Options = {}) =>
  Effect.map(limit(options), ({ gate, learner }) => {
    const observer = observe<E>(gate, learner, (error) => ({ blame: classify(error), retryAfter: undefined }))("answer")
    return <A, E1 extends E, R>(self: Effect.Effect<A, E1, R>): Effect.Effect<A, E1 | Refusal, R> =>
      gate.run(self, (refusal) => refusal, observer)
  })

/** What a call is told that is not let in. */
export type Refusal = Gate.Refusal

const refused = (refusal: Refusal) => PolicyReason.toAiError("AdaptiveLimit", refusal)

const limit = (options: Options): Effect.Effect<{ readonly gate: Gate.Gate; readonly learner: Learner }> => {
  const gateSettings = GateSettings.resolve("AdaptiveLimit", options)
  const check = OptionCheck.of("AdaptiveLimit")
  const min = check.whole("min", options.min ?? defaults.min, 1)
  const max = check.whole("max", options.max ?? Math.max(min, defaults.max), min)
  const usual = Math.max(min, Math.min(max, defaults.initial))
  const initial = check.whole("initial", options.initial ?? usual, min, max)
  const tolerance = check.number("tolerance", options.tolerance ?? defaults.tolerance, { atLeast: 1 })
  const windowMillis = check.millis("window", options.window ?? defaults.window)
  return Effect.sync(() => ({
    gate: new Gate.Gate(gateSettings, initial),
    learner: new Learner({ min, max, tolerance, windowMillis }, initial)
  }))
}

/** Tells the learner how calls end. */
const observe =
  <E>(gate: Gate.Gate, learner: Learner, judge: (error: E) => Judgement) =>
  (kind: Gradient.Kind): Gate.Observer<E> => ({
    started: (visit) => {
      visit.round = learner.started(gate.inFlight, visit.startedAt)
    },
    ended: (visit, exit) => {
      if (Exit.isSuccess(exit)) {
        if (kind === "answer") answered(gate, learner, visit, kind)
        return
      }
      const { now } = visit
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "Some") {
        const { blame, retryAfter } = judge(error.value)
        learner.failed(blame, visit.round, now, retryAfter)
      } else if (Cause.hasInterruptsOnly(exit.cause) && visit.deadline !== undefined && visit.deadline <= now) {
        learner.failed("fault", visit.round, now)
      }
      gate.resize(learner.limit, now)
    }
  })

const answered = (gate: Gate.Gate, learner: Learner, visit: Gate.Visit, kind: Gradient.Kind): void => {
  const { now } = visit
  learner.answered(kind, visit.round, now - visit.startedAt, now)
  gate.resize(learner.limit, now)
}

interface Judgement {
  readonly blame: Failure.Blame
  /** How long the server asked to be left alone, in milliseconds. */
  readonly retryAfter: number | undefined
}

const judge = (error: AiError.AiError): Judgement => {
  const { retryAfter } = Failure.describe(error)
  return {
    blame: Failure.blame(error),
    retryAfter: retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
  }
}

const health = (gate: Gate.Gate): Effect.Effect<PolicyHealth.AdaptiveLimitHealth> =>
  Effect.sync(() => ({
    _tag: "AdaptiveLimit",
    limit: gate.limit,
    inFlight: gate.inFlight,
    waiting: gate.waiting,
    score: gate.score
  }))
