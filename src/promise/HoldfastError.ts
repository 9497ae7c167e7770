/**
 * The one class of errors that a `Client` fails with, apart from aborts, which are the platform's, and errors of your own.
 */
import { Inspectable } from "effect"
import type { Attempt } from "../core/call/Attempt.ts"
import * as SafeText from "../core/SafeText.ts"

/**
 * What happened, for code to decide by.
 *
 * Of a model: `rate_limited`, `quota_exhausted`, `unauthorized`, `invalid_request`, `content_refused` (a filter), `invalid_answer`
 * (it cannot be read, or is not what the schema wants), `provider_failed` (it is overloaded or broke), `network`.
 *
 * Of what keeps calls within bounds: `timeout`, `queue_full`, `circuit_open` (the provider failed lately and is left alone),
 * `budget_exhausted`, `no_provider`.
 *
 * Of jobs: `timeout`, `cancelled`, `still_running` (the wait was over first; the job goes on), `not_found`, `expired` (its record or
 * result is no longer kept), `duplicate`, `queue_full`, `waits_for_itself`, `invalid_input`.
 *
 * Of both: `closed` (the client, or the job that would own this, is ending) and `unknown`.
 */
export type ErrorCode =
  | "rate_limited"
  | "quota_exhausted"
  | "unauthorized"
  | "invalid_request"
  | "content_refused"
  | "invalid_answer"
  | "provider_failed"
  | "network"
  | "timeout"
  | "queue_full"
  | "circuit_open"
  | "budget_exhausted"
  | "no_provider"
  | "cancelled"
  | "still_running"
  | "not_found"
  | "expired"
  | "duplicate"
  | "waits_for_itself"
  | "invalid_input"
  | "closed"
  | "unknown"

/** What is known of an error when it is made. */
export interface ErrorFacts {
  readonly code: ErrorCode
  /** Whether the same may succeed later. Default false. */
  readonly retryable?: boolean | undefined
  /** Milliseconds to wait before that, where somebody said so. Default: nobody did. */
  readonly retryAfter?: number | undefined
  /** The requests that were sent for a call, with the end of each. Default: none. */
  readonly attempts?: ReadonlyArray<Attempt> | undefined
  /** What it comes from. Default: nothing. */
  readonly cause?: unknown
}

/**
 * Says why a call or a job gave no result. `message`, `String`, `console.log` and `JSON.stringify` all say it.
 *
 * The first line of its stack is the message; the frames are those of whoever called the client.
 */
export class HoldfastError extends Error {
  readonly code: ErrorCode
  /** Whether the same may succeed later. */
  readonly retryable: boolean
  /** Milliseconds to wait before that, where somebody said so. */
  readonly retryAfter: number | undefined
  /** The requests that were sent for the call, with the end of each, in the order in which they ended. */
  readonly attempts: ReadonlyArray<Attempt>

  constructor(message: string, { attempts = [], cause, code, retryable = false, retryAfter }: ErrorFacts) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.retryable = retryable
    this.retryAfter = retryAfter
    this.attempts = attempts
  }

  static {
    const hidden = { configurable: true, writable: true }
    Object.defineProperty(this.prototype, "name", { value: "HoldfastError", ...hidden })
    Object.defineProperty(this.prototype, Inspectable.NodeInspectSymbol, { value: inspected, ...hidden })
  }

  /** The error as plain data. The cause is said in one line: it may hold anything. */
  toJSON(): Readonly<Record<string, unknown>> {
    const { attempts, cause, code, message, name, retryable, retryAfter } = this
    return {
      name,
      code,
      message,
      retryable,
      ...(retryAfter === undefined ? {} : { retryAfter }),
      ...(attempts.length === 0 ? {} : { attempts }),
      ...(cause === undefined ? {} : { cause: SafeText.of(cause) })
    }
  }
}

/** As Node prints errors: the stack, and then the facts. */
function inspected(
  this: HoldfastError,
  depth: number,
  options: object,
  inspect: (value: unknown, options: object) => string
): string {
  if (depth < 0) return `[${this.name}: ${this.message}]`
  const { message: _message, name: _name, ...facts } = this.toJSON()
  return `${this.stack ?? String(this)} ${inspect(facts, options)}`
}
