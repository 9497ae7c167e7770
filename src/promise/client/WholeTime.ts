/**
 * Limits the time of each call as its caller says.
 */
import { Context, Effect, Stream } from "effect"
import type { Policy } from "../../core/call/ModelProvider.ts"
import * as Timeout from "../../policy/Timeout.ts"

/** How long the calls in the present fiber may take, in milliseconds. */
export const Current = Context.Reference<number>("holdfast/promise/client/WholeTime", {
  defaultValue: () => Infinity
})

/** `Timeout.overall`, with a limit of each call's own. */
export const policy: Policy = (next) => {
  const limited = Effect.flatMap(Current, (millis) =>
    millis === Infinity ? Effect.succeed(next) : Effect.scoped(Timeout.overall(millis)(next))
  )
  return Effect.succeed({
    ...next,
    generateText: (request) => Effect.flatMap(limited, (provider) => provider.generateText(request)),
    streamText: (request) => Stream.unwrap(Effect.map(limited, (provider) => provider.streamText(request)))
  })
}
