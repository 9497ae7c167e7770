/**
 * Asks several providers at once and takes the first acceptable answer.
 *
 * The answer is as fast as the fastest provider and as sure as the surest, for the price of all of them.
 */
import { Duration, Effect, Stream } from "effect"
import { AiError, type Response } from "effect/ai"
import * as Attempt from "../core/call/Attempt.ts"
import * as AttemptAllowance from "../core/call/AttemptAllowance.ts"
import * as CallContext from "../core/call/CallContext.ts"
import * as Content from "../core/stream/Content.ts"
import * as Deadline from "../core/call/Deadline.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import * as RecordedAttempts from "../core/call/RecordedAttempts.ts"
import * as StreamRace from "./racing/StreamRace.ts"
import * as FirstSuccess from "./racing/FirstSuccess.ts"

export interface Options {
  /**
   * Says whether an answer will do. Default: it says something, and the provider did not end it for an error or its
   * content policy. When given, streams are held back until they are complete.
   */
  readonly acceptable?: ((parts: Parts) => boolean) | undefined
  /** The time between the starts of two attempts. Default 0 milliseconds: all at once. */
  readonly stagger?: Duration.Input | undefined
}

/** A complete answer: of `generateText` or, part by part, of `streamText`. */
export type Parts = ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>

export const defaults = { stagger: "0 millis" } as const

/**
 * Races the provider against others. The first acceptable answer is returned; the other attempts have been interrupted and
 * have ended by then.
 *
 * - A stream wins with its first content and is passed on from its start; when it fails later, the call fails. With
 *   `acceptable`, streams are held back until they are complete, since nothing else can be judged.
 * - With a `stagger` the others start one after the other, in order, until one wins; a failure or an unacceptable answer
 *   that leaves nothing running brings the next one forward.
 * - When all fail, the error is one after which trying again can help if there is one, and of those the one that asks
 *   for the longest wait. When all answers are unacceptable it is `PolicyReason` `NotAcceptable`, which is retryable.
 * - Each of the others draws on the call's `RetryBudget`; where that is spent, or the call's time is over, they are not
 *   asked.
 * - Interrupting the call ends all attempts.
 */
const with_ = (providers: ReadonlyArray<ModelProvider>, options: Options = {}): PolicyKind.Of<"Race"> => {
  check.fields(options, fields)
  const stagger = staggerOf(options)
  const acceptable = check.callback("acceptable", options.acceptable ?? saysSomething)
  return PolicyKind.of("Race", (next) => {
    const contenders = [next, ...providers.map(RecordedAttempts.recorded)]
    const finish = <A>(outcome: FirstSuccess.RaceResult<A, AiError.AiError | Unacceptable>) => {
      if (outcome._tag === "Lost") return FirstSuccess.fail(outcome.causes, asAiError)
      const winner = contenders[outcome.index]
      return winner === undefined || outcome.started === 1
        ? Effect.succeed(outcome.value)
        : Effect.as(FirstSuccess.recordWinner(outcome, "Race", winner), outcome.value)
    }
    const generateText: typeof next.generateText = (request) => {
      const attempts = contenders.map((provider, index) =>
        asContender(
          index,
          Effect.suspend(() => provider.generateText(request))
        ).pipe(Effect.flatMap((parts) => judge(acceptable(parts), parts)))
      )
      return Effect.flatMap(FirstSuccess.run(attempts, plan(stagger)), finish)
    }
    const streamText: typeof next.streamText = (request) => {
      const streams = contenders.map((provider, index) => {
        const stream = Stream.suspend(() => provider.streamText(request))
        return index === 0 ? stream : Stream.provideService(stream, Attempt.CurrentOrigin, "race")
      })
      const until = options.acceptable === undefined ? "content" : "end"
      return StreamRace.compete(streams, until, (attempts) =>
        Effect.flatMap(
          FirstSuccess.run(
            attempts.map(
              Effect.flatMap((begun) =>
                judge(until === "end" ? acceptable(begun.parts) : begun.parts.some(isOfAnswer), begun)
              )
            ),
            plan(stagger)
          ),
          finish
        )
      )
    }
    const raced = RecordedAttempts.several({ ...next, generateText, streamText })
    return Effect.succeed(CallContext.contributing(raced, contenders, providers.length))
  })
}

export { with_ as with }

/**
 * Races any effects: the result races each effect against `others`, and fails with the first error when all fail, or with
 * the `PolicyReason` `NotAcceptable` itself when all answers were unacceptable.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Race } from "holdfast/policy"
 *
 * const mirror = Effect.delay(Effect.succeed("from the mirror"), "1 millis")
 * const origin = Effect.delay(Effect.succeed("from the origin"), "1 minute")
 * await Effect.runPromise(origin.pipe(Race.effect([mirror]))) // => "from the mirror"
 * ```
 */
export const effect = <A, E, R>(
  others: ReadonlyArray<Effect.Effect<A, E, R>>,
  options: {
    /** Says whether a result will do. Default: every one does. */
    readonly acceptable?: ((value: A) => boolean) | undefined
    readonly stagger?: Duration.Input | undefined
  } = {}
) => {
  check.fields(options, fields)
  const stagger = staggerOf(options)
  const acceptable = check.callback("acceptable", options.acceptable ?? (() => true))
  return (self: Effect.Effect<A, E, R>): Effect.Effect<A, E | NotAcceptable, R> =>
    Effect.flatMap(
      FirstSuccess.run(
        [self, ...others].map(Effect.flatMap((value) => judge(acceptable(value), value))),
        plan(stagger)
      ),
      (outcome) =>
        outcome._tag === "Won"
          ? Effect.succeed(outcome.value)
          : FirstSuccess.fail<E | Unacceptable, E | NotAcceptable>(outcome.causes, (errors) => {
              const failed = errors.find((error) => !(error instanceof Unacceptable))
              return failed === undefined ? PolicyReason.toError(notAcceptable(errors.length)) : (failed as E)
            })
    ).pipe(CallContext.contributingEffect(others, others.length))
}

/** What a race says whose answers were all unacceptable. */
export type NotAcceptable = Extract<PolicyReason.PolicyReason, { _tag: "NotAcceptable" }> & Error

const saysSomething = (parts: Parts): boolean =>
  parts.some(isOfAnswer) &&
  !parts.some((part) => part.type === "finish" && (part.reason === "error" || part.reason === "content-filter"))

const isOfAnswer = (part: Response.PartEncoded | Response.StreamPartEncoded): boolean => {
  if (part.type === "finish") return false
  return part.type === "text" || part.type === "reasoning" ? part.text.length > 0 : Content.isContent(part)
}

/** One answer that will not do. Told apart from an error of an effect that looks the same. */
class Unacceptable {
  readonly _tag = "Unacceptable"
}

const judge = <A>(isAcceptable: boolean, value: A): Effect.Effect<A, Unacceptable> =>
  isAcceptable ? Effect.succeed(value) : Effect.fail(new Unacceptable())

const asContender = <A, E, R>(index: number, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  index === 0 ? attempt : Effect.provideService(attempt, Attempt.CurrentOrigin, "race")

const plan = (stagger: Duration.Duration): FirstSuccess.Plan<never> => ({
  delay: stagger,
  afterFailure: "next",
  permit: () =>
    Effect.flatMap(Deadline.remainingMillis, (left) => (left > 0 ? AttemptAllowance.take() : Effect.succeed(false)))
})

const asAiError = (errors: ReadonlyArray<AiError.AiError | Unacceptable>): AiError.AiError => {
  const unacceptable = errors.filter((error) => error instanceof Unacceptable).length
  const failed = errors.filter((error) => AiError.isAiError(error))
  if (unacceptable > 0) failed.push(PolicyReason.toAiError("Race", notAcceptable(unacceptable)))
  return FirstSuccess.mostHopeful(failed)
}

const notAcceptable = (answers: number) => ({ _tag: "NotAcceptable", answers }) as const

const check = OptionCheck.of("Race")

const fields: OptionCheck.Fields<Options> = { acceptable: true, stagger: true }

const staggerOf = ({ stagger = defaults.stagger }: Pick<Options, "stagger">): Duration.Duration =>
  Duration.millis(check.millis("stagger", stagger, { atLeast: 0 }))
