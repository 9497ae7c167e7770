/**
 * Says for whom a model call is made and how urgent it is, for every policy on its way.
 *
 * It travels in fiber context: set it once around a request handler or a job, and all calls inside have it.
 */
import { Context, Effect } from "effect"
import * as OptionCheck from "../OptionCheck.ts"
import * as Priority from "../queue/Priority.ts"

export interface Caller {
  /**
   * Who it is for: a tenant, a customer, a user. Keys of caches, limits and budgets contain it, so what belongs to one
   * tenant is never given to another: tenants are the same when their names are, character by character, and one with an
   * empty name is a tenant too. Default: nobody in particular.
   */
  readonly tenant: string | undefined
  /** What kind of task it is, as in `diagnosis-inference`: part of a cache's key. Default: none. */
  readonly task: string | undefined
  /** How urgent it is: a higher number waits less. Default 0. */
  readonly priority: number
}

/** Who calls, in the present fiber. */
export const Current: Context.Reference<Caller> = Context.Reference("holdfast/core/Caller", {
  defaultValue: (): Caller => ({ tenant: undefined, task: undefined, priority: Priority.levels.normal })
})

export interface Options {
  readonly tenant?: string | undefined
  readonly task?: string | undefined
  readonly priority?: Priority.Priority | undefined
}

/**
 * Says for whom all model calls inside an effect are made; what is not given stays as it is around it.
 *
 * Throws a `RangeError` for a tenant or a task that is no text, and for a priority that is none.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { Caller } from "holdfast/core"
 *
 * const who = Effect.map(Caller.Current, ({ tenant, priority }) => [tenant, priority])
 * Effect.runSync(who.pipe(Caller.as({ tenant: "acme", priority: "high" }))) // => ["acme", 10]
 * ```
 */
export const as = (options: Options) => {
  check.fields(options, fields)
  const tenant = options.tenant === undefined ? undefined : check.text("tenant", options.tenant)
  const task = options.task === undefined ? undefined : check.text("task", options.task)
  const { priority } = options
  if (priority !== undefined && !Priority.isPriority(priority))
    check.reject("priority", "a level or a number", priority)
  return <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.updateService(self, Current, (outer) => ({
      tenant: tenant ?? outer.tenant,
      task: task ?? outer.task,
      priority: priority === undefined ? outer.priority : Priority.toNumber(priority)
    }))
}

const check = OptionCheck.of("Caller.as")

const fields: OptionCheck.Fields<Options> = { tenant: true, task: true, priority: true }
