/**
 * Keeps entries where all processes see them, and does without while that place does not answer.
 *
 * A question that is not answered in time counts as unanswered, and from then on nobody asks: calls go on at once. One
 * fiber, owned by the cache's scope, asks from time to time, and when it is answered the store is in use again.
 */
import { Duration, Effect, Exit, Fiber, Option, type Scope } from "effect"
import type { Persistence } from "effect/persistence"
import * as CacheEntry from "./CacheEntry.ts"
import type { CacheLease, StoreError } from "./CacheLease.ts"

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
  private readonly store: Persistence.BackingPersistenceStore
  private readonly lease: CacheLease
  private readonly settings: Settings
  private readonly scope: Scope.Scope

  constructor(store: Persistence.BackingPersistenceStore, lease: CacheLease, settings: Settings, scope: Scope.Scope) {
    this.store = store
    this.lease = lease
    this.settings = settings
    this.scope = scope
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

  // Drivers may take their time to be interrupted while their server is frozen, so the caller does not wait for that.
  private ask<A>(question: Effect.Effect<A, StoreError>): Effect.Effect<A | undefined> {
    return Effect.suspend(() => {
      if (!this.available) return Effect.undefined
      return Effect.flatMap(Effect.forkIn(question, this.scope, { startImmediately: true }), (asked) =>
        asked.pollUnsafe() === undefined
          ? Effect.flatMap(
              Effect.onInterrupt(Effect.timeoutOption(Fiber.await(asked), this.settings.timeoutMillis), () =>
                Effect.sync(() => asked.interruptUnsafe())
              ),
              (answer) => {
                if (Option.isSome(answer)) return this.read(answer.value)
                asked.interruptUnsafe()
                return Effect.as(this.leave(`no answer within ${this.settings.timeoutMillis} ms`), undefined)
              }
            )
          : Effect.flatMap(Fiber.await(asked), (exit) => this.read(exit))
      )
    })
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
      if (!this.available) return Effect.void
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
        const asked = yield* Effect.forkIn(this.store.get("probe"), this.scope, { startImmediately: true })
        const answer = yield* Effect.timeoutOption(Fiber.await(asked), this.settings.timeoutMillis)
        if (Option.isNone(answer)) asked.interruptUnsafe()
        this.available = Option.isSome(answer) && Exit.isSuccess(answer.value)
      }
      yield* Effect.logInfo("the cache's store answers again")
    })
  )
}

const isUnreadable = (error: StoreError): boolean =>
  error._tag === "PersistenceError" && error.cause instanceof SyntaxError
