/**
 * Tells everything inside of a provider for how long it may make a call wait while another provider is there to be asked.
 *
 * `Fallback` gives it to every provider of its line but the last. Waiting beats asking the next only for a moment: back-offs
 * and queues further in that would last longer give up with their error, and the next one is asked. It counts from when
 * the provider was asked, so one whose attempt took longer and failed is not tried again either. A call that nobody else
 * can answer has none, and waits as long as its time allows.
 */
import { Clock, Context, type Fiber } from "effect"
import type { AiError } from "effect/ai"
import * as Monotonic from "../Monotonic.ts"
import * as AttemptAllowance from "./AttemptAllowance.ts"

export interface Patience {
  /** When it ends, in milliseconds of `Monotonic`'s time. */
  readonly until: number
  /** Whether somebody else is asked after this error. To give up with another one would only lose the call. */
  readonly isNext: (error: AiError.AiError) => boolean
  /** That of the line in which this one stands. */
  readonly outer: Patience | undefined
}

/** The patience with the provider that is being asked. None for the last in line, and where there is no line. */
export const Current = Context.Reference<Patience | undefined>("holdfast/core/Patience", {
  defaultValue: () => undefined
})

/**
 * The milliseconds for which the call of a fiber may still be kept waiting, if giving up would be with this error; at least
 * 0. `Infinity` where nobody would be asked after it, and where the call may make no further attempt.
 */
export const leftMillis = (fiber: Fiber.Fiber<unknown, unknown>, error: AiError.AiError): number => {
  let until = Infinity
  for (let each = fiber.getRef(Current); each !== undefined; each = each.outer) {
    if (each.until < until && each.isNext(error)) until = each.until
  }
  if (until === Infinity || fiber.getRef(AttemptAllowance.Current)?.hasMore === false) return Infinity
  return Math.max(0, until - Monotonic.millisUnsafe(fiber.getRef(Clock.Clock)))
}

/** The same patience, beginning so much later: for a wait that is not this provider's doing. */
export const later =
  (millis: number) =>
  (patience: Patience | undefined): Patience | undefined =>
    patience && { ...patience, until: patience.until + millis, outer: later(millis)(patience.outer) }
