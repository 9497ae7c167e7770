/**
 * Runs attempts beside each other and returns the first success, when all others have ended.
 */
import { Cause, Deferred, Duration, Effect, Exit, Result, Scope } from "effect"
import type { AiError } from "effect/ai"
import * as Failure from "../core/Failure.ts"

/** When attempts after the first begin. */
export interface Plan<R> {
  /** From one start to the next. */
  readonly delay: Duration.Duration
  /** Asked when attempt `index` is due, from 1 on. False: neither it nor those behind it are made. */
  readonly permit: (index: number) => Effect.Effect<boolean, never, R>
  /** What a failure does that leaves nothing running: the next attempt is due at once, or none is made. */
  readonly afterFailure: "next" | "end"
}

/** How it went. `started` counts the attempts that were made. */
export type Outcome<A, E> =
  | { readonly _tag: "Won"; readonly index: number; readonly value: A; readonly started: number }
  | { readonly _tag: "Lost"; readonly causes: ReadonlyArray<Cause.Cause<E>> }

/**
 * Runs attempts as planned until one succeeds, or all that are made have failed.
 *
 * The others have been interrupted and have ended, finalizers included, when it returns; so have all of them when it is
 * interrupted.
 */
export const run = <A, E, R>(
  attempts: ReadonlyArray<Effect.Effect<A, E, R>>,
  { afterFailure, delay, permit }: Plan<R>
): Effect.Effect<Outcome<A, E>, never, R> =>
  Effect.acquireUseRelease(
    Scope.make("parallel"),
    (scope) =>
      Effect.suspend(() => {
        const decided = Deferred.makeUnsafe<Outcome<A, E>>()
        const causes = new Map<number, Cause.Cause<E>>()
        let idle = Deferred.makeUnsafe<void>()
        let started = 0
        let hasMore = attempts.length > 1
        const lose = () => {
          const inOrder = [...causes].toSorted(([one], [other]) => one - other)
          Deferred.doneUnsafe(decided, Exit.succeed({ _tag: "Lost", causes: inOrder.map(([, cause]) => cause) }))
        }
        const ended = (index: number, exit: Exit.Exit<A, E>) => {
          if (Exit.isSuccess(exit)) {
            Deferred.doneUnsafe(decided, Exit.succeed({ _tag: "Won", index, value: exit.value, started }))
            return
          }
          causes.set(index, exit.cause)
          if (causes.size < started) return
          if (hasMore && afterFailure === "next") Deferred.doneUnsafe(idle, Exit.void)
          else lose()
        }
        const start = (attempt: Effect.Effect<A, E, R>) => {
          const index = started++
          idle = Deferred.makeUnsafe()
          return Effect.forkIn(
            Effect.map(Effect.exit(attempt), (exit) => ended(index, exit)),
            scope,
            { startImmediately: true }
          )
        }
        const startOthers = Effect.gen(function* () {
          for (const attempt of attempts.slice(1)) {
            if (afterFailure === "end") yield* Effect.sleep(delay)
            else if (!Duration.isZero(delay)) yield* Effect.timeoutOption(Deferred.await(idle), delay)
            if (Deferred.isDoneUnsafe(decided) || !(yield* permit(started))) break
            yield* start(attempt)
          }
          hasMore = false
          if (causes.size === started) lose()
        })
        const [first] = attempts
        return Effect.gen(function* () {
          if (first !== undefined) yield* start(first)
          if (hasMore && !Deferred.isDoneUnsafe(decided))
            yield* Effect.forkIn(startOthers, scope, { startImmediately: true })
          return yield* Deferred.await(decided)
        })
      }),
    (scope) => Scope.close(scope, Exit.void)
  )

/** Fails as lost attempts did: with what `pick` makes of their errors, or with a bug if one of them had it. */
export const fail = <E, E2>(
  causes: ReadonlyArray<Cause.Cause<E>>,
  pick: (errors: readonly [E, ...Array<E>]) => E2
): Effect.Effect<never, E2> => {
  const errors: Array<E> = []
  for (const cause of causes) {
    const error = Cause.findError(cause)
    if (Result.isFailure(error)) return Effect.failCause(error.failure)
    errors.push(error.success)
  }
  const [first, ...others] = errors
  return first === undefined ? Effect.die("a race without attempts") : Effect.fail(pick([first, ...others]))
}

/**
 * Says which of several failures a call ends with: one after which another attempt can succeed, and among those the one
 * that asks for the longest wait, so that whoever tries again comes too early for none of them. Otherwise the first.
 */
export const mostHopeful = (errors: ReadonlyArray<AiError.AiError>): AiError.AiError => {
  const wait = (error: AiError.AiError) => {
    const { retryAfter, retryable } = Failure.describe(error)
    return retryable ? Duration.toMillis(retryAfter ?? Duration.zero) : -1
  }
  return errors.reduce((best, error) => (wait(error) > wait(best) ? error : best))
}
