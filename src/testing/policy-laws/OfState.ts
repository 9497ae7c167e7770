/**
 * The promises about what stays: nothing hangs, nothing is kept, nothing breaks.
 */
import { AiError } from "effect/ai"
import * as Failure from "../../core/call/Failure.ts"
import type { PolicyHealth } from "../../core/call/PolicyHealth.ts"
import * as CircuitBreaker from "../../policy/CircuitBreaker.ts"
import * as RateLimit from "../../policy/RateLimit.ts"
import * as ResponseCache from "../../policy/ResponseCache.ts"
import type { Allows, Law } from "./Law.ts"
import type { CallSeen, Left } from "./Trace.ts"

/**
 * Long after the last call everything is as it was: no fiber, timer, attempt, permit or waiter is left, no map has
 * grown, and calls go through.
 */
export const stateIsBounded: Law = {
  name: "stateIsBounded",
  breaches: ({ closed, ending, isLate, probes, settled }, allows) =>
    ending !== "success"
      ? []
      : [
          ...leftovers("long after the last call", settled),
          ...leftovers("after the stack was closed", closed),
          ...settled.health.flatMap((health) => heldBy(health, allows)),
          // On a busy machine a probe may be given up before it was begun.
          ...(isLate ? [] : probes.flatMap(notAnswered))
        ]
}

const leftovers = (when: string, left: Left): ReadonlyArray<string> =>
  (["fibers", "sleepers", "attempts"] as const).flatMap((what) =>
    left[what] === 0 ? [] : [`${when} ${left[what]} ${what} were left`]
  )

/** What Holdfast's own policies keep where their options say nothing, and one key more for those for whom there is no room. */
const usual: Readonly<Record<string, number>> = {
  CircuitBreaker: CircuitBreaker.defaults.maxKeys + 1,
  RateLimit: RateLimit.defaults.maxKeys + 1,
  ResponseCache: ResponseCache.defaults.capacity,
  SpendBudget: 100_001
}

const heldBy = (health: PolicyHealth, { keys: allowed }: Allows): ReadonlyArray<string> => {
  const most = allowed?.[health._tag] ?? usual[health._tag] ?? 1_000
  const held = { inFlight: 0, waiting: 0, ...health }
  const busy = (["inFlight", "waiting"] as const).flatMap((what) =>
    held[what] === 0 ? [] : [`${health._tag} still had ${held[what]} ${what}`]
  )
  const keys: ReadonlyArray<object> = "circuits" in health ? health.circuits : "keys" in health ? health.keys : []
  const kept = "entries" in health ? health.entries : keys.length
  const lines = health._tag === "RateLimit" ? health.keys.filter((key) => key.waiting > 0) : []
  const ofPool = "providers" in health ? health.providers.filter(({ inFlight }) => inFlight > 0) : []
  return [
    ...busy,
    ...ofPool.map(({ inFlight, name }) => `${health._tag} still had ${inFlight} calls of ${name}`),
    ...lines.map(({ key, waiting }) => `${health._tag} still had ${waiting} calls waiting for ${key}`),
    ...(kept > most ? [`${health._tag} kept ${kept} keys, ${most} are allowed`] : [])
  ]
}

const notAnswered = ({ ended, error, number }: CallSeen): ReadonlyArray<string> => {
  const isSpent = AiError.isAiError(error) && Failure.decided(error)?._tag === "SpendExhausted"
  return ended === "succeeded" || isSpent
    ? []
    : [`call ${number}, of a model that is well again, ${ended}: ${String(error)}`]
}

/** Each call ends, by itself when no model keeps it waiting, with an answer or an `AiError`. */
export const everyCallEnds: Law = {
  name: "everyCallEnds",
  breaches: (trace) => [
    ...(trace.ending === "success" ? [] : [`the run ended as ${trace.ending}`]),
    ...trace.calls.flatMap((call) => {
      const { ended, endMillis, error, number } = call
      switch (ended) {
        case "never":
          return trace.isLate ||
            trace.attempts.some((attempt) => attempt.ended === "interrupted" && attempt.endMillis >= endMillis)
            ? []
            : [`call ${number} waited for ever, and no model kept it waiting`]
        case "died":
          return trace.attempts.some((attempt) => attempt.ended === "died")
            ? []
            : [`call ${number} died: ${inWords(error)}`]
        case "failed":
          return AiError.isAiError(error) ? [] : [`call ${number} failed with ${inWords(error)}`]
        default:
          return []
      }
    })
  ]
}

const inWords = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error))
