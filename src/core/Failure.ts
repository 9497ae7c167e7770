/**
 * Reads from the error of a model call what policies decide by: whether to try again, when, and whose fault it was.
 */
import { Duration, Option, Predicate } from "effect"
import { AiError } from "effect/ai"
import * as PolicyReason from "./call/PolicyReason.ts"

/** What to know of an error to decide on another attempt. */
export interface Failure {
  readonly retryable: boolean
  /** The wait the other side asked for. */
  readonly retryAfter: Duration.Duration | undefined
}

/** Reads both from an `AiError`; also the waits that providers ask for with errors that are not rate limits. */
export const describe = (error: AiError.AiError): Failure =>
  othersMayAnswer.has(error)
    ? { retryable: true, retryAfter: undefined }
    : { retryable: error.isRetryable, retryAfter: error.retryAfter ?? retryAfterInMetadata(error) }

/**
 * Copies an error of one of several providers which stand for one, when another of them is there to be asked: to try again
 * is worth while, at once, whatever this one asked for, and nothing is said about all of them.
 */
export const ofOneOfSeveral = (error: AiError.AiError): AiError.AiError => {
  const { method, module, reason } = error
  const copy = AiError.make({ module, method, reason })
  othersMayAnswer.add(copy)
  return copy
}

const othersMayAnswer = new WeakSet<AiError.AiError>()

// Only a rate limit has a field for the wait; what was asked for with any other error is in its metadata.
const retryAfterInMetadata = (error: AiError.AiError): Duration.Duration | undefined => {
  if (!("metadata" in error.reason)) return undefined
  const { holdfast, provider } = error.reason.metadata
  const millis = [provider, holdfast].map((facts) =>
    Predicate.hasProperty(facts, "retryAfterMillis") ? facts.retryAfterMillis : undefined
  )
  const asked = millis.find(Predicate.isNumber)
  return asked === undefined ? undefined : Duration.millis(asked)
}

/** The longest time, in milliseconds, for which anybody can ask to be left alone: a day. More is taken for a mistake. */
export const longestWaitMillis = 24 * 60 * 60 * 1_000

/** What a policy decided, if the error is a policy's. */
export const decided = (error: AiError.AiError): PolicyReason.PolicyReason | undefined =>
  Option.getOrUndefined(PolicyReason.of(error))

/**
 * What a failure says about who was asked.
 *
 * - `fault`: it is unwell: overloaded, broken, unreachable, silent or talking nonsense.
 * - `unusable`: it refuses every call until somebody acts: quota, billing, credentials.
 * - `busy`: it is well and asks for less: a rate limit.
 * - `none`: the request's doing, or ours: says nothing about it.
 */
export type Blame = "fault" | "unusable" | "busy" | "none"

/** Says what an error tells about the provider. What a policy decided itself is nobody's fault but a time limit's. */
export const blame = (error: AiError.AiError): Blame => {
  if (othersMayAnswer.has(error)) return "none"
  const reason = decided(error)
  if (reason !== undefined) {
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
    default:
      return "none"
  }
}

/** The response headers an error came with, in lower case; those with secrets are left out. Empty when there are none. */
export const headers = (error: AiError.AiError): Readonly<Record<string, string>> => {
  const received = "http" in error.reason ? error.reason.http?.response?.headers : undefined
  return Object.fromEntries(
    Object.entries(received ?? {}).flatMap(([name, value]) =>
      Predicate.isString(value) ? [[name.toLowerCase(), value] as const] : []
    )
  )
}
