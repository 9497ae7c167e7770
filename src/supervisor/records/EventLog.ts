/**
 * Keeps the latest events in order and lets any number of readers follow them at their own pace.
 *
 * Writing never waits: the log is a ring of `capacity` events, the oldest is overwritten, and a reader that had not
 * read it is told which ones it missed. Readers hold only a position, so a slow one costs nothing and slows nobody.
 *
 * Most events are never read, so an event is made when it is: the log holds what it is made of.
 */
import { Effect, type Stream } from "effect"
import type { EventsMissed, JobEvent, JobKind } from "../../core/JobEvent.ts"
import * as Uncaught from "../../core/Uncaught.ts"
import * as SafeText from "../../core/SafeText.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as EventContents from "./EventContents.ts"
import type { Unplaced } from "./EventContents.ts"
import { notOfHere, pulling } from "./EventReader.ts"
import * as SafeJson from "./SafeJson.ts"
import * as JobId from "./JobId.ts"

/** Whose event it is. */
export interface Subject {
  readonly jobId: JobId.JobId
  /** The order of submission: unlike its id, no other job ever has it. */
  readonly number: number
  /** Absent when the name is the id. */
  readonly givenName: string | undefined
  readonly kind: JobKind
  /** How many events it has had. */
  eventCount: number
  /** The number of its latest event among those of all jobs; 0 before the first. */
  latestEvent: number
}

/** A job whose events are followed. */
export interface Followed extends Subject {
  readonly endedAtMillis: number | undefined
}

type Waker = () => void

/** What a reader does about its waits for news: a job, for one, lends its slot meanwhile. */
type Waiting<E> = (news: Effect.Effect<void>) => Effect.Effect<void, E>

export class EventLog {
  // The ring, in columns: event n is at (n - 1) % capacity in each.
  private readonly ids: Array<JobId.JobId> = []
  private readonly numbers: Array<number> = []
  private readonly jobSequences: Array<number> = []
  // The number of the event of the same job before it.
  private readonly previous: Array<number> = []
  private readonly names: Array<string | undefined> = []
  private readonly kinds: Array<JobKind> = []
  private readonly happenings: Array<Unplaced<JobEvent>> = []
  private readonly times: Array<number> = []
  private readonly wakers = new Set<Waker>()
  // Readers of one job's events, by its number.
  private readonly jobWakers = new Map<number, Set<Waker>>()
  private readonly capacity: number
  private readonly toEpoch: (millis: number) => number
  private readonly schedule: (task: () => void) => void
  private closed = false
  // How many read now, at whatever pace.
  private readers = 0
  private lastSequence = 0
  // Where the next event goes.
  private nextAt = 0
  // 0 for an event that carries nothing, else 1 and the bytes of its cause.
  private readonly weights: Array<number> = []
  private bytes = 0
  // Up to where no event has a cause any more.
  private lightTo = 0
  private isStripping = false
  private readonly maxBytes: number

  /**
   * Causes are kept up to `maxBytes` together. `toEpoch` makes milliseconds since 1970 of the times that are logged;
   * `schedule` runs a task soon, outside of the transition that is being logged.
   */
  constructor(
    capacity: number,
    maxBytes: number,
    toEpoch: (millis: number) => number,
    schedule: (task: () => void) => void
  ) {
    this.capacity = capacity
    this.maxBytes = maxBytes
    this.toEpoch = toEpoch
    this.schedule = schedule
  }

  /** The number of the event that happened last; 0 before the first. */
  get position(): number {
    return this.lastSequence
  }

  append(subject: Subject, happening: Unplaced<JobEvent>, now: number): void {
    const at = this.nextAt
    this.nextAt = at + 1 === this.capacity ? 0 : at + 1
    this.lastSequence++
    this.ids[at] = subject.jobId
    this.numbers[at] = subject.number
    this.jobSequences[at] = ++subject.eventCount
    this.previous[at] = subject.latestEvent
    subject.latestEvent = this.lastSequence
    this.names[at] = subject.givenName
    this.kinds[at] = subject.kind
    this.happenings[at] = happening
    this.times[at] = now
    const weight = EventContents.weightOf(happening)
    if (weight > 0 || this.weights[at] !== 0) this.weigh(at, weight)
    if (this.wakers.size > 0) this.wake(this.wakers)
    if (this.jobWakers.size > 0) this.wakeReadersOf(subject.number)
    // As when a hook fails for a job that closed its own supervisor.
    if (this.closed) this.letGo()
    if (this.bytes > this.maxBytes && !this.isStripping) {
      this.isStripping = true
      this.schedule(this.stripHeavy)
    }
  }

  /**
   * Lets go of what events carry, metadata, causes and trails, when they are from before a moment or their job is not kept
   * any longer. The events themselves stay, so that there is no gap.
   */
  strip(before: number, isKept: (jobId: JobId.JobId, number: number) => boolean): void {
    for (let sequence = this.oldest; sequence <= this.lastSequence; sequence++) {
      const at = (sequence - 1) % this.capacity
      const [id, number, time] = [this.ids[at], this.numbers[at], this.times[at]]
      if (this.weights[at] === 0 || id === undefined || number === undefined || time === undefined) continue
      if (time <= before || !isKept(id, number)) this.stripAt(at)
    }
  }

  /** When the oldest event happened that still has what it carried. */
  get unstrippedSince(): number | undefined {
    for (let sequence = this.oldest; sequence <= this.lastSequence; sequence++) {
      const at = (sequence - 1) % this.capacity
      if (this.weights[at] !== 0) return this.times[at]
    }
    return undefined
  }

  // Once whoever waits for the event has read it.
  private readonly stripHeavy = (): void => {
    const first = Math.max(this.oldest, this.lightTo + 1)
    for (let sequence = first; sequence <= this.lastSequence && this.bytes > this.maxBytes; sequence++) {
      const at = (sequence - 1) % this.capacity
      if ((this.weights[at] ?? 0) > 1) this.stripAt(at)
      this.lightTo = sequence
    }
    this.isStripping = false
  }

  private stripAt(at: number): void {
    const happening = this.happenings[at]
    if (happening !== undefined) this.happenings[at] = EventContents.without(happening)
    this.weigh(at, 0)
  }

  private weigh(at: number, weight: number): void {
    this.bytes += Math.max(0, weight - 1) - Math.max(0, (this.weights[at] ?? 0) - 1)
    this.weights[at] = weight
  }

  /** Ends the streams of all readers, each after the last event. When all have left, nothing is kept that events carried. */
  close(): void {
    this.closed = true
    this.wake(this.wakers)
    for (const number of Array.from(this.jobWakers.keys())) this.wakeReadersOf(number)
    this.letGo()
  }

  private readonly leave = (): void => {
    this.readers--
    this.letGo()
  }

  private letGo(): void {
    if (this.closed && this.readers === 0) this.strip(Infinity, () => false)
  }

  /** Follows the events after number `after`; by default those that are still to come. */
  follow<E>(waiting: Waiting<E>, after?: number | undefined): Stream.Stream<JobEvent | EventsMissed, E> {
    if (after !== undefined) OptionCheck.of("Supervisor.events").whole("after", after, 0)
    return pulling(() => {
      this.readers++
      let position = after ?? this.lastSequence
      return {
        read: () => {
          if (position > this.lastSequence) return notOfHere((position = this.lastSequence))
          const events = this.readAfter(position)
          position = Math.max(position, this.lastSequence)
          return events
        },
        isOver: () => this.closed,
        news: waiting(
          this.news(
            () => this.closed || this.lastSequence > position,
            (waker) => addTo(this.wakers, waker)
          )
        )
      }
    }, this.leave)
  }

  /** Follows the events of one job after its own number `after`; by default those still to come. Ends when the job has. */
  followJob<E>(
    job: Followed,
    waiting: Waiting<E>,
    after?: number | undefined
  ): Stream.Stream<JobEvent | EventsMissed, E> {
    if (after !== undefined) OptionCheck.of("Job.events").whole("after", after, 0)
    return pulling(() => {
      this.readers++
      let position = after ?? job.eventCount
      const isOver = () => this.closed || job.endedAtMillis !== undefined
      return {
        read: () => {
          if (position > job.eventCount) return notOfHere((position = job.eventCount), JobId.toText(job.jobId))
          const events = this.readOf(job, position)
          position = Math.max(position, job.eventCount)
          return events
        },
        isOver,
        news: waiting(
          this.news(
            () => isOver() || job.eventCount > position,
            (waker) => this.addJobWaker(job.number, waker)
          )
        )
      }
    }, this.leave)
  }

  /** Waits until something happens. */
  readonly awaitNext: Effect.Effect<void> = Effect.suspend(() => {
    const { position } = this
    return this.news(
      () => this.lastSequence > position,
      (waker) => addTo(this.wakers, waker)
    )
  })

  private readAfter(position: number): ReadonlyArray<JobEvent | EventsMissed> {
    const events: Array<JobEvent | EventsMissed> = []
    const { oldest } = this
    if (position + 1 < oldest) events.push({ _tag: "EventsMissed", from: position + 1, to: oldest - 1 })
    for (let sequence = Math.max(oldest, position + 1); sequence <= this.lastSequence; sequence++) {
      const event = this.eventAt(sequence)
      if (event !== undefined) events.push(event)
    }
    return events
  }

  // From its latest event back, so that the events of other jobs cost nothing.
  private readOf(job: Subject, position: number): ReadonlyArray<JobEvent | EventsMissed> {
    if (job.eventCount <= position) return []
    const kept: Array<number> = []
    for (let sequence = job.latestEvent; sequence >= this.oldest;) {
      const at = (sequence - 1) % this.capacity
      if ((this.jobSequences[at] ?? 0) <= position) break
      kept.push(sequence)
      sequence = this.previous[at] ?? 0
    }
    const events: Array<JobEvent | EventsMissed> = []
    let next = position + 1
    const missing = (to: number) => {
      if (to >= next) events.push({ _tag: "EventsMissed", jobId: JobId.toText(job.jobId), from: next, to })
    }
    for (const sequence of kept.toReversed()) {
      const event = this.eventAt(sequence)
      if (event === undefined) continue
      missing(event.jobSequence - 1)
      events.push(event)
      next = event.jobSequence + 1
    }
    missing(job.eventCount)
    return events
  }

  private get oldest(): number {
    return Math.max(1, this.lastSequence - this.capacity + 1)
  }

  private eventAt(sequence: number): JobEvent | undefined {
    const at = (sequence - 1) % this.capacity
    const [id, kind, happening, time] = [this.ids[at], this.kinds[at], this.happenings[at], this.times[at]]
    if (id === undefined || kind === undefined || happening === undefined || time === undefined) return undefined
    const jobId = JobId.toText(id)
    const jobName = this.names[at] ?? jobId
    const jobSequence = this.jobSequences[at] ?? 0
    const place = { sequence, jobSequence, atMillis: this.toEpoch(time), jobId, jobName, kind }
    const contents = EventContents.copy(happening)
    if ("cause" in contents) {
      const cause =
        this.weights[at] === 0 ? EventContents.goneCause({ id: jobId, givenName: this.names[at] }) : contents.cause
      return SafeJson.withoutCause({ ...contents, cause, error: SafeText.ofCause(cause), ...place })
    }
    return { ...contents, ...place }
  }

  // Looks and subscribes in one step: an event between the two would wake nobody.
  private news(isThere: () => boolean, subscribe: (waker: Waker) => () => void): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (isThere()) return resume(Effect.void)
      return Effect.sync(subscribe(() => resume(Effect.void)))
    })
  }

  private addJobWaker(number: number, waker: Waker): () => void {
    const wakers = this.jobWakers.get(number) ?? new Set()
    this.jobWakers.set(number, wakers)
    const remove = addTo(wakers, waker)
    return () => {
      remove()
      // Those that were woken since are another set.
      if (wakers.size === 0 && this.jobWakers.get(number) === wakers) this.jobWakers.delete(number)
    }
  }

  private wakeReadersOf(number: number): void {
    const wakers = this.jobWakers.get(number)
    if (wakers === undefined) return
    this.jobWakers.delete(number)
    this.wake(wakers)
  }

  private wake(wakers: Set<Waker>): void {
    if (wakers.size === 0) return
    const woken = Array.from(wakers)
    wakers.clear()
    this.schedule(() => Uncaught.runAll(woken))
  }
}

const addTo = (wakers: Set<Waker>, waker: Waker): (() => void) => {
  wakers.add(waker)
  return () => void wakers.delete(waker)
}
