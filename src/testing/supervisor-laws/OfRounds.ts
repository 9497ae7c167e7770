/**
 * The promise about rounds: what becomes of one when the round before has not ended.
 */
import { type History, isRound, type JobHistory } from "./History.ts"
import type { Law } from "./Law.ts"

/** A round is skipped only where that was asked for, and then the next one begins when it is due. */
export const roundsOverlapAsAsked: Law = {
  name: "roundsOverlapAsAsked",
  breaches: (history) => {
    const { events, jobs, jobsById } = history
    return [
      ...events.flatMap(({ _tag, jobId }) => {
        const overlap = _tag === "RoundSkipped" ? jobsById.get(jobId)?.plan.every?.overlap : undefined
        return overlap === undefined || overlap === "skip" ? [] : [`a round was skipped, not ${overlap}`]
      }),
      ...Array.from(jobs.values()).flatMap((job) => offTime(history, job))
    ]
  }
}

/** Says when a round did not begin so many times its interval after what repeats it. */
const offTime = ({ trace }: History, round: JobHistory): ReadonlyArray<string> => {
  const { every } = round.plan
  const first = round.parent?.changes.find(({ state }) => state === "running")
  const [begun] = round.changes
  if (trace.isLate || !isRound(round) || every?.overlap !== "skip" || first === undefined || begun === undefined)
    return []
  return (begun.at - first.at) % every.millis === 0
    ? []
    : [`${round.name} began ${begun.at - first.at} ms after the first`]
}
