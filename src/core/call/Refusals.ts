/**
 * Remembers what providers told one call: who will not answer it at all, and who asked to be left alone until when.
 *
 * A policy that tries again sees one error. Where several providers were asked, or one of them twice, it may be another
 * one's that forbids it. So nobody has to know: a provider that is not to be asked is not, wherever the decision was made.
 */
import { Context, Duration } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "./Failure.ts"
import * as PolicyReason from "./PolicyReason.ts"
import * as Verdict from "./Verdict.ts"

/** Why a provider may not be asked, and for how long; `undefined` is for good. */
export interface Refusal {
  readonly error: AiError.AiError
  readonly forMillis: number | undefined
}

/** What the providers told one call. */
export class Refusals {
  private told: Map<object, { readonly error: AiError.AiError; readonly untilMillis: number }> | undefined

  private from: WeakMap<AiError.AiError, object> | undefined

  /** Takes in what a call to a provider failed with. */
  heard(provider: object, error: AiError.AiError, now: number): void {
    this.from ??= new WeakMap()
    this.from.set(error, provider)
    const untilMillis = this.untilMillis(error, now)
    if (untilMillis === undefined || untilMillis <= (this.told?.get(provider)?.untilMillis ?? now)) return
    this.told ??= new Map()
    this.told.set(provider, { error, untilMillis })
  }

  /**
   * Why a provider may not be asked now, if so: the error that forbids it for this call, or `PolicyReason` `RateLimited`
   * with what is left of the wait, `forMillis`.
   */
  refusal(provider: object, key: string, now: number): Refusal | undefined {
    const left = this.left(provider, now)
    if (left === undefined || left.forMillis === undefined) return left
    const forMillis = Math.ceil(left.forMillis)
    return {
      error: PolicyReason.toAiError("Attempts", { _tag: "RateLimited", key, retryAfterMillis: forMillis }),
      forMillis
    }
  }

  /**
   * What forbids now to try again at a provider, as it told this call by whichever of its attempts: its own error, and how
   * long is left of the wait. Nothing where the error that is to be tried again may be another provider's.
   */
  since(provider: object, error: AiError.AiError, now: number): Refusal | undefined {
    const isOfIt = this.from?.get(error) === provider || Failure.decided(error) !== undefined
    return isOfIt ? this.left(provider, now) : undefined
  }

  private left(provider: object, now: number): Refusal | undefined {
    const told = this.told?.get(provider)
    if (told === undefined || now >= told.untilMillis) return undefined
    const { error, untilMillis } = told
    return { error, forMillis: untilMillis === Infinity ? undefined : untilMillis - now }
  }

  private untilMillis(error: AiError.AiError, now: number): number | undefined {
    if (isFinal(error)) return Infinity
    const { retryAfter } = Verdict.of(error)
    return retryAfter === undefined ? undefined : now + Duration.toMillis(retryAfter)
  }
}

/** Whether no further attempt of the same call at the same provider changes anything. */
export const isFinal = (error: AiError.AiError): boolean => finalReasons.has(error.reason._tag)

const finalReasons: ReadonlySet<AiError.AiErrorReason["_tag"]> = new Set([
  "AuthenticationError",
  "ContentPolicyError",
  "InvalidRequestError",
  "QuotaExhaustedError"
])

/** What the call the present fiber works for was told. */
export const Current = Context.Reference<Refusals | undefined>("holdfast/core/Refusals", {
  defaultValue: () => undefined
})
