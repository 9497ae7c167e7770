/**
 * Remembers what providers told one call: who will not answer it at all, and who asked to be left alone until when.
 *
 * A policy that tries again sees one error. Where several providers were asked, or one of them twice, it may be another
 * one's that forbids it. So nobody has to know: a provider that is not to be asked is not, wherever the decision was made.
 */
import { Context, Duration } from "effect"
import type { AiError } from "effect/ai"
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

  /** Takes in what a call to a provider failed with. */
  heard(provider: object, error: AiError.AiError, now: number): void {
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
    const told = this.told?.get(provider)
    if (told === undefined || now >= told.untilMillis) return undefined
    if (told.untilMillis === Infinity) return { error: told.error, forMillis: undefined }
    const forMillis = Math.ceil(told.untilMillis - now)
    return {
      error: PolicyReason.toAiError("Attempts", { _tag: "RateLimited", key, retryAfterMillis: forMillis }),
      forMillis
    }
  }

  private untilMillis(error: AiError.AiError, now: number): number | undefined {
    if (finalReasons.has(error.reason._tag)) return Infinity
    const { retryAfter } = Verdict.of(error)
    return retryAfter === undefined ? undefined : now + Duration.toMillis(retryAfter)
  }
}

/** What no further attempt of the same call at the same provider changes. */
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
