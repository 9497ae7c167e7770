/**
 * The law about who goes next.
 */
import type { Job } from "../../durable/JobStore.ts"
import { type Law, when } from "./Law.ts"
import { claimsOf, isSetBack } from "./OfClaims.ts"
import type { Note, Trace } from "./Trace.ts"

/**
 * Within a key the more urgent goes first and of equals the one that came first, unless age makes up for it; a key whose first
 * job can run is overtaken by each other key twice at most, and once more for each point that the other is more urgent.
 */
export const whoeverIsDueGoesNext: Law = {
  name: "whoeverIsDueGoesNext",
  breaches: (trace) => (isSetBack(trace) ? [] : [...withinKeys(trace), ...betweenKeys(trace)])
}

/** Whether a job waits, and waits for nothing but its turn. One that was delayed or tried again has another place. */
const waitsPlainly = ({ attempt, claims, dueMillis, events, state }: Job): boolean =>
  state === "pending" && dueMillis === undefined && attempt === 0 && claims === 0 && events === 1

const laneOf = ({ key, name }: Job): string => JSON.stringify([name, key])

const withinKeys = ({ notes, program }: Trace): ReadonlyArray<string> => {
  const order = new Map<string, number>()
  const delayed = new Set<string>()
  return notes.flatMap((note, index) => {
    const fresh = Array.from(note.after.values()).filter(({ job: { id } }) => !order.has(id))
    // Of jobs that come together the newest is first in the list.
    for (const { job } of fresh.toReversed()) {
      order.set(job.id, order.size)
      if (job.dueMillis !== undefined) delayed.add(job.id)
    }
    const isPlain = (job: Job | undefined): job is Job => job !== undefined && waitsPlainly(job) && !delayed.has(job.id)
    return claimsOf(note).flatMap((claim) => {
      const job = note.before.get(claim.job.id)?.job
      if (!isPlain(job)) return []
      return Array.from(note.after.values()).flatMap(({ job: other }) => {
        if (!isPlain(other) || laneOf(other) !== laneOf(job)) return []
        const placeOf = ({ priority, submittedAtMillis }: Job) => submittedAtMillis - priority * program.settings.aging
        const first = placeOf(job) - placeOf(other) || (order.get(job.id) ?? 0) - (order.get(other.id) ?? 0)
        return when(first > 0, `claim ${index}: ${job.id} went before ${other.id}`)
      })
    })
  })
}

/** How often each waiting key was overtaken by each other one. */
const betweenKeys = ({ notes }: Trace): ReadonlyArray<string> => {
  const overtaken = new Map<string, Map<string, number>>()
  return notes.flatMap((note, index) => {
    const { said } = note
    if (said.is === "opened" || (said.is === "submit" && said.dropped)) overtaken.clear()
    for (const [lane, by] of overtaken) if (!waitingLanes(note.before).has(lane)) by.clear()
    if (said.is !== "claim") return []
    const names = said.want.names.map(({ name }) => name)
    const urgency = urgencies(note.before)
    const waiting = waitingLanes(note.after)
    return said.answers.flat().flatMap(({ job }) => {
      const served = laneOf(job)
      overtaken.delete(served)
      return Array.from(waiting).flatMap(([lane, head]) => {
        // A key at its limit, or that this worker does not know, is not overtaken.
        if (lane === served || !names.includes(head.name) || isAtLimit(note, head)) return []
        const by = overtaken.get(lane) ?? new Map<string, number>()
        overtaken.set(lane, by)
        by.set(served, (by.get(served) ?? 0) + 1)
        const ahead = Math.max(0, (urgency.get(served)?.most ?? 0) - (urgency.get(lane)?.least ?? 0))
        return when(
          (by.get(served) ?? 0) > 2 + ahead,
          `claim ${index}: ${lane} was overtaken by ${served} ${by.get(served)} times`
        )
      })
    })
  })
}

/** Keys with a job that was there before and can run. */
const waitingLanes = (stock: Note["before"]): ReadonlyMap<string, Job> => {
  const lanes = new Map<string, Job>()
  for (const { job } of stock.values()) if (waitsPlainly(job)) lanes.set(laneOf(job), job)
  return lanes
}

const urgencies = (stock: Note["before"]) => {
  const found = new Map<string, { readonly most: number; readonly least: number }>()
  for (const { job } of stock.values()) {
    const { least = 0, most = 0 } = found.get(laneOf(job)) ?? {}
    found.set(laneOf(job), { most: Math.max(most, job.priority), least: Math.min(least, job.priority) })
  }
  return found
}

const isAtLimit = ({ after, said }: Note, { key, name }: Job): boolean => {
  if (said.is !== "claim") return false
  const of = said.want.names.find((each) => each.name === name)
  const running = Array.from(after.values(), ({ job }) => job).filter(
    (job) => job.state === "running" && job.name === name
  )
  return (
    running.length >= (of?.limit ?? Infinity) ||
    running.filter((job) => job.key === key).length >= (of?.keyLimit ?? Infinity)
  )
}
