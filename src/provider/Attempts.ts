/**
 * Writes each request to a provider into the trail of its call: to whom, why, how long it took and how it ended; and sends
 * none that the provider told this call not to send.
 */
import { Cause, Clock, Effect, Exit, Pull, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import * as Attempt from "../core/call/Attempt.ts"
import * as CallTrail from "../core/CallTrail.ts"
import * as Content from "../core/stream/Content.ts"
import * as Opening from "../core/stream/OpenStream.ts"
import * as Refusals from "../core/call/Refusals.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"

// Kept by policies, which copy what they do not change: a stack around a recorded provider is not recorded again.
const isRecorded = Symbol("holdfast/provider/Attempts")

/**
 * Records the calls of a provider as attempts, and keeps those from it that it told their call not to make: after an
 * error nothing changes, or before the time it asked to wait for (see `Refusals`).
 *
 * Models and policies that are given providers apply it to each of them; applying it again changes nothing.
 */
export const recorded = (provider: ModelProvider): ModelProvider => {
  if (isRecorded in provider) return provider
  const { model, name } = provider
  const key = `${name}/${model}`
  const finished = (
    recorder: CallTrail.Recorder | undefined,
    refusals: Refusals.Refusals | undefined,
    origin: Attempt.Origin,
    startedAtMillis: number,
    now: number,
    firstContentAt: number | undefined,
    exit: Exit.Exit<unknown, AiError.AiError>
  ): void => {
    if (refusals !== undefined && Exit.isFailure(exit)) {
      const error = Cause.findErrorOption(exit.cause)
      if (error._tag === "Some") refusals.heard(provider, error.value, now)
    }
    recorder?.attempt({
      provider: name,
      model,
      origin,
      startedAtMillis,
      durationMillis: now - startedAtMillis,
      ...(firstContentAt === undefined ? {} : { firstContentMillis: firstContentAt - startedAtMillis }),
      outcome: outcomeOf(exit)
    })
  }
  const withheld = (
    recorder: CallTrail.Recorder | undefined,
    { error, forMillis }: Refusals.Refusal,
    now: number
  ): Effect.Effect<never, AiError.AiError> => {
    const wait = forMillis === undefined ? {} : { forMillis }
    recorder?.decide(now, { _tag: "AttemptWithheld", provider: name, model, ...wait })
    return Effect.fail(error)
  }
  const attempt: ModelProvider & { readonly [isRecorded]: true } = {
    ...provider,
    [isRecorded]: true,
    generateText: (request) =>
      Effect.withFiber((fiber) => {
        const recorder = fiber.getRef(CallTrail.Current)
        const refusals = fiber.getRef(Refusals.Current)
        if (recorder === undefined && refusals === undefined) return provider.generateText(request)
        const origin = fiber.getRef(Attempt.CurrentOrigin)
        const clock = fiber.getRef(Clock.Clock)
        const start = clock.currentTimeMillisUnsafe()
        const refused = refusals?.refusal(provider, key, start)
        if (refused !== undefined) return withheld(recorder, refused, start)
        return Effect.onExit(provider.generateText(request), (exit) =>
          Effect.sync(() =>
            finished(recorder, refusals, origin, start, clock.currentTimeMillisUnsafe(), undefined, exit)
          )
        )
      }),
    streamText: (request) =>
      Opening.unwrap(
        Effect.withFiber((fiber) => {
          const recorder = fiber.getRef(CallTrail.Current)
          const refusals = fiber.getRef(Refusals.Current)
          const sent = provider.streamText(request)
          if (recorder === undefined && refusals === undefined) return Effect.succeed(sent)
          const origin = fiber.getRef(Attempt.CurrentOrigin)
          const clock = fiber.getRef(Clock.Clock)
          const start = clock.currentTimeMillisUnsafe()
          const refused = refusals?.refusal(provider, key, start)
          if (refused !== undefined) return withheld(recorder, refused, start)
          let firstContentAt: number | undefined
          let ended = false
          const end = (exit: Exit.Exit<unknown, AiError.AiError>): void => {
            if (ended) return
            ended = true
            finished(recorder, refusals, origin, start, clock.currentTimeMillisUnsafe(), firstContentAt, exit)
          }
          const watched = Stream.transformPull(sent, (pull) =>
            Effect.succeed(
              Effect.onExitPrimitive(pull, (pulled) => {
                if (Exit.isFailure(pulled)) end(Pull.doneExitFromCause(pulled.cause))
                else {
                  const parts = pulled.value
                  if (firstContentAt === undefined && parts.some(isContent)) {
                    firstContentAt = clock.currentTimeMillisUnsafe()
                  }
                  // Before the finish part is passed on, which brings the trail to the reader.
                  if (parts.at(-1)?.type === "finish") end(Exit.void)
                }
                return undefined
              })
            )
          )
          // For a reader that leaves early.
          return Effect.as(
            Effect.addFinalizer(() => Effect.sync(() => end(Exit.interrupt()))),
            watched
          )
        })
      )
  }
  return attempt
}

// The end of an answer without content is none.
const isContent = (part: Response.StreamPartEncoded): boolean => part.type !== "finish" && Content.isContent(part)

const outcomeOf = (exit: Exit.Exit<unknown, AiError.AiError>): Attempt.Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Succeeded" }
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "Some") return Attempt.failed(error.value)
  return { _tag: Cause.hasInterruptsOnly(exit.cause) ? "Interrupted" : "Died" }
}
