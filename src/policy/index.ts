/**
 * Policy: how one call is kept within bounds. One file for each policy, its inside in a folder of its name.
 *
 * Policies share `gate/` (waiting for a place), `racing/` (attempts beside each other) and `store/` (a store of several processes
 * that may be silent). A limit that counts something else is a dimension of `rate-limit/`. A header that tells a limit is named in
 * `core/call/LimitHeaders.ts`, and its value is read in `rate-limit/Headers.ts`; that of a wait in `provider/RetryAfter.ts`.
 *
 * What policies share with providers is core's: what an error means, with the wait it asks for (`core/call/Verdict.ts`), and
 * what a policy decides and shows (`Decision`, `PolicyReason`, `PolicyHealth`). A new policy says it with their `Custom` members.
 *
 * What every policy promises is a law in `testing/policy-laws/`; `testing/policy-laws/Kinds.ts` names each policy.
 */
export * as AdaptiveLimit from "./AdaptiveLimit.ts"
export * as Bulkhead from "./Bulkhead.ts"
export * as CircuitBreaker from "./CircuitBreaker.ts"
export * as Degrade from "./Degrade.ts"
export * as Fallback from "./Fallback.ts"
export * as Hedge from "./Hedge.ts"
export * as Pipeline from "./Pipeline.ts"
export * as Race from "./Race.ts"
export * as RateLimit from "./RateLimit.ts"
export * as Repair from "./Repair.ts"
export * as ResponseCache from "./ResponseCache.ts"
export * as Retry from "./Retry.ts"
export * as RetryBudget from "./RetryBudget.ts"
export * as SingleFlight from "./SingleFlight.ts"
export * as SpendBudget from "./SpendBudget.ts"
export * as Timeout from "./Timeout.ts"
