/**
 * Lets one process at a time make the call for a key, so that a missing entry is not asked for by all of them.
 *
 * A lease lapses by itself, so one that died with its process is in nobody's way for long. It saves calls and guards
 * nothing: two that hold it make two calls, and both answers are right.
 */
import { Duration, Effect, Predicate } from "effect"
import { type Persistence, Redis } from "effect/persistence"

export type StoreError = Persistence.PersistenceError | Redis.RedisError

export interface CacheLease {
  /** Takes the lease for so long, and says whether it is `owner`'s now; `undefined` where the store cannot say. */
  readonly take: (key: string, owner: string, millis: number) => Effect.Effect<boolean | undefined, StoreError>
  /** Gives it back, if it is still `owner`'s. */
  readonly release: (key: string, owner: string) => Effect.Effect<void, StoreError>
}

/** Leases in Redis, by `SET NX PX`: never two at a time while Redis keeps what it was told. */
export const ofRedis = (redis: Redis.Redis["Service"], prefix: string): CacheLease => {
  const evaluate = redis.eval(releaseScript)
  return {
    take: (key, owner, millis) =>
      Effect.map(
        redis.send<string | null>("SET", `${prefix}${key}`, owner, "NX", "PX", String(Math.ceil(millis))),
        (reply) => reply !== null
      ),
    release: (key, owner) => evaluate(`${prefix}${key}`, owner)
  }
}

const releaseScript = Redis.script((key: string, owner: string) => [key, owner], {
  lua: `if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end`,
  numberOfKeys: 1
})

/** How long an owner waits to see whether another wrote after it. */
const settleMillis = 10

/**
 * Leases in any store that can only read and write, by Fischer's algorithm (Lamport, "A fast mutual exclusion
 * algorithm", 1987): who finds none writes its own name, waits, and owns the lease if its name is still there.
 *
 * Two own it at a time only if a write takes longer than 10 milliseconds from the read before it.
 */
export const ofStore = (store: Persistence.BackingPersistenceStore, prefix: string): CacheLease => {
  const read = (key: string) => Effect.map(store.get(`${prefix}${key}`), (value) => stateOf(value, key))
  return {
    take: Effect.fnUntraced(function* (key, owner, millis) {
      const before = yield* read(key)
      if (before !== "free") return before === "unreadable" ? undefined : false
      yield* store.set(`${prefix}${key}`, { key, owner }, Duration.millis(millis))
      yield* Effect.sleep(settleMillis)
      const now = yield* read(key)
      return now === "unreadable" ? undefined : now !== "free" && now.owner === owner
    }),
    release: (key, owner) =>
      Effect.flatMap(read(key), (now) =>
        Predicate.isObject(now) && now.owner === owner ? store.remove(`${prefix}${key}`) : Effect.void
      )
  }
}

/** Who has the lease of a key. A store may hold anything: nobody waits for what is no lease of this key. */
const stateOf = (value: unknown, key: string): { readonly owner: string } | "free" | "unreadable" => {
  if (value === undefined || value === null) return "free"
  if (!Predicate.hasProperty(value, "key") || value.key !== key) return "unreadable"
  return Predicate.hasProperty(value, "owner") && Predicate.isString(value.owner)
    ? { owner: value.owner }
    : "unreadable"
}
