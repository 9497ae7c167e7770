/**
 * Notices when a run has no chance from its very start, so that one message takes the place of thousands of failures.
 */
import { Effect } from "effect"
import type { AiError } from "effect/ai"
import { BatchError, Hopeless } from "./BatchError.ts"
import * as ResultLine from "./ResultLine.ts"
import * as Tally from "./batch/send/AttemptTally.ts"

/** Attempts that must all fail to connect, with no other outcome before, for a run to be given up. */
const givenUpAfter = 5

export interface Hope {
  /** Takes in the outcome of an attempt: its error, or `undefined`. Fails when the run has no chance. */
  readonly see: (error: AiError.AiError | undefined) => Effect.Effect<void, BatchError>
  /** Fails when the run has ended and had no attempt but hopeless ones. */
  readonly atEnd: Effect.Effect<void, BatchError>
}

/**
 * Watches one run. The first attempt that is answered, or fails in any other way, ends the watch for good.
 *
 * A refused key or an exhausted quota gives the run up at once; a connection may fail five times.
 */
export const make = (baseUrl: string): Hope => {
  let attempts = 0
  let last: AiError.AiError | undefined
  let isWatching = true

  const giveUp = Effect.suspend(() => {
    const kind = last === undefined ? undefined : kindOf(last)
    if (!isWatching || last === undefined || kind === undefined) return Effect.void
    const problem = ResultLine.messageOf(last).replace(/^Cannot connect to API: /u, "")
    return Effect.fail(new BatchError({ reason: new Hopeless({ kind, baseUrl, attempts, problem }) }))
  })

  return {
    see: (error) =>
      Effect.suspend(() => {
        isWatching = isWatching && error !== undefined && kindOf(error) !== undefined
        if (!isWatching || error === undefined) return Effect.void
        last = error
        attempts += 1
        return error.isRetryable && attempts < givenUpAfter ? Effect.void : giveUp
      }),
    atEnd: giveUp
  }
}

const kindOf = (error: AiError.AiError): Hopeless["kind"] | undefined => {
  const { reason } = error
  if (Tally.isUnreachable(error)) return "unreachable"
  // Permission can lack for one model and not for another.
  if (reason._tag === "AuthenticationError" && reason.kind !== "InsufficientPermissions") return "key refused"
  return reason._tag === "QuotaExhaustedError" ? "quota exhausted" : undefined
}
