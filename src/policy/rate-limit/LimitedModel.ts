/**
 * Puts a limiter around a model: what its calls need, what their ends say of limits, and for whom they are.
 */
import { Cause, Effect, Exit, Option, Pull, Stream } from "effect"
import type { AiError, LanguageModel, Response } from "effect/ai"
import * as Caller from "../../core/call/Caller.ts"
import * as Key from "../../core/call/Key.ts"
import * as Failure from "../../core/call/Failure.ts"
import * as OpenStream from "../../core/stream/OpenStream.ts"
import * as Patience from "../../core/call/Patience.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import * as ResponseHeaders from "../../core/call/ResponseHeaders.ts"
import { keyOf, type ModelProvider } from "../../core/call/ModelProvider.ts"
import * as TokenEstimate from "../../core/call/TokenEstimate.ts"
import * as Usage from "../../core/call/Usage.ts"
import * as Verdict from "../../core/call/Verdict.ts"
import * as Estimate from "./Estimate.ts"
import type { Ending, Limiter, Permit } from "./Limiter.ts"
import type { Refusal } from "./CallQueue.ts"

/** Whose limits they are, and what they count. */
export interface Limited {
  readonly estimate: ((request: LanguageModel.ProviderOptions) => Estimate.Estimate) | undefined
  /** What has limits for itself: the model, each tenant at this model, or each tenant at whichever model. */
  readonly each: "model" | "tenantOfModel" | "tenant"
}

/** What a call is refused with that is not to wait any longer. */
export const refusedBy = (each: Limited["each"]): ((refusal: Refusal) => AiError.AiError) =>
  each === "tenant"
    ? (refusal) => PolicyReason.toAiError("RateLimit", { ...refusal, limitOf: "tenant" })
    : (refusal) => PolicyReason.toAiError("RateLimit", refusal)

/** Lets the calls of a model through a limiter. */
export const around = (next: ModelProvider, { each, estimate }: Limited) => {
  const isTenants = each === "tenant"
  const refused = refusedBy(each)
  const key = keyOf(next)
  const answers = new TokenEstimate.AnswerLength()
  const isCachedFree = cachedIsFree.test(next.name)

  const needOf = (request: LanguageModel.ProviderOptions) => () =>
    Estimate.toNeed(
      estimate === undefined
        ? { inputTokens: TokenEstimate.inputTokens(request), outputTokens: answers.tokens }
        : estimate(request)
    )
  const told = (exit: Exit.Exit<unknown, AiError.AiError>, finish: Finish | undefined): Ending => {
    if (Exit.isFailure(exit)) return isTenants ? tenantsPart(exit.cause) : toldByFailure(exit.cause)
    if (finish === undefined) return nothingSaid
    const { cachedInputTokens = 0, inputTokens, outputTokens } = Usage.said(finish)
    if (outputTokens !== undefined) answers.observe(outputTokens)
    const cached = isCachedFree ? cachedInputTokens : 0
    return {
      inputTokens: inputTokens === undefined ? undefined : Math.max(0, inputTokens - cached),
      outputTokens,
      headers: finish.response?.headers
    }
  }

  return (limiter: Limiter): ModelProvider => {
    const keyed = <A, E, R>(use: (key: string) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      each === "model"
        ? use(key)
        : Effect.flatMap(Caller.Current, ({ tenant }) => use(isTenants ? Key.of(tenant) : Key.ofTenant(key, tenant)))
    // How long a tenant waited for its own turn, which is no provider's doing.
    const waitedFor = (permit: Permit): number => (isTenants ? limiter.now - permit.arrivedAt : 0)
    return {
      ...next,
      generateText: (request) =>
        keyed((key) =>
          limiter.pass(
            key,
            needOf(request),
            refused,
            (permit) => {
              const answer = Effect.updateService(
                next.generateText(request),
                ResponseHeaders.Listener,
                limiter.ear(permit)
              )
              const waited = waitedFor(permit)
              return waited > 0 ? Effect.updateService(answer, Patience.Current, Patience.later(waited)) : answer
            },
            (exit) => told(exit, Exit.isSuccess(exit) ? exit.value.findLast(isFinish) : undefined)
          )
        ),
      streamText: (request) =>
        OpenStream.unwrap(
          keyed((key) =>
            Effect.gen(function* () {
              let finish: Finish | undefined
              let ended: Exit.Exit<unknown, AiError.AiError> = Exit.void
              const permit = yield* Effect.uninterruptibleMask((restore) =>
                Effect.tap(Effect.mapError(limiter.acquire(key, needOf(request), restore), refused), (permit) =>
                  Effect.addFinalizer(() => limiter.release(permit, told(ended, finish)))
                )
              )
              const parts = next.streamText(request)
              const waited = waitedFor(permit)
              const sent = waited > 0 ? Stream.updateService(parts, Patience.Current, Patience.later(waited)) : parts
              return yield* ResponseHeaders.whileOpening(sent, limiter.ear(permit), (exit) => {
                if (Exit.isSuccess(exit)) {
                  const last = exit.value.at(-1)
                  if (last?.type === "finish") finish = last
                } else ended = Pull.doneExitFromCause(exit.cause)
              })
            })
          )
        )
    }
  }
}

type Finish = Response.FinishPartEncoded

const isFinish = (part: Response.PartEncoded): part is Finish => part.type === "finish"

const nothingSaid: Ending = {}

// Anthropic and Groq do not count what they read from their cache: https://docs.anthropic.com/en/api/rate-limits ,
// https://console.groq.com/docs/rate-limits
const cachedIsFree = /anthropic|groq/i

// What a provider says of its own limits is none of a tenant's. What it did not take was not used.
const tenantsPart = (cause: Cause.Cause<AiError.AiError>): Ending => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error === undefined) return nothingSaid
  if (Verdict.isNotAsked(error)) return { isUnsent: true }
  return Verdict.of(error).blame === "busy" ? { inputTokens: 0, outputTokens: 0 } : { outputTokens: 0 }
}

// A failed call used no output tokens. For an interrupted call the estimate is kept.
const toldByFailure = (cause: Cause.Cause<AiError.AiError>): Ending => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error === undefined) return nothingSaid
  return { verdict: Verdict.of(error), headers: Failure.headers(error), outputTokens: 0 }
}
