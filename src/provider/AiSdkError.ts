/**
 * Turns what an AI SDK provider throws, or puts into a stream's `error` part, into an `AiError` with the right reason.
 *
 * The reason class says whether another attempt can succeed (`isRetryable`), so it is chosen by what the provider said,
 * and by the HTTP status only where that is silent. See `docs/errors.md` for what each reason means.
 */
import { AiError } from "effect/ai"
import * as ErrorReason from "./errors/ErrorReason.ts"
import type * as Shown from "./errors/Shown.ts"
import * as WrittenStack from "./errors/WrittenStack.ts"
import * as CallError from "../core/call/CallError.ts"

/** What is known of the call that failed. */
export interface Context {
  readonly method: "generateText" | "streamText"
  /** What may show of it. Default: what does not look like a key, and harmless headers. */
  readonly shown?: Shown.Shown | undefined
}

/**
 * Classifies any failure of an AI SDK model.
 *
 * Facts stay with the reason: `http` holds status, harmless headers, and of a refusal the body (at most 4,096 characters);
 * `metadata.provider` holds `status`, `code`, `type`, `parameter`, `requestId`, `message`, `retryAfterMillis` and
 * `shouldRetry`, as far as they were said. `x-should-retry` wins over the status, never over a code that means one
 * thing only. A connection that broke, and an answer that ended before it was complete, are retryable; an answer that
 * arrived whole and makes no sense is not. An `AiError` is returned unchanged.
 */
export const toAiError = (error: unknown, { method, shown }: Context): AiError.AiError => {
  if (AiError.isAiError(error)) return error
  return WrittenStack.of(CallError.make({ module: "AiSdk", method, reason: ErrorReason.of(error, shown) }))
}
