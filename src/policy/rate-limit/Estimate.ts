/**
 * Says what a call takes of each limit.
 */
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { Need } from "./State.ts"

export interface Estimate {
  readonly inputTokens: number
  readonly outputTokens: number
}

/** What a call with so many tokens takes of each limit. Rejects a number of tokens that is none with a `RangeError`. */
export const toNeed = (estimate: Estimate): Need => {
  const inputTokens = check.number("inputTokens", estimate.inputTokens, { atLeast: 0 })
  const outputTokens = check.number("outputTokens", estimate.outputTokens, { atLeast: 0 })
  return { requests: 1, tokens: inputTokens + outputTokens, inputTokens, outputTokens }
}

const check = OptionCheck.of("RateLimit")
