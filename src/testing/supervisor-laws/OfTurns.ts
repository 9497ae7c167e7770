/**
 * The promise about who goes next: priority, age, first come first served, and turns between keys.
 */
import type { JobEvent } from "../../core/JobEvent.ts"
import { timeOf } from "./History.ts"
import type { Law } from "./Law.ts"
import { hasPauses, type Job, jobsOf, planned, sharedKey } from "./Program.ts"

/** What decides when a job goes. */
interface Standing {
  readonly name: string
  readonly key: string
  readonly priority: number
  /** When it was submitted, less what its priority is worth; no later than its owner's. */
  readonly place: number
  /** Between equal places: the order of submission, its own or its owner's; then its own. */
  readonly order: number
  readonly number: number
}

interface Key {
  readonly waiting: Set<Standing>
  running: number
  turn: number
  /** When it had its last turn, or came. */
  since: number
}

/**
 * Within a key the higher priority goes first, a job gaining a point with each `aging` that it waits; at equal standing,
 * first come, first served; a child stands where its owner stood. Keys take turns, a point of priority being worth one, and
 * so is each `aging` that a key has waited since its last turn.
 */
export const whoeverIsDueGoesNext: Law = {
  name: "whoeverIsDueGoesNext",
  breaches: (history) => {
    const { events, trace } = history
    const { aging = 60_000, concurrency, keyConcurrency = concurrency } = trace.program.limits
    const times = events.map((event) => timeOf(history, event))
    // While slots are lent, only the supervisor knows how many of a key run; and a key's turn may pass while its jobs are held.
    const isKnownWhoRuns =
      !trace.notes.some(({ _tag }) => _tag === "WaitBegan") && !hasPauses(trace.program) && !times.includes(undefined)
    const line = new Line(keyConcurrency, aging)
    const known = new Map<string, Standing>()
    const plans = new Map(jobsOf(trace.program).map((job) => [job.name, job]))
    return events.flatMap((event, index) => {
      const at = times[index]
      if (event._tag === "JobSubmitted") {
        if (at === undefined) return []
        const owner = event.parentId === undefined ? undefined : known.get(event.parentId)
        const standing = standingOf(
          event,
          at,
          plans.get(planned(event.jobName === sharedKey ? event.jobId : event.jobName)),
          owner,
          aging,
          known.size
        )
        known.set(event.jobId, standing)
        if (event.kind === "job") line.push(standing, at)
        return []
      }
      const job = known.get(event.jobId)
      if (job === undefined || event.kind !== "job") return []
      if (at === undefined) line.hold(job)
      else if (event._tag === "JobStarted") {
        const breaches = [...line.sooner(job), ...(isKnownWhoRuns ? line.soonerOfOthers(job) : [])]
        line.take(job, at)
        return breaches.map((other) => `${job.name} started, although ${other.name} was due`)
      }
      if (event._tag === "JobPaused") line.hold(job)
      if (event._tag === "JobResumed" && at !== undefined) line.push(job, at)
      if (ends.has(event._tag)) line.leave(job)
      return []
    })
  }
}

const ends = new Set<JobEvent["_tag"]>(["JobCompleted", "JobFailed", "JobCancelled"])

const standingOf = (
  { jobName: name }: JobEvent,
  at: number,
  { key = "", priority = 0 }: Pick<Job, "key" | "priority"> = {},
  owner: Standing | undefined,
  aging: number,
  number: number
): Standing => {
  const place = at - priority * aging
  return owner === undefined
    ? { name, key, priority, place, order: number, number }
    : { name, key, priority, place: Math.min(place, owner.place), order: owner.order, number }
}

const isBefore = (a: Standing, b: Standing): boolean =>
  a.place !== b.place ? a.place < b.place : a.order !== b.order ? a.order < b.order : a.number < b.number

/** Who waits, and whose turn it is: start-time fair queueing in which every job costs one turn. */
class Line {
  private readonly keys = new Map<string, Key>()
  private readonly limit: number
  private readonly aging: number
  private turn = 0

  constructor(limit: number, aging: number) {
    this.limit = limit
    this.aging = aging
  }

  push(job: Standing, now: number): void {
    let key = this.keys.get(job.key)
    if (key === undefined)
      this.keys.set(job.key, (key = { waiting: new Set(), running: 0, turn: this.turn, since: now }))
    if (key.waiting.size === 0) {
      key.turn = Math.max(key.turn, this.turn)
      key.since = now
    }
    key.waiting.add(job)
  }

  /** Takes a job out that does not go before it is pushed again. */
  hold(job: Standing): void {
    this.keys.get(job.key)?.waiting.delete(job)
  }

  /** Jobs of the same key that should have gone first. */
  sooner(job: Standing): ReadonlyArray<Standing> {
    return Array.from(this.keys.get(job.key)?.waiting ?? []).filter((other) => isBefore(other, job))
  }

  /** The first ones of other keys whose turn comes sooner. */
  soonerOfOthers(job: Standing): ReadonlyArray<Standing> {
    const own = this.keys.get(job.key)
    if (own === undefined) return []
    return Array.from(this.keys).flatMap(([name, key]) => {
      const [first] = Array.from(key.waiting).toSorted((a, b) => (isBefore(a, b) ? -1 : 1))
      if (key === own || first === undefined || (name !== "" && key.running >= this.limit)) return []
      const ahead = this.standing(own, job) - this.standing(key, first)
      return ahead > 0 || (ahead === 0 && first.number < job.number) ? [first] : []
    })
  }

  private standing({ since, turn }: Key, { priority }: Standing): number {
    return turn - priority + since / this.aging
  }

  /** Counts a job as running. */
  take(job: Standing, now: number): void {
    const key = this.keys.get(job.key)
    if (key === undefined) return
    this.turn = Math.max(this.turn, key.turn)
    key.turn++
    key.since = now
    key.running++
    key.waiting.delete(job)
  }

  /** Counts a job as ended. */
  leave(job: Standing): void {
    const key = this.keys.get(job.key)
    if (key === undefined) return
    if (!key.waiting.delete(job)) key.running--
    if (key.waiting.size === 0 && key.running === 0) this.keys.delete(job.key)
  }
}
