export * as Bulkhead from "./Bulkhead.ts"
export * as Retry from "./Retry.ts"
export * as Timeout from "./Timeout.ts"
