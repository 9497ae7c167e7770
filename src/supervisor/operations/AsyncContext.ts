/**
 * Carries what Node's `AsyncLocalStorage` holds from whoever submits a job to the async function that is the job's work.
 *
 * A job starts in a turn of the dispatcher, and Node takes that for part of whatever caused the turn: another request, whose
 * tenant or span the function would see. It costs about as much as a small job does, so it is done only in a process that
 * makes work of async functions. Effects have their own context, which is always their submitter's.
 */
import { Context } from "effect"

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
