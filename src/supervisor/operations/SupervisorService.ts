/**
 * Holds the contract of a supervisor, which the functions of the module `Supervisor` are used through.
 */
import { Context, type Effect, type Scope, type Stream } from "effect"
import type { EventsMissed, JobEvent } from "../../core/JobEvent.ts"
import type { JobError } from "../JobError.ts"
import type { Job } from "../records/JobRecord.ts"
import type { JobStatus } from "../records/JobStatus.ts"
import type { Filter } from "../records/Filter.ts"
import type { Counts } from "../records/JobTable.ts"
import type * as Drain from "./Drain.ts"
import type { Report } from "./Report.ts"
import type { Health } from "./Health.ts"
import type { Options as PeriodicOptions } from "./PeriodicOptions.ts"
import type { Options as SubmitOptions } from "./SubmitOptions.ts"

/** Jobs as they were at one moment, and the number of the last event before it. */
export interface Snapshot {
  readonly jobs: ReadonlyArray<JobStatus>
  readonly position: number
}

/** Owns jobs. Made by `Supervisor.layer`; used through the functions of the module. */
export class Supervisor extends Context.Service<
  Supervisor,
  {
    /** Accepts work, and starts it in the background as soon as there is a slot. */
    readonly submit: <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options?: SubmitOptions<E>
    ) => Effect.Effect<Job<A, E>, JobError, Exclude<R, Scope.Scope>>
    /** Runs work as a job and waits for it. */
    readonly run: <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options?: SubmitOptions<E>
    ) => Effect.Effect<A, E | JobError, Exclude<R, Scope.Scope>>
    /** Finds a job's handle. */
    readonly find: (id: string) => Effect.Effect<Job<unknown, unknown>, JobError>
    /** Lists the jobs that match. */
    readonly list: (filter?: Filter) => Effect.Effect<ReadonlyArray<JobStatus>>
    /** Finds the handles of all jobs that match. */
    readonly select: (filter?: Filter) => Effect.Effect<ReadonlyArray<Job<unknown, unknown>>>
    /** Lists the jobs that match, with the position to follow events from. */
    readonly snapshot: (filter?: Filter) => Effect.Effect<Snapshot>
    /** Counts jobs, and model calls, by state. */
    readonly counts: Effect.Effect<Counts & { readonly calls: Counts }>
    /** Follows what happens. */
    readonly events: (options?: { readonly after?: number | undefined }) => Stream.Stream<JobEvent | EventsMissed>
    /** Repeats work in the background. */
    readonly every: <A, E, R>(
      effect: Effect.Effect<A, E, R>,
      options: PeriodicOptions
    ) => Effect.Effect<Job<void, never>, JobError, Exclude<R, Scope.Scope>>
    /** Pauses the jobs of a name. */
    readonly pauseName: (name: string) => Effect.Effect<void, JobError>
    /** Resumes the jobs of a name. */
    readonly resumeName: (name: string) => Effect.Effect<void>
    /** Takes stock. */
    readonly health: Effect.Effect<Health>
    /** Drops what need not be kept. */
    readonly prune: Effect.Effect<void>
    /** Comes to rest. */
    readonly drain: (options?: Drain.Options) => Effect.Effect<Report>
  }
  // The public name, which the message about a missing service shows.
  // @effect-diagnostics-next-line deterministicKeys:off
>()("holdfast/supervisor/Supervisor") {}
