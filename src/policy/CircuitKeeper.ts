/**
 * Keeps the state of one circuit in Effect's store: in this process alone, or shared with others.
 *
 * This is the layer below Effect's `CircuitBreaker.make`, which judges by one rule only and holds on to a call for as
 * long as its store does not answer.
 */
import { Clock, Context, Duration, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { CircuitBreaker } from "effect/persistence"

export type CircuitBreakerStore = CircuitBreaker.CircuitBreakerStore
type Store = CircuitBreaker.CircuitBreakerStore["Service"]

/** Lets one call through. */
export interface Admission extends CircuitBreaker.Admission {
  /** Of the shared store: lives until the call has been judged, and holds a probe's place meanwhile. */
  readonly lease?: Scope.Closeable
}

/** What a call says about its circuit. `Failure` opens it: whether it is to open was decided before. */
export type Outcome = CircuitBreaker.Outcome["_tag"]

export interface Keeper {
  /**
   * Fails with a rejection only: a store that does not answer never turns a call away.
   *
   * Runs uninterruptibly, so that who is let through is known to be; `restore` goes around what may have to wait.
   */
  readonly admit: (restore: Restore) => Effect.Effect<Admission, CircuitBreaker.CircuitBreakerError>
  /** Gives the transition this made, if it made one. */
  readonly record: (
    admission: Admission,
    outcome: Outcome,
    openFor: Duration.Duration
  ) => Effect.Effect<CircuitBreaker.Transition | undefined>
  /** Says that the call has been judged. */
  readonly release: (admission: Admission) => Effect.Effect<void> | undefined
}

/** Makes a part of an uninterruptible effect interruptible again. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Makes the keeper of a key. */
export type Keepers = (key: string) => Effect.Effect<Keeper>

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
export const inMemory: Keepers = (key) =>
  // A store of its own for each key, because one for all lets go of keys by the hour only, however many there are.
  Effect.scoped(Layer.build(Layer.fresh(CircuitBreaker.layerStoreMemory()))).pipe(
    Effect.map((context) => {
      const store = Context.get(context, CircuitBreaker.CircuitBreakerStore)
      // This store puts nothing into the scope it asks for.
      const admit = Scope.provide(store.admit(key), Scope.makeUnsafe())
      return {
        admit: () => admit,
        record: (admission, outcome, openFor) => Effect.orDie(record(store, key, admission, outcome, openFor)),
        release: () => undefined
      }
    })
  )

/**
 * Keeps circuits in the store given by a layer, and asks it for `timeout` at most.
 *
 * When it fails or does not answer, calls go by a circuit in this process, and one call in `pauseMillis` asks the store
 * again.
 */
export const shared: (timeout: Duration.Duration) => Effect.Effect<Keepers, never, CircuitBreakerStore | Scope.Scope> =
  Effect.fnUntraced(function* (timeout) {
    const store = yield* CircuitBreaker.CircuitBreakerStore
    const scope = yield* Effect.scope
    let askFrom = 0
    let answers = true

    const gone = (error: CircuitBreaker.CircuitBreakerError | undefined) =>
      Effect.suspend(() => {
        const isNews = answers
        answers = false
        return isNews
          ? Effect.logWarning(
              "The shared store of circuits does not answer: calls go by circuits of this process",
              ...(error === undefined ? [] : [error])
            )
          : Effect.void
      })

    const back = Effect.suspend(() => {
      const isNews = !answers
      answers = true
      askFrom = 0
      return isNews ? Effect.logInfo("The shared store of circuits answers again") : Effect.void
    })

    // Gives undefined when the store cannot say, and fails with rejections only.
    const asked = <A>(question: Effect.Effect<A, CircuitBreaker.CircuitBreakerError>) =>
      // The time limit holds also where the call cannot be interrupted: what is timed runs in a fiber of its own.
      question.pipe(
        Effect.timeoutOption(timeout),
        Effect.matchEffect({
          onSuccess: (answer) =>
            Option.isSome(answer) ? Effect.as(back, answer.value) : Effect.as(gone(undefined), undefined),
          onFailure: (error) =>
            error.reason._tag === "CircuitBreakerStoreError"
              ? Effect.as(gone(error), undefined)
              : Effect.andThen(back, Effect.fail(error))
        })
      )

    return Effect.fnUntraced(function* (key) {
      const local = yield* inMemory(key)
      return {
        admit: Effect.fnUntraced(function* (restore) {
          const now = yield* Clock.currentTimeMillis
          if (now < askFrom) return yield* local.admit(restore)
          if (!answers) askFrom = now + pauseMillis
          const lease = Scope.makeUnsafe()
          const unused = (admission: Admission | undefined) =>
            admission?.probe === true
              ? Effect.ignore(asked(record(store, key, admission, "Ignored", Duration.zero)))
              : Effect.void
          // Interrupting the question could lose a probe that is granted already: who leaves does not wait for the answer,
          // and what it grants goes back.
          const question = asked(Scope.provide(store.admit(key), lease))
          const asking = yield* Effect.forkIn(question, scope, { startImmediately: true })
          const admission = yield* Effect.onExit(restore(Fiber.join(asking)), (exit) => {
            if (Exit.isSuccess(exit)) return exit.value === undefined ? Scope.close(lease, Exit.void) : Effect.void
            const back = Effect.flatMap(Fiber.await(asking), (answer) =>
              Exit.isSuccess(answer) ? unused(answer.value) : Effect.void
            )
            return Effect.forkIn(Effect.ensuring(back, Scope.close(lease, Exit.void)), scope)
          })
          if (admission !== undefined) return { ...admission, lease }
          askFrom = now + pauseMillis
          return yield* local.admit(restore)
        }),
        record: (admission, outcome, openFor) =>
          admission.lease === undefined
            ? local.record(admission, outcome, openFor)
            : Effect.orElseSucceed(asked(record(store, key, admission, outcome, openFor)), () => undefined),
        release: ({ lease }) => (lease === undefined ? undefined : Scope.close(lease, Exit.void))
      }
    })
  })

/** How long a shared store that did not answer is left alone. */
const pauseMillis = 1_000
