/**
 * Reads facts from the error of a model call: what a policy decided, and the headers it came with. What it means for
 * further attempts is its `Verdict`.
 */
import { Option, Predicate } from "effect"
import type { AiError } from "effect/ai"
import * as PolicyReason from "./PolicyReason.ts"
import type * as Usage from "./Usage.ts"
import * as CallError from "./CallError.ts"

/**
 * Copies the error of one member of a pool while another member is available. The copy may be retried at once, ignores
 * this member's Retry-After, and does not count against the pool.
 */
export const ofOneOfSeveral = (error: AiError.AiError): AiError.AiError => {
  const { method, module, reason } = error
  const copy = CallError.make({ module, method, reason })
  othersMayAnswer.add(copy)
  return copy
}

const othersMayAnswer = new WeakSet<AiError.AiError>()

/** Whether an error was made by {@link ofOneOfSeveral}. */
export const isOfOneOfSeveral = (error: AiError.AiError): boolean => othersMayAnswer.has(error)

/** What a provider did before its answer failed. */
export interface Work {
  /** What it says that this cost, if it says so. */
  readonly usage: Usage.Usage | undefined
}

/** Notes on an error that its provider worked on the request before. It will be billed, whatever the error says. */
export const afterWork = (error: AiError.AiError, work: Work): AiError.AiError => {
  works.set(error.reason, work)
  return error
}

/** What was noted by {@link afterWork}; `undefined` when nothing is known of any work. */
export const workBefore = (error: AiError.AiError): Work | undefined => works.get(error.reason)

const works = new WeakMap<AiError.AiErrorReason, Work>()

/** The longest time, in milliseconds, for which anybody can ask to be left alone: a day. */
export const longestWaitMillis = 24 * 60 * 60 * 1_000

/** What is wrong with the parameter `model`, of a provider that has no such model, or has it no longer. */
export const missing = "is not available"

/** Whether a provider has not the model it was made for, so that every call fails until somebody acts. */
export const isOfMissingModel = ({ constraint, parameter }: AiError.InvalidRequestError): boolean =>
  parameter === "model" && constraint === missing

/** What a policy decided, if the error is a policy's. */
export const decided = (error: AiError.AiError): PolicyReason.PolicyReason | undefined =>
  Option.getOrUndefined(PolicyReason.of(error))

/** The response headers an error came with, in lower case; those with secrets are left out. Empty when there are none. */
export const headers = (error: AiError.AiError): Readonly<Record<string, string>> => {
  const received = "http" in error.reason ? error.reason.http?.response?.headers : undefined
  return Object.fromEntries(
    Object.entries(received ?? {}).flatMap(([name, value]) =>
      Predicate.isString(value) ? [[name.toLowerCase(), value] as const] : []
    )
  )
}
