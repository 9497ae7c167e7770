/**
 * Gives each failure of a job to the supervisor's failure hook, once the job has ended: a slow hook holds no slot and keeps
 * nobody waiting.
 *
 * A few hooks run at a time, and a limited number waits. What the hook cannot be told is an event of its own, so no failure
 * is silent.
 */
import { Cause, Context, Duration, Effect, Exit, Fiber, MutableList, Predicate, Scheduler } from "effect"
import * as OptionCheck from "../../core/OptionCheck.ts"
import * as SafeText from "../../core/SafeText.ts"
import { CurrentJob, type JobRecord } from "../records/JobRecord.ts"
import type { JobStatus } from "../records/JobStatus.ts"
import type { Outcome } from "../records/Outcome.ts"
import * as SafeJson from "../records/SafeJson.ts"
import * as FailureLog from "./FailureLog.ts"

/** A failure as the hook receives it. */
export interface JobFailure {
  /** How the job is, now that it has ended. */
  readonly job: JobStatus
  /** JSON leaves it out: see {@link JobStatus}. */
  readonly cause: Cause.Cause<unknown>
}

/** What hears of failures, and for how long it may take over one. */
export interface Hook {
  readonly run: (failure: JobFailure) => Effect.Effect<void, unknown>
  readonly limit: Duration.Duration
}

/** How long a hook may take. Throws a `RangeError` when that, or the hook, makes no sense. */
export const limitOf = (hook: unknown, timeout: Duration.Input): Duration.Duration => {
  const check = OptionCheck.of("Supervisor")
  if (hook !== undefined && typeof hook !== "function") check.reject("onFailure", "a function", hook)
  return Duration.millis(check.millis("onFailureTimeout", timeout))
}

/** What a hook gave: an Effect, or what it is refused for. */
export const asEffect = <E, R>(given: Effect.Effect<void, E, R>): Effect.Effect<void, E, R> => {
  if (Effect.isEffect(given)) return given
  const got: unknown = given
  const isPromise = Predicate.isPromiseLike(got)
  // It has begun, and nobody else hears of its failure.
  if (isPromise) void Promise.resolve(got).catch(() => {})
  return Effect.die(
    new RangeError(
      isPromise
        ? "Supervisor option onFailure must return an Effect, got a promise: return Effect.promise(async () => { … })"
        : `Supervisor option onFailure must return an Effect, got ${SafeText.of(got)}`
    )
  )
}

/**
 * How many hooks run at a time, how many failures may wait for one, and how many hooks that ignore their end may be left: while
 * there are so many, the hook is not called.
 */
const bounds = { running: 16, waiting: 10_000, left: 1_000 } as const

const tooManyLeft = `${bounds.left} calls of the failure hook were given up and still run: it is called again when one has ended`

/**
 * The hooks a fiber runs in: as a call of them, or in a job that such a call submitted, or in one that this job submitted, …
 *
 * A hook must not wait for itself, and is not called for what it brought about: one whose alert fails would call itself for ever.
 */
const Within = Context.Reference<ReadonlySet<FailureHook>>("holdfast/supervisor/lifecycle/FailureHook/Within", {
  defaultValue: () => new Set()
})

/** A context that is within the same hooks as another one, and the same as before in everything else. */
export const within = (context: Context.Context<never>, other: Context.Context<never>): Context.Context<never> =>
  Context.add(context, Within, Context.get(other, Within))

/** Whether what runs in a context comes from a failure hook. */
export const isOf = (context: Context.Context<never>): boolean => Context.get(context, Within).size > 0

interface Waiting {
  readonly record: JobRecord
  readonly job: JobStatus
  readonly cause: Cause.Cause<unknown>
  readonly context: Context.Context<never>
}

export class FailureHook {
  private readonly hook: Hook | undefined
  private readonly context: Context.Context<never>
  private readonly schedule: (task: () => void) => void
  private readonly waiting = MutableList.make<Waiting>()
  private readonly running = new Set<Fiber.Fiber<void>>()
  private readonly idle = new Set<() => void>()
  // Hooks that were given up and have not ended since.
  private left = 0
  private missed = 0
  // Log lines that are due: whoever waits for the hooks waits for these too.
  private unwritten = 0
  private isStarting = false

  /** `schedule` runs a task soon, outside of the transition in which a job ends. */
  constructor(hook: Hook | undefined, context: Context.Context<never>, schedule: (task: () => void) => void) {
    this.hook = hook
    this.context = context
    this.schedule = schedule
  }

  /** Takes note of how a job ended; `context` is what its fiber ran in. */
  hear(record: JobRecord, outcome: Outcome, context: Context.Context<never>): void {
    if (this.hook === undefined || !FailureLog.isReported(record, outcome) || Exit.isSuccess(outcome.exit)) return
    const { cause } = outcome.exit
    // Now: what is kept of the record may be less when the hook has its turn.
    const waiting = { record, job: record.status(), cause, context: this.contextOf(context) }
    if (Context.get(context, Within).has(this)) return this.giveUp(waiting, "the job comes from a call of it")
    if (this.left >= bounds.left) return this.giveUp(waiting, tooManyLeft)
    if (this.waiting.length >= bounds.waiting)
      return this.giveUp(waiting, `${bounds.waiting} failures wait for the hook`)
    MutableList.append(this.waiting, waiting)
    this.scheduleStart()
  }

  /** Waits until every failure heard of so far and meanwhile has been handed over. Inside the hook it does not wait. */
  readonly awaitIdle: Effect.Effect<void> = Effect.contextWith((context: Context.Context<never>) => {
    // What a hook submits is no part of its call.
    const isCall = Context.get(context, Within).has(this) && Context.get(context, CurrentJob) === undefined
    return isCall
      ? Effect.void
      : Effect.callback<void>((resume) => {
          if (this.isIdle) return resume(Effect.void)
          const listener = () => resume(Effect.void)
          this.idle.add(listener)
          return Effect.sync(() => this.idle.delete(listener))
        })
  })

  /** Waits for the hooks; gives up those that have not begun within the limit of one, so it takes two limits at most. */
  readonly close: Effect.Effect<void> = Effect.suspend(() =>
    this.hook === undefined
      ? Effect.void
      : Effect.timeoutOrElse(this.awaitIdle, {
          duration: this.hook.limit,
          orElse: () =>
            Effect.suspend(() => {
              this.giveUpAll("the supervisor closed")
              return this.awaitIdle
            })
        })
  )

  /** Hooks that were given up and still run, and failures that the hook was not called for. */
  get health(): { readonly ignoring: number; readonly missed: number } {
    return { ignoring: this.left, missed: this.missed }
  }

  private get isIdle(): boolean {
    return this.waiting.length === 0 && this.running.size === 0 && this.unwritten === 0
  }

  // The loggers of the job, and of everything else what the supervisor was made with. What the hook submits is nobody's child.
  private contextOf(job: Context.Context<never>): Context.Context<never> {
    const merged = Context.merge(job, this.context)
    const scheduler = Context.get(this.context, Scheduler.Scheduler)
    return Context.add(
      Context.add(Context.add(merged, Scheduler.Scheduler, scheduler), CurrentJob, undefined),
      Within,
      new Set(Context.get(job, Within)).add(this)
    )
  }

  private scheduleStart(): void {
    if (this.isStarting) return
    this.isStarting = true
    this.schedule(this.start)
  }

  private readonly start = (): void => {
    this.isStarting = false
    while (this.running.size < bounds.running && this.left < bounds.left) {
      const next = MutableList.take(this.waiting)
      if (next === MutableList.Empty) break
      this.launch(next.context, this.tell(next))
    }
  }

  private launch(context: Context.Context<never>, task: Effect.Effect<void>): void {
    const fiber = Effect.runForkWith(context)(task)
    this.running.add(fiber)
    fiber.addObserver(() => {
      this.running.delete(fiber)
      if (this.waiting.length > 0) this.scheduleStart()
      else this.wakeIfIdle()
    })
  }

  private tell({ cause, job, record }: Waiting): Effect.Effect<void> {
    const { hook } = this
    if (hook === undefined) return Effect.void
    const run = Effect.suspend(() => hook.run(SafeJson.withoutCause({ job, cause })))
    return this.within(hook.limit, run).pipe(
      Effect.catchCause((hookCause) => {
        record.supervision.emit(record, { _tag: "FailureHookFailed", cause: hookCause })
        return FailureLog.write(record, "the failure hook failed", hookCause)
      })
    )
  }

  // A hook that ignores its interruption has no owner in the end: it cannot be waited for, only counted.
  private within(limit: Duration.Duration, run: Effect.Effect<void, unknown>): Effect.Effect<void, unknown> {
    return Effect.flatMap(Effect.forkDetach(run, { startImmediately: true }), (fiber) =>
      Effect.timeoutOrElse(Fiber.join(fiber), {
        duration: limit,
        orElse: () => {
          if (++this.left === bounds.left) {
            this.launch(this.context, FailureLog.warn(tooManyLeft))
            this.giveUpAll(tooManyLeft)
          }
          fiber.addObserver(() => {
            if (this.left-- === bounds.left) this.scheduleStart()
          })
          fiber.interruptUnsafe()
          return Effect.fail(new Cause.TimeoutError(`the failure hook took longer than ${Duration.format(limit)}`))
        }
      })
    )
  }

  private giveUpAll(why: string): void {
    for (const each of MutableList.takeAll(this.waiting)) this.giveUp(each, why)
  }

  private giveUp({ context, record }: Waiting, why: string): void {
    const cause = Cause.fail(new Cause.TimeoutError(`the failure hook was not called: ${why}`))
    this.missed++
    record.supervision.emit(record, { _tag: "FailureHookFailed", cause })
    this.unwritten++
    this.schedule(() => {
      this.unwritten--
      this.launch(context, FailureLog.write(record, "the failure hook failed", cause))
    })
  }

  private wakeIfIdle(): void {
    if (!this.isIdle) return
    const listeners = Array.from(this.idle)
    this.idle.clear()
    this.schedule(() => {
      for (const listener of listeners) listener()
    })
  }
}
