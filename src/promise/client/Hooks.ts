/**
 * Tells a caller's functions what happens to a call on its way.
 */
import { Context, Effect, Stream } from "effect"
import * as Attempt from "../../core/call/Attempt.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as SafeText from "../../core/SafeText.ts"
import type { Hooks, Retried } from "../Call.ts"

/** Who hears of the calls in the present fiber. */
export const Current = Context.Reference<ReadonlyArray<Hooks>>("holdfast/promise/client/Hooks", {
  defaultValue: () => []
})

/** Has a provider say when it is asked again, or in another's place. */
export const heard = (provider: ModelProvider): ModelProvider => ({
  ...provider,
  generateText: (request) => Effect.andThen(tell(provider), provider.generateText(request)),
  streamText: (request) => Stream.unwrap(Effect.as(tell(provider), provider.streamText(request)))
})

const tell = ({ model, name: provider }: ModelProvider): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    const hooks = fiber.getRef(Current)
    const origin = fiber.getRef(Attempt.CurrentOrigin)
    if (hooks.length === 0 || (origin !== "retry" && origin !== "fallback")) return Effect.void
    const trail = fiber.getRef(CallTrail.Current)?.trail
    const last = trail?.attempts.at(-1)
    const retried: Retried = {
      provider,
      model,
      attempt: trail?.inFlight?.at(-1)?.number ?? (last?.number ?? 0) + 1,
      error: last?.outcome._tag === "Failed" ? last.outcome.description : undefined
    }
    const from = last === undefined ? undefined : `${last.provider}/${last.model}`
    return origin === "retry"
      ? call(hooks, ({ onRetry }) => onRetry?.(retried))
      : call(hooks, ({ onFallback }) => onFallback?.({ ...retried, from }))
  })

/** Calls functions of the caller's, of which none can end a call. What they throw is logged, at once or later. */
export const call = (hooks: ReadonlyArray<Hooks>, tell: (hooks: Hooks) => unknown): Effect.Effect<void> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const log = (error: unknown) =>
      void Effect.runForkWith(context)(Effect.logWarning(`a hook threw: ${SafeText.of(error)}`))
    for (const each of hooks) {
      try {
        const told = tell(each)
        if (told instanceof Promise) told.catch(log)
      } catch (error) {
        log(error)
      }
    }
    return Effect.void
  })
