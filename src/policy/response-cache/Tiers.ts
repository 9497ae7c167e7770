/**
 * Looks for entries in memory first and in the shared store after that, and lets one process make a missing one.
 */
import { type Clock, Effect, Random, type Scope } from "effect"
import * as Deadline from "../../core/call/Deadline.ts"
import * as Monotonic from "../../core/Monotonic.ts"
import type * as CacheEntry from "./Entry.ts"
import { CacheMemory } from "./Memory.ts"
import type { CacheStore } from "./Store.ts"

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

/** How one call looks for its answer. */
export interface Look extends Use {
  /** Whether an entry answers the call; one that does not is treated as missing, and replaced. */
  readonly accepts: (entry: CacheEntry.CacheEntry) => boolean
}

export interface Hit {
  readonly entry: CacheEntry.CacheEntry
  readonly found: CacheEntry.Found
}

/** Says whether and how an entry of this age may be given. */
const judge = (
  age: number,
  { staleForMillis, timeToLiveMillis }: Pick<Settings, "staleForMillis" | "timeToLiveMillis">,
  { freshForMillis }: Pick<Use, "freshForMillis">,
  tier: CacheEntry.Found["tier"]
): CacheEntry.Found | undefined => {
  const leftMillis = timeToLiveMillis - age
  const ageMillis = Math.floor(age)
  if (leftMillis > freshForMillis) return { ageMillis, tier, stale: false }
  return freshForMillis === 0 && leftMillis > -staleForMillis ? { ageMillis, tier, stale: true } : undefined
}

/** How long to wait before looking again for what another process makes. */
const pollMillis = 50

export class CacheTiers {
  readonly memory: CacheMemory
  readonly store: CacheStore | undefined
  readonly settings: Settings
  /** How often every answer was forgotten. */
  clears = 0
  private leases = 0

  constructor(settings: Settings, store: CacheStore | undefined) {
    this.memory = new CacheMemory(settings.capacity, settings.maxBytes)
    this.store = store
    this.settings = settings
  }

  inMemory(key: string, look: Look, now: number): Hit | undefined {
    const slot = this.memory.get(key, now)
    if (slot === undefined) return undefined
    const found = judge(now - slot.storedAtMillis, this.settings, look, "memory")
    return found === undefined || !look.accepts(slot.entry) ? undefined : { entry: slot.entry, found }
  }

  /** Looks in the shared store; what it finds is in memory from then on. */
  shared(key: string, look: Look): Effect.Effect<Hit | undefined> {
    const { store } = this
    if (store === undefined) return Effect.undefined
    const { clears } = this
    return Effect.flatMap(store.get(key), (entry) =>
      entry === undefined || clears !== this.clears || !look.accepts(entry)
        ? Effect.undefined
        : Effect.clockWith((clock) => {
            const age = this.remember(key, entry, clock)
            const found = judge(age, this.settings, look, "shared")
            return Effect.succeed(found === undefined ? undefined : { entry, found })
          })
    )
  }

  /**
   * Gives the entry of a key, or `undefined` when the caller is to make it. Other processes then wait for the entry
   * until the scope closes or the lease lapses, and so does this one when another has the lease, for as long as half of
   * its time: the other half is for making the call, should the other one fail to.
   */
  readonly findOrClaim = Effect.fnUntraced(function* (this: CacheTiers, key: string, look: Look) {
    const { store } = this
    if (store === undefined) return undefined
    const before = look.reads ? yield* this.shared(key, look) : undefined
    if (before !== undefined || !look.reads || !look.stores) return before
    const until = (yield* Monotonic.millis) + Math.min(this.settings.leaseMillis, (yield* Deadline.remainingMillis) / 2)
    for (;;) {
      const leased = yield* this.claim(store, key)
      if (leased !== false) return leased === true ? yield* this.shared(key, look) : undefined
      yield* Effect.sleep(Math.min(pollMillis, Math.max(0, until - (yield* Monotonic.millis))))
      const now = yield* Monotonic.millis
      const made = this.inMemory(key, look, now) ?? (yield* this.shared(key, look))
      if (made !== undefined || until - now < Monotonic.microsecond) return made
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
    return Effect.clockWith((clock) => {
      this.memory.set(key, entry, 0, this.keepMillis, Monotonic.millisUnsafe(clock))
      return this.store === undefined ? Effect.void : this.store.set(key, entry, this.keepMillis)
    })
  }

  /** Forgets every answer, in both places, and those of calls under way. */
  get clear(): Effect.Effect<void> {
    const forget = Effect.sync(() => {
      this.clears++
      this.memory.clear()
    })
    // What was read of the store before it was cleared is forgotten too.
    return this.store === undefined ? forget : forget.pipe(Effect.andThen(this.store.clear), Effect.ensuring(forget))
  }

  /**
   * Puts an entry from elsewhere into memory, and gives its age. That is told by dates, which two clocks may have written,
   * and is 0 at least: from when it was read, it never lives longer than one that was made then.
   */
  remember(key: string, entry: CacheEntry.CacheEntry, clock: Clock.Clock): number {
    const now = Monotonic.millisUnsafe(clock)
    const present = this.memory.peek(key)
    if (present?.entry.storedAtMillis === entry.storedAtMillis) return now - present.storedAtMillis
    const age = Math.max(0, clock.currentTimeMillisUnsafe() - entry.storedAtMillis)
    this.memory.set(key, entry, age, this.keepMillis, now)
    return age
  }

  private get keepMillis(): number {
    return this.settings.timeToLiveMillis + this.settings.staleForMillis
  }
}
