/**
 * Decides whether another attempt is made, and after which wait.
 */
import { Duration } from "effect"
import type * as Decision from "../../core/call/Decision.ts"
import type { Verdict } from "../../core/call/Verdict.ts"

/** The options, decided and in milliseconds. */
export interface Settings {
  readonly times: number
  readonly baseMillis: number
  readonly capMillis: number
  readonly maxRetryAfterMillis: number
}

/** Why an error is not followed by another attempt. */
export type WhyNot = "notRetryable" | (typeof Decision.RetryRefused.Type)["why"]

/**
 * Says how many milliseconds to wait before trying again after `retries` retries, or why there is no point.
 *
 * `draw` is a random number from 0 to 1. `remainingMillis` is what is left of the whole call's time: a wait that takes
 * all of it is not begun. `patienceMillis` is for how long this provider may still make the call wait.
 */
export const delay = (
  settings: Settings,
  { retryAfter, retryable }: Pick<Verdict, "retryable" | "retryAfter">,
  retries: number,
  draw: number,
  remainingMillis = Infinity,
  patienceMillis = Infinity
): number | WhyNot => {
  if (!retryable) return "notRetryable"
  if (retries >= settings.times) return "times"
  const atLeast = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
  if (atLeast > settings.maxRetryAfterMillis) return "retryAfterTooLong"
  const wait = atLeast + draw * Math.min(settings.capMillis, settings.baseMillis * 2 ** Math.min(retries, 64))
  if (wait >= patienceMillis) return "patience"
  return wait < remainingMillis ? wait : "deadline"
}
