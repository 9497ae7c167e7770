/** Makes a part of an uninterruptible effect interruptible again, as `Effect.uninterruptibleMask` gives it. */
import type { Effect } from "effect"

export type Restore = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
