/**
 * Reads what a store says of a circuit, and takes nothing for it that no process can have put there.
 */
import { Duration, Option, Predicate } from "effect"
import type { CircuitBreaker } from "effect/persistence"

/** Lets a call through. */
export type Admission = Pick<CircuitBreaker.Admission, "generation" | "probe" | "consecutiveOpenings">

/** Turns a call away: nobody may pass for a while, or until the call that probes has ended. */
export type Rejection =
  | { readonly _tag: "CircuitOpen"; readonly retryAfter: Duration.Duration }
  | { readonly _tag: "CircuitHalfOpen" }

/** Where a circuit went. */
export type Move =
  | { readonly to: "Open"; readonly retryAfter: Duration.Duration }
  | { readonly to: "HalfOpen" | "Closed" }

/** Reads what a call was admitted with. */
export const admission = (answer: unknown): Option.Option<Admission> => {
  if (!Predicate.isObject(answer)) return Option.none()
  const { consecutiveOpenings, generation, probe } = answer
  return isCount(generation) && isCount(consecutiveOpenings) && Predicate.isBoolean(probe)
    ? Option.some({ consecutiveOpenings, generation, probe })
    : Option.none()
}

/** Reads what an outcome made of a circuit; `undefined`: it stayed as it was. */
export const move = (answer: unknown, longestMillis: number): Option.Option<Move | undefined> => {
  if (answer === undefined) return Option.some(undefined)
  if (!Predicate.isObject(answer)) return Option.none()
  const { retryAfter, to } = answer
  if (to === "Closed" || to === "HalfOpen") return Option.some({ to })
  return to === "Open" && isUpTo(retryAfter, longestMillis) ? Option.some({ to, retryAfter }) : Option.none()
}

/** What a question failed with, where that is an answer and not a fault of the store. */
export const rejectionIn = (error: unknown): unknown => {
  const reason = Predicate.hasProperty(error, "reason") ? error.reason : undefined
  return Predicate.isTagged(reason, "CircuitOpen") || Predicate.isTagged(reason, "CircuitHalfOpen") ? reason : undefined
}

/** Reads why a call was turned away. */
export const rejection = (answer: unknown, longestMillis: number): Option.Option<Rejection> => {
  if (Predicate.isTagged(answer, "CircuitHalfOpen")) return Option.some({ _tag: "CircuitHalfOpen" })
  if (!Predicate.isTagged(answer, "CircuitOpen") || !Predicate.hasProperty(answer, "retryAfter")) return Option.none()
  const { retryAfter } = answer
  return isUpTo(retryAfter, longestMillis) ? Option.some({ _tag: "CircuitOpen", retryAfter }) : Option.none()
}

const isUpTo = (value: unknown, longestMillis: number): value is Duration.Duration =>
  Duration.isDuration(value) && Duration.toMillis(value) >= 0 && Duration.toMillis(value) <= longestMillis

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
