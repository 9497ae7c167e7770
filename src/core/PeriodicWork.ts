/**
 * Lets providers and policies have work done again and again, by whoever looks after such work around them.
 *
 * While a model is built that is its supervisor: the work is then a periodic job, listed by name and ended with the model.
 * Elsewhere it is a fiber of the scope in which it was asked for.
 */
import { Context, type Duration, Effect, Schedule, type Scope } from "effect"

export interface Options {
  /** What it does, for people. */
  readonly name: string
  /** From the beginning of one round to that of the next. The first begins at once. */
  readonly every: Duration.Duration
}

export type Run = (work: Effect.Effect<void>, options: Options) => Effect.Effect<void, never, Scope.Scope>

/** Who looks after it, in the present fiber. Work never outlives the scope it was asked for in. */
export const Runner: Context.Reference<Run> = Context.Reference("holdfast/core/PeriodicWork", {
  defaultValue: (): Run => (work, options) =>
    Effect.asVoid(Effect.forkScoped(Effect.repeat(work, Schedule.fixed(options.every))))
})

/** Does `work` again and again until the scope closes. */
export const run: Run = (work, options) => Effect.flatMap(Runner, (runner) => runner(work, options))
