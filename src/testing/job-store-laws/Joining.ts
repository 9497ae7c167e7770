/**
 * Says which job a submission joins.
 */
import type { NewJob } from "../../durable/JobStore.ts"
import type { Stock } from "./Trace.ts"

/** The submissions that join no other job. */
export const newOf = (jobs: ReadonlyArray<NewJob>, before: Stock): ReadonlyMap<string, NewJob> => {
  const known: Array<Named> = Array.from(before.values(), ({ job }) => job)
  const made = new Map<string, NewJob>()
  for (const job of jobs) {
    if (joins(job, known) !== undefined || job.id === undefined) continue
    made.set(job.id, job)
    known.push({ ...job, key: job.key ?? "" })
  }
  return made
}

/** What decides which job a submission joins. */
export type Named = Pick<NewJob, "id" | "name" | "key" | "idempotencyKey">

/** The id of the job that a submission joins. */
export const joins = (
  { id, idempotencyKey, key = "", name }: NewJob,
  among: ReadonlyArray<Named>
): string | undefined =>
  (
    among.find((job) => job.id === id) ??
    (idempotencyKey === undefined
      ? undefined
      : among.find((job) => job.name === name && job.key === key && job.idempotencyKey === idempotencyKey))
  )?.id
