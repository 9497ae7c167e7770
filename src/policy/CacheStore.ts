/**
 * Keeps entries where all processes see them, and does without while that place does not answer.
 *
 * A question that is not answered in time counts as unanswered, and from then on nobody asks: calls go on at once. One
 * fiber, owned by the cache's scope, asks from time to time, and when it is answered the store is in use again.
 */
import { Clock, Duration, Effect, Exit, Fiber, Option, Scope } from "effect"
import type { Persistence } from "effect/persistence"
import * as CacheEntry from "./response-cache/Entry.ts"
import type { CacheLease, StoreError } from "./response-cache/Lease.ts"

export interface Settings {
  /** How long an answer may take. */
  readonly timeoutMillis: number
  /** How long after an unanswered question the next one is asked. */
  readonly retryMillis: number
  readonly leaseMillis: number
}

export class CacheStore {
  /** False while the store does not answer. */
  available = true
  private watching = false
  // In the order in which they were asked, which is that of their ends.
  private readonly open = new Set<Waiting>()
  private readonly store: Persistence.BackingPersistenceStore
  private readonly lease: CacheLease
  private readonly settings: Settings
  private readonly scope: Scope.Scope

  constructor(store: Persistence.BackingPersistenceStore, lease: CacheLease, settings: Settings, scope: Scope.Scope) {
    this.store = store
    this.lease = lease
    this.settings = settings
    // Closing does not wait for one question before it gives up the next.
    this.scope = Scope.forkUnsafe(scope, "parallel")
  }

  get(key: string): Effect.Effect<CacheEntry.CacheEntry | undefined> {
    return this.ask(Effect.map(this.store.get(key), CacheEntry.decode))
  }

  set(key: string, entry: CacheEntry.CacheEntry, keepMillis: number): Effect.Effect<void> {
    return this.ask(this.store.set(key, CacheEntry.encode(entry), Duration.millis(keepMillis)))
  }

  remove(key: string): Effect.Effect<void> {
    return this.ask(this.store.remove(key))
  }

  readonly clear: Effect.Effect<void> = Effect.suspend(() => this.ask(this.store.clear))

  /** Takes the lease of a key; `undefined` when the store does not answer. */
  takeLease(key: string, owner: string): Effect.Effect<boolean | undefined> {
    return this.ask(this.lease.take(key, owner, this.settings.leaseMillis))
  }

  /** Gives the lease of a key back, without waiting for it: at worst it lapses. */
  releaseLease(key: string, owner: string): Effect.Effect<void> {
    return Effect.asVoid(
      Effect.forkIn(this.ask(this.lease.release(key, owner)), this.scope, { startImmediately: true })
    )
  }

  /** Asks, and gives `undefined` when there is no answer in time. */
  private ask<A>(question: Effect.Effect<A, StoreError>): Effect.Effect<A | undefined> {
    return Effect.suspend(() =>
      this.available
        ? Effect.flatMap(this.inTime(question), (exit) =>
            exit === undefined
              ? Effect.as(this.leave(`no answer within ${this.settings.timeoutMillis} ms`), undefined)
              : this.read(exit)
          )
        : Effect.undefined
    )
  }

  /** How a question ended; `undefined` when it took too long. */
  private inTime<A>(question: Effect.Effect<A, StoreError>): Effect.Effect<Exit.Exit<A, StoreError> | undefined> {
    return Effect.withFiber((asking) => {
      const clock = asking.getRef(Clock.Clock)
      return Effect.uninterruptibleMask((restore) =>
        Effect.suspend(() => {
          // Known before anything else can happen, so that nobody stops watching meanwhile.
          const waiting: Waiting = {
            until: clock.currentTimeMillisUnsafe() + this.settings.timeoutMillis,
            isLate: false,
            giveUp: undefined
          }
          this.open.add(waiting)
          const answered = (asked: Fiber.Fiber<A, StoreError>) =>
            Effect.callback<Exit.Exit<A, StoreError> | undefined>((resume) => {
              waiting.giveUp = () => {
                resume(Effect.undefined)
                asked.interruptUnsafe()
              }
              if (waiting.isLate) waiting.giveUp()
              else asked.addObserver((exit) => resume(Effect.succeed(exit)))
            })
          return this.watched.pipe(
            Effect.andThen(Effect.forkIn(question, this.scope, { startImmediately: true })),
            Effect.flatMap((asked) =>
              // Drivers may take long to be interrupted while their server is frozen, so nobody waits for that but who
              // closes the scope, and not without a limit.
              Effect.onInterrupt(restore(answered(asked)), () =>
                this.isClosed
                  ? Effect.timeoutOption(Fiber.interrupt(asked), this.settings.timeoutMillis)
                  : Effect.sync(() => asked.interruptUnsafe())
              )
            ),
            Effect.ensuring(Effect.sync(() => this.open.delete(waiting)))
          )
        })
      )
    })
  }

  private readonly watched: Effect.Effect<unknown> = Effect.suspend(() => {
    if (this.watching || this.isClosed) return Effect.void
    this.watching = true
    return Effect.flatMap(Effect.forkIn(this.watch, this.scope, { startImmediately: true }), (watching) =>
      // The scope that closed in this moment does not wait for it.
      this.isClosed ? Fiber.interrupt(watching) : Effect.void
    )
  })

  private get isClosed(): boolean {
    return this.scope.state._tag === "Closed"
  }

  /** Gives up what takes too long. One timer for all questions, as they all have the same time. */
  private readonly watch: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      for (;;) {
        // Another may be asked before the next look, so there is one look more than needed.
        const now = yield* Clock.currentTimeMillis
        this.giveUp(now)
        const [first] = this.open
        yield* Effect.sleep(first === undefined ? this.settings.timeoutMillis : first.until - now)
        if (first === undefined && this.open.size === 0) {
          // In the step that saw nobody waiting: who asks after it starts another watch.
          this.watching = false
          return
        }
      }
    }).pipe(
      // Closed, nobody looks any more.
      Effect.onInterrupt(() => Effect.sync(() => this.giveUp(Infinity)))
    )
  )

  private giveUp(now: number): void {
    for (const waiting of this.open) {
      if (waiting.until > now) break
      this.open.delete(waiting)
      waiting.isLate = true
      waiting.giveUp?.()
    }
  }

  private read<A>(exit: Exit.Exit<A, StoreError>): Effect.Effect<A | undefined> {
    if (Exit.isSuccess(exit)) return Effect.succeed(exit.value)
    const error = Exit.findErrorOption(exit)
    // A value that is not JSON is not an entry, and says nothing about the store.
    if (Option.isSome(error) && isUnreadable(error.value)) return Effect.undefined
    if (Exit.hasInterrupts(exit)) return Effect.undefined
    return Effect.as(this.leave(exit.cause), undefined)
  }

  private leave(why: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.available || this.isClosed) return Effect.void
      this.available = false
      return Effect.andThen(
        Effect.logWarning("the cache's store does not answer; calls go on without it", why),
        Effect.forkIn(this.untilBack, this.scope)
      )
    })
  }

  private readonly untilBack: Effect.Effect<void> = Effect.suspend(() =>
    Effect.gen({ self: this }, function* () {
      while (!this.available) {
        yield* Effect.sleep(this.settings.retryMillis)
        const answer = yield* this.inTime(this.store.get("probe"))
        this.available = answer !== undefined && Exit.isSuccess(answer)
      }
      yield* Effect.logInfo("the cache's store answers again")
    })
  )
}

/** A question that is under way. */
interface Waiting {
  readonly until: number
  /** Whether it was given up before anybody waited for the answer. */
  isLate: boolean
  giveUp: (() => void) | undefined
}

const isUnreadable = (error: StoreError): boolean =>
  error._tag === "PersistenceError" && error.cause instanceof SyntaxError
