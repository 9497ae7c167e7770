/**
 * Model: a provider, its policies and the supervisor together, as a `LanguageModel` of `effect/ai`.
 *
 * `Model.ts` builds it once, `model/Call.ts` makes each call a job and puts its trail on what comes of it. What is done to a call is a
 * policy (`policy/`), how it is sent is a provider's (`provider/`), and what a call carries is `core/call/CallContext.ts`.
 */
export * as CacheUpkeep from "./CacheUpkeep.ts"
export * as Model from "./Model.ts"
