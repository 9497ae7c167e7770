/**
 * Answers with something less when everything else failed, and marks it as such.
 */
import { Context, Effect, Option, Predicate, Stream } from "effect"
import type { AiError, IdGenerator, LanguageModel, Response } from "effect/ai"
import * as CallTrail from "../core/call/CallTrail.ts"
import * as PolicyReason from "../core/call/PolicyReason.ts"
import * as FinishMark from "../core/call/FinishMark.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as FirstContent from "../core/stream/FirstContent.ts"

/** What to answer: a text, or what makes one of the error and the request. */
export type Answer<R = never> =
  | string
  | ((error: AiError.AiError, request: LanguageModel.ProviderOptions) => Effect.Effect<string, AiError.AiError, R>)

export interface Options {
  /** Which errors are answered. Default: all but a cancellation, which nobody waits for. */
  readonly when?: ((error: AiError.AiError) => boolean) | undefined
}

/**
 * Gives an answer of your own in place of an error. Put it outermost.
 *
 * The answer's `finish` part is marked ({@link isDegraded}), its usage is zero, and the call's trail has `Degraded`. A
 * stream is answered only when it fails before its first content; later the error stays, for an answer cannot follow half
 * of another. A call for structured output needs an answer that is JSON of that shape.
 */
export const to = <R = never>(answer: Answer<R>, options: Options = {}): PolicyKind.Of<"Degrade", R> => {
  check.fields(options, { when: true })
  const when = check.callback("when", options.when ?? isAwaited)
  if (typeof answer !== "string" && typeof answer !== "function") check.reject("answer", "a text or a function", answer)
  return PolicyKind.of("Degrade", (next) =>
    Effect.map(Effect.context<R>(), (context) => {
      const made = (error: AiError.AiError, request: LanguageModel.ProviderOptions) =>
        typeof answer === "string"
          ? Effect.succeed(answer)
          : // What was there when the model was built, but the caller, the trail and the span of this call.
            Effect.updateContext(check.effect("answer", answer(error, request)), (call: Context.Context<never>) =>
              Context.merge(context, call)
            )
      const instead = (error: AiError.AiError, request: LanguageModel.ProviderOptions) =>
        Effect.tap(made(error, request), CallTrail.record({ _tag: "Degraded" }))
      return {
        ...next,
        generateText: (request) =>
          Effect.catchIf(next.generateText(request), when, (error) =>
            Effect.map(instead(error, request), (text): Array<Response.PartEncoded> => [
              { type: "text", text },
              finish(error)
            ])
          ),
        streamText: (request) =>
          FirstContent.streamOf((begin) =>
            Effect.catchIf(begin(next.streamText(request)), when, (error) =>
              Effect.flatMap(instead(error, request), (text) => begin(streamed(text, error)))
            )
          )
      }
    })
  )
}

/**
 * Whether an answer, or a stream's parts, is one given in place of an error.
 *
 * **Example**
 *
 * ```ts run
 * import { Degrade } from "holdfast/policy"
 *
 * Degrade.isDegraded([{ type: "text", text: "hello" }]) // => false
 * ```
 */
export const isDegraded = (
  parts: Iterable<Response.AnyPart | Response.PartEncoded | Response.StreamPartEncoded>
): boolean => {
  for (const part of parts) {
    if (part.type === "finish") return Predicate.hasProperty(part.metadata?.["holdfast"], "degraded")
  }
  return false
}

const isAwaited = (error: AiError.AiError): boolean =>
  !Option.exists(PolicyReason.of(error), ({ _tag }) => _tag === "Cancelled")

const id = "degraded"

const streamed = (
  text: string,
  error: AiError.AiError
): Stream.Stream<Response.StreamPartEncoded, AiError.AiError, IdGenerator.IdGenerator> =>
  Stream.make<ReadonlyArray<Response.StreamPartEncoded>>(
    { type: "text-start", id },
    { type: "text-delta", id, delta: text },
    { type: "text-end", id },
    finish(error)
  )

const finish = (error: AiError.AiError): Response.FinishPartEncoded =>
  FinishMark.add(
    {
      type: "finish",
      reason: "other",
      usage: { inputTokens: { total: 0 }, outputTokens: { total: 0 } },
      response: undefined
    },
    { degraded: { reason: error.reason._tag } }
  )

const check = OptionCheck.of("Degrade")
