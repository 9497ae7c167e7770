/**
 * The promise about idempotency keys: what is submitted again with a key is the job that is known.
 */
import { stopsBefore } from "./EarlyEnds.ts"
import { type History, isRound, type JobHistory } from "./History.ts"
import type { Law } from "./Law.ts"
import { jobsOf, planned } from "./Program.ts"

/**
 * While a job lives, no other one of its key is accepted with its idempotency key; and who submits one of another key does not get
 * it. What repeats goes by keys of its own, and is started anew once it has ended, or was asked to end.
 */
export const oneJobPerKey: Law = {
  name: "oneJobPerKey",
  breaches: (history) => [
    ...Array.from(Map.groupBy(withKey(history), groupOf).values()).flatMap((jobs) =>
      jobs.flatMap((job) =>
        jobs.flatMap((other) =>
          livedOn(job, other) ? [`${other.name} was accepted although ${job.name} had the same key`] : []
        )
      )
    ),
    ...joinedWrongly(history)
  ]
}

const groupOf = ({ plan }: JobHistory): string => JSON.stringify([plan.kind === "periodic", plan.key])

const withKey = ({ jobs }: History): ReadonlyArray<JobHistory> =>
  Array.from(jobs.values()).filter((job) => job.plan.idempotencyKey !== undefined && !isRound(job))

/** Whether a job lived for sure before another was accepted and afterwards, and was there to be joined. */
const livedOn = (job: JobHistory, other: JobHistory): boolean => {
  const [[first], [accepted]] = [job.changes, other.changes]
  if (job === other || first === undefined || accepted === undefined || first.look >= accepted.look) return false
  if (job.end !== undefined && job.end.look <= accepted.look) return false
  return job.plan.kind !== "periodic" || stopsBefore(job, accepted).length === 0
}

/** What somebody got who asked for a job of another key; and what repeats and had ended when it was asked for. */
const joinedWrongly = ({ jobs, moments, trace: { notes, program } }: History): ReadonlyArray<string> => {
  const plans = new Map(jobsOf(program).map((job) => [job.name, job]))
  return notes.flatMap((note, index) => {
    if (note._tag !== "Joined") return []
    const called = notes.findLastIndex(
      (each, at) => at < index && each._tag === "SubmitCalled" && each.job === note.job && each.by === note.by
    )
    const other = jobs.get(note.other)
    const isLate = other?.end !== undefined && other.end.look < (moments[called]?.look ?? 0)
    const [own, its] = [note.job, note.other].map((name) => plans.get(planned(name))?.key ?? "no key")
    return [
      ...(own === its ? [] : [`${note.job}, of ${own}, was ${note.other}, of ${its}`]),
      ...(isLate && other.plan.kind === "periodic" ? [`${note.job} was ${note.other}, which had ended`] : [])
    ]
  })
}
