/**
 * What a law of policies is, and what it may know of the stack it judges.
 */
import { Duration } from "effect"
import type { Trace } from "./Trace.ts"

/**
 * What the options of a stack allow. What is not given is not held against it, or read from what the policies say of
 * themselves.
 */
export interface Allows {
  /** Attempts of one call. Default: as many as the policies contribute to the call's `RetryBudget`. */
  readonly attempts?: number | undefined
  /** How long a whole call may take. */
  readonly overall?: Duration.Input | undefined
  /** How long one attempt at the first model may take that is not streamed. */
  readonly attempt?: Duration.Input | undefined
  /** How long the first model may say nothing while somebody waits for its next content. */
  readonly silence?: Duration.Input | undefined
  /** What a stream of the first model must bring each second once its content has begun, as `Timeout.perAttempt` says. */
  readonly tokensPerSecond?: number | undefined
  /** Retries and hedges of the first model: so many, or a share of the calls where that is more. */
  readonly retries?: { readonly reserve: number; readonly ratio: number } | undefined
  /** Whether all attempts at the first model pass one rate limit, which nothing passes while the model asks to wait. */
  readonly paced?: boolean | undefined
  /** How often attempts at the first model may begin: all of these hold. */
  readonly rates?: ReadonlyArray<Rate> | undefined
  /** Whether a store may still be asked or told for a call that has ended, without anybody waiting for it. */
  readonly tellsBehind?: boolean | undefined
  /** Whether closing waits for a store only so long, and leaves the rest to end by itself. */
  readonly closesBehind?: boolean | undefined
  /**
   * Calls that are under way at the first model at the same time: never more, and so many where so many are made of a model
   * that is well. A number says both.
   */
  readonly concurrency?: number | Concurrency | undefined
  /** What holds at every model that is asked, and for all of them together. */
  readonly everywhere?: Everywhere | undefined
  /** Keys that policies may keep, by their `_tag` in `PolicyHealth`. Default: as many as Holdfast's own keep, or 1,000. */
  readonly keys?: Readonly<Record<string, number>> | undefined
}

export interface Concurrency {
  readonly atMost?: number | undefined
  readonly atLeast?: number | undefined
}

/** What holds at every model that is asked, and not only at the first. */
export interface Everywhere {
  /** Attempts at one model at a time. */
  readonly concurrency?: number | undefined
  /** Milliseconds that one attempt may take that is not streamed. */
  readonly attempt?: number | undefined
  /** How often attempts at one model may begin. */
  readonly perModel?: Rate | undefined
  /** How often attempts for one tenant may begin, at all models together. */
  readonly perTenant?: Rate | undefined
  /** Tokens that one tenant may spend at all models together: none is begun when they are spent. */
  readonly tokens?: number | undefined
}

/** So many at once, and so many a millisecond. */
export interface Rate {
  readonly burst: number
  readonly perMilli: number
  /** Whether attempts that failed do not count. */
  readonly ofAnswers?: boolean | undefined
  /** Whether each tenant has so many for itself. */
  readonly perTenant?: boolean | undefined
}

/** A promise of policies. */
export interface Law {
  readonly name: string
  /** Says what was wrong in a run, one sentence for each breach. */
  readonly breaches: (trace: Trace, allows: Allows) => ReadonlyArray<string>
}

/** How many calls may be under way, and how many have to be; where nothing is said, any number. */
export const bounds = (allowed: Allows["concurrency"] = {}): { readonly atLeast: number; readonly atMost: number } => {
  const { atLeast = 0, atMost = Infinity } =
    typeof allowed === "number" ? { atLeast: allowed, atMost: allowed } : allowed
  return { atLeast, atMost }
}

/** What is allowed, in milliseconds; `Infinity` when nothing is said. */
export const millis = (allowed: Duration.Input | undefined): number =>
  allowed === undefined ? Infinity : Duration.toMillis(allowed)
