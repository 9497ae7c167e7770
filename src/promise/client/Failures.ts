/**
 * Makes of whatever an Effect failed with the error that its caller sees.
 */
import { Cause, Duration, Option } from "effect"
import { AiError } from "effect/ai"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import * as Verdict from "../../core/call/Verdict.ts"
import { JobError } from "../../supervisor/JobError.ts"
import { type ErrorCode, HoldfastError } from "../HoldfastError.ts"

/** Where a client was called: an object whose stack has the caller's frames. */
export interface Frames {
  readonly stack?: string
}

/** Takes down where the caller of `door` stands. The text of a stack is made only when somebody asks for it. */
export const framesOf = (door: (...args: ReadonlyArray<never>) => unknown): Frames => {
  const frames: Frames = {}
  Error.captureStackTrace(frames, door)
  return frames
}

/** The error that a caller sees. What is not ours is the caller's own, and stays as it is. */
export const shown = (error: unknown, frames: Frames): unknown => {
  if (isOne(AiError.isAiError, error)) return at(ofCall(error), frames)
  if (isOne(isJobError, error)) return at(ofJob(error), frames)
  return error
}

const isJobError = (error: unknown): error is JobError => error instanceof JobError

/** Whether it is one, of values that may not let themselves be looked at: those are none of ours. */
const isOne = <A>(is: (value: unknown) => value is A, value: unknown): value is A => {
  try {
    return is(value)
  } catch {
    return false
  }
}

/** The error of a cause: what failed, or was a bug; an interruption that nobody asked for is the end of the client. */
export const ofCause = (cause: Cause.Cause<unknown>, frames: Frames): unknown =>
  Cause.hasInterruptsOnly(cause) ? at(closed(), frames) : shown(Cause.squash(cause), frames)

// The cause is an abort: a job that hears of it before its own abort, as they end in one step, does not fail by it.
const closed = (): HoldfastError =>
  new HoldfastError("the client is closed", {
    code: "closed",
    cause: new DOMException("the client was closed", "AbortError")
  })

/** Has an error point to whoever called the client. */
export const at = <E extends Error>(error: E, { stack = "" }: Frames): E => {
  const lines = stack.indexOf("\n    at ")
  const title = `${error.name}: ${error.message}`
  Object.defineProperty(error, "stack", {
    value: lines < 0 ? title : title + stack.slice(lines),
    configurable: true,
    writable: true
  })
  return error
}

/** The error with which a platform ends what its signal aborts: the signal's own reason where that is an error. */
export const aborted = ({ reason }: AbortSignal): unknown =>
  isOne(isError, reason)
    ? reason
    : Object.assign(new DOMException("This operation was aborted", "AbortError"), { cause: reason })

const isError = (reason: unknown): reason is Error => reason instanceof Error

const ofCall = (error: AiError.AiError): HoldfastError => {
  const trail = Option.getOrUndefined(CallTrail.ofError(error))
  const attempts = trail?.attempts ?? []
  const decided = Option.getOrUndefined(PolicyReason.of(error))
  const { retryAfter } = Verdict.of(error)
  return new HoldfastError(attempts.length > 1 ? `${error.message} (${attempts.length} attempts)` : error.message, {
    code: decided === undefined ? codeOfAnswer[error.reason._tag] : codeOfDecision[decided._tag],
    retryable: error.isRetryable,
    retryAfter: retryAfter === undefined ? waitOf(decided) : Duration.toMillis(retryAfter),
    attempts,
    cause: error
  })
}

const waitOf = (decided: PolicyReason.PolicyReason | undefined): number | undefined =>
  decided !== undefined && "retryAfterMillis" in decided ? decided.retryAfterMillis : undefined

const ofJob = (error: JobError): HoldfastError =>
  new HoldfastError(error.message, {
    code: codeOfJob[error.reason._tag],
    retryable: error.reason._tag === "QueueFull" || error.reason._tag === "StillRunning",
    cause: error
  })

const codeOfAnswer: { readonly [Tag in AiError.AiErrorReason["_tag"]]: ErrorCode } = {
  AuthenticationError: "unauthorized",
  ContentPolicyError: "content_refused",
  InternalProviderError: "provider_failed",
  InvalidOutputError: "invalid_answer",
  InvalidRequestError: "invalid_request",
  InvalidResponseError: "invalid_answer",
  InvalidToolResultError: "invalid_request",
  InvalidUserInputError: "invalid_request",
  NetworkError: "network",
  QuotaExhaustedError: "quota_exhausted",
  RateLimitError: "rate_limited",
  StructuredOutputError: "invalid_answer",
  ToolConfigurationError: "invalid_request",
  ToolkitRequiredError: "invalid_request",
  ToolNotFoundError: "invalid_answer",
  ToolParameterValidationError: "invalid_answer",
  ToolResultEncodingError: "invalid_request",
  UnknownError: "unknown",
  UnsupportedSchemaError: "invalid_request"
}

const codeOfDecision: { readonly [Tag in PolicyReason.PolicyReason["_tag"]]: ErrorCode } = {
  TimedOut: "timeout",
  TooSlow: "timeout",
  DeadlineTooNear: "timeout",
  QueueFull: "queue_full",
  CircuitOpen: "circuit_open",
  RateLimited: "rate_limited",
  LargerThanLimit: "invalid_request",
  SpendExhausted: "budget_exhausted",
  NoProvider: "no_provider",
  NotAcceptable: "invalid_answer",
  FellBehind: "provider_failed",
  Cancelled: "cancelled",
  NotAccepted: "closed",
  Custom: "unknown"
}

const codeOfJob: { readonly [Tag in JobError["reason"]["_tag"]]: ErrorCode } = {
  TimedOut: "timeout",
  Cancelled: "cancelled",
  StillRunning: "still_running",
  WaitsForItself: "waits_for_itself",
  NotFound: "not_found",
  Expired: "expired",
  DuplicateId: "duplicate",
  QueueFull: "queue_full",
  NotAccepting: "closed",
  TooManyPaused: "queue_full",
  ForeignHandle: "not_found"
}
