/**
 * The border between effects and promises: runs what a client does, and rejects with what its caller should see.
 */
import { Clock, Context, Effect, Exit, Fiber, type ManagedRuntime } from "effect"
import * as Monotonic from "../../core/Monotonic.ts"
import * as Job from "../../supervisor/Job.ts"
import type { Supervisor } from "../../supervisor/Supervisor.ts"
import * as Supervisors from "../../supervisor/Supervisor.ts"
import * as Failures from "./Failures.ts"
import type { Models } from "./Models.ts"

/** What the effects of a client need. */
export type Services = Supervisor | Models

/** How an effect is run. */
export interface Running {
  readonly frames: Failures.Frames
  /** Interrupts it. Default: nothing does. */
  readonly signal?: AbortSignal | undefined
  /** Whether it is no part of the job whose function calls. Default: it is. */
  readonly apart?: boolean | undefined
}

export class Runner {
  private readonly runtime: ManagedRuntime.ManagedRuntime<Services, never>
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  private closing: Promise<void> | undefined = undefined

  constructor(runtime: ManagedRuntime.ManagedRuntime<Services, never>) {
    this.runtime = runtime
  }

  /** Runs an effect. It rejects only when the effect has ended, finalizers included. */
  run<A>(effect: Effect.Effect<A, unknown, Services>, running: Running): Promise<A> {
    const whole = running.apart === true ? Effect.provideContext(effect, Job.apartContext()) : within(effect)
    return promised(running, (signal, ended) => void this.start(whole, signal, ended))
  }

  /** Asks a job that is in hand: it knows what became of it, when the client is closed too. */
  ask<A>(effect: Effect.Effect<A, unknown>, running: Running): Promise<A> {
    return this.closing === undefined
      ? this.run(effect, running)
      : promised(running, (signal, ended) => void Effect.runFork(within(effect), { signal }).addObserver(ended))
  }

  /** Starts an effect, and tells how it ended. Gives what interrupts it. */
  start<A>(
    effect: Effect.Effect<A, unknown, Services>,
    signal: AbortSignal | undefined,
    ended: (exit: Exit.Exit<A, unknown>) => void
  ): () => void {
    if (this.closing !== undefined) {
      ended(Exit.interrupt())
      return () => {}
    }
    const fiber = this.runtime.runFork(effect, { signal })
    this.fibers.add(fiber)
    fiber.addObserver((exit) => {
      this.fibers.delete(fiber)
      ended(exit)
    })
    return () => fiber.interruptUnsafe()
  }

  /** Ends everything, once. */
  close(): Promise<void> {
    this.closing ??= handled(
      Effect.runPromise(
        Effect.andThen(
          this.stopJobs,
          Effect.andThen(
            Effect.suspend(() => Fiber.interruptAll(this.fibers)),
            this.runtime.disposeEffect
          )
        )
      )
    )
    return this.closing
  }

  /** Asks all jobs to end: one whose calls were ended before it would fail by that. */
  private readonly stopJobs: Effect.Effect<unknown> = Effect.suspend(() => {
    const context = this.runtime.cachedContext
    if (context === undefined) return Effect.void
    const atOnce = "0 millis"
    // The drain first, in the same step: nobody is let in, and no round begins, in the room that the others leave.
    const stop = Effect.all(
      [
        Supervisors.drain({ deadline: atOnce, interruptLimit: atOnce }),
        Supervisors.cancelAll({}, { reason: "the client was closed", limit: atOnce })
      ],
      { concurrency: "unbounded", discard: true }
    )
    return Effect.provideContext(stop, context)
  })
}

const promised = <A>(
  { apart = false, frames, signal: given }: Running,
  start: (signal: AbortSignal | undefined, ended: (exit: Exit.Exit<A, unknown>) => void) => void
): Promise<A> => {
  const { promise, reject, resolve } = Promise.withResolvers<A>()
  const signal = apart ? given : signalWithin(given)
  if (signal?.aborted === true) reject(Failures.aborted(signal))
  else {
    start(signal, (exit) => {
      if (Exit.isSuccess(exit)) return resolve(exit.value)
      reject(signal?.aborted === true ? Failures.aborted(signal) : Failures.ofCause(exit.cause, frames))
    })
  }
  return handled(promise)
}

/** Has an effect be part of the job whose function calls, if any. */
const within = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideContext(effect, Job.asyncContext())

/** A signal that also aborts with the job whose function calls, if any. */
export const signalWithin = (given: AbortSignal | undefined): AbortSignal | undefined => {
  const ofJob = Job.asyncSignal()
  if (ofJob === undefined || given === undefined) return given ?? ofJob
  return AbortSignal.any([given, ofJob])
}

/** Keeps a promise that nobody waits for from ending the process. Whoever waits for it sees its rejection all the same. */
export const handled = <A>(promise: Promise<A>): Promise<A> => {
  promise.catch(() => {})
  return promise
}

/** The milliseconds of a clock that never steps back. */
export const now = (): number => Monotonic.millisUnsafe(Context.get(Context.empty(), Clock.Clock))
