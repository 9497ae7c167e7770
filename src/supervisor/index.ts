/**
 * Supervisor: who owns every fiber.
 *
 * `operations/` has what the public functions do, `lifecycle/` states, slots and waiting, `records/` what is known of a job:
 * a field of `JobStatus` is in `records/JobRecord.ts`, the event that tells of it in `core/JobEvent.ts`. A new
 * reason to end a job is in `JobError.ts` and `records/Outcome.ts`; a reason to end a model's call is core's
 * (`core/call/PolicyReason.ts`). A limit of calls to a model is a policy (`policy/`); a promise of the supervisor is a law in
 * `testing/supervisor-laws/`.
 */
export * as Job from "./Job.ts"
export * as JobError from "./JobError.ts"
export * as StatusLine from "./StatusLine.ts"
export * as Supervisor from "./Supervisor.ts"
