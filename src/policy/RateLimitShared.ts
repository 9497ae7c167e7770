/**
 * Lets several processes keep one limit together, in a store of Effect's: each call that its own process lets go then
 * takes its place in the store's buckets, and waits for it.
 *
 * The process's own limits go on counting all the while. When the store fails or is silent they alone decide, for a
 * second at a time, until it answers again.
 */
import { Clock, Duration, Effect, Exit, Option, type Scope } from "effect"
import type { RateLimiter } from "effect/persistence"
import type * as Bucket from "./rate-limit/Bucket.ts"
import type { Dimension } from "./rate-limit/Headers.ts"
import type { Line, Refusal, Restore } from "./rate-limit/CallQueue.ts"
import * as State from "./rate-limit/State.ts"

export class SharedLimits {
  private readonly store: RateLimiter.RateLimiterStore["Service"]
  private readonly timeoutMillis: number
  private readonly scope: Scope.Scope
  private absentUntil = 0
  private isAnswering = true

  constructor(store: RateLimiter.RateLimiterStore["Service"], timeoutMillis: number, scope: Scope.Scope) {
    this.store = store
    this.timeoutMillis = timeoutMillis
    this.scope = scope
  }

  /** Whether the store answered the last time it was asked. */
  get isAvailable(): boolean {
    return this.isAnswering
  }

  /**
   * Waits for the place of a call that its line has let go, and releases the line. Interrupted or refused, it has given
   * everything back.
   */
  confirm(
    line: Line,
    ticket: State.Ticket,
    deadline: number | undefined,
    maxWait: number,
    restore: Restore
  ): Effect.Effect<void, Refusal> {
    const taken = line.state.buckets.filter(({ dimension }) => ticket.need[dimension] > 0)
    if (taken.length === 0 || line.now < this.absentUntil) return Effect.sync(() => line.release())
    const latest = line.now + maxWait
    const wait = (millis: number, dimension: Dimension): Effect.Effect<void, Refusal> => {
      const left = deadline === undefined ? Infinity : deadline - line.now
      if (millis > left) {
        return Effect.fail({ _tag: "DeadlineTooNear", remainingMillis: Math.max(0, left), neededMillis: millis })
      }
      if (millis > Math.max(0, latest - line.now)) {
        return Effect.fail({ _tag: "RateLimited", key: line.key, dimension, retryAfterMillis: millis })
      }
      return millis > 0 ? Effect.andThen(Effect.sleep(millis), resumed) : Effect.void
    }
    // Meanwhile another call may have been told to wait.
    const resumed = Effect.suspend(() => {
      const paused = Math.ceil(line.state.pausedUntil - line.now)
      return paused > 0 ? wait(paused, "requests") : Effect.void
    })
    const turn = Effect.flatMap(this.ask(line, taken, ticket.need), (waits) => {
      const millis = Math.max(0, ...waits)
      return Effect.andThen(wait(millis, taken[waits.indexOf(millis)]?.dimension ?? "requests"), resumed)
    })
    return Effect.onExit(restore(turn), (exit) => {
      if (Exit.isSuccess(exit)) return Effect.sync(() => line.release())
      line.undo(ticket)
      return this.giveBack(line, taken, ticket.need)
    })
  }

  /** Corrects in the store what a call took, without anybody waiting for it. */
  giveBack(line: Line, buckets: ReadonlyArray<Bucket.Bucket>, unused: State.Need): Effect.Effect<void> {
    const changed = buckets.filter(({ dimension }) => unused[dimension] !== 0)
    if (changed.length === 0 || line.now < this.absentUntil) return Effect.void
    return this.taking(line, changed, (bucket) => -unused[bucket.dimension]).pipe(
      this.inTime,
      Effect.forkIn(this.scope),
      Effect.asVoid
    )
  }

  /** Uses up what the store's limit of requests would grant until a pause is over, so that the others pause as well. */
  pause(line: Line, millis: number): Effect.Effect<void> {
    const paced = line.state.buckets.filter(State.isPace)
    if (paced.length === 0 || line.now < this.absentUntil) return Effect.void
    return Effect.forEach(paced, (bucket) =>
      Effect.flatMap(this.store.tokenBucket(consumption(line, bucket, 0)), ([level]) => {
        const excess = Math.floor(level + (millis * bucket.limit) / bucket.windowMillis)
        return excess > 0 ? this.store.tokenBucket(consumption(line, bucket, excess)) : Effect.void
      })
    ).pipe(this.inTime, Effect.forkIn(this.scope), Effect.asVoid)
  }

  private ask(line: Line, buckets: ReadonlyArray<Bucket.Bucket>, need: State.Need) {
    return Effect.map(
      this.inTime(this.taking(line, buckets, ({ dimension }) => need[dimension])),
      Option.getOrElse((): ReadonlyArray<number> => [])
    )
  }

  // Milliseconds to wait for each.
  private taking(line: Line, buckets: ReadonlyArray<Bucket.Bucket>, tokens: (bucket: Bucket.Bucket) => number) {
    return Effect.forEach(
      buckets,
      (bucket) => {
        const taken = tokens(bucket)
        // Who needs more than there is room for goes when it is full, as in the bucket of the process.
        const debt = Math.max(0, taken - bucket.capacity)
        return Effect.map(this.store.tokenBucket(consumption(line, bucket, taken)), ([level, elapsed]) => {
          const missing = Math.ceil(-(level + debt))
          return Math.max(0, Math.ceil((Math.max(0, missing) * bucket.windowMillis) / bucket.limit - elapsed))
        })
      },
      { concurrency: "unbounded" }
    )
  }

  private readonly inTime = <A, E>(asked: Effect.Effect<A, E>): Effect.Effect<Option.Option<A>> =>
    Effect.timeout(asked, this.timeoutMillis).pipe(
      Effect.flatMap((answer) => Effect.as(this.answered(true), Option.some(answer))),
      Effect.catch((error) => Effect.as(this.answered(false, error), Option.none<A>()))
    )

  private answered(isAnswering: boolean, error?: unknown): Effect.Effect<void> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const hasChanged = this.isAnswering !== isAnswering
      this.isAnswering = isAnswering
      if (!isAnswering) this.absentUntil = now + askAgainMillis
      if (!hasChanged) return Effect.void
      return isAnswering
        ? Effect.logInfo("the shared rate limits are back")
        : Effect.logWarning("the shared rate limits do not answer: each process keeps its own", error)
    })
  }
}

const askAgainMillis = 1_000

const consumption = (line: Line, { capacity, dimension, limit, windowMillis }: Bucket.Bucket, tokens: number) => ({
  key: `${line.key}:${dimension}:${windowMillis}`,
  tokens,
  limit: capacity,
  refillRate: Duration.millis(windowMillis / limit),
  allowOverflow: true
})
