/**
 * Describes one request that was sent for a call: to whom, why, how long it took and how it ended.
 */
import { Context, Schema } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "./Failure.ts"
import * as PolicyReason from "./PolicyReason.ts"
import * as Usage from "./Usage.ts"

/**
 * Why an attempt was made: the call itself, or the policy that decided on one more. `continuation`: a fallback that was
 * asked to go on from the text of a stream that broke. `repair`: the model was told what was wrong with its answer. `custom:NAME`: the policy of that name, which has no word of its
 * own here: an application's, or a new one.
 */
export const Origin = Schema.Union([
  Schema.Literals(["call", "retry", "repair", "hedge", "race", "fallback", "continuation", "refresh"]),
  Schema.TemplateLiteral(["custom:", Schema.String])
])
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

const begun = {
  /** 1 for the attempt of the call that began first, then 2, 3, … */
  number: Schema.Int,
  provider: Schema.String,
  model: Schema.String,
  origin: Origin,
  /** Milliseconds since 1970. */
  startedAtMillis: Schema.Finite,
  /** From its start to the first content, of a stream that brought any. */
  firstContentMillis: Schema.optionalKey(Schema.Finite)
}

/** An attempt that has not ended. */
export const InFlight = Schema.Struct(begun)
export type InFlight = typeof InFlight.Type

export const Attempt = Schema.Struct({
  ...begun,
  durationMillis: Schema.Finite,
  outcome: Outcome,
  /** The tokens it used, where the provider said so. */
  usage: Schema.optionalKey(Usage.Usage)
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
