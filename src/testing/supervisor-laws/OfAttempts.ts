/**
 * The promise about retries: work that failed is tried again as often as was asked, and no more.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import { type JobHistory } from "./History.ts"
import type { Law } from "./Law.ts"

/** Work that failed is tried again as often as its `retry` says, and not once more; what succeeded, or died, is not. */
export const retriesAreAsAsked: Law = {
  name: "retriesAreAsAsked",
  breaches: ({ jobs }) => Array.from(jobs.values()).flatMap(wrongAttempts)
}

const wrongAttempts = (job: JobHistory): ReadonlyArray<string> => {
  const { began, end, name, plan, worked } = job
  if (end === undefined || began.length === 0) return []
  const allowed = 1 + (plan.retry ?? 0)
  const wrong = worked.slice(0, began.length - 1).find(({ how }) => !isError(how, plan))
  const last = worked.at(-1)
  // A finalizer that dies makes the failure a defect, and whoever is asked to end tries nothing again.
  const mustGoOn = last !== undefined && isError(last.how, plan) && plan.finalizer !== "die"
  return [
    ...(began.length > allowed ? [`${name} was tried ${began.length} times, ${allowed} are allowed`] : []),
    ...(wrong === undefined ? [] : [`${name} was tried again after an attempt that ended as ${wrong.how}`]),
    ...(mustGoOn && began.length < allowed && stopsBefore(job, end).length === 0
      ? [`${name} failed and was tried ${began.length} times, not ${allowed}`]
      : [])
  ]
}

// Nor is work tried again that failed because a job it waited for was cancelled.
const isError = (how: string, { by }: JobHistory["plan"]): boolean =>
  // A promise does not tell a defect from a failure.
  !ends.has(how) || (how === "die" && by === "promise")

const ends: ReadonlySet<string> = new Set(["success", "interrupt", "die", "Cancelled"])
