/**
 * Core: the words that all other folders are written in. It has no services, no input and no output.
 *
 * `call/` has the provider seam and what a call carries, `stream/` the grammar of an answer in parts, `queue/` who goes next,
 * `window/` counts over the last moments. What an error means for everybody who decides by it is `call/Verdict.ts`, which header
 * tells a limit or a wait `call/LimitHeaders.ts`. Directly here is what any folder uses: options, clocks, texts of errors, events.
 *
 * What headers say of limits is read in `policy/`, what a job's status says is in `supervisor/`, promises about all of these are
 * laws in `testing/`.
 */
export * as Attempt from "./call/Attempt.ts"
export * as AttemptAllowance from "./call/AttemptAllowance.ts"
export * as BoundedClose from "./BoundedClose.ts"
export * as Caller from "./call/Caller.ts"
export * as CallContext from "./call/CallContext.ts"
export * as CallTrail from "./call/CallTrail.ts"
export * as Content from "./stream/Content.ts"
export * as Deadline from "./call/Deadline.ts"
export * as Decision from "./call/Decision.ts"
export * as Failure from "./call/Failure.ts"
export * as FinishMark from "./call/FinishMark.ts"
export type * as JobEvent from "./JobEvent.ts"
export * as ModelProvider from "./call/ModelProvider.ts"
export * as Patience from "./call/Patience.ts"
export * as PolicyHealth from "./call/PolicyHealth.ts"
export * as PolicyKind from "./call/PolicyKind.ts"
export * as PolicyReason from "./call/PolicyReason.ts"
export * as Priority from "./queue/Priority.ts"
export * as Refusals from "./call/Refusals.ts"
export * as ResponseHeaders from "./call/ResponseHeaders.ts"
export * as Usage from "./call/Usage.ts"
export * as Verdict from "./call/Verdict.ts"
export * as WireBytes from "./call/WireBytes.ts"
