/**
 * Watches every attempt: counts it, remembers what went wrong, and holds attempts back once the run stops.
 */
import { Context, Effect, Option, Predicate } from "effect"
import type { AiError } from "effect/ai"
import * as PolicyReason from "../../../core/call/PolicyReason.ts"
import type { Policy } from "../../../core/call/ModelProvider.ts"
import type * as Counts from "../report/Counts.ts"

/** What is known of one request on its way to an answer. */
export interface Progress {
  attempts: number
  /** True from sending an attempt until it fails or its answer is written: what a stopping run waits for. */
  busy: boolean
  /** What went wrong with the attempts so far, one word or two for each. */
  readonly faults: Array<string>
}

export const start = (): Progress => ({ attempts: 0, busy: false, faults: [] })

/** The request that the current fiber works on. */
export const CurrentProgress = Context.Reference<Progress>("holdfast/cli/Tally/CurrentProgress", {
  defaultValue: start
})

export interface Options {
  readonly counts: Counts.Counts
  /** Asked before every attempt, and after each that failed: true refuses it with `NotAccepted`, for good. */
  readonly isStopping: () => boolean
  /** Asked before every attempt as well. Default: it may. */
  readonly mayStart?: Effect.Effect<boolean> | undefined
  /** Hears of every attempt that failed, and `undefined` for one that was answered. */
  readonly onAttempt: (error: AiError.AiError | undefined) => Effect.Effect<void>
}

/** Put it inside of `Retry` and all that waits, and outside of the attempt's time limit, which it counts as a fault. */
export const policy =
  ({ counts, isStopping, mayStart = Effect.succeed(true), onAttempt }: Options): Policy =>
  (next) =>
    Effect.succeed({
      ...next,
      generateText: (request) =>
        Effect.flatMap(CurrentProgress, (progress) =>
          Effect.flatMap(mayStart, (may) => {
            if (!may || isStopping()) return Effect.fail(stopped)
            progress.attempts += 1
            progress.busy = true
            counts.sent += 1
            counts.inFlight += 1
            if (progress.attempts > 1) counts.retried += 1
            const attempt = Effect.ensuring(
              next.generateText(request),
              Effect.sync(() => {
                counts.inFlight -= 1
              })
            )
            return Effect.matchEffect(attempt, {
              onSuccess: (parts) => Effect.as(onAttempt(undefined), parts),
              onFailure: (error) => {
                progress.busy = false
                progress.faults.push(faultOf(error))
                return Effect.andThen(
                  onAttempt(error),
                  Effect.fail(isStopping() && error.isRetryable ? stopped : error)
                )
              }
            })
          })
        )
    })

const stopped = PolicyReason.toAiError("Tally", { _tag: "NotAccepted", description: "the run is stopping" })

/** True for a request that the stopping run did not try, or not to the end. */
export const isStopped = (error: AiError.AiError): boolean =>
  Option.exists(PolicyReason.of(error), ({ _tag }) => _tag === "NotAccepted" || _tag === "Cancelled")

/** Says in a word or two what went wrong with an attempt: `HTTP 429`, `connection lost`, `no answer in time`. */
export const faultOf = (error: AiError.AiError): string => {
  const { reason } = error
  if (Option.exists(PolicyReason.of(error), ({ _tag }) => _tag === "TimedOut")) return "no answer in time"
  if ("http" in reason && reason.http?.response !== undefined) return `HTTP ${reason.http.response.status}`
  if (isUnreachable(error)) return "cannot connect"
  return reason._tag === "NetworkError" ? "connection lost" : reason._tag
}

/** True when there was no connection at all, as opposed to one that was lost: no such server, nobody there, no trust. */
export const isUnreachable = ({ reason }: AiError.AiError): boolean => {
  if (reason._tag === "NetworkError") {
    return !(Predicate.hasProperty(reason.cause, "code") && lostConnection.has(String(reason.cause.code)))
  }
  return false
}

const lostConnection = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"])
