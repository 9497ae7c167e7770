export * as Bulkhead from "./Bulkhead.ts"
export * as Retry from "./Retry.ts"
export * as RetryBudget from "./RetryBudget.ts"
export * as Timeout from "./Timeout.ts"
