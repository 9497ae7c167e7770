/**
 * Makes work for a supervisor of an async function: its job ends when its promise has settled, and not before.
 */
import * as GeneratorFunction from "../../core/GeneratorFunction.ts"
import * as OptionCheck from "../../core/OptionCheck.ts"
import { Cause, Context, Effect, Exit, Fiber, type Scope } from "effect"
import * as SafeText from "../../core/SafeText.ts"
import { type JobError, NotAccepting } from "../JobError.ts"
import * as ErrorOf from "../records/ErrorOf.ts"
import { CurrentJob, type Job, type JobRecord } from "../records/JobRecord.ts"
import * as AsyncContext from "./AsyncContext.ts"
import * as PartOfAbort from "./PartOfAbort.ts"
import type { ReportedProgress } from "../records/ReportedProgress.ts"
import type { Options as SubmitOptions } from "./SubmitOptions.ts"
import { Supervisor } from "./SupervisorService.ts"

/** What an async function is given to work with as a job. `R` is what Effects it starts may need besides a supervisor. */
export interface PromiseTools<R = never> {
  /** Aborts when the job is cancelled, runs out of time or the program ends. Pass it on. */
  readonly signal: AbortSignal
  /** Reports how far the job is: see `Job.report`. */
  readonly report: (progress: ReportedProgress, message?: string) => void
  /** Runs a job of this job and gives its result: see `Supervisor.run`. The wait lends the slot, and ends with the signal. */
  readonly run: <A, E = never>(work: Startable<A, E, R>, options?: SubmitOptions<E>) => Promise<A>
  /** Starts a job of this job and gives its handle: see `Supervisor.submit`. */
  readonly submit: <A, E = never>(work: Startable<A, E, R>, options?: SubmitOptions<E>) => Promise<Job<A, E>>
}

/** An async function as a job may be made of. */
export type PromiseFunction<A, R = never> = (tools: PromiseTools<R>) => PromiseLike<A> | A

/** What may be started from within: an async function of the same shape, or an Effect. */
export type Startable<A, E, R> = PromiseFunction<A, R> | Effect.Effect<A, E, R | Supervisor | Scope.Scope>

/** How an async function becomes work. */
export interface PromiseOptions<E> {
  /** Makes the job's error of what the function threw. Default: it is the error as it was thrown, of type `unknown`. */
  readonly catch?: ((thrown: unknown) => E) | undefined
}

/**
 * Makes an Effect of an async function: work for `Supervisor.submit` and `Supervisor.run`.
 *
 * Interruption aborts the function's `signal` and then waits until its promise has settled, so the job is over, and its slot
 * is free, only when the function is. A function that ignores its signal for ever keeps its job running: `Supervisor.health`
 * counts it as stuck, and a drain reports it as `still running`.
 *
 * Fails with what the function threw, unchanged; a function that throws before its first `await` counts as one that
 * rejects. After the abort, an error that comes of it is part of the interruption: the signal's reason, an `AbortError`, a
 * refusal to start more, and what has one of these as its cause. Any other error is reported with it. A function
 * that gives an Effect is a `RangeError` as a defect: nobody has run that.
 *
 * In a job the function sees, of each `AsyncLocalStorage` of Node, what whoever submitted it did: the tenant, the span.
 *
 * `run` and `submit` start jobs that belong to this one. When the function has settled, what it `run` and did not wait for
 * is cancelled, and both reject with a `JobError` of reason `NotAccepting`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Job, Supervisor } from "holdfast/supervisor"
 * import { setTimeout as sleep } from "node:timers/promises"
 *
 * const work = Job.promise(async ({ signal, report, run }) => {
 *   await sleep(5, undefined, { signal })
 *   report({ fraction: 0.5 }, "half way")
 *   return await run(async () => 42, { name: "a part of it" })
 * })
 * await Effect.runPromise(Effect.provide(Supervisor.run(work), Supervisor.layer({ concurrency: 1 }))) // => 42
 * ```
 */
export const promise: {
  <A, R = never>(work: PromiseFunction<A, R>): Effect.Effect<A, unknown, R | Supervisor>
  <A, E = unknown, R = never>(
    work: PromiseFunction<A, R>,
    options: PromiseOptions<E>
  ): Effect.Effect<A, E, R | Supervisor>
} = <A, R>(
  work: PromiseFunction<A, R>,
  options?: PromiseOptions<unknown>
): Effect.Effect<A, unknown, R | Supervisor> => {
  if (typeof work !== "function" || GeneratorFunction.is(work)) {
    throw new RangeError(`Job.promise takes an async function, ${notOne(work)}`)
  }
  AsyncContext.use()
  const effect = Effect.contextWith((context: Context.Context<R | Supervisor>) => settle(work, context))
  const check = OptionCheck.of("Job.promise")
  if (options !== undefined) check.fields(options, { catch: true })
  const translate = options?.catch
  if (translate !== undefined) check.callback("catch", translate)
  return translate === undefined ? effect : Effect.catch(effect, (thrown) => translated(translate, thrown))
}

// What was thrown is not lost in what the translation of it threw.
const translated = <E>(translate: (thrown: unknown) => E, thrown: unknown): Effect.Effect<never, E> => {
  try {
    return Effect.fail(translate(thrown))
  } catch (error) {
    return Effect.failCause(Cause.combine(Cause.die(error), Cause.die(thrown)))
  }
}

const notOne = (work: unknown): string => {
  if (GeneratorFunction.is(work)) return "not a generator function, of which a call runs nothing"
  return isThenable(work) ? "not its promise, which runs already" : `not ${SafeText.of(work)}`
}

const isThenable = (work: unknown): boolean => {
  try {
    return typeof work === "object" && work !== null && "then" in work
  } catch {
    return false
  }
}

const settle = <A, R>(
  work: PromiseFunction<A, R>,
  context: Context.Context<R | Supervisor>
): Effect.Effect<A, unknown> =>
  Effect.callback<A, unknown>((resume) => {
    const job = Context.get(context, CurrentJob)
    const controller = new AbortController()
    const { signal } = controller
    const waits = new Waits(context, signal)
    const supervisor = Context.get(context, Supervisor)
    const tools: PromiseTools<R> = {
      signal,
      report: (progress, message) => job?.report(progress, message),
      run: (started, options) =>
        waits.start(
          job,
          Effect.suspend(() => supervisor.run(effectOf(started), options)),
          options
        ),
      submit: (started, options) =>
        waits.start(
          job,
          Effect.suspend(() => supervisor.submit(effectOf(started), options)),
          options
        )
    }
    // A function that throws at once rejects, and what is no promise is a promise of it.
    const settled = AsyncContext.run(context, () =>
      AsyncContext.within(context, signal, () => promised(() => work(tools)))
    ).then(
      (value) => waits.end(isUnrun(value) ? Exit.die(new RangeError(gaveEffect)) : Exit.succeed(value)),
      (thrown: unknown) => waits.end(Exit.fail(thrown))
    )
    void settled.then((exit) => resume(Effect.andThen(waits.interrupt, beforeAbort(exit, job))))
    return Effect.suspend(() => {
      const reason = new DOMException(whyAborted(job), "AbortError")
      // Listeners run where the signal is aborted, which is where whoever cancels is.
      AsyncContext.run(context, () => controller.abort(reason))
      waits.interruptUnsafe()
      return Effect.flatMap(
        Effect.promise(() => settled),
        (exit) => Effect.andThen(waits.interrupt, afterAbort(exit, signal))
      )
    })
  })

const promised = <A>(start: () => PromiseLike<A> | A): Promise<A> => {
  const { promise, reject, resolve } = Promise.withResolvers<A>()
  try {
    resolve(start())
  } catch (thrown) {
    reject(thrown)
  }
  return promise
}

/** Whether it is an Effect that nobody has run. An exit is an Effect too, and an error may be one: these are values. */
const isUnrun = (value: unknown): boolean => {
  try {
    return typeof value === "object" && Effect.isEffect(value) && !Exit.isExit(value) && !(value instanceof Error)
  } catch {
    return false
  }
}

const gaveEffect =
  "the function of Job.promise gave an Effect, which nobody has run: submit the Effect itself, or give it to the function's run"

/** The waits for other jobs that an async function has begun. They end with it. */
class Waits<R> {
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  private readonly context: Context.Context<R | Supervisor>
  private readonly signal: AbortSignal
  private isOver = false

  constructor(context: Context.Context<R | Supervisor>, signal: AbortSignal) {
    this.context = context
    this.signal = signal
  }

  start<A, E>(
    job: JobRecord | undefined,
    effect: Effect.Effect<A, E, R | Supervisor>,
    options: Named | undefined
  ): Promise<A> {
    const { promise, reject, resolve } = Promise.withResolvers<A>()
    if (this.isOver || this.signal.aborted) {
      reject(refusal(job, options))
    } else {
      const fiber = Effect.runForkWith(AsyncContext.renew(this.context))(effect)
      this.fibers.add(fiber)
      fiber.addObserver((exit) => {
        this.fibers.delete(fiber)
        if (Exit.isSuccess(exit)) return resolve(exit.value)
        if (!Cause.hasInterruptsOnly(exit.cause)) return reject(Cause.squash(exit.cause))
        reject(this.signal.aborted ? this.signal.reason : refusal(job, options))
      })
    }
    // Nobody may wait for it. What failed is a job of its own and has been reported as one.
    promise.catch(() => {})
    return promise
  }

  /** Lets no more begin. */
  end<Settled>(exit: Settled): Settled {
    this.isOver = true
    return exit
  }

  interruptUnsafe(): void {
    for (const fiber of this.fibers) fiber.interruptUnsafe()
  }

  /** Ends them, and waits until the jobs that end with them have. */
  readonly interrupt: Effect.Effect<void> = Effect.uninterruptible(
    Effect.suspend(() => (this.fibers.size === 0 ? Effect.void : Fiber.interruptAll(this.fibers)))
  )
}

type Named = Pick<SubmitOptions, "id" | "name">

/** Why nothing more begins. The job that is refused has the id it was to have, if any. */
const refusal = (job: JobRecord | undefined, options: Named | undefined): JobError =>
  ErrorOf.job(
    { id: textOr("", options?.id), givenName: textOr(undefined, options?.name) },
    job === undefined ? new NotAccepting({ because: "parent ending" }) : ErrorOf.endingParent(job)
  )

// Nobody has looked at the options yet.
const textOr = <A>(absent: A, given: unknown): string | A => (typeof given === "string" ? given : absent)

const effectOf = <A, E, R>(work: Startable<A, E, R>): Effect.Effect<A, E, R | Supervisor | Scope.Scope> =>
  // The type of a job's error is what its handle says; an async function may throw anything.
  // @effect-diagnostics-next-line unsafeEffectTypeAssertion:off
  Effect.isEffect(work) ? work : (promise(work) as Effect.Effect<A, E, R | Supervisor>)

const whyAborted = (job: JobRecord | undefined): string => {
  const stop = job?.stop
  if (stop === undefined) return "the work was interrupted"
  return stop._tag === "Cancel" ? `the job was cancelled: ${stop.reason}` : "the job ran out of time"
}

/**
 * What of a settled promise is to be said that settled before its abort: all of it, unless its job, or one that owns it, is to
 * end already and the abort came another way.
 */
const beforeAbort = <A>(exit: Exit.Exit<A, unknown>, job: JobRecord | undefined): Effect.Effect<A, unknown> =>
  Exit.isFailure(exit) && isToEnd(job) && PartOfAbort.is(Cause.squash(exit.cause), undefined) ? Effect.interrupt : exit

const isToEnd = (job: JobRecord | undefined): boolean => {
  for (const each of job?.owners() ?? []) if (each.stop !== undefined) return true
  return false
}

/** What of a settled promise is to be said after its abort: nothing, unless it failed by something else. */
const afterAbort = (exit: Exit.Exit<unknown, unknown>, signal: AbortSignal): Effect.Effect<void> =>
  Exit.isFailure(exit) && !PartOfAbort.is(Cause.squash(exit.cause), signal.reason)
    ? Effect.asVoid(Effect.orDie(exit))
    : Effect.void
