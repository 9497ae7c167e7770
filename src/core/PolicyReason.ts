/**
 * Says, as typed data, what a policy decided when it ended a model call itself.
 *
 * Model calls keep failing with `AiError`, so everything written for `effect/ai` works unchanged. When the end was a
 * policy's decision and not the provider's answer, the facts ride in the error's metadata under `holdfast`, and
 * {@link of} reads them back, also after the error has been encoded, stored or sent.
 */
import { Option, Schema } from "effect"
import { AiError } from "effect/ai"

/** Ends a call whose time was up. `clock` names which limit: one attempt's, or the whole call's. */
export const TimedOut = Schema.TaggedStruct("TimedOut", {
  clock: Schema.Literals(["attempt", "overall"]),
  afterMillis: Schema.Finite
})

/** Turns a call away because too many already wait for their turn. */
export const QueueFull = Schema.TaggedStruct("QueueFull", {
  limit: Schema.Int,
  maxWaiting: Schema.Int
})

/** Ends a call because somebody cancelled its job; `reason` is what they gave. */
export const Cancelled = Schema.TaggedStruct("Cancelled", {
  jobId: Schema.String,
  reason: Schema.String
})

/** Turns a call away because the supervisor no longer accepts work. */
export const NotAccepted = Schema.TaggedStruct("NotAccepted", {
  description: Schema.String
})

/** Every decision a policy can end a call with. */
export const PolicyReason = Schema.Union([TimedOut, QueueFull, Cancelled, NotAccepted])
export type PolicyReason = typeof PolicyReason.Type

const decode = Schema.decodeUnknownOption(PolicyReason)

/**
 * Reads the policy's reason from any error a model call failed with; `None` when the provider ended it.
 *
 * **Example**
 *
 * ```ts run
 * import { Option } from "effect"
 * import { PolicyReason } from "holdfast/core"
 *
 * const error = PolicyReason.toAiError("Timeout", { _tag: "TimedOut", clock: "attempt", afterMillis: 10_000 })
 * Option.map(PolicyReason.of(error), (reason) => reason._tag) // => Option.some("TimedOut")
 * error.isRetryable // => true
 * ```
 */
export const of = (error: unknown): Option.Option<PolicyReason> =>
  AiError.isAiError(error) && "metadata" in error.reason ? decode(error.reason.metadata["holdfast"]) : Option.none()

/**
 * Makes the `AiError` a policy fails with.
 *
 * Retryable (`isRetryable`) exactly when another attempt can succeed: an attempt's time limit and a full queue are, a
 * spent overall limit, a cancellation and a closed supervisor are not.
 */
export const toAiError = (policy: string, reason: PolicyReason): AiError.AiError =>
  AiError.make({ module: "holdfast", method: policy, reason: carrier(reason) })

const carrier = (reason: PolicyReason): AiError.AiErrorReason => {
  const metadata = { holdfast: { ...reason } }
  switch (reason._tag) {
    case "TimedOut": {
      const description = `no complete answer within ${reason.afterMillis} ms (${reason.clock} limit)`
      return reason.clock === "attempt"
        ? new AiError.InternalProviderError({ description, metadata })
        : new AiError.UnknownError({ description, metadata })
    }
    case "QueueFull":
      return new AiError.RateLimitError({ metadata })
    case "Cancelled":
      return new AiError.UnknownError({ description: `cancelled: ${reason.reason}`, metadata })
    case "NotAccepted":
      return new AiError.UnknownError({ description: reason.description, metadata })
  }
}
