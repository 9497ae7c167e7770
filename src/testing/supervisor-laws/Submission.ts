/**
 * Says in the supervisor's own words what a job of a program is submitted with, and what its work is made of.
 */
import { Cause, Effect, Exit, References, Schedule } from "effect"
import type { JobError } from "../../supervisor/JobError.ts"
import * as Program from "./Program.ts"

/** What work fails with. */
export type Failure = string | Unspeakable | JobError

// Which job somebody joins by a key, and of what kind it is, is not known: so neither is whether that lends the slot.
export const callOf = ({ idempotencyKey, kind, name }: Program.Job, attempts: string): string | undefined =>
  kind === undefined && idempotencyKey === undefined ? undefined : Program.nameIn(name, attempts)

/** The id of the job that is running, which every line it logs bears. */
export const currentId: Effect.Effect<string> = Effect.map(References.CurrentLogAnnotations, ({ jobId }) =>
  String(jobId)
)

/** An error of which nothing can be said without a further one. */
export class Unspeakable {
  get message(): string {
    throw new Error("this error cannot be read")
  }
  toString(): string {
    throw new Error("this error cannot be printed")
  }
}

/** The error that an exit has, if it has one. */
export const errorOf = (exit: Exit.Exit<unknown, unknown>): Failure | undefined =>
  Exit.isFailure(exit) ? (exit.cause.reasons.find(Cause.isFailReason)?.error as Failure | undefined) : undefined

/** What a finalizer dies of. */
export const dying = "finalizer"

export const finalizers = { slow: Effect.sleep(2), die: Effect.die(dying) }

/** What of it is said of work that repeats. */
export const roundsOf = (
  { millis, overlap }: NonNullable<Program.Job["every"]>,
  { id, idempotencyKey, metadata, name, timeout }: ReturnType<typeof optionsOf>
) => ({ name, id, idempotencyKey, metadata, timeout, schedule: millis, overlap })

/** The metadata of the job of that name: every other name has some. */
export const metadataOf = (name: string) => (name.charCodeAt(0) % 2 === 0 ? { name } : undefined)

export const optionsOf = (job: Program.Job, attempts: string) => ({
  name: job.idempotencyKey ?? Program.nameIn(job.name, attempts),
  id: job.idempotencyKey === undefined ? undefined : Program.nameIn(job.name, attempts),
  metadata: metadataOf(Program.nameIn(job.name, attempts)),
  timeout: job.timeout,
  key: job.key,
  priority: job.priority,
  kind: job.kind === "call" ? job.kind : undefined,
  whenFull: job.whenFull,
  idempotencyKey: job.idempotencyKey,
  owner: job.owner,
  retry: job.retry === undefined ? undefined : Schedule.recurs(job.retry)
})
