/**
 * Shares one run among everybody who asks for the same thing while it is under way.
 *
 * The run belongs to the scope of {@link JoinedRuns}, not to the caller who was first. It is interrupted when the last
 * reader has left, and goes on otherwise. What it brings on the way, pieces, and how it ends is given to each reader,
 * from the start and at the reader's own pace.
 *
 * Pieces are a linked list, and each reader holds the one it read last: what all have passed is garbage at once. The
 * list is held from its start only while newcomers may still join, which ends when it has grown to the bound. From then
 * on the bound is on how far a reader may be behind: one that is further behind is put out.
 */
import { Effect, Exit, Fiber, type Scope } from "effect"
import type * as ResponseHeaders from "../../core/call/ResponseHeaders.ts"

export interface Settings<A, E> {
  /** What may be kept of one run. */
  readonly maxBufferBytes: number
  /** What a reader is told that was put out. */
  readonly fellBehind: Effect.Effect<A, E>
  /** A reader's own copy of what several get, so that none writes into what is another's. */
  readonly own: (value: A) => A
  /** A reader's own copy of the error that several get, for others may mark theirs. Who was first gets it as it is. */
  readonly ownError: (error: E) => E
}

/** The runs under way, by key. */
export class JoinedRuns<A, E> {
  /** Runs that have not ended, those which nobody may join any more included. */
  inFlight = 0
  /** How many have joined a run that was under way. */
  joined = 0
  private readonly open = new Map<string, JoinedRun<A, E>>()
  private readonly settings: Settings<A, E>
  private readonly scope: Scope.Scope

  constructor(settings: Settings<A, E>, scope: Scope.Scope) {
    this.settings = settings
    this.scope = scope
  }

  /**
   * Joins the run with this key, or starts it in the present fiber's context. Who joins must {@link leave}, so this
   * must not be interrupted before that is made sure.
   */
  join<R>(
    key: string,
    run: (shared: JoinedRun<A, E>) => Effect.Effect<A, E, R>,
    hear?: (headers: ResponseHeaders.Headers) => void
  ): Effect.Effect<Reader<A, E>, never, R> {
    return Effect.suspend(() => {
      const running = this.open.get(key)
      if (running !== undefined) {
        this.joined++
        return Effect.succeed(running.enter(true, hear))
      }
      const shared = new JoinedRun(this.settings, () => {
        if (this.open.get(key) === shared) this.open.delete(key)
      })
      const reader = shared.enter(false, hear)
      this.open.set(key, shared)
      this.inFlight++
      return Effect.map(Effect.forkIn(run(shared), this.scope, { startImmediately: true }), (fiber) => {
        shared.run = fiber
        fiber.addObserver((exit) => {
          this.inFlight--
          shared.ended(exit)
        })
        return reader
      })
    })
  }

  /** Leaves a run. The last one to leave interrupts it, and waits until it has ended. */
  leave(reader: Reader<A, E>): Effect.Effect<void> {
    return Effect.suspend(() => reader.shared.exit(reader))
  }
}

/** One run, and who shares it. */
export class JoinedRun<A, E> {
  run: Fiber.Fiber<A, E> | undefined
  end: Exit.Exit<A, E> | undefined
  waiting = 0
  /** Whether it ever had more than one reader. */
  isJoined = false
  readonly settings: Settings<A, E>
  private first: Piece<A> | undefined = { next: undefined, value: undefined, bytes: 0 }
  private last: Piece<A> = this.first as Piece<A>
  private checkAtBytes: number
  private headers: ResponseHeaders.Headers | undefined
  private proceed: (() => void) | undefined
  private readonly readers = new Set<Reader<A, E>>()
  private readonly close: () => void

  constructor(settings: Settings<A, E>, close: () => void) {
    this.settings = settings
    this.checkAtBytes = settings.maxBufferBytes
    this.close = close
  }

  /**
   * Gives the readers one more piece. What it returns waits until one of them has read everything: the fastest sets the
   * pace.
   */
  readonly add = (value: A, bytes: number): Effect.Effect<void> => {
    if (this.last.bytes > this.checkAtBytes) this.trim()
    this.last = this.last.next = { next: undefined, value, bytes: this.last.bytes + bytes }
    this.wake()
    return this.waiting > 0 ? Effect.void : this.untilWanted
  }

  /** Tells the readers of the response's headers, and those who come later. */
  readonly tell = (headers: ResponseHeaders.Headers): void => {
    this.headers = headers
    for (const reader of this.readers) reader.hear?.(headers)
  }

  enter(isJoiner: boolean, hear: ((headers: ResponseHeaders.Headers) => void) | undefined): Reader<A, E> {
    const reader = new Reader(this, this.first, isJoiner, hear)
    this.isJoined ||= isJoiner
    this.readers.add(reader)
    if (this.headers !== undefined) hear?.(this.headers)
    return reader
  }

  exit(reader: Reader<A, E>): Effect.Effect<void> {
    if (!this.readers.delete(reader) || this.readers.size > 0) return Effect.void
    this.close()
    return this.run === undefined ? Effect.void : Fiber.interrupt(this.run)
  }

  ended(exit: Exit.Exit<A, E>): void {
    this.close()
    this.end = exit
    this.wake()
  }

  /** A reader has read everything and waits for more. */
  wanted(): void {
    this.waiting++
    this.proceed?.()
  }

  private readonly untilWanted: Effect.Effect<void> = Effect.callback((resume) => {
    // A reader may have come to wait since this was decided on.
    if (this.waiting > 0) return resume(Effect.void)
    this.proceed = () => {
      this.proceed = undefined
      resume(Effect.void)
    }
    return Effect.sync(() => {
      this.proceed = undefined
    })
  })

  private wake(): void {
    for (const reader of this.readers) reader.wake()
  }

  /** Closes to newcomers, and puts out who is too far behind. The newest piece does not count as unread. */
  private trim(): void {
    const { maxBufferBytes } = this.settings
    this.close()
    this.first = undefined
    let slowest = this.last.bytes
    for (const reader of this.readers) {
      const read = reader.readBytes
      if (this.last.bytes - read <= maxBufferBytes) {
        slowest = Math.min(slowest, read)
      } else {
        reader.putOut()
        this.readers.delete(reader)
      }
    }
    this.checkAtBytes = slowest + maxBufferBytes
  }
}

/** One who shares a run. */
export class Reader<A, E> {
  readonly shared: JoinedRun<A, E>
  /** Whether the run was under way already. */
  readonly isJoiner: boolean
  readonly hear: ((headers: ResponseHeaders.Headers) => void) | undefined
  private at: Piece<A> | undefined
  private resume: ((next: Effect.Effect<A, E>) => void) | undefined

  constructor(
    shared: JoinedRun<A, E>,
    at: Piece<A> | undefined,
    isJoiner: boolean,
    hear: ((headers: ResponseHeaders.Headers) => void) | undefined
  ) {
    this.shared = shared
    this.at = at
    this.isJoiner = isJoiner
    this.hear = hear
  }

  /** Waits for the next piece; after the last one it gives the end. */
  readonly pull: Effect.Effect<A, E> = Effect.suspend(() => {
    const { end, settings } = this.shared
    if (this.at === undefined) return settings.fellBehind
    const { next } = this.at
    if (next !== undefined) {
      this.at = next
      return Effect.succeed(settings.own(next.value as A)) // only the piece before the first one has none
    }
    if (end === undefined) return this.more
    if (Exit.isSuccess(end)) return this.shared.isJoined ? Effect.succeed(settings.own(end.value)) : end
    return this.isJoiner ? Exit.mapError(end, settings.ownError) : end
  })

  get readBytes(): number {
    return this.at?.bytes ?? 0
  }

  putOut(): void {
    this.at = undefined
    this.wake()
  }

  wake(): void {
    const { at, resume } = this
    // One that was put out has something to be told, and may have been while it went to wait.
    if (resume === undefined || (at !== undefined && at.next === undefined && this.shared.end === undefined)) return
    this.stopWaiting()
    resume(this.pull)
  }

  private readonly more: Effect.Effect<A, E> = Effect.callback((resume) => {
    this.resume = resume
    this.shared.wanted()
    // Something may have come since this was decided on.
    this.wake()
    return Effect.sync(() => this.stopWaiting())
  })

  private stopWaiting(): void {
    if (this.resume === undefined) return
    this.resume = undefined
    this.shared.waiting--
  }
}

interface Piece<A> {
  next: Piece<A> | undefined
  readonly value: A | undefined
  /** Up to and including this one. */
  readonly bytes: number
}
