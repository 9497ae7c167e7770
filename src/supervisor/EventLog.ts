/**
 * Keeps the latest events in order and lets any number of readers follow them at their own pace.
 *
 * Writing never waits: the log is a ring of `capacity` events, the oldest is overwritten, and a reader that had not
 * read it is told which ones it missed. Readers hold only a position, so a slow one costs nothing and slows nobody.
 *
 * Most events are never read, so an event is made when it is: the log holds what it is made of.
 */
import { Array as Arr, Cause, Effect, Stream } from "effect"
import type { EventsMissed, JobEvent, JobKind } from "../core/JobEvent.ts"
import * as JobId from "./records/JobId.ts"

/** An event as its maker knows it: where it stands, when it happened and to which job, the log knows. */
export type Unplaced<Event> = Event extends JobEvent
  ? Omit<Event, "sequence" | "atMillis" | "jobId" | "jobName" | "kind">
  : never

/** Whose event it is. */
interface Subject {
  readonly jobId: JobId.JobId
  /** Absent when the name is the id. */
  readonly givenName: string | undefined
  readonly kind: JobKind
}

export class EventLog {
  // The ring, in columns: event n is at (n - 1) % capacity in each.
  private readonly ids: Array<JobId.JobId> = []
  private readonly names: Array<string | undefined> = []
  private readonly kinds: Array<JobKind> = []
  private readonly happenings: Array<Unplaced<JobEvent>> = []
  private readonly times: Array<number> = []
  private readonly wakers = new Set<() => void>()
  private readonly capacity: number
  private readonly toEpoch: (millis: number) => number
  private readonly schedule: (task: () => void) => void
  private closed = false
  private lastSequence = 0

  /**
   * `toEpoch` makes milliseconds since 1970 of the times that are logged; `schedule` runs a task soon, outside of the
   * transition that is being logged.
   */
  constructor(capacity: number, toEpoch: (millis: number) => number, schedule: (task: () => void) => void) {
    this.capacity = capacity
    this.toEpoch = toEpoch
    this.schedule = schedule
  }

  append(subject: Subject, happening: Unplaced<JobEvent>, now: number): void {
    const at = this.lastSequence++ % this.capacity
    this.ids[at] = subject.jobId
    this.names[at] = subject.givenName
    this.kinds[at] = subject.kind
    this.happenings[at] = happening
    this.times[at] = now
    this.wake()
  }

  /** Ends the streams of all readers, each after the last event. */
  close(): void {
    this.closed = true
    this.wake()
  }

  /** Follows the events after number `after`; by default those that are still to come. */
  follow(after?: number | undefined): Stream.Stream<JobEvent | EventsMissed> {
    return Stream.fromPull(
      Effect.sync(() => {
        let position = after ?? this.lastSequence
        const pull: Effect.Effect<Arr.NonEmptyReadonlyArray<JobEvent | EventsMissed>, Cause.Done> = Effect.suspend(
          () => {
            const events = this.readAfter(position)
            if (Arr.isReadonlyArrayNonEmpty(events)) {
              position = this.lastSequence
              return Effect.succeed(events)
            }
            return this.closed ? Cause.done() : Effect.andThen(this.newsSince(position), pull)
          }
        )
        return pull
      })
    )
  }

  private readAfter(position: number): ReadonlyArray<JobEvent | EventsMissed> {
    const events: Array<JobEvent | EventsMissed> = []
    const oldest = Math.max(1, this.lastSequence - this.capacity + 1)
    if (position + 1 < oldest) events.push({ _tag: "EventsMissed", from: position + 1, to: oldest - 1 })
    for (let sequence = Math.max(oldest, position + 1); sequence <= this.lastSequence; sequence++) {
      const event = this.eventAt(sequence)
      if (event !== undefined) events.push(event)
    }
    return events
  }

  private eventAt(sequence: number): JobEvent | undefined {
    const at = (sequence - 1) % this.capacity
    const [id, kind, happening, time] = [this.ids[at], this.kinds[at], this.happenings[at], this.times[at]]
    if (id === undefined || kind === undefined || happening === undefined || time === undefined) return undefined
    const jobId = JobId.toText(id)
    const jobName = this.names[at] ?? jobId
    return { ...happening, sequence, atMillis: this.toEpoch(time), jobId, jobName, kind }
  }

  // Looks and subscribes in one step: an event between the two would wake nobody.
  private newsSince(position: number): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.closed || this.lastSequence > position) return resume(Effect.void)
      const waker = () => resume(Effect.void)
      this.wakers.add(waker)
      return Effect.sync(() => this.wakers.delete(waker))
    })
  }

  private wake(): void {
    if (this.wakers.size === 0) return
    const wakers = Array.from(this.wakers)
    this.wakers.clear()
    this.schedule(() => {
      for (const waker of wakers) waker()
    })
  }
}
