/**
 * The promise about lists: they name every job there is, as it is, with the metadata that it was submitted with.
 */
import type { JobEvent, JobState } from "../../core/JobEvent.ts"
import { type History, isTerminal, type JobHistory, stateAt } from "./History.ts"
import type { Law } from "./Law.ts"
import { jobsOf, planned } from "./Program.ts"
import { metadataOf } from "./Submission.ts"
import type { Note } from "./Trace.ts"

type Listed = Extract<Note, { readonly _tag: "Listed" }>

/**
 * A list names every job that is known, in the state it is in, in the order in which they were submitted. The position of a snapshot is
 * that of the last event of which the list tells. Metadata is what was submitted.
 */
export const listsSayWhatIs: Law = {
  name: "listsSayWhatIs",
  breaches: (history) => {
    const { notes, program } = history.trace
    const names = new Set(jobsOf(program).map(({ name }) => name))
    // Events let go of what a record carries that is dropped, as all are once the supervisor has closed.
    const dropsRecords = program.limits.retain < 10 || program.limits.retainFor !== undefined
    const closing = notes.findIndex(({ _tag }) => _tag === "CloseCalled")
    const mayBeDropped = (index: number) => dropsRecords || (closing >= 0 && index > closing)
    return notes.flatMap((note, index) => {
      if (note._tag === "Read" && note.event._tag === "JobSubmitted" && !mayBeDropped(index)) {
        const { jobId, jobName, metadata } = note.event
        return wrongMetadata(names.has(planned(jobId)) ? jobId : jobName, metadata, names)
      }
      if (note._tag !== "Listed") return []
      return [
        ...note.jobs.flatMap(({ job, metadata }) => wrongMetadata(job, metadata, names)),
        ...(note.position === undefined
          ? wrongList(history, note, index, mayBeDropped(index))
          : wrongSnapshot(history, note, note.position))
      ]
    })
  }
}

const wrongMetadata = (
  job: string,
  metadata: Listed["jobs"][number]["metadata"],
  names: ReadonlySet<string>
): ReadonlyArray<string> => {
  const name = job.replace(/#.*$/, "")
  // The rounds that share a key have no name of the program.
  if (!names.has(planned(name)) || JSON.stringify(metadata) === JSON.stringify(metadataOf(name) ?? {})) return []
  return [`the metadata of ${name} was ${JSON.stringify(metadata)}`]
}

/** A list is right when it names those that are known before and after, as they are in both. */
const wrongList = (
  { events, jobs, moments }: History,
  { jobs: listed }: Listed,
  index: number,
  mayBeDropped: boolean
): ReadonlyArray<string> => {
  const look = moments[index]?.look ?? 0
  const states = new Map(listed.map(({ id, state }) => [id, state]))
  const order = new Map(events.flatMap(({ _tag, jobId }, at) => (_tag === "JobSubmitted" ? [[jobId, at]] : [])))
  const places = listed.flatMap(({ id }) => order.get(id) ?? [])
  return [
    ...Array.from(jobs.values()).flatMap((job) => {
      const state = stateAt(job, index)
      if (
        state === undefined ||
        (isTerminal(state) && (mayBeDropped || isRound(job))) ||
        job.changes.some((change) => change.look === look)
      )
        return []
      return states.get(job.id) === state ? [] : [`${job.name} was ${state}, and ${states.get(job.id)} in a list`]
    }),
    ...(places.every((place, at) => at === 0 || place > (places[at - 1] ?? 0)) ? [] : ["a list was out of order"])
  ]
}

// One that succeeded is counted, and not kept.
const isRound = ({ parentId, plan }: JobHistory): boolean => parentId !== undefined && plan.kind === "periodic"

const wrongSnapshot = (
  { events, trace }: History,
  { jobs: listed }: Listed,
  position: number
): ReadonlyArray<string> => {
  const isComplete = trace.ending === "success" && trace.program.limits.eventHistory > 100
  if (position > events.length) return isComplete ? [`a snapshot had position ${position} of ${events.length}`] : []
  const states = new Map<string, JobState>()
  for (const { _tag, jobId } of events.slice(0, position)) {
    const state = stateOf[_tag]
    if (state !== undefined) states.set(jobId, state)
  }
  const seen = new Map(listed.map(({ id, state }) => [id, state]))
  return [
    ...listed
      .filter(({ id, state }) => states.get(id) !== state)
      .map(({ job, state }) => `${job} was ${state} in a snapshot whose position is another`),
    ...Array.from(states)
      .filter(([id, state]) => !isTerminal(state) && !seen.has(id))
      .map(([id, state]) => `${id} was ${state} at the position of a snapshot, and not in it`)
  ]
}

const stateOf: Partial<Record<JobEvent["_tag"], JobState>> = {
  JobSubmitted: "pending",
  JobStarted: "running",
  JobCompleted: "completed",
  JobFailed: "failed",
  JobCancelled: "cancelled"
}
