/**
 * Says, as typed data, what a policy decided when it ended a model call itself.
 *
 * Model calls keep failing with `AiError`, so everything written for `effect/ai` works unchanged. When the end was a
 * policy's decision and not the provider's answer, the facts ride in the error's metadata under `holdfast`, and
 * {@link of} reads them back, also after the error has been encoded, stored or sent.
 */
import { Duration, Option, Schema } from "effect"
import { AiError } from "effect/ai"

/**
 * Ends a call whose time was up. `clock` names which limit: until the headers, until the first content, between two
 * pieces of content, one attempt's, or the whole call's.
 */
export const TimedOut = Schema.TaggedStruct("TimedOut", {
  clock: Schema.Literals(["headers", "firstToken", "idle", "attempt", "overall"]),
  afterMillis: Schema.Finite
})

/** Ends a stream that brings fewer tokens a second than it must. */
export const TooSlow = Schema.TaggedStruct("TooSlow", {
  tokensPerSecond: Schema.Finite,
  atLeast: Schema.Finite
})

/** Turns a call away because too many already wait for their turn, or because its own did not come in time. */
export const QueueFull = Schema.TaggedStruct("QueueFull", {
  limit: Schema.Int,
  maxWaiting: Schema.Int,
  /** How long it waited, of a call whose turn did not come in time. */
  waitedMillis: Schema.optionalKey(Schema.Finite)
})

/** Turns a call away before it is sent: what is left of its whole-call time is less than it is expected to need. */
export const DeadlineTooNear = Schema.TaggedStruct("DeadlineTooNear", {
  remainingMillis: Schema.Finite,
  neededMillis: Schema.Finite
})

/** Turns a call away because calls with this key fail; another may be tried after `retryAfterMillis`. */
export const CircuitOpen = Schema.TaggedStruct("CircuitOpen", {
  key: Schema.String,
  retryAfterMillis: Schema.Finite
})

/** Turns a call away because a rate limit would let it through only after `retryAfterMillis`. */
export const RateLimited = Schema.TaggedStruct("RateLimited", {
  key: Schema.String,
  /** What the limit counts; left out where only the wait is known, as the provider asked for it. */
  dimension: Schema.optionalKey(Schema.Literals(["requests", "tokens", "inputTokens", "outputTokens"])),
  retryAfterMillis: Schema.Finite
})

/** Turns a call away that alone is larger than the rate limit ever allows. */
export const LargerThanLimit = Schema.TaggedStruct("LargerThanLimit", {
  key: Schema.String,
  dimension: Schema.Literals(["requests", "tokens", "inputTokens", "outputTokens"]),
  needed: Schema.Finite,
  limit: Schema.Finite
})

/** Turns a call away because what may be spent in this window is spent. */
export const SpendExhausted = Schema.TaggedStruct("SpendExhausted", {
  key: Schema.String,
  unit: Schema.Literals(["tokens", "money"]),
  limit: Schema.Finite,
  spent: Schema.Finite,
  retryAfterMillis: Schema.Finite
})

/** Turns a call away because no provider of the pool may be used. */
export const NoProvider = Schema.TaggedStruct("NoProvider", {
  names: Schema.Array(Schema.String)
})

/** Ends a call whose answers were all complete and none acceptable. */
export const NotAcceptable = Schema.TaggedStruct("NotAcceptable", {
  answers: Schema.Int
})

/**
 * Ends a stream that shares its request with others, because its reader left more than `limitBytes` unread that the
 * others had read.
 */
export const FellBehind = Schema.TaggedStruct("FellBehind", {
  limitBytes: Schema.Finite
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
export const PolicyReason = Schema.Union([
  TimedOut,
  TooSlow,
  QueueFull,
  DeadlineTooNear,
  CircuitOpen,
  RateLimited,
  LargerThanLimit,
  SpendExhausted,
  NoProvider,
  NotAcceptable,
  FellBehind,
  Cancelled,
  NotAccepted
])
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
 * Retryable (`isRetryable`) exactly when another attempt can succeed: one attempt's time limits, a full queue, an open
 * circuit, a rate limit, an unacceptable answer, a pool without providers and a reader too slow for its flight are; a
 * spent overall limit, a deadline too near, a spent budget, a cancellation and a closed supervisor are not.
 */
export const toAiError = (policy: string, reason: PolicyReason): AiError.AiError =>
  AiError.make({ module: "holdfast", method: policy, reason: carrier(reason) })

const carrier = (reason: PolicyReason): AiError.AiErrorReason => {
  const metadata = { holdfast: { ...reason } }
  switch (reason._tag) {
    case "TimedOut": {
      const description = `${awaited[reason.clock]} within ${reason.afterMillis} ms (${reason.clock} limit)`
      return reason.clock === "overall"
        ? new AiError.UnknownError({ description, metadata })
        : new AiError.InternalProviderError({ description, metadata })
    }
    case "TooSlow":
      return new AiError.InternalProviderError({
        description: `${reason.tokensPerSecond} tokens a second, fewer than ${reason.atLeast}`,
        metadata
      })
    case "QueueFull":
      return new AiError.RateLimitError({ metadata })
    case "DeadlineTooNear":
      return new AiError.UnknownError({
        description: `${reason.remainingMillis} ms are left of the whole call's time, and ${reason.neededMillis} ms are needed`,
        metadata
      })
    case "CircuitOpen":
      return new AiError.InternalProviderError({ description: `the circuit of ${reason.key} is open`, metadata })
    case "RateLimited":
      return new AiError.RateLimitError({ retryAfter: Duration.millis(reason.retryAfterMillis), metadata })
    case "LargerThanLimit":
      return new AiError.InvalidRequestError({
        description: `needs ${reason.needed} ${reason.dimension}, and the rate limit of ${reason.key} is ${reason.limit}`,
        metadata
      })
    case "SpendExhausted":
      return new AiError.QuotaExhaustedError({ metadata })
    case "NoProvider":
      return new AiError.InternalProviderError({
        description: `none of these providers may be used now: ${reason.names.join(", ")}`,
        metadata
      })
    case "NotAcceptable":
      return new AiError.InternalProviderError({
        description: `none of ${reason.answers} answers was acceptable`,
        metadata
      })
    case "FellBehind":
      return new AiError.InternalProviderError({
        description: `more than ${reason.limitBytes} bytes of a shared stream were unread`,
        metadata
      })
    case "Cancelled":
      return new AiError.UnknownError({ description: `cancelled: ${reason.reason}`, metadata })
    case "NotAccepted":
      return new AiError.UnknownError({ description: reason.description, metadata })
  }
}

const awaited = {
  headers: "no response headers",
  firstToken: "no content",
  idle: "no further content",
  attempt: "no complete answer",
  overall: "no complete answer"
} as const
