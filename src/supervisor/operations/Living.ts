/**
 * Finds the jobs that live and match, for what is done to all of them at once.
 */
import { type Duration, Effect } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import type { Job } from "../Job.ts"
import { CurrentJob, recordOf } from "../records/JobRecord.ts"
import * as Filter from "../records/Filter.ts"
import type { Supervisor } from "./SupervisorService.ts"

/**
 * How long to wait, with its unit: `"10 seconds"`, a `Duration`.
 *
 * Not a bare number, for beside a filter, whose `limit` counts jobs, nobody could tell which of the two is meant.
 */
export type TimeLimit = Exclude<Duration.Input, number | bigint>

/**
 * The jobs and calls that live now and match, without periodic ones unless they are asked for, and without the job that asks
 * and its owners. The filter's `offset` and `limit` count only those that are left.
 */
export const living = Effect.fnUntraced(function* (supervisor: Supervisor["Service"], filter: Filter.Filter = {}) {
  const { limit, offset = 0, ...which } = filter
  const owners = new Set((yield* CurrentJob)?.owners())
  const jobs = yield* supervisor.select({ ...which, state: which.state ?? ["pending", "running"] })
  const others = jobs.filter((job: Job<unknown, unknown>) => {
    const record = recordOf(job)
    return (filter.kind === "periodic" || record.kind !== "periodic") && !owners.has(record)
  })
  return others.slice(offset, limit === undefined ? undefined : offset + limit)
})

/**
 * Rejects a filter that makes no sense before anything is done by it, and a count of jobs where a time is wanted, or a time
 * where a count is, with a `RangeError` that says which.
 */
export const checkLimits = (owner: string, filter: Filter.Filter | undefined, limit: TimeLimit | undefined): void => {
  const check = OptionCheck.of(owner)
  const { limit: count, offset } = filter ?? {}
  if (count !== undefined && count !== Infinity && !(Number.isSafeInteger(count) && count >= 0)) {
    check.reject("limit in the filter", `a whole number of jobs (a time goes into the second argument)`, count)
  }
  if (offset !== undefined) check.whole("offset in the filter", offset, 0)
  if (typeof limit === "number" || typeof limit === "bigint") {
    check.reject("limit", `a time with its unit, like "10 seconds" (a number of jobs goes into the filter)`, limit)
  }
  if (limit !== undefined) check.millis("limit", limit, { atLeast: 0, endless: true })
  if (filter !== undefined) Filter.check(owner, filter)
}
