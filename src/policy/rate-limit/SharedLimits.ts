/**
 * Lets several processes keep one limit together, in a store of Effect's: each call that its own process lets go then
 * takes its place in the store's buckets, and waits for it.
 *
 * The process's own limits go on counting all the while. While the store fails or is silent they alone decide, and for a
 * key of which the store holds what nobody can have put there.
 */
import { Duration, Effect, Exit, Option, type Scope } from "effect"
import type { RateLimiter } from "effect/persistence"
import * as Key from "../../core/call/Key.ts"
import type { Restore } from "../../core/Restore.ts"
import * as Failure from "../../core/call/Failure.ts"
import { SharedStore } from "../store/SharedStore.ts"
import * as Bucket from "./Bucket.ts"
import type { Dimension } from "./Headers.ts"
import type { CallQueue, Refusal } from "./CallQueue.ts"
import * as State from "./State.ts"

export class SharedLimits {
  private readonly store: RateLimiter.RateLimiterStore["Service"]
  private readonly shared: SharedStore

  constructor(store: RateLimiter.RateLimiterStore["Service"], timeoutMillis: number, scope: Scope.Scope) {
    this.store = store
    const [name, without] = ["the shared rate limits", "each process keeps its own"]
    this.shared = new SharedStore(
      { name, without, timeoutMillis, retryMillis, probe: Effect.suspend(() => store.tokenBucket(probed)) },
      scope
    )
  }

  /** Whether the store answered the last time it was asked. */
  get isAvailable(): boolean {
    return this.shared.isAvailable
  }

  /**
   * Waits for the place of a call that its queue has let go, and releases the queue. Interrupted or refused, it has given
   * everything back.
   */
  confirm(
    queue: CallQueue,
    took: State.Taken,
    deadline: number | undefined,
    maxWait: number,
    restore: Restore
  ): Effect.Effect<void, Refusal> {
    const taken = queue.state.buckets.filter(({ dimension }) => took.need[dimension] > 0)
    if (taken.length === 0) return Effect.sync(() => queue.release())
    const latest = queue.now + maxWait
    const wait = (millis: number, dimension: Dimension): Effect.Effect<void, Refusal> => {
      const left = deadline === undefined ? Infinity : deadline - queue.now
      if (millis > left) {
        return Effect.fail({
          _tag: "DeadlineTooNear",
          remainingMillis: Math.floor(Math.max(0, left)),
          neededMillis: millis
        })
      }
      if (millis > Math.max(0, latest - queue.now)) {
        return Effect.fail({ _tag: "RateLimited", key: queue.key, dimension, retryAfterMillis: millis })
      }
      return millis > 0 ? Effect.andThen(Effect.sleep(millis), resumed) : Effect.void
    }
    // Meanwhile another call may have been told to wait.
    const resumed = Effect.suspend(() => {
      const paused = Math.ceil(queue.state.pausedUntil - queue.now)
      return paused > 0 ? wait(paused, "requests") : Effect.void
    })
    const asked: Array<Bucket.Bucket> = []
    const turn = (buckets: ReadonlyArray<Bucket.Bucket>) => {
      if (buckets.length === 0) return Effect.void
      return Effect.suspend(() => {
        asked.push(...buckets)
        return Effect.flatMap(this.ask(queue, buckets, took.need), (waits) => {
          const millis = Math.max(0, ...waits)
          return Effect.andThen(wait(millis, buckets[waits.indexOf(millis)]?.dimension ?? "requests"), resumed)
        })
      })
    }
    // The store counts a request from when it is asked. So it is asked for it last, when the tokens let the call go: a
    // request that is counted and then waits for tokens would go together with those that the store lets go after it.
    const requests = taken.filter(({ dimension }) => dimension === "requests")
    const tokens = taken.filter(({ dimension }) => dimension !== "requests")
    return Effect.onExit(restore(Effect.andThen(turn(tokens), turn(requests))), (exit) => {
      if (Exit.isSuccess(exit)) return Effect.sync(() => queue.release())
      queue.undo(took)
      return this.giveBack(queue, asked, took.need)
    })
  }

  /** Corrects in the store what a call took, without anybody waiting for it. */
  giveBack(queue: CallQueue, buckets: ReadonlyArray<Bucket.Bucket>, unused: State.Need): Effect.Effect<void> {
    const changed = buckets.filter(({ dimension }) => unused[dimension] !== 0)
    if (changed.length === 0) return Effect.void
    return this.shared.tell(this.taking(queue, changed, (bucket) => -Bucket.unused(bucket, unused[bucket.dimension])))
  }

  /** Uses up what the store's limit of requests would grant until a pause is over, so that the others pause as well. */
  pause(queue: CallQueue, millis: number): Effect.Effect<void> {
    const paced = queue.state.buckets.filter(State.isPace)
    if (paced.length === 0) return Effect.void
    const using = Effect.forEach(paced, (bucket) =>
      Effect.flatMap(this.take(queue, bucket, 0), ({ level }) => {
        const excess = Math.floor(level + (millis * bucket.limit) / bucket.windowMillis)
        return excess > 0 ? this.take(queue, bucket, excess) : Effect.void
      })
    )
    return this.shared.tell(using)
  }

  private ask(queue: CallQueue, buckets: ReadonlyArray<Bucket.Bucket>, need: State.Need) {
    return Effect.map(
      this.shared.ask(this.taking(queue, buckets, ({ dimension }) => need[dimension])),
      Option.getOrElse((): ReadonlyArray<number> => [])
    )
  }

  // Milliseconds to wait for each.
  private taking(queue: CallQueue, buckets: ReadonlyArray<Bucket.Bucket>, tokens: (bucket: Bucket.Bucket) => number) {
    return Effect.forEach(
      buckets,
      (bucket) => {
        const taken = tokens(bucket)
        return Effect.map(this.take(queue, bucket, taken), ({ elapsedMillis, level }) => {
          // Who needs more than there is room for goes when it is full, as in the bucket of the process.
          const debt = Math.max(0, taken - bucket.capacity)
          const millis = refillMillis(bucket, Math.ceil(-(level + debt))) - elapsedMillis
          // As in the process: what was only told holds nobody back for longer.
          return Math.max(0, Math.ceil(bucket.learned ? Math.min(millis, State.probeAfterMillis) : millis))
        })
      },
      { concurrency: "unbounded" }
    )
  }

  /** Takes tokens. What is left in the store and cannot be counts as a full bucket, and a debt that cannot be is let off. */
  private take(queue: CallQueue, bucket: Bucket.Bucket, tokens: number) {
    const consumed = consumption(queue, bucket, tokens)
    return Effect.flatMap(this.store.tokenBucket(consumed), (answer: unknown) => {
      const left = read(answer, bucket)
      if (left !== undefined && refillMillis(bucket, -left.level) <= longestDebtMillis(bucket, tokens))
        return Effect.succeed(left)
      const forgiven = left === undefined ? Effect.void : this.store.tokenBucket({ ...consumed, tokens: left.level })
      return Effect.andThen(this.shared.disbelieve(consumed.key, answer), Effect.as(forgiven, full(bucket)))
    })
  }
}

interface Left {
  readonly level: number
  readonly elapsedMillis: number
}

const full = ({ capacity }: Bucket.Bucket): Left => ({ level: capacity, elapsedMillis: 0 })

const read = (answer: unknown, { capacity, limit, windowMillis }: Bucket.Bucket): Left | undefined => {
  if (!Array.isArray(answer)) return undefined
  const [level, elapsedMillis]: ReadonlyArray<unknown> = answer
  if (!isMeasure(level) || !isMeasure(elapsedMillis)) return undefined
  return {
    level: Math.min(level, capacity),
    elapsedMillis: Math.min(Math.max(0, elapsedMillis), windowMillis / limit)
  }
}

const isMeasure = (value: unknown): value is number => Number.isFinite(value)

const refillMillis = ({ limit, windowMillis }: Bucket.Bucket, tokens: number): number =>
  (Math.max(0, tokens) * windowMillis) / limit

/** What a pause of a day takes, what others took in a window, and what this call takes: nobody can owe more. */
const longestDebtMillis = (bucket: Bucket.Bucket, tokens: number): number =>
  Failure.longestWaitMillis + 2 * bucket.windowMillis + refillMillis(bucket, tokens)

/** How long a store that did not answer is left alone. */
const retryMillis = 1_000

const consumption = (
  queue: CallQueue,
  { capacity, dimension, limit, windowMillis }: Bucket.Bucket,
  tokens: number
) => ({
  key: Key.within(queue.key, dimension, String(windowMillis)),
  tokens,
  limit: capacity,
  refillRate: Duration.millis(windowMillis / limit),
  allowOverflow: true
})

/** Whether the store is there: a full bucket, of which nothing is taken. */
const probed = { key: "probe", tokens: 0, limit: 1, refillRate: Duration.millis(1), allowOverflow: false }
