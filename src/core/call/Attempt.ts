/**
 * Describes one request that was sent for a call: to whom, why, how long it took and how it ended.
 */
import { Context, Schema } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "../Failure.ts"
import * as PolicyReason from "./PolicyReason.ts"

/**
 * Why an attempt was made: the call itself, or the policy that decided on one more. `continuation`: a fallback that was
 * asked to go on from the text of a stream that broke.
 */
export const Origin = Schema.Literals(["call", "retry", "hedge", "race", "fallback", "continuation", "refresh"])
export type Origin = typeof Origin.Type

/** Why the attempts of the present fiber are made. A policy that makes one more provides its own. */
export const CurrentOrigin: Context.Reference<Origin> = Context.Reference("holdfast/core/Attempt/Origin", {
  defaultValue: (): Origin => "call"
})

/** What an attempt failed with: the `_tag` of the `AiError`'s reason, and what a policy decided, if one did. */
export const Failed = Schema.TaggedStruct("Failed", {
  reason: Schema.Literals([
    "AuthenticationError",
    "ContentPolicyError",
    "InternalProviderError",
    "InvalidOutputError",
    "InvalidRequestError",
    "InvalidResponseError",
    "InvalidToolResultError",
    "InvalidUserInputError",
    "NetworkError",
    "QuotaExhaustedError",
    "RateLimitError",
    "StructuredOutputError",
    "ToolConfigurationError",
    "ToolkitRequiredError",
    "ToolNotFoundError",
    "ToolParameterValidationError",
    "ToolResultEncodingError",
    "UnknownError",
    "UnsupportedSchemaError"
  ]),
  description: Schema.String,
  retryable: Schema.Boolean,
  decided: Schema.optionalKey(PolicyReason.PolicyReason)
})

/** How an attempt ended. `Interrupted`: nobody wanted it any more; `Died`: a bug. */
export const Outcome = Schema.Union([
  Schema.TaggedStruct("Succeeded", {}),
  Failed,
  Schema.TaggedStruct("Interrupted", {}),
  Schema.TaggedStruct("Died", {})
])
export type Outcome = typeof Outcome.Type

export const Attempt = Schema.Struct({
  provider: Schema.String,
  model: Schema.String,
  origin: Origin,
  /** Milliseconds since 1970. */
  startedAtMillis: Schema.Finite,
  durationMillis: Schema.Finite,
  /** From its start to the first content, of a stream that brought any. */
  firstContentMillis: Schema.optionalKey(Schema.Finite),
  outcome: Outcome
})
export type Attempt = typeof Attempt.Type

/** Says as data what an error was. */
export const failed = (error: AiError.AiError): Outcome => {
  const decided = Failure.decided(error)
  return {
    _tag: "Failed",
    reason: error.reason._tag,
    description: error.reason.message,
    retryable: error.isRetryable,
    ...(decided === undefined ? {} : { decided })
  }
}
