/**
 * Keeps entries where all processes see them, and does without while that place does not answer.
 */
import { Duration, Effect, Option, Predicate, type Scope } from "effect"
import type { Persistence } from "effect/persistence"
import { SharedStore } from "../store/SharedStore.ts"
import * as CacheEntry from "./Entry.ts"
import type { CacheLease, StoreError } from "./Lease.ts"

export interface Settings {
  /** How long an answer may take. */
  readonly timeoutMillis: number
  /** How long after an unanswered question the next one is asked. */
  readonly retryMillis: number
  readonly leaseMillis: number
  /** A larger entry is not read. */
  readonly maxEntryBytes: number
}

export class CacheStore {
  private readonly store: Persistence.BackingPersistenceStore
  private readonly lease: CacheLease
  private readonly leaseMillis: number
  private readonly maxEntryBytes: number
  private readonly shared: SharedStore

  constructor(store: Persistence.BackingPersistenceStore, lease: CacheLease, settings: Settings, scope: Scope.Scope) {
    this.store = store
    this.lease = lease
    this.leaseMillis = settings.leaseMillis
    this.maxEntryBytes = settings.maxEntryBytes
    const { retryMillis, timeoutMillis } = settings
    this.shared = new SharedStore(
      {
        name: "the cache's store",
        without: "calls go on without it",
        timeoutMillis,
        retryMillis,
        probe: Effect.asVoid(store.get("probe"))
      },
      scope
    )
  }

  /** False while the store does not answer. */
  get available(): boolean {
    return this.shared.isAvailable
  }

  get(key: string): Effect.Effect<CacheEntry.CacheEntry | undefined> {
    return this.ask(
      Effect.map(this.store.get(key), (value) =>
        // A store that mixes keys up gives nobody the answer of another.
        Predicate.hasProperty(value, "key") && value.key === key
          ? CacheEntry.decode(value, this.maxEntryBytes)
          : undefined
      )
    )
  }

  set(key: string, entry: CacheEntry.CacheEntry, keepMillis: number): Effect.Effect<void> {
    return this.ask(this.store.set(key, { key, ...CacheEntry.encode(entry) }, Duration.millis(keepMillis)))
  }

  remove(key: string): Effect.Effect<void> {
    return this.ask(this.store.remove(key))
  }

  readonly clear: Effect.Effect<void> = Effect.suspend(() => this.ask(this.store.clear))

  /** Takes the lease of a key; `undefined` when the store does not answer. */
  takeLease(key: string, owner: string): Effect.Effect<boolean | undefined> {
    return this.ask(this.lease.take(key, owner, this.leaseMillis))
  }

  /** Gives the lease of a key back, without waiting for it: at worst it lapses. */
  releaseLease(key: string, owner: string): Effect.Effect<void> {
    return this.shared.tell(this.lease.release(key, owner))
  }

  /** Asks, and gives `undefined` when there is no answer in time. */
  private ask<A>(question: Effect.Effect<A, StoreError>): Effect.Effect<A | undefined> {
    // A value that is not JSON is not an entry, and says nothing about the store.
    const readable = Effect.catchIf(question, isUnreadable, () => Effect.undefined)
    return Effect.map(this.shared.ask(readable), Option.getOrUndefined)
  }
}

const isUnreadable = (error: StoreError): boolean =>
  error._tag === "PersistenceError" && error.cause instanceof SyntaxError
