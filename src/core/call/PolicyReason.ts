/**
 * Says, as typed data, what a policy decided when it ended a model call itself.
 *
 * Model calls keep failing with `AiError`, so everything written for `effect/ai` works unchanged. When the end was a
 * policy's decision and not the provider's answer, the facts ride in the error's metadata under `holdfast`, and
 * {@link of} reads them back, also after the error has been encoded, stored or sent.
 */
import { Duration, Option, Schema } from "effect"
import { AiError } from "effect/ai"
import * as OptionCheck from "../OptionCheck.ts"
import * as SafeText from "../SafeText.ts"
import * as ShownError from "../ShownError.ts"
import { dimensions } from "./LimitHeaders.ts"

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

// Whose limit it is. That of the caller's tenant ends the call; left out, it is one provider's, and another may be asked.
const limitOf = Schema.optionalKey(Schema.Literal("tenant"))

/** Turns a call away because too many already wait for their turn, or because its own did not come in time. */
export const QueueFull = Schema.TaggedStruct("QueueFull", {
  limit: Schema.Int,
  maxWaiting: Schema.Int,
  /** How long it waited, of a call whose turn did not come in time. */
  waitedMillis: Schema.optionalKey(Schema.Finite),
  limitOf
})

/** Turns a call away before it is sent: what is left of its whole-call time is less than it is expected to need. */
export const DeadlineTooNear = Schema.TaggedStruct("DeadlineTooNear", {
  remainingMillis: Schema.Finite,
  neededMillis: Schema.Finite,
  limitOf
})

/** Turns a call away because calls with this key fail; another may be tried after `retryAfterMillis`. */
export const CircuitOpen = Schema.TaggedStruct("CircuitOpen", {
  key: Schema.String,
  retryAfterMillis: Schema.Finite
})

/**
 * Turns a call away because a rate limit would let it through only after `retryAfterMillis`. With `limitOf` it is the limit
 * of the caller's tenant, and `key` the tenant: no other provider would let it through.
 */
export const RateLimited = Schema.TaggedStruct("RateLimited", {
  key: Schema.String,
  /** What the limit counts; left out where only the wait is known, as the provider asked for it. */
  dimension: Schema.optionalKey(Schema.Literals(dimensions)),
  retryAfterMillis: Schema.Finite,
  limitOf
})

/** Turns a call away that alone is larger than the rate limit ever allows. */
export const LargerThanLimit = Schema.TaggedStruct("LargerThanLimit", {
  key: Schema.String,
  dimension: Schema.Literals(dimensions),
  needed: Schema.Finite,
  limit: Schema.Finite,
  limitOf
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

/** What a policy of an application's own says: texts, finite numbers and booleans, by name. */
export const Facts = Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Boolean]))
export type Facts = typeof Facts.Type

/** Whose doing a failure was: see `Verdict.Blame`. */
export const Blame = Schema.Literals(["fault", "unusable", "busy", "none"])

/** Ends a call by a policy that has no reason of its own here: an application's, or a new one. */
export const Custom = Schema.TaggedStruct("Custom", {
  /** The policy's name. */
  policy: Schema.String,
  /** Says to people why the call ended. */
  description: Schema.String,
  /** Whether another attempt can succeed. */
  retryable: Schema.Boolean,
  /**
   * What it says about who is inside of the policy, as in a `Verdict`: circuits, limits, pools and fallbacks decide by it.
   * Default: `none`.
   */
  blame: Schema.optionalKey(Blame),
  /** The wait before another attempt, which retries keep. Default: none is asked for. */
  retryAfterMillis: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
  facts: Facts
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
  NotAccepted,
  Custom
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
export const of = (error: unknown): Option.Option<PolicyReason> => {
  if (!AiError.isAiError(error) || !("metadata" in error.reason)) return Option.none()
  const { holdfast } = error.reason.metadata
  return holdfast === undefined ? Option.none() : decode(holdfast)
}

/**
 * Says a reason in words, which begin with its tag: `TimedOut: no first token within 30s (firstToken limit)`.
 *
 * It is the message of the error that {@link toAiError} makes. An error that was encoded and decoded has Effect's own message.
 */
export const message = (reason: PolicyReason): string => `${reason._tag}: ${said(reason)}`

/**
 * Makes the `AiError` a policy fails with. Its message, and that of its `reason`, is {@link message}.
 *
 * Retryable (`isRetryable`) exactly when another attempt can succeed: one attempt's time limits, a full queue, an open
 * circuit, a rate limit, an unacceptable answer, a pool without providers and a reader too slow for its flight are; a
 * spent overall limit, a deadline too near, a spent budget, a cancellation and a closed supervisor are not. A `Custom`
 * reason says so itself; one that could not be read again, as with a `retryAfterMillis` of `NaN`, is refused with a
 * `RangeError`.
 */
export const toAiError = (policy: string, reason: PolicyReason): AiError.AiError => {
  if (reason._tag === "Custom") checkCustom(reason)
  return worded(AiError.make({ module: "holdfast", method: policy, reason: carrier(reason) }), reason)
}

/**
 * Has an error with a policy's reason say that reason, as {@link toAiError} does: one that was decoded says what its class
 * says, `Unknown error` for a time limit.
 */
export const worded = (error: AiError.AiError, reason: PolicyReason): AiError.AiError => {
  const words = { message: message(reason) }
  ShownError.show(error.reason, { name: "PolicyReason", ...words })
  return ShownError.show(error, { name: error._tag, ...words })
}

/** Makes of a reason an error that has its fields: what an effect fails with that a policy ends. */
export const toError = <Reason extends PolicyReason>(reason: Reason): Reason & Error => {
  const words = message(reason)
  return ShownError.show(Object.assign(new Error(words), reason), { name: "PolicyReason" })
}

const check = OptionCheck.of("PolicyReason.Custom")

// What cannot be read again would count as the provider's own error.
const checkCustom = ({ blame, description, facts, policy, retryable, retryAfterMillis }: typeof Custom.Type): void => {
  check.text("policy", policy)
  check.text("description", description)
  check.flag("retryable", retryable)
  if (blame !== undefined) check.oneOf("blame", blame, Blame.literals)
  if (retryAfterMillis !== undefined) check.number("retryAfterMillis", retryAfterMillis, { atLeast: 0 })
  check.facts("facts", facts)
  for (const [name, fact] of Object.entries(facts)) {
    if (typeof fact === "number") check.number(`facts.${SafeText.of(name)}`, fact, {})
  }
}

/** The class of Effect's with the right `isRetryable`, and of those the one that says most about what to do. */
const carrier = (reason: PolicyReason): AiError.AiErrorReason => {
  const description = message(reason)
  const metadata = { holdfast: { ...reason } }
  switch (reason._tag) {
    case "QueueFull":
      return new AiError.RateLimitError({ metadata })
    case "RateLimited":
      return new AiError.RateLimitError({ retryAfter: whole(reason.retryAfterMillis), metadata })
    case "LargerThanLimit":
      return new AiError.InvalidRequestError({ description, metadata })
    case "SpendExhausted":
      return new AiError.QuotaExhaustedError({ metadata })
    default:
      return isPassing(reason)
        ? new AiError.InternalProviderError({ description, metadata })
        : new AiError.UnknownError({ description, metadata })
  }
}

/** What cannot be counted exactly cannot be stored. */
const whole = (millis: number): Duration.Duration =>
  Duration.millis(Math.min(Math.max(0, Math.ceil(millis)), Number.MAX_SAFE_INTEGER))

/** Whether another attempt can succeed. */
const isPassing = (
  reason: Exclude<PolicyReason, { _tag: "QueueFull" | "RateLimited" | "LargerThanLimit" | "SpendExhausted" }>
): boolean => {
  switch (reason._tag) {
    case "TimedOut":
      return reason.clock !== "overall"
    case "Custom":
      return reason.retryable
    case "DeadlineTooNear":
    case "Cancelled":
    case "NotAccepted":
      return false
    default:
      return true
  }
}

const said = (reason: PolicyReason): string => {
  switch (reason._tag) {
    case "TimedOut":
      return `${awaited[reason.clock]} within ${time(reason.afterMillis)} (${reason.clock} limit)`
    case "TooSlow":
      return `${amount(reason.tokensPerSecond)} tokens a second, fewer than ${amount(reason.atLeast)}`
    case "QueueFull":
      return reason.waitedMillis === undefined
        ? `${reason.maxWaiting} calls${ofTenant(reason)} wait already, as many as may`
        : `no turn${ofTenant(reason)} within ${time(reason.waitedMillis)}`
    case "DeadlineTooNear": {
      const [left, needed] = [time(reason.remainingMillis), time(reason.neededMillis)]
      return `${left} of the whole call's time are left, and a turn${ofTenant(reason)} needs ${needed}`
    }
    case "CircuitOpen":
      return `the circuit${ofKey(reason)} is open${later(reason)}`
    case "RateLimited":
      return reason.dimension === undefined
        ? `${named(reason.key)} asked for a wait${later(reason)}`
        : `the limit of ${reason.dimension}${ofKey(reason)} is reached${later(reason)}`
    case "LargerThanLimit": {
      const { dimension, limit, needed } = reason
      return `it needs ${amount(needed)} ${dimension}, and the rate limit${ofKey(reason)} is ${amount(limit)}`
    }
    case "SpendExhausted":
      return `${amount(reason.spent)} of ${amount(reason.limit)} ${reason.unit}${ofKey(reason)} are spent${later(reason)}`
    case "NoProvider":
      return `none of these providers may be used now: ${reason.names.join(", ")}`
    case "NotAcceptable":
      return `none of ${reason.answers} answers was acceptable`
    case "FellBehind":
      return `more than ${reason.limitBytes} bytes of a shared stream were unread`
    case "Cancelled":
      return `job ${named(reason.jobId)} was cancelled: ${reason.reason}`
    case "NotAccepted":
      return reason.description
    case "Custom":
      return `${named(reason.policy)}: ${reason.description}`
  }
}

const awaited = {
  headers: "no response headers",
  firstToken: "no first token",
  idle: "no further content",
  attempt: "no complete answer",
  overall: "no complete answer"
} as const

const ofTenant = ({ limitOf }: { readonly limitOf?: "tenant" }): string =>
  limitOf === undefined ? "" : " of this tenant"

/** What is nobody's in particular has no key. */
const ofKey = ({ key }: { readonly key: string }): string => (key === "" ? "" : ` of ${named(key)}`)

const later = ({ retryAfterMillis }: { readonly retryAfterMillis: number }): string =>
  retryAfterMillis > 0 ? `; it may be tried again in ${time(retryAfterMillis)}` : ""

const time = (millis: number): string => {
  const whole = Math.ceil(millis)
  return whole > 0 ? Duration.format(Duration.millis(whole)) : "0ms"
}

const amount = (value: number): number => Number(value.toPrecision(6))

/** Names come from the application, and may be of any length. */
const named = (name: string): string => SafeText.cut(name, 200)
