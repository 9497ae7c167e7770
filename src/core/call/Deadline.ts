/**
 * Tells everything inside of a call how much of the whole call's time is left.
 *
 * `Timeout.overall` sets it; retries, queues, hedges and fallbacks further in read it, so that none of them begins what
 * cannot end in time. It only ever comes nearer: a deadline set inside another is the earlier of both.
 */
import { Context, Effect } from "effect"
import * as Monotonic from "../Monotonic.ts"

/** When the whole call must have ended, in milliseconds of `Monotonic`'s time. None when nothing limits it. */
export const Current = Context.Reference<number | undefined>("holdfast/core/Deadline", {
  defaultValue: () => undefined
})

/** The milliseconds that are left, at least 0; `Infinity` when nothing limits the call. */
export const remainingMillis: Effect.Effect<number> = Effect.flatMap(Current, (at) =>
  at === undefined ? Effect.succeed(Infinity) : Effect.map(Monotonic.millis, (now) => Math.max(0, at - now))
)

/** The earlier of two deadlines, or the one there is. */
export const earlier = (outer: number | undefined, at: number): number =>
  outer === undefined ? at : Math.min(outer, at)
