/**
 * Keeps the state of one circuit in Effect's store: in this process alone, or shared with others.
 *
 * This is the layer below Effect's `CircuitBreaker.make`, which judges by one rule only and holds on to a call for as
 * long as its store does not answer.
 */
import { Context, Duration, Effect, Exit, Fiber, Layer, Option, Predicate, Scope } from "effect"
import { CircuitBreaker } from "effect/persistence"
import * as Monotonic from "../../core/Monotonic.ts"
import type { Restore } from "../../core/Restore.ts"
import * as Failure from "../../core/call/Failure.ts"
import { SharedStore } from "../store/SharedStore.ts"
import * as StoredCircuit from "./StoredCircuit.ts"

export type CircuitBreakerStore = CircuitBreaker.CircuitBreakerStore
type Store = CircuitBreaker.CircuitBreakerStore["Service"]

/** Lets one call through. */
export interface Admission extends StoredCircuit.Admission {
  /** Of the shared store: lives until the call has been judged, and holds a probe's place meanwhile. */
  readonly lease?: Scope.Closeable
}

/** What a call says about its circuit. `Failure` opens it: whether it is to open was decided before. */
export type Outcome = CircuitBreaker.Outcome["_tag"]

export interface CircuitStore {
  /**
   * Fails with a rejection only: a store that does not answer never turns a call away.
   *
   * Runs uninterruptibly, so that who is let through is known to be; `restore` goes around what may have to wait.
   */
  readonly admit: (restore: Restore) => Effect.Effect<Admission, StoredCircuit.Rejection>
  /** Gives the transition this made, if it made one. */
  readonly record: (
    admission: Admission,
    outcome: Outcome,
    openFor: Duration.Duration
  ) => Effect.Effect<StoredCircuit.Move | undefined>
  /** Says that the call has been judged. */
  readonly release: (admission: Admission) => Effect.Effect<void> | undefined
}

/** Makes the store of a key. */
export type CircuitStores = (key: string) => Effect.Effect<CircuitStore>

const openAtOnce = CircuitBreaker.consecutive(1)

const record = (
  store: Store,
  key: string,
  { generation }: Admission,
  outcome: Outcome,
  openFor: Duration.Duration
): Effect.Effect<CircuitBreaker.Transition | undefined, CircuitBreaker.CircuitBreakerError> =>
  store.record({ key, generation, outcome, tripPolicy: openAtOnce, openFor })

/** Keeps circuits in this process. */
export const inMemory: CircuitStores = (key) =>
  // A store of its own for each key, because one for all lets go of keys by the hour only, however many there are.
  Effect.scoped(Layer.build(Layer.fresh(CircuitBreaker.layerStoreMemory()))).pipe(
    Effect.map((context) => {
      const store = Context.get(context, CircuitBreaker.CircuitBreakerStore)
      // This store puts nothing into the scope it asks for.
      const asked = Monotonic.asTimeOfDay(Scope.provide(store.admit(key), Scope.makeUnsafe()))
      const admit = Effect.catch(asked, ({ reason }) =>
        reason._tag === "CircuitBreakerStoreError" ? Effect.die(reason) : Effect.fail(reason)
      )
      return {
        admit: () => admit,
        record: (admission, outcome, openFor) =>
          Monotonic.asTimeOfDay(Effect.orDie(record(store, key, admission, outcome, openFor))),
        release: () => undefined
      }
    })
  )

/** What of the options matters to the shared store. */
export interface SharedSettings {
  /** How long the store may take for an answer. */
  readonly timeoutMillis: number
  readonly openMillis: number
  readonly maxOpenMillis: number
}

/**
 * Keeps circuits in the store given by a layer. Calls go by a circuit in this process while it does not answer in time, and
 * where it says of a circuit what cannot be, or for minutes that somebody probes it.
 */
export const shared: (
  settings: SharedSettings
) => Effect.Effect<CircuitStores, never, CircuitBreakerStore | Scope.Scope> = Effect.fnUntraced(function* ({
  maxOpenMillis,
  openMillis,
  timeoutMillis
}) {
  const store = yield* CircuitBreaker.CircuitBreakerStore
  const scope = yield* Effect.scope
  const [name, without] = ["the shared store of circuits", "calls go by circuits of this process"]
  const probe = Effect.suspend(() => store.state("probe"))
  const sharedStore = new SharedStore({ name, without, timeoutMillis, retryMillis, probe }, scope)
  const longestMillis = Math.max(Failure.longestWaitMillis, maxOpenMillis) + openMillis

  // Gives undefined when the store cannot say, or says what cannot be.
  const ask = <A>(
    key: string,
    question: () => Effect.Effect<unknown, CircuitBreaker.CircuitBreakerError>,
    read: (answer: unknown, now: number) => Option.Option<A>,
    always = false,
    owed?: string
  ): Effect.Effect<A | undefined> => {
    const answer = Effect.catch(Effect.suspend(question), (error) => {
      const rejection = StoredCircuit.rejectionIn(error)
      return rejection === undefined ? Effect.fail(error) : Effect.succeed(rejection)
    })
    return Effect.flatMap(sharedStore.ask(answer, always, owed), (told) =>
      Option.isNone(told)
        ? Effect.undefined
        : Effect.flatMap(Monotonic.millis, (now) =>
            Option.match(read(told.value, now), {
              onNone: () => Effect.as(sharedStore.disbelieve(key, told.value), undefined),
              onSome: Effect.succeed
            })
          )
    )
  }
  const tell = (key: string, admission: Admission, outcome: Outcome, openFor: Duration.Duration) =>
    ask(
      key,
      () => record(store, key, admission, outcome, openFor),
      (answer) => StoredCircuit.move(answer, longestMillis),
      true,
      // A store that does not hear of it keeps the probe's place, and all others out.
      admission.probe ? key : undefined
    )

  return Effect.fnUntraced(function* (key) {
    const local = yield* inMemory(key)
    let probedSince: number | undefined
    const read = (answer: unknown, now: number): Option.Option<StoredCircuit.Admission | StoredCircuit.Rejection> => {
      const rejection = StoredCircuit.rejection(answer, longestMillis)
      const isProbed = Option.exists(rejection, ({ _tag }) => _tag === "CircuitHalfOpen")
      probedSince = isProbed ? (probedSince ?? now) : undefined
      if (probedSince !== undefined && now - probedSince > longestProbeMillis) return Option.none()
      return Option.orElse(rejection, () => StoredCircuit.admission(answer))
    }
    return {
      admit: Effect.fnUntraced(function* (restore) {
        const lease = Scope.makeUnsafe()
        const unused = (admission: Admission | undefined) =>
          admission?.probe === true ? tell(key, admission, "Ignored", Duration.zero) : Effect.void
        // Interrupting the question could lose a probe that is granted already: who leaves does not wait for the answer,
        // and what it grants goes back.
        const question = Effect.flatMap(
          ask(key, () => Scope.provide(store.admit(key), lease), read),
          passed
        )
        const asking = yield* Effect.forkIn(question, scope, { startImmediately: true })
        const admission = yield* Effect.onExit(restore(Fiber.join(asking)), (exit) => {
          if (Exit.isSuccess(exit)) return exit.value === undefined ? Scope.close(lease, Exit.void) : Effect.void
          const back = Effect.flatMap(Fiber.await(asking), (answer) =>
            Exit.isSuccess(answer) ? unused(answer.value) : Effect.void
          )
          return Effect.forkIn(Effect.ensuring(back, Scope.close(lease, Exit.void)), scope)
        })
        return admission === undefined ? yield* local.admit(restore) : { ...admission, lease }
      }),
      record: (admission, outcome, openFor) =>
        admission.lease === undefined
          ? local.record(admission, outcome, openFor)
          : tell(key, admission, outcome, openFor),
      release: ({ lease }) => (lease === undefined ? undefined : Scope.close(lease, Exit.void))
    }
  })
})

const passed = (
  told: StoredCircuit.Admission | StoredCircuit.Rejection | undefined
): Effect.Effect<StoredCircuit.Admission | undefined, StoredCircuit.Rejection> =>
  Predicate.hasProperty(told, "_tag") ? Effect.fail(told) : Effect.succeed(told)

/** How long a store that did not answer is left alone. */
const retryMillis = 1_000

/**
 * For how long somebody may probe. After that the next call of this process may, or, where a store says that another process
 * probes, calls go by a circuit in this one.
 */
export const longestProbeMillis = 5 * 60_000
