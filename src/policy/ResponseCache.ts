/**
 * Gives the answer again that an identical call had before, instead of asking the model once more.
 *
 * Identical is what has the same {@link RequestKey}: provider, model, prompt, tools, output format, settings, tenant and
 * task. `generateText` and `streamText` share entries; a stream is given again in the pieces in which it came.
 */
import { type ByteSize, type Duration, Effect, Option, type Scope } from "effect"
import { Persistence, Redis } from "effect/persistence"
import * as Monotonic from "../core/Monotonic.ts"
import * as BoundedClose from "../core/BoundedClose.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as Key from "../core/call/Key.ts"
import * as PolicyHealth from "../core/call/PolicyHealth.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import { CachedCalls, CurrentUse } from "./response-cache/CachedCalls.ts"
import * as CacheLease from "./response-cache/Lease.ts"
import * as CacheSnapshot from "./response-cache/Snapshot.ts"
import { CacheStore } from "./response-cache/Store.ts"
import { CacheTiers } from "./response-cache/Tiers.ts"

/**
 * How the cache is used by the calls in the present fiber. For effects there are {@link bypass}, {@link refresh} and
 * {@link warm}; for a stream: `Stream.provideService(ResponseCache.CurrentUse, …)`.
 */
export { CurrentUse } from "./response-cache/CachedCalls.ts"
export { whenReachable } from "./response-cache/Reach.ts"

export interface Options {
  /** How long an answer is given again. */
  readonly timeToLive: Duration.Input
  /** How long after that it still is, while a new one is fetched in the background. Default: not at all. */
  readonly staleFor?: Duration.Input | undefined
  /** Answers in memory; the one not used for longest goes first. Default 10,000. */
  readonly capacity?: number | undefined
  /** What answers in memory take together, measured as JSON. Default 64 MiB. */
  readonly maxBytes?: ByteSize.Input | undefined
  /** A larger answer is not kept. Default 1 MiB. */
  readonly maxEntryBytes?: ByteSize.Input | undefined
  /** Answers being fetched anew in the background at the same time. Default 16. */
  readonly maxRefreshes?: number | undefined
}

export interface SharedOptions extends Options {
  /** Caches with the same name in the same store share their answers. Default `holdfast-responses`. */
  readonly storeId?: string | undefined
  /** How long the store may take to answer before calls go on without it. Default 50 milliseconds. */
  readonly storeTimeout?: Duration.Input | undefined
  /** How long after that it is asked again whether it is back. Default 1 second. */
  readonly retryStoreAfter?: Duration.Input | undefined
  /** How long to wait for another process that makes the same call, within half of a call's time. Default 10 seconds. */
  readonly leaseFor?: Duration.Input | undefined
}

export const defaults = {
  staleFor: "0 millis",
  capacity: 10_000,
  maxBytes: "64 MiB",
  maxEntryBytes: "1 MiB",
  maxRefreshes: 16,
  storeId: "holdfast-responses",
  storeTimeout: "50 millis",
  retryStoreAfter: "1 second",
  leaseFor: "10 seconds"
} as const

/**
 * Keeps answers in memory.
 *
 * Only complete and successful ones: what failed, was cut or filtered, or was not what was asked for is asked again, and
 * so is what another model answered, as a fallback or in a race. Interrupting a call, or leaving a stream before its end,
 * keeps nothing.
 */
export const exact = (options: Options): PolicyKind.Of<"ResponseCache"> => {
  const cache = make(options)
  return PolicyKind.of("ResponseCache", (next) => Effect.flatMap(cache, ({ policy }) => policy(next)))
}

/**
 * Keeps answers in memory and in a store all processes share: any `BackingPersistence` of `effect/persistence`.
 *
 * - Of the processes that miss the same answer one asks the model; the others wait for its answer, at most for `leaseFor`
 *   and for half of the time that their call has left, and then ask themselves. With `effect/persistence`'s `Redis` in context this lease is a `SET NX`; with only the store it
 *   is written and read back, which can let two through when a write takes longer than 10 milliseconds.
 * - A store that does not answer within `storeTimeout` is not asked any more until it does again: calls go on with what is
 *   in memory.
 * - An answer that is removed or replaced in the store stays in the memory of other processes for its time to live.
 */
export const shared = (options: SharedOptions): PolicyKind.Of<"ResponseCache", Persistence.BackingPersistence> => {
  const cache = makeShared(options)
  return PolicyKind.of("ResponseCache", (next) => Effect.flatMap(cache, ({ policy }) => policy(next)))
}

/** A cache with a handle, for its upkeep and to look into it. */
export interface ResponseCache {
  /** Puts the cache around a provider. Several models may share one cache: their answers do not mix. */
  readonly policy: PolicyKind.Of<"ResponseCache">
  readonly stats: Effect.Effect<Stats>
  /** Forgets every answer, in the shared store too; that of a call of this process which is under way is not kept. */
  readonly clear: Effect.Effect<void>
  /** Drops from memory what has expired, and what was not used for `unusedFor`; says how many. */
  readonly evict: (options?: { readonly unusedFor?: Duration.Input | undefined }) => Effect.Effect<number>
  /** Writes what is in memory to a file; see `CacheSnapshot.save`. */
  readonly save: (path: string) => ReturnType<typeof CacheSnapshot.save>
  /** Reads such a file into memory; see `CacheSnapshot.load`. */
  readonly load: (path: string) => ReturnType<typeof CacheSnapshot.load>
}

/** What a cache holds, and what it did since it was made. */
export interface Stats {
  readonly entries: number
  readonly bytes: number
  readonly hits: number
  readonly staleHits: number
  readonly misses: number
  readonly refreshFailures: number
  /** False while the shared store does not answer. */
  readonly storeAvailable: boolean
}

/** Makes a cache in memory, with its handle: see {@link exact}. */
export const make = (options: Options): Effect.Effect<ResponseCache, never, Scope.Scope> => {
  check.fields(options, fields)
  const settings = resolve(options)
  return Effect.map(Effect.scope, (scope) => handleOf(settings, undefined, scope))
}

/** Makes a cache in memory and in a shared store, with its handle: see {@link shared}. */
export const makeShared = (
  options: SharedOptions
): Effect.Effect<ResponseCache, never, Persistence.BackingPersistence | Scope.Scope> => {
  check.fields(options, sharedFields)
  const settings = resolve(options)
  const { storeId } = settings
  return Effect.gen(function* () {
    const scope = yield* Effect.scope
    // A driver may hold what it was asked for long after that was given up.
    const asking = yield* BoundedClose.scope(closeMillis)
    const store = yield* (yield* Persistence.BackingPersistence).make(storeId)
    const redis = yield* Effect.serviceOption(Redis.Redis)
    // The store of no other id has keys with two colons: a colon in an id is escaped there.
    const lease = Option.match(redis, {
      onNone: () => CacheLease.ofStore(store, "lease:"),
      onSome: (redis) => CacheLease.ofRedis(redis, `${Key.of(storeId)}::lease:`)
    })
    return handleOf(settings, new CacheStore(store, lease, settings, asking), scope)
  })
}

/** Makes the calls inside an effect as if there were no cache. */
export const bypass = Effect.provideService(CurrentUse, { reads: false, stores: false, freshForMillis: 0 })

/** Makes the calls inside an effect anew, and keeps their answers for others. */
export const refresh = Effect.provideService(CurrentUse, { reads: false, stores: true, freshForMillis: 0 })

/**
 * Makes the calls inside an effect anew when what is kept lives no longer than `atLeast`: done regularly, others always
 * find the answer.
 */
export const warm = (atLeast: Duration.Input) =>
  Effect.provideService(CurrentUse, {
    reads: true,
    stores: true,
    freshForMillis: check.millis("atLeast", atLeast, { atLeast: 0 })
  })

/** How long the questions of a cache may take to end when it closes. */
const closeMillis = 1_000

const fields: OptionCheck.Fields<Options> = {
  timeToLive: true,
  staleFor: true,
  capacity: true,
  maxBytes: true,
  maxEntryBytes: true,
  maxRefreshes: true
}
const sharedFields: OptionCheck.Fields<SharedOptions> = {
  ...fields,
  storeId: true,
  storeTimeout: true,
  retryStoreAfter: true,
  leaseFor: true
}

type Settings = ReturnType<typeof resolve>

const handleOf = (settings: Settings, store: CacheStore | undefined, scope: Scope.Scope): ResponseCache => {
  const tiers = new CacheTiers(settings, store)
  const calls = new CachedCalls(tiers, settings.maxRefreshes, scope)
  const stats = Effect.sync((): Stats => ({
    entries: tiers.memory.size,
    bytes: tiers.memory.bytes,
    hits: calls.hits,
    staleHits: calls.staleHits,
    misses: calls.misses,
    refreshFailures: calls.refreshFailures,
    storeAvailable: store?.available ?? true
  }))
  const health = Effect.map(stats, ({ entries, hits, misses, staleHits, storeAvailable }) => ({
    _tag: "ResponseCache" as const,
    score: storeAvailable ? 100 : 50,
    entries,
    hits,
    staleHits,
    misses,
    storeAvailable
  }))
  return {
    policy: PolicyKind.of("ResponseCache", (next) => Effect.as(PolicyHealth.register(health), calls.around(next))),
    stats,
    clear: tiers.clear,
    evict: (options = {}) => {
      check.fields(options, { unusedFor: true })
      const { unusedFor } = options
      const unusedMillis = unusedFor === undefined ? Infinity : check.millis("unusedFor", unusedFor, { atLeast: 0 })
      return Effect.map(Monotonic.millis, (now) => tiers.memory.evict(now, now - unusedMillis))
    },
    save: (path) => CacheSnapshot.save(tiers.memory, path),
    load: (path) => CacheSnapshot.load(tiers, path)
  }
}

const resolve = (options: SharedOptions) => {
  const { capacity = defaults.capacity, maxRefreshes = defaults.maxRefreshes, storeId = defaults.storeId } = options
  const millis = (name: string, input: Duration.Input, atLeast: number) => check.millis(name, input, { atLeast })
  return {
    capacity: check.whole("capacity", capacity, 0),
    maxRefreshes: check.whole("maxRefreshes", maxRefreshes, 0),
    storeId: check.label("storeId", storeId),
    maxBytes: check.bytes("maxBytes", defaults.maxBytes, options.maxBytes),
    maxEntryBytes: check.bytes("maxEntryBytes", defaults.maxEntryBytes, options.maxEntryBytes),
    timeToLiveMillis: millis("timeToLive", options.timeToLive, 1),
    staleForMillis: millis("staleFor", options.staleFor ?? defaults.staleFor, 0),
    timeoutMillis: millis("storeTimeout", options.storeTimeout ?? defaults.storeTimeout, 1),
    retryMillis: millis("retryStoreAfter", options.retryStoreAfter ?? defaults.retryStoreAfter, 1),
    leaseMillis: millis("leaseFor", options.leaseFor ?? defaults.leaseFor, 1)
  }
}

const check = OptionCheck.of("ResponseCache")
