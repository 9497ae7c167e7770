/**
 * The promise about idempotency keys: what is submitted again with a key is the job that is known.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import { type History, isRound, type JobHistory } from "./History.ts"
import type { Law } from "./Law.ts"

/**
 * While a job lives, no other one is accepted with its idempotency key. What repeats goes by keys of its own, and is started anew
 * once it has ended, or was asked to end.
 */
export const oneJobPerKey: Law = {
  name: "oneJobPerKey",
  breaches: (history) => [
    ...Array.from(Map.groupBy(withKey(history), ({ plan }) => plan.kind === "periodic").values()).flatMap((jobs) =>
      jobs.flatMap((job) =>
        jobs.flatMap((other) =>
          livedOn(job, other) ? [`${other.name} was accepted although ${job.name} had the same key`] : []
        )
      )
    ),
    ...joinedLate(history)
  ]
}

const withKey = ({ jobs }: History): ReadonlyArray<JobHistory> =>
  Array.from(jobs.values()).filter((job) => job.plan.idempotencyKey !== undefined && !isRound(job))

/** Whether a job lived for sure before another was accepted and afterwards, and was there to be joined. */
const livedOn = (job: JobHistory, other: JobHistory): boolean => {
  const [[first], [accepted]] = [job.changes, other.changes]
  if (job === other || first === undefined || accepted === undefined || first.look >= accepted.look) return false
  if (job.end !== undefined && job.end.look <= accepted.look) return false
  return job.plan.kind !== "periodic" || stopsBefore(job, accepted).length === 0
}

/** What repeats and had ended when somebody asked for it to be started, who got it all the same. */
const joinedLate = ({ jobs, moments, trace: { notes } }: History): ReadonlyArray<string> =>
  notes.flatMap((note, index) => {
    if (note._tag !== "Joined") return []
    const called = notes.findLastIndex(
      (each, at) => at < index && each._tag === "SubmitCalled" && each.job === note.job && each.by === note.by
    )
    const other = jobs.get(note.other)
    const isLate = other?.end !== undefined && other.end.look < (moments[called]?.look ?? 0)
    return isLate && other.plan.kind === "periodic" ? [`${note.job} was ${note.other}, which had ended`] : []
  })
