/**
 * Carries what Node's `AsyncLocalStorage` holds from whoever submits a job to the async function that is the job's work.
 *
 * A job starts in a turn of the dispatcher, and Node takes that for part of whatever caused the turn: another request, whose
 * tenant or span the function would see. It costs about as much as a small job does, so it is done only in a process that
 * makes work of async functions. Effects have their own context, which is always their submitter's.
 */
import { Context } from "effect"
import * as FailureHook from "../lifecycle/FailureHook.ts"
import { CurrentJob } from "../records/JobRecord.ts"

/** Calls a function where it was made. */
type Within = <A>(call: () => A) => A

const Submitter = Context.Reference<Within | undefined>("holdfast/supervisor/AsyncContext/Submitter", {
  defaultValue: () => undefined
})

// Absent outside of Node and what is like it.
const hooks = globalThis.process?.getBuiltinModule?.("node:async_hooks")

let isUsed = false

/** Says that there is work which runs in it: from now on submits take it. */
export const use = (): void => {
  isUsed = true
}

/** Has a context take along where it is now, unless it took along another place before: a job's own jobs are its submitter's. */
export const keep = <R>(context: Context.Context<R>): Context.Context<R> =>
  isUsed && Context.get(context, Submitter) === undefined ? renew(context) : context

/** Has a context take along where it is now. */
export const renew = <R>(context: Context.Context<R>): Context.Context<R> => {
  if (hooks === undefined) return context
  const resource = new hooks.AsyncResource("holdfast.job", { requireManualDestroy: true })
  return Context.add(context, Submitter, (call) => resource.runInAsyncScope(call))
}

/** Calls a function where the job was submitted that a context is of; outside of a job right here. */
export const run = <A>(context: Context.Context<never>, call: () => A): A => {
  const within = Context.get(context, Submitter)
  return within === undefined ? call() : within(call)
}

/**
 * Whose an async function is, a job's or a failure hook's, for as long as it runs: what it leaves behind, such as a socket, holds
 * nothing of it. `signal` is a job's.
 */
interface Place {
  context: Context.Context<never> | undefined
  readonly signal: AbortSignal | undefined
}

const places = hooks === undefined ? undefined : new hooks.AsyncLocalStorage<Place>()

/** Has {@link asyncContext} tell whose it is in all that an async function does, until that has settled. */
export const within = <A>(of: Context.Context<never>, signal: AbortSignal, start: () => Promise<A>): Promise<A> => {
  const job = Context.get(of, CurrentJob)
  if (places === undefined || (job === undefined && !FailureHook.isOf(of))) return start()
  const context = FailureHook.within(job === undefined ? Context.empty() : CurrentJob.context(job), of)
  const place: Place = { context, signal: job && signal }
  return places.run(place, start).finally(() => void (place.context = undefined))
}

/**
 * The context of the job in whose async function this is called; empty elsewhere, and where a platform cannot tell.
 *
 * An Effect that an async function runs by itself, through a runtime, does not know the job: it holds its slot while it waits.
 * With this context it lends the slot, and its jobs and calls belong to that job, as with the function's own `run` and `submit`. It
 * does not end when the job is cancelled: run it with the function's `signal` for that.
 * Knows the job until the function has settled. Needs Node's `AsyncLocalStorage`.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect, ManagedRuntime } from "effect"
 * import { Job, Supervisor } from "holdfast/supervisor"
 *
 * const runtime = ManagedRuntime.make(Supervisor.layer({ concurrency: 1 }))
 * const inner = Supervisor.run(Effect.succeed(42))
 * const work = Job.promise(({ signal }) =>
 *   runtime.runPromise(Effect.provideContext(inner, Job.asyncContext()), { signal })
 * )
 * await runtime.runPromise(Supervisor.run(work)) // => 42
 * await runtime.dispose()
 * ```
 */
export const asyncContext = (): Context.Context<never> => {
  const context = places?.getStore()?.context
  return context === undefined ? Context.empty() : renew(context)
}

/**
 * The context of what is started apart from the job in whose async function this is called: without that job, but from the same
 * failure hook, which is not called for what it brought about. Empty elsewhere. See {@link asyncContext}.
 */
export const apartContext = (): Context.Context<never> =>
  FailureHook.within(Context.empty(), places?.getStore()?.context ?? Context.empty())

/** The signal of the job in whose async function this is called: see {@link asyncContext}. Absent elsewhere. */
export const asyncSignal = (): AbortSignal | undefined => {
  const place = places?.getStore()
  return place?.context === undefined ? undefined : place.signal
}
