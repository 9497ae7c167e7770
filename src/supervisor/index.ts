export * as Job from "./Job.ts"
export * as JobError from "./JobError.ts"
export * as StatusLine from "./StatusLine.ts"
export * as Supervisor from "./Supervisor.ts"
