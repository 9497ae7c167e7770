/**
 * Names, in past tense, what policies decide about a call on its way, apart from ending it.
 */
import { Schema } from "effect"
import * as PolicyReason from "./PolicyReason.ts"

/** A failed attempt is to be followed by another after `waitMillis`. */
export const RetryScheduled = Schema.TaggedStruct("RetryScheduled", {
  /** 1 for the first retry. */
  retry: Schema.Int,
  waitMillis: Schema.Finite
})

/** What could have been tried again was not. `patience`: the next provider in line was asked instead. */
export const RetryRefused = Schema.TaggedStruct("RetryRefused", {
  why: Schema.Literals(["times", "budget", "retryAfterTooLong", "deadline", "patience"])
})

/** An answer could not be read, and the model is asked again, with that answer and what is wrong with it. */
export const RepairRequested = Schema.TaggedStruct("RepairRequested", {
  /** 1 for the first time. */
  repair: Schema.Int
})

/**
 * An answer could not be read, and the model was not asked again. `cut`: it was ended by its length or a filter; `tools`: it
 * calls tools, whose results the model waits for.
 */
export const RepairRefused = Schema.TaggedStruct("RepairRefused", {
  why: Schema.Literals(["times", "budget", "deadline", "cut", "tools"])
})

/**
 * An attempt was not sent, because the provider had told the call not to: for `forMillis` more, or for good where that is
 * left out.
 */
export const AttemptWithheld = Schema.TaggedStruct("AttemptWithheld", {
  provider: Schema.String,
  model: Schema.String,
  forMillis: Schema.optionalKey(Schema.Finite)
})

/** A call waited for its turn. */
export const Waited = Schema.TaggedStruct("Waited", {
  policy: Schema.String,
  millis: Schema.Finite
})

/** A failure opened the circuit of a key. */
export const CircuitOpened = Schema.TaggedStruct("CircuitOpened", { key: Schema.String, forMillis: Schema.Finite })

/** A call was let through to see whether a key works again. */
export const CircuitProbed = Schema.TaggedStruct("CircuitProbed", { key: Schema.String })

/** A key works again. */
export const CircuitClosed = Schema.TaggedStruct("CircuitClosed", { key: Schema.String })

/** The answer came from a cache. `stale`: its time to live had passed, and it is being refreshed. */
export const CacheHit = Schema.TaggedStruct("CacheHit", {
  tier: Schema.Literals(["memory", "shared"]),
  ageMillis: Schema.Finite,
  stale: Schema.Boolean
})

/** The cache did not have the answer. */
export const CacheMissed = Schema.TaggedStruct("CacheMissed", {})

/** The cache could not be asked in time. */
export const CacheUnavailable = Schema.TaggedStruct("CacheUnavailable", {})

/** An identical call was under way, and its answer was shared. */
export const FlightJoined = Schema.TaggedStruct("FlightJoined", {})

/** A second attempt was started while the first was still waiting. */
export const HedgeStarted = Schema.TaggedStruct("HedgeStarted", { afterMillis: Schema.Finite })

/** A second attempt would have been due and was not made. */
export const HedgeRefused = Schema.TaggedStruct("HedgeRefused", {
  why: Schema.Literals(["share", "budget", "circuitOpen", "circuitHalfOpen", "saturated", "deadline"])
})

/** Several attempts were under way, and this provider's answer was taken. */
export const AttemptWon = Schema.TaggedStruct("AttemptWon", {
  policy: Schema.String,
  provider: Schema.String,
  model: Schema.String
})

/** A call went on to the next provider. `midStream`: what was done about the content already passed on. */
export const FellBack = Schema.TaggedStruct("FellBack", {
  from: Schema.String,
  to: Schema.String,
  midStream: Schema.optionalKey(Schema.Literals(["restarted", "continued"]))
})

/** A pool chose a provider. */
export const ProviderChosen = Schema.TaggedStruct("ProviderChosen", { name: Schema.String })

/** A pool stopped using a provider for a while, or uses it again. */
export const ProviderEjected = Schema.TaggedStruct("ProviderEjected", { name: Schema.String, forMillis: Schema.Finite })
export const ProviderReturned = Schema.TaggedStruct("ProviderReturned", { name: Schema.String })

/** Everything failed, and the fallback answer was given. */
export const Degraded = Schema.TaggedStruct("Degraded", {})

/** What a call spent was booked. `estimated`: it ended before it said what it used. */
export const SpendRecorded = Schema.TaggedStruct("SpendRecorded", {
  tokens: Schema.Finite,
  money: Schema.Finite,
  estimated: Schema.Boolean
})

/** What a policy that has no decision of its own here decided: an application's, or a new one. */
export const Custom = Schema.TaggedStruct("Custom", {
  /** The policy's name. */
  policy: Schema.String,
  /** The attempt that it concerns: the one that ended `last`, or the `next` to be sent. Default: the call as a whole. */
  attempt: Schema.optionalKey(Schema.Literals(["last", "next"])),
  facts: PolicyReason.Facts
})

export const Decision = Schema.Union([
  // What ended an attempt, or the whole call, by its time.
  PolicyReason.TimedOut,
  PolicyReason.TooSlow,
  RetryScheduled,
  RetryRefused,
  RepairRequested,
  RepairRefused,
  AttemptWithheld,
  Waited,
  CircuitOpened,
  CircuitProbed,
  CircuitClosed,
  CacheHit,
  CacheMissed,
  CacheUnavailable,
  FlightJoined,
  HedgeStarted,
  HedgeRefused,
  AttemptWon,
  FellBack,
  ProviderChosen,
  ProviderEjected,
  ProviderReturned,
  Degraded,
  SpendRecorded,
  Custom
])
export type Decision = typeof Decision.Type
