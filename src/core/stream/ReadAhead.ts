/**
 * Reads a stream a little further than its reader has come: a queue between the fiber that reads it and the one that asks.
 *
 * It is for one fiber on each side, which makes it cheaper than Effect's `Queue`. The reader wakes in a turn of its own, so
 * that what comes in the same turn of the event loop reaches it together; whoever waits for room goes on at once.
 */
import { type Cause, Effect, type Pull, type Scheduler } from "effect"
import { isReadonlyArrayNonEmpty, type NonEmptyReadonlyArray } from "effect/Array"

/** Parts that may wait for a slow reader; when more do, the stream is not read further. */
const most = 16

/** What has been read, and not been taken yet. */
export class ReadAhead<A, E> {
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private waiting: Array<A> = []
  private end: Effect.Effect<never, E | Cause.Done> | undefined
  private reader: (() => void) | undefined
  private writer: (() => void) | undefined
  private isWaking = false

  constructor(dispatcher: Scheduler.SchedulerDispatcher) {
    this.dispatcher = dispatcher
  }

  /** Puts parts in, and says whether the stream may be read further; if not, wait for {@link room} first. */
  put(parts: ReadonlyArray<A>): boolean {
    for (const part of parts) this.waiting.push(part)
    this.wakeReader()
    return this.waiting.length <= most
  }

  /** Waits until the reader has taken what waits. */
  readonly room: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.waiting.length <= most) return resume(Effect.void)
    this.writer = () => resume(Effect.void)
    return Effect.sync(() => {
      this.writer = undefined
    })
  })

  /** Says what the reader finds behind the last part. The first that is said counts. */
  close(end: Effect.Effect<never, E | Cause.Done>): void {
    this.end ??= end
    this.wakeReader()
  }

  /** Takes all that waits, or waits for the next, or ends as was said. */
  readonly take: Pull.Pull<NonEmptyReadonlyArray<A>, E> = Effect.suspend(() => {
    const parts = this.waiting
    if (!isReadonlyArrayNonEmpty(parts)) return this.end ?? this.next
    this.waiting = []
    const { writer } = this
    this.writer = undefined
    writer?.()
    return Effect.succeed(parts)
  })

  private readonly next: typeof this.take = Effect.callback((resume) => {
    // A fiber may be preempted between looking and waiting.
    if (this.waiting.length > 0 || this.end !== undefined) return resume(this.take)
    const reader = () => resume(this.take)
    this.reader = reader
    return Effect.sync(() => {
      // Another may wait by now.
      if (this.reader === reader) this.reader = undefined
    })
  })

  private wakeReader(): void {
    if (this.reader === undefined || this.isWaking) return
    this.isWaking = true
    this.dispatcher.scheduleTask(this.wake, 0)
  }

  private readonly wake = (): void => {
    this.isWaking = false
    const { reader } = this
    this.reader = undefined
    reader?.()
  }
}

/** Makes one whose reader wakes by the present fiber's scheduler. */
export const make = <A, E = never>(): Effect.Effect<ReadAhead<A, E>> =>
  Effect.withFiber((fiber) => Effect.succeed(new ReadAhead<A, E>(fiber.currentDispatcher)))
