/**
 * Collects how the policies of a model are: each one registers once how to look at its state.
 */
import { Context, Effect } from "effect"
import type { Facts } from "./PolicyReason.ts"

interface Base<Tag extends string> {
  readonly _tag: Tag
  /** From 100, nothing hinders calls here, to 0, nothing passes. */
  readonly score: number
}

/** A circuit breaker, with the keys it has seen lately. */
export interface BreakerHealth extends Base<"CircuitBreaker"> {
  readonly circuits: ReadonlyArray<{
    readonly key: string
    readonly state: "closed" | "open" | "halfOpen"
    /** Successes among the calls that said something about the provider, 0 to 1; 1 when there were none. */
    readonly successRatio: number
    /** Until an open circuit lets a call through. */
    readonly retryAfterMillis: number | undefined
    readonly score: number
  }>
}

/** A rate limiter, with the keys it has seen lately. */
export interface RateLimitHealth extends Base<"RateLimit"> {
  /** False while the shared store does not answer, undefined where the limits are not shared. */
  readonly storeAvailable: boolean | undefined
  readonly keys: ReadonlyArray<{
    readonly key: string
    readonly waiting: number
    /** For how long nothing goes, because the provider asked to wait. */
    readonly pausedMillis: number
    readonly limits: ReadonlyArray<{
      readonly dimension: "requests" | "tokens" | "inputTokens" | "outputTokens"
      readonly limit: number
      readonly windowMillis: number
      readonly available: number
      /** Whether it was told by the provider, or given as an option. */
      readonly learned: boolean
      /** Until what was told is forgotten, if it is not told again; none of what was given. */
      readonly expiresInMillis: number | undefined
      /** Whether so little was told that a call goes every five minutes all the same. */
      readonly clamped: boolean
    }>
    /** Headers of the last response that cannot be meant, and were not read: `ratelimit-policy: 1;w=31536000`. */
    readonly unreadable: ReadonlyArray<string>
  }>
}

/** A limit of calls in flight that learns. */
export interface AdaptiveLimitHealth extends Base<"AdaptiveLimit"> {
  readonly limit: number
  readonly inFlight: number
  readonly waiting: number
}

/** A limit of calls in flight that is given. */
export interface BulkheadHealth extends Base<"Bulkhead"> {
  readonly concurrency: number
  readonly inFlight: number
  readonly waiting: number
  readonly maxWaiting: number
}

/** A cache of answers. */
export interface CacheHealth extends Base<"ResponseCache"> {
  readonly entries: number
  readonly hits: number
  readonly staleHits: number
  readonly misses: number
  /** False while the shared store does not answer. */
  readonly storeAvailable: boolean
}

/** Calls that share one request. */
export interface FlightHealth extends Base<"SingleFlight"> {
  /** Requests under way. */
  readonly inFlight: number
  /** Calls that shared another's request, since the start. */
  readonly joined: number
}

/** The budget of retries and hedges. */
export interface RetryBudgetHealth extends Base<"RetryBudget"> {
  readonly keys: ReadonlyArray<{ readonly key: string; readonly calls: number; readonly extra: number }>
}

/** Second attempts. */
export interface HedgeHealth extends Base<"Hedge"> {
  /** Until a second attempt is due: of streams, or of answers if it saw more of them. None while it is being learned. */
  readonly delayMillis: number | undefined
  readonly calls: number
  readonly hedged: number
  readonly won: number
}

/** Tokens and money. */
export interface SpendHealth extends Base<"SpendBudget"> {
  readonly keys: ReadonlyArray<{
    readonly key: string
    readonly tokens: number
    readonly money: number
    readonly resetsInMillis: number
  }>
}

/** A pool of providers. */
export interface PoolHealth extends Base<"ProviderPool"> {
  readonly providers: ReadonlyArray<{
    readonly name: string
    readonly usable: boolean
    readonly successRatio: number
    readonly latencyMillis: number | undefined
    readonly inFlight: number
    readonly score: number
  }>
}

/** A policy that has no health of its own here: an application's, or a new one. */
export interface CustomHealth extends Base<"Custom"> {
  /** The policy's name. */
  readonly policy: string
  readonly facts: Facts
}

export type PolicyHealth =
  | BreakerHealth
  | RateLimitHealth
  | AdaptiveLimitHealth
  | BulkheadHealth
  | CacheHealth
  | FlightHealth
  | RetryBudgetHealth
  | HedgeHealth
  | SpendHealth
  | PoolHealth
  | CustomHealth

/** Where policies register while a model is built. */
export const Registry = Context.Reference<Array<Effect.Effect<PolicyHealth>> | undefined>(
  "holdfast/core/PolicyHealth",
  { defaultValue: () => undefined }
)

/**
 * Makes a policy's state part of its model's health. Call it where the policy makes its state; state that several of the
 * model's providers share is registered once, by the same `read`.
 */
export const register = (read: Effect.Effect<PolicyHealth>): Effect.Effect<void> =>
  Effect.map(Registry, (registry) => {
    if (registry?.includes(read) === false) registry.push(read)
  })
