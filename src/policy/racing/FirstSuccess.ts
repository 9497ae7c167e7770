/**
 * Runs attempts beside each other and returns the first success, when all others have ended.
 */
import { Cause, Deferred, Duration, Effect, Exit, Result, Scope } from "effect"
import type { AiError } from "effect/ai"
import * as CallTrail from "../../core/call/CallTrail.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as Refusals from "../../core/call/Refusals.ts"
import * as Verdict from "../../core/call/Verdict.ts"

/** When attempts after the first begin. */
export interface Plan<R> {
  /** From one start to the next. */
  readonly delay: Duration.Duration
  /** Asked when attempt `index` is due, from 1 on, and a part of it. False: neither it nor those behind it are made. */
  readonly permit: (index: number) => Effect.Effect<boolean, never, R>
  /** What a failure does that leaves nothing running: the next attempt is due at once, or none is made. */
  readonly afterFailure: "next" | "end"
}

/** How it went. `started` counts the attempts that were made, `recorder` wrote down the one that won. */
export type RaceResult<A, E> =
  | {
      readonly _tag: "Won"
      readonly index: number
      readonly value: A
      readonly started: number
      readonly recorder: CallTrail.Recorder | undefined
    }
  | { readonly _tag: "Lost"; readonly causes: ReadonlyArray<Cause.Cause<E>> }

/**
 * Runs attempts as planned until one succeeds, or all that are made have failed.
 *
 * The others have been interrupted and have ended, finalizers included, when it returns; so have all of them when it is
 * interrupted.
 */
export const run = <A, E, R>(
  attempts: ReadonlyArray<Effect.Effect<A, E, R>>,
  plan: Plan<R>
): Effect.Effect<RaceResult<A, E>, never, R> =>
  Effect.acquireUseRelease(
    Scope.make("parallel"),
    (scope) => Effect.flatMap(CallTrail.Current, (recorder) => new Contest(attempts, plan, scope, recorder).result),
    (scope) => Scope.close(scope, Exit.void)
  )

class Contest<A, E, R> {
  private readonly attempts: ReadonlyArray<Effect.Effect<A, E, R>>
  private readonly plan: Plan<R>
  private readonly scope: Scope.Scope
  private readonly recorders: ReadonlyArray<CallTrail.Recorder | undefined>
  private readonly decided = Deferred.makeUnsafe<RaceResult<A, E>>()
  /** Tells that nothing is running; there while the next attempt is waited for. */
  private idle: Deferred.Deferred<void> | undefined
  private readonly causes: Array<Cause.Cause<E> | undefined> = []
  private failed = 0
  private hasMore: boolean

  constructor(
    attempts: ReadonlyArray<Effect.Effect<A, E, R>>,
    plan: Plan<R>,
    scope: Scope.Scope,
    recorder: CallTrail.Recorder | undefined
  ) {
    this.attempts = attempts
    this.plan = plan
    this.scope = scope
    this.recorders = attempts.map(() => recorder?.branch())
    this.hasMore = attempts.length > 1
  }

  get result(): Effect.Effect<RaceResult<A, E>, never, R> {
    return Effect.flatMap(this.start(), () =>
      !this.hasMore || Deferred.isDoneUnsafe(this.decided)
        ? Deferred.await(this.decided)
        : Effect.flatMap(Effect.forkIn(this.startOthers(), this.scope, { startImmediately: true }), () =>
            Deferred.await(this.decided)
          )
    )
  }

  /** Starts the next attempt, if there is one. */
  private start(): Effect.Effect<void, never, R> {
    const index = this.causes.length
    const attempt = this.attempts[index]
    if (attempt === undefined) return Effect.void
    this.causes.push(undefined)
    return Effect.map(
      Effect.forkIn(this.asPart(index, attempt), this.scope, { startImmediately: true }),
      (fiber) => void fiber.addObserver((exit) => this.ended(index, exit))
    )
  }

  // What is decided in an attempt, or about it, concerns none that competes with it.
  private asPart<B, E2>(index: number, effect: Effect.Effect<B, E2, R>): Effect.Effect<B, E2, R> {
    return Effect.provideService(effect, CallTrail.Current, this.recorders[index])
  }

  private startOthers(): Effect.Effect<void, never, R> {
    const started = this.causes.length
    return Effect.flatMap(this.due, () => {
      if (Deferred.isDoneUnsafe(this.decided)) return Effect.void
      return Effect.flatMap(this.asPart(started, this.plan.permit(started)), (isPermitted) => {
        if (!isPermitted) return this.startNoMore
        return Effect.andThen(
          this.start(),
          Effect.suspend(() => (this.causes.length < this.attempts.length ? this.startOthers() : this.startNoMore))
        )
      })
    })
  }

  private readonly startNoMore = Effect.sync(() => {
    this.hasMore = false
    this.loseIfAllFailed()
  })

  /** Waits until the next attempt is due. */
  private get due(): Effect.Effect<unknown> {
    const { afterFailure, delay } = this.plan
    if (afterFailure === "end") return Effect.sleep(delay)
    if (Duration.isZero(delay) || this.failed === this.causes.length) return Effect.void
    this.idle = Deferred.makeUnsafe()
    return Effect.timeoutOption(Deferred.await(this.idle), delay)
  }

  private ended(index: number, exit: Exit.Exit<A, E>): void {
    if (Exit.isSuccess(exit)) {
      const [recorder, started] = [this.recorders[index], this.causes.length]
      const won = { _tag: "Won", index, value: exit.value, started, recorder } as const
      Deferred.doneUnsafe(this.decided, Exit.succeed(won))
      return
    }
    this.causes[index] = exit.cause
    this.failed++
    if (this.plan.afterFailure === "end") this.hasMore = false
    this.loseIfAllFailed()
    if (this.hasMore && this.failed === this.causes.length && this.idle !== undefined) {
      Deferred.doneUnsafe(this.idle, Exit.void)
    }
  }

  private loseIfAllFailed(): void {
    if (this.hasMore || this.failed < this.causes.length) return
    const causes = this.causes.filter((cause) => cause !== undefined)
    Deferred.doneUnsafe(this.decided, Exit.succeed({ _tag: "Lost", causes }))
  }
}

/** Takes down whose answer was taken of several that were under way. */
export const recordWinner = (
  { recorder }: { readonly recorder: CallTrail.Recorder | undefined },
  policy: string,
  { model, name }: Pick<ModelProvider, "model" | "name">
): Effect.Effect<void> =>
  Effect.provideService(
    CallTrail.record({ _tag: "AttemptWon", policy, provider: name, model }),
    CallTrail.Current,
    recorder
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
    const { retryAfter, retryable } = Verdict.of(error)
    return retryable ? Duration.toMillis(retryAfter ?? Duration.zero) : -1
  }
  return errors.reduce((best, error) => (wait(error) > wait(best) ? error : best))
}

/** As {@link mostHopeful}, of attempts at one provider: what it told one of them for good, no other attempt can change. */
export const ofOneProvider = (errors: ReadonlyArray<AiError.AiError>): AiError.AiError =>
  errors.find(Refusals.isFinal) ?? mostHopeful(errors)
