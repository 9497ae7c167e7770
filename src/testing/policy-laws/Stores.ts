/**
 * Gives policies that share a store one that takes its time and may be silent for a while, and several processes that
 * share it.
 */
import { Clock, Context, Effect, Layer, Stream } from "effect"
import { CircuitBreaker, Persistence, RateLimiter } from "effect/persistence"
import type { Policy } from "../../core/call/ModelProvider.ts"
import type { Chance } from "../seed/Chance.ts"

/** How a store is shared. Times are in milliseconds. */
export interface Sharing {
  /** How many processes share it: calls go to each of them in turn. Default 1. */
  readonly processes?: number | undefined
  /** How long it takes for an answer. Default: no time at all. */
  readonly latency?: number | undefined
  /** When it does not answer. Default: never. */
  readonly silent?: { readonly from: number; readonly until: number } | undefined
}

/** `latency`: what it takes if it takes time. */
export const drawSharing = (chance: Chance, latency: number): Sharing => ({
  ...(chance.onceIn(2) ? { processes: 2 } : {}),
  ...(chance.onceIn(2) ? { latency } : {}),
  ...(chance.onceIn(5) ? { silent: { from: chance.oneOf([0, 200]), until: 3_000 } } : {})
})

/** Puts a policy around a provider as often as there are processes, all with one store. */
export const across =
  <Id, S>(store: Store<Id, S>, sharing: Sharing, policy: Policy<Id>): Policy =>
  (next) =>
    Effect.gen(function* () {
      const context = yield* Layer.build(Layer.fresh(store.layer))
      const remote = store.through(Context.get(context, store.tag), (answer) => remotely(sharing, answer))
      const { processes = 1 } = sharing
      const made = yield* Effect.provideService(Effect.replicateEffect(policy(next), processes), store.tag, remote)
      let calls = 0
      const turn = () => made[calls++ % processes] ?? next
      return {
        ...(made[0] ?? next),
        generateText: (request) => Effect.suspend(() => turn().generateText(request)),
        streamText: (request) => Stream.suspend(() => turn().streamText(request))
      }
    })

type Travel = <A, E, R>(answer: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const remotely = <A, E, R>({ latency = 0, silent }: Sharing, answer: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    if (silent !== undefined && now >= silent.from && now < silent.until) return Effect.never
    const way = Effect.sleep(latency / 2)
    return Effect.andThen(way, Effect.tap(answer, way))
  })

interface Store<Id, S> {
  readonly tag: Context.Service<Id, S>
  /** One in memory. */
  readonly layer: Layer.Layer<Id>
  /** The same store, each question and answer of which has a way to go. */
  readonly through: (store: S, travel: Travel) => S
}

export const rateLimits: Store<RateLimiter.RateLimiterStore, RateLimiter.RateLimiterStore["Service"]> = {
  tag: RateLimiter.RateLimiterStore,
  layer: RateLimiter.layerStoreMemory,
  through: (store, travel) => ({ ...store, tokenBucket: (options) => travel(store.tokenBucket(options)) })
}

export const circuits: Store<CircuitBreaker.CircuitBreakerStore, CircuitBreaker.CircuitBreakerStore["Service"]> = {
  tag: CircuitBreaker.CircuitBreakerStore,
  layer: CircuitBreaker.layerStoreMemory(),
  through: (store, travel) => ({
    ...store,
    admit: (key) => travel(store.admit(key)),
    record: (options) => travel(store.record(options))
  })
}

export const answers: Store<Persistence.BackingPersistence, Persistence.BackingPersistence["Service"]> = {
  tag: Persistence.BackingPersistence,
  layer: Persistence.layerBackingMemory,
  through: (stores, travel) => ({
    make: (storeId) =>
      Effect.map(stores.make(storeId), (store) => ({
        ...store,
        get: (key) => travel(store.get(key)),
        set: (key, value, timeToLive) => travel(store.set(key, value, timeToLive)),
        remove: (key) => travel(store.remove(key))
      }))
  })
}
