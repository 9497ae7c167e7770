/**
 * Keeps the latest events in order and lets any number of readers follow them at their own pace.
 *
 * Writing never waits: the log is a ring of `capacity` events, the oldest is overwritten, and a reader that had not
 * read it is told which ones it missed. Readers hold only a position, so a slow one costs nothing and slows nobody.
 */
import { Array as Arr, Cause, Effect, Stream } from "effect"
import type { EventsMissed, JobEvent } from "../core/JobEvent.ts"

export class EventLog {
  private readonly ring: Array<JobEvent> = []
  private readonly wakers = new Set<() => void>()
  private readonly capacity: number
  private readonly schedule: (task: () => void) => void
  private closed = false
  private lastSequence = 0

  /** `schedule` runs a task soon, outside of the transition that is being logged. */
  constructor(capacity: number, schedule: (task: () => void) => void) {
    this.capacity = capacity
    this.schedule = schedule
  }

  /** The sequence number the next event must carry. */
  get nextSequence(): number {
    return this.lastSequence + 1
  }

  append(event: JobEvent): void {
    this.lastSequence = event.sequence
    this.ring[(event.sequence - 1) % this.capacity] = event
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
      const event = this.ring[(sequence - 1) % this.capacity]
      if (event !== undefined) events.push(event)
    }
    return events
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
