/**
 * Durable: jobs that survive a crash.
 *
 * `DurableJob.ts` defines jobs and their workers (`durable-job/Worker.ts`). `JobStore.ts` is the seam, `Sqlite.ts` keeps jobs in a file (`sqlite/Engine.ts` on whichever thread, `sqlite/Schema.ts` its tables),
 * `store/` the rules that every store of ours keeps: `store/Core.ts` has the requests,
 * `store/Transitions.ts` the states of a job, `store/Lanes.ts` who goes next. Why a store refuses is in `JobStoreError.ts`. A
 * promise of every store is a law in `testing/job-store-laws/`.
 */
export * as DurableJob from "./DurableJob.ts"
export * as DurableJobError from "./DurableJobError.ts"
export * as JobStore from "./JobStore.ts"
export * as JobStoreError from "./JobStoreError.ts"
export * as Sqlite from "./Sqlite.ts"
