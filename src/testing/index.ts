/**
 * Testing: what Holdfast is tested with, and what you can test your own policies, providers and programs with.
 *
 * A law stands in `supervisor-laws/`, `policy-laws/` or `job-store-laws/`, in the file of what it is about, and in the list `AllLaws` there.
 * A new option of a policy is drawn in `policy-laws/Kinds.ts`; what a provider has to keep is in `provider-contract/`; how a
 * model misbehaves is in `faults/`. `laws/` and `seed/` are shared by the kits, `wire/` by the servers.
 */
export * as FaultyModel from "./FaultyModel.ts"
export * as FaultyServer from "./FaultyServer.ts"
export * as JobStoreLaws from "./JobStoreLaws.ts"
export * as LeakDetector from "./LeakDetector.ts"
export * as PolicyLaws from "./PolicyLaws.ts"
export * as ProviderContract from "./ProviderContract.ts"
export * as ProviderScript from "./ProviderScript.ts"
export * as SeededScheduler from "./SeededScheduler.ts"
export * as StreamShape from "./StreamShape.ts"
export * as SupervisorLaws from "./SupervisorLaws.ts"
export * as WireTap from "./WireTap.ts"
