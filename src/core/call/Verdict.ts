/**
 * Says what an error means for whoever protects a provider: whose fault it was, whether to try again, and when.
 *
 * Retries, circuits, limits and pools all decide by the same verdict. {@link of} gives it for an error of a model call; for
 * any other work the application classifies its errors once, and passes that function to every policy it uses.
 */
import { Duration, Predicate } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "./Failure.ts"
import type * as PolicyReason from "./PolicyReason.ts"

/**
 * What a failure says about who was asked.
 *
 * - `fault`: it is unwell: overloaded, broken, unreachable, silent or talking nonsense.
 * - `unusable`: it refuses every call until somebody acts: quota, billing, credentials, a model that is not there.
 * - `busy`: it is well and asks for less: a rate limit.
 * - `none`: the request's doing, or ours: says nothing about it.
 */
export type Blame = typeof PolicyReason.Blame.Type

export interface Verdict {
  readonly blame: Blame
  /** Whether another attempt can succeed. */
  readonly retryable: boolean
  /** The wait the other side asked for; more than a day is a mistake, and counts as not said. */
  readonly retryAfter: Duration.Duration | undefined
}

/** What an application says about one of its errors. */
export interface Classification {
  readonly blame: Blame
  /** Whether another attempt can succeed. Default: exactly when the blame is `fault` or `busy`. */
  readonly retryable?: boolean | undefined
  /** The wait the other side asked for. Default: none. */
  readonly retryAfter?: Duration.Input | undefined
}

/** Says what an error means. One function serves every policy that takes one as `classify`. */
export type Classify<E> = (error: E) => Classification

/** Completes what `classify` says of an error. */
export const by =
  <E>(classify: Classify<E>) =>
  (error: E): Verdict => {
    const { blame, retryAfter, retryable = blame === "fault" || blame === "busy" } = classify(error)
    return {
      blame,
      retryable,
      retryAfter: retryAfter === undefined ? undefined : readable(Duration.fromInputUnsafe(retryAfter))
    }
  }

/**
 * Reads the verdict from an error of a model call.
 *
 * What a policy decided itself is nobody's fault, but for a time limit of one attempt, and unless a `Custom` reason says whose
 * it is. A tenant's limit is not retryable within the call, though the call may be made again later. Waits that providers ask for with
 * errors that are not rate limits are read too.
 *
 * **Example**
 *
 * ```ts run
 * import { AiError } from "effect/ai"
 * import { Verdict } from "holdfast/core"
 *
 * const reason = new AiError.RateLimitError({})
 * const { blame, retryable } = Verdict.of(AiError.make({ module: "shop", method: "ask", reason }))
 * const verdict = [blame, retryable] // => ["busy", true]
 * ```
 */
export const of = (error: AiError.AiError): Verdict =>
  Failure.isOfOneOfSeveral(error)
    ? { blame: "none", retryable: true, retryAfter: undefined }
    : {
        blame: blameOf(error),
        retryable: error.isRetryable && !isOfTenant(Failure.decided(error)),
        retryAfter: readable(error.retryAfter ?? retryAfterInMetadata(error))
      }

/**
 * Whether an error is the doing of the provider that was asked, so that another may answer: it is unwell, refuses
 * this account, is busy, or was not asked, for its circuit, its limits or its queue. False for what is wrong with the
 * request itself, and for what ends the whole call: its time, a spent budget, its tenant's limit.
 */
export const isProvidersDoing = (error: AiError.AiError): boolean => {
  if (Failure.isOfOneOfSeveral(error) || blameOf(error) !== "none") return true
  const reason = Failure.decided(error)
  return reason !== undefined && ended[reason._tag] !== "call" && !isOfTenant(reason)
}

/** Whether a provider was not asked, by a policy that looks after this one alone. */
export const isNotAsked = (error: AiError.AiError): boolean => {
  const reason = Failure.decided(error)
  return reason !== undefined && ended[reason._tag] === "before" && !isOfTenant(reason)
}

/**
 * What a policy ended, where the verdict blames nobody: a provider before it was asked, a provider that had been asked, or
 * the whole call.
 */
const ended: Readonly<Record<PolicyReason.PolicyReason["_tag"], "before" | "provider" | "call">> = {
  CircuitOpen: "before",
  // Of a limiter or a queue: another provider may have no line.
  DeadlineTooNear: "before",
  LargerThanLimit: "before",
  NoProvider: "before",
  QueueFull: "before",
  RateLimited: "before",
  NotAcceptable: "provider",
  // The limit of one attempt is the provider's fault by its verdict; that of the whole call leaves no time for another.
  TimedOut: "call",
  TooSlow: "call",
  SpendExhausted: "call",
  FellBehind: "call",
  Cancelled: "call",
  NotAccepted: "call",
  // Says itself whom it blames.
  Custom: "call"
}

const isOfTenant = (reason: PolicyReason.PolicyReason | undefined): boolean =>
  reason !== undefined && "limitOf" in reason && reason.limitOf === "tenant"

const readable = (wait: Duration.Duration | undefined): Duration.Duration | undefined =>
  wait !== undefined && Duration.toMillis(wait) <= Failure.longestWaitMillis ? wait : undefined

const blameOf = (error: AiError.AiError): Blame => {
  const reason = Failure.decided(error)
  if (reason !== undefined) {
    if (reason._tag === "Custom") return reason.blame ?? "none"
    return (reason._tag === "TimedOut" && reason.clock !== "overall") || reason._tag === "TooSlow" ? "fault" : "none"
  }
  switch (error.reason._tag) {
    case "InternalProviderError":
    case "InvalidResponseError":
      return "fault"
    case "NetworkError":
      return error.isRetryable ? "fault" : "none"
    case "QuotaExhaustedError":
    case "AuthenticationError":
      return "unusable"
    case "RateLimitError":
      return "busy"
    case "InvalidRequestError":
      return Failure.isOfMissingModel(error.reason) ? "unusable" : "none"
    // A provider that is not well and wants nobody to try again is not well.
    case "UnknownError":
      return factIn(error, "shouldRetry") === false ? "fault" : "none"
    default:
      return "none"
  }
}

// Only a rate limit has a field for the wait; what was asked for with any other error is in its metadata.
const retryAfterInMetadata = (error: AiError.AiError): Duration.Duration | undefined => {
  const asked = factIn(error, "retryAfterMillis")
  return Predicate.isNumber(asked) ? Duration.millis(asked) : undefined
}

/** What the provider said, or else a policy. */
const factIn = (error: AiError.AiError, name: "retryAfterMillis" | "shouldRetry"): unknown => {
  if (!("metadata" in error.reason)) return undefined
  const { holdfast, provider } = error.reason.metadata
  const facts: ReadonlyArray<unknown> = [provider, holdfast]
  return facts.map((each) => (Predicate.hasProperty(each, name) ? each[name] : undefined)).find(Predicate.isNotNullish)
}
