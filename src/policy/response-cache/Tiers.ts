/**
 * Looks for entries in memory first and in the shared store after that, and lets one process make a missing one.
 */
import { Clock, Effect, Random, type Scope } from "effect"
import type * as CacheEntry from "./Entry.ts"
import { CacheMemory } from "./Memory.ts"
import type { CacheStore } from "../CacheStore.ts"

export interface Settings {
  readonly timeToLiveMillis: number
  readonly staleForMillis: number
  readonly capacity: number
  readonly maxBytes: number
  readonly maxEntryBytes: number
  /** How long to wait for another process that makes the call. */
  readonly leaseMillis: number
}

/** How the cache is used by a call. */
export interface Use {
  readonly reads: boolean
  readonly stores: boolean
  /** What lives shorter than this is treated as missing. */
  readonly freshForMillis: number
}

export interface Hit {
  readonly entry: CacheEntry.CacheEntry
  readonly found: CacheEntry.Found
}

/** Says whether and how an entry may be given now. */
const judge = (
  entry: CacheEntry.CacheEntry,
  { staleForMillis, timeToLiveMillis }: Pick<Settings, "staleForMillis" | "timeToLiveMillis">,
  { freshForMillis }: Pick<Use, "freshForMillis">,
  tier: CacheEntry.Found["tier"],
  now: number
): CacheEntry.Found | undefined => {
  const ageMillis = Math.max(0, now - entry.storedAtMillis)
  const leftMillis = timeToLiveMillis - ageMillis
  if (leftMillis > freshForMillis) return { ageMillis, tier, stale: false }
  return freshForMillis === 0 && leftMillis > -staleForMillis ? { ageMillis, tier, stale: true } : undefined
}

/** How long to wait before looking again for what another process makes. */
const pollMillis = 50

export class CacheTiers {
  readonly memory: CacheMemory
  readonly store: CacheStore | undefined
  readonly settings: Settings
  private leases = 0

  constructor(settings: Settings, store: CacheStore | undefined) {
    this.memory = new CacheMemory(settings.capacity, settings.maxBytes)
    this.store = store
    this.settings = settings
  }

  inMemory(key: string, use: Use, now: number): Hit | undefined {
    const slot = this.memory.get(key, now)
    if (slot === undefined) return undefined
    const found = judge(slot.entry, this.settings, use, "memory", now)
    return found === undefined ? undefined : { entry: slot.entry, found }
  }

  /** Looks in the shared store; what it finds is in memory from then on. */
  shared(key: string, use: Use): Effect.Effect<Hit | undefined> {
    const { store } = this
    if (store === undefined) return Effect.undefined
    return Effect.flatMap(store.get(key), (entry) =>
      entry === undefined
        ? Effect.undefined
        : Effect.map(Clock.currentTimeMillis, (now) => {
            this.remember(key, entry, now)
            const found = judge(entry, this.settings, use, "shared", now)
            return found === undefined ? undefined : { entry, found }
          })
    )
  }

  /**
   * Gives the entry of a key, or `undefined` when the caller is to make it. Other processes then wait for the entry
   * until the scope closes or the lease lapses, and so does this one when another has the lease.
   */
  readonly findOrClaim = Effect.fnUntraced(function* (this: CacheTiers, key: string, use: Use) {
    const { store } = this
    if (store === undefined) return undefined
    const before = use.reads ? yield* this.shared(key, use) : undefined
    if (before !== undefined || !use.reads || !use.stores) return before
    const start = yield* Clock.currentTimeMillis
    for (;;) {
      const leased = yield* this.claim(store, key)
      if (leased !== false) return leased === true ? yield* this.shared(key, use) : undefined
      yield* Effect.sleep(pollMillis)
      const now = yield* Clock.currentTimeMillis
      const made = this.inMemory(key, use, now) ?? (yield* this.shared(key, use))
      if (made !== undefined || now - start >= this.settings.leaseMillis) return made
    }
  })

  /** Takes the lease of a key until the scope closes; `undefined` when the store does not answer. */
  claim(store: CacheStore, key: string): Effect.Effect<boolean | undefined, never, Scope.Scope> {
    return Effect.flatMap(Random.next, (draw) => {
      const owner = `${draw}-${this.leases++}`
      return Effect.acquireRelease(
        Effect.onInterrupt(store.takeLease(key, owner), () => store.releaseLease(key, owner)),
        (leased) => (leased === true ? store.releaseLease(key, owner) : Effect.void),
        { interruptible: true }
      )
    })
  }

  /** Keeps an entry in both places; waits for the shared one no longer than it may take to answer. */
  keep(key: string, entry: CacheEntry.CacheEntry): Effect.Effect<void> {
    if (entry.bytes > this.settings.maxEntryBytes) return Effect.void
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      this.remember(key, entry, now)
      return this.store === undefined ? Effect.void : this.store.set(key, entry, this.keepMillis)
    })
  }

  remember(key: string, entry: CacheEntry.CacheEntry, now: number): void {
    this.memory.set(key, entry, entry.storedAtMillis + this.keepMillis, now)
  }

  private get keepMillis(): number {
    return this.settings.timeToLiveMillis + this.settings.staleForMillis
  }
}
