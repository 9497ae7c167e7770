/**
 * Spreads requests evenly over time, so that no minute sees more than a given number of them.
 */
import { Effect } from "effect"
import { RateLimiter } from "effect/persistence"
import type { Policy } from "../core/call/ModelProvider.ts"

/**
 * Lets at most `limit` requests a minute through, one after the other at equal distances.
 *
 * Put it inside of `Retry`: what is sent again counts too. Interrupting a waiting request ends the wait; its place in the
 * row stays empty.
 */
export const perMinute =
  (limit: number): Policy<RateLimiter.RateLimiter> =>
  (next) =>
    RateLimiter.RateLimiter.useSync((limiter) => {
      // A bucket of one, or of what comes in 10 ms when that is more: no burst, whatever the limit.
      const burst = Math.max(1, Math.floor(limit / 6_000))
      const wait = RateLimiter.sleep(limiter, {
        key: "holdfast/cli/Pace",
        algorithm: "token-bucket",
        limit: burst,
        window: (60_000 * burst) / limit
      }).pipe(Effect.orDie)
      return { ...next, generateText: (options) => Effect.andThen(wait, next.generateText(options)) }
    })
