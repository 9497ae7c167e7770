/**
 * Gives policies that share a store one that takes its time, may be silent for a while and now and then lies, and several
 * processes that share it.
 */
import { Context, Effect, Layer, Predicate, Stream } from "effect"
import { CircuitBreaker, Persistence, RateLimiter } from "effect/persistence"
import type { Policy } from "../../core/call/ModelProvider.ts"
import * as Monotonic from "../../core/Monotonic.ts"
import type { Chance } from "../seed/Chance.ts"

/** How a store is shared. Times are in milliseconds. */
export interface Sharing {
  /** How many processes share it: calls go to each of them in turn. Default 1. */
  readonly processes?: number | undefined
  /** How long it takes for an answer. Default: no time at all. */
  readonly latency?: number | undefined
  /** When it does not answer. Default: never. */
  readonly silent?: { readonly from: number; readonly until: number } | undefined
  /** One answer in so many is a lie: damaged, or what another question was answered with. Default: none. */
  readonly lies?: number | undefined
}

/** `latency`: what it takes if it takes time. */
export const drawSharing = (chance: Chance, latency: number): Sharing => ({
  ...(chance.onceIn(2) ? { processes: 2 } : {}),
  ...(chance.onceIn(2) ? { latency } : {}),
  ...(chance.onceIn(5) ? { silent: { from: chance.oneOf([0, 200]), until: 3_000 } } : {}),
  ...(chance.onceIn(5) ? { lies: chance.oneOf([1, 2, 5]) } : {})
})

/** Puts a policy, made of its own options, around a provider as often as there are processes, all with one store. */
export const across = <Id, S, O extends Sharing>(
  store: Store<Id, S>,
  options: O,
  make: (own: Omit<O, keyof Sharing>) => Policy<Id>
): Policy => {
  const { latency, lies, processes = 1, silent, ...own } = options
  const sharing = { latency, lies, silent }
  const policy = make(own)
  return (next) =>
    Effect.gen(function* () {
      const context = yield* Layer.build(Layer.fresh(store.layer))
      const remote = store.through(Context.get(context, store.tag), travelling(sharing, store.lie))
      const made = yield* Effect.provideService(Effect.replicateEffect(policy(next), processes), store.tag, remote)
      let calls = 0
      const turn = () => made[calls++ % processes] ?? next
      return {
        ...(made[0] ?? next),
        generateText: (request) => Effect.suspend(() => turn().generateText(request)),
        streamText: (request) => Stream.suspend(() => turn().streamText(request))
      }
    })
}

type Travel = <A, E, R>(answer: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

const travelling = ({ latency = 0, lies, silent }: Sharing, lie: Lie): Travel => {
  const way = Effect.sleep(latency / 2)
  let answers = 0
  let before: unknown = undefined
  const told = <A>(answer: A): A => {
    if (lies === undefined) return answer
    const other = before
    before = answer ?? before
    if (++answers % lies > 0) return answer
    // The type is the store's word, which it breaks.
    return lie(answer, other, answers) as A
  }
  return (answer) =>
    Effect.flatMap(Monotonic.millis, (now) => {
      if (silent !== undefined && now >= silent.from && now < silent.until) return Effect.never
      // Nobody sets the clock of the machine where the store is.
      return Effect.andThen(way, Effect.tap(Effect.map(Monotonic.asTimeOfDay(answer), told), way))
    })
}

/** Makes a lie of an answer, given what another question was answered with before. */
type Lie = (answer: unknown, other: unknown, how: number) => unknown

const mixedUp: Lie = (answer, other, how) => (how % 2 === 0 ? other : damaged(answer, how))

/** A value of which one field is not what it was, or which is no such value at all. */
const damaged = (value: unknown, how: number): unknown => {
  const junk = nothings[how % nothings.length]
  if (!Predicate.isObjectOrArray(value)) return junk
  const fields = Object.entries(value)
  const changed = fields.map(([name, field], index) => [name, index === how % fields.length ? junk : field] as const)
  return Array.isArray(value) ? changed.map(([, field]) => field) : Object.fromEntries(changed)
}

const nothings = [Number.NaN, -1e15, 1e15, "?", null, undefined, {}]

interface Store<Id, S> {
  readonly tag: Context.Service<Id, S>
  readonly lie: Lie
  /** One in memory. */
  readonly layer: Layer.Layer<Id>
  /** The same store, each question and answer of which has a way to go. */
  readonly through: (store: S, travel: Travel) => S
}

export const rateLimits: Store<RateLimiter.RateLimiterStore, RateLimiter.RateLimiterStore["Service"]> = {
  tag: RateLimiter.RateLimiterStore,
  // What is in the bucket of another limit looks as what is in this one.
  lie: (answer, _, how) => damaged(answer, how),
  layer: RateLimiter.layerStoreMemory,
  through: (store, travel) => ({ ...store, tokenBucket: (options) => travel(store.tokenBucket(options)) })
}

export const circuits: Store<CircuitBreaker.CircuitBreakerStore, CircuitBreaker.CircuitBreakerStore["Service"]> = {
  tag: CircuitBreaker.CircuitBreakerStore,
  // Here, a probe whose place nobody knows of is never given back. In a store of several machines its lease lapses.
  lie: (answer, other, how) =>
    Predicate.hasProperty(answer, "probe") && answer.probe === true ? answer : mixedUp(answer, other, how),
  layer: CircuitBreaker.layerStoreMemory(),
  through: (store, travel) => ({
    ...store,
    admit: (key) => travel(store.admit(key)),
    record: (options) => travel(store.record(options))
  })
}

export const answers: Store<Persistence.BackingPersistence, Persistence.BackingPersistence["Service"]> = {
  tag: Persistence.BackingPersistence,
  lie: mixedUp,
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
