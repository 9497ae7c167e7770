/**
 * Says what a call takes of each limit.
 */
import type { Need } from "./RateLimitState.ts"

export interface Estimate {
  readonly inputTokens: number
  readonly outputTokens: number
}

/** What a call with so many tokens takes of each limit. */
export const toNeed = ({ inputTokens, outputTokens }: Estimate): Need => ({
  requests: 1,
  tokens: inputTokens + outputTokens,
  inputTokens,
  outputTokens
})
