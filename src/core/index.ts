export type * as JobEvent from "./JobEvent.ts"
export * as PolicyReason from "./PolicyReason.ts"
export * as Usage from "./Usage.ts"
