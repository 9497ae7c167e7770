/**
 * Writes each request to a provider into the trail of its call: to whom, why, how long it took and how it ended; and sends
 * none that the provider told this call not to send.
 */
import { Cause, Clock, Effect, Exit, Pull, Stream } from "effect"
import type { AiError, Response } from "effect/ai"
import * as Monotonic from "../Monotonic.ts"
import * as Attempt from "./Attempt.ts"
import * as CallTrail from "./CallTrail.ts"
import * as Failure from "./Failure.ts"
import * as Content from "../stream/Content.ts"
import * as OpenStream from "../stream/OpenStream.ts"
import * as Refusals from "./Refusals.ts"
import * as Usage from "./Usage.ts"
import { keyOf, type ModelProvider } from "./ModelProvider.ts"

// Kept by policies, which copy what they do not change: a stack around a recorded provider is not recorded again. It says
// which provider is asked, or nothing where there are several.
const asked = Symbol("holdfast/provider/Attempts")

interface Recorded extends ModelProvider {
  readonly [asked]?: ModelProvider | undefined
}

/**
 * Records the calls of a provider as attempts, and keeps those from it that it told their call not to make: after an
 * error nothing changes, or before the time it asked to wait for (see `Refusals`).
 *
 * Models and policies that are given providers apply it to each of them; applying it again changes nothing.
 */
export const recorded = (provider: ModelProvider): ModelProvider => {
  if (asked in provider) return provider
  const { model, name } = provider
  const key = keyOf(provider)
  const attempt = <A, R>(
    unwatched: () => Effect.Effect<A, AiError.AiError, R>,
    watched: (begun: Begun) => Effect.Effect<A, AiError.AiError, R>
  ): Effect.Effect<A, AiError.AiError, R> =>
    Effect.withFiber((fiber) => {
      const recorder = fiber.getRef(CallTrail.Current)
      const refusals = fiber.getRef(Refusals.Current)
      if (recorder === undefined && refusals === undefined) return unwatched()
      const clock = fiber.getRef(Clock.Clock)
      const startedAtMillis = clock.currentTimeMillisUnsafe()
      const started = Monotonic.millisUnsafe(clock)
      const refused = refusals?.refusal(provider, key, started)
      if (refused !== undefined) {
        const wait = refused.forMillis === undefined ? {} : { forMillis: refused.forMillis }
        recorder?.decide(startedAtMillis, { _tag: "AttemptWithheld", provider: name, model, ...wait })
        return Effect.fail(refused.error)
      }
      const origin = fiber.getRef(Attempt.CurrentOrigin)
      const number = recorder?.begin({ provider: name, model, origin, startedAtMillis }) ?? 0
      return watched({
        hasContent: () => recorder?.content(number, Math.round(Monotonic.millisUnsafe(clock) - started)),
        end: (exit) => {
          const now = Monotonic.millisUnsafe(clock)
          const error = Exit.findErrorOption(exit)
          if (error._tag === "Some") refusals?.heard(provider, error.value, now)
          const usage =
            error._tag === "Some"
              ? Failure.workBefore(error.value)?.usage
              : usageOf(Exit.isSuccess(exit) ? exit.value : undefined)
          const ended = { durationMillis: Math.round(now - started), outcome: outcomeOf(exit), ...(usage && { usage }) }
          recorder?.end(number, ended, clock.currentTimeMillisUnsafe())
        }
      })
    })
  const recording: Recorded = {
    ...provider,
    [asked]: provider,
    generateText: (request) =>
      attempt(
        () => provider.generateText(request),
        ({ end }) =>
          Effect.onExitPrimitive(provider.generateText(request), (exit) => {
            end(exit)
            return undefined
          })
      ),
    streamText: (request) =>
      OpenStream.unwrap(
        attempt(
          () => Effect.succeed(provider.streamText(request)),
          (begun) => {
            let hasContent = false
            let ended = false
            const end = (exit: Exit.Exit<Parts | undefined, AiError.AiError>): void => {
              if (ended) return
              ended = true
              begun.end(exit)
            }
            const watched = Stream.transformPull(provider.streamText(request), (pull) =>
              Effect.succeed(
                Effect.onExitPrimitive(pull, (pulled) => {
                  if (Exit.isFailure(pulled)) end(Exit.map(Pull.doneExitFromCause(pulled.cause), () => undefined))
                  else {
                    const parts = pulled.value
                    if (!hasContent && parts.some(isContent)) {
                      hasContent = true
                      begun.hasContent()
                    }
                    // Before the finish part is passed on, which brings the trail to the reader.
                    if (parts.at(-1)?.type === "finish") end(Exit.succeed(parts))
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
          }
        )
      )
  }
  return recording
}

/** Says of what a policy made that its calls may ask several providers, each of them recorded. */
export const several = (provider: ModelProvider): ModelProvider => {
  const made: Recorded = { ...provider, [asked]: undefined }
  return made
}

/** The provider that all calls of a stack ask, as {@link Refusals} knows it; `undefined` where that may be several. */
export const providerOf = (stack: ModelProvider): ModelProvider | undefined => (stack as Recorded)[asked]

type Parts = ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>

/** An attempt that was written down. */
interface Begun {
  /** Says that its first content has come. */
  readonly hasContent: () => void
  readonly end: (exit: Exit.Exit<Parts | undefined, AiError.AiError>) => void
}

const usageOf = (parts: Parts | undefined): Usage.Usage | undefined => {
  const usage = Usage.fromParts(parts ?? [])
  return usage.inputTokens + usage.outputTokens > 0 ? usage : undefined
}

// The end of an answer without content is none.
const isContent = (part: Response.StreamPartEncoded): boolean => part.type !== "finish" && Content.isContent(part)

const outcomeOf = (exit: Exit.Exit<unknown, AiError.AiError>): Attempt.Outcome => {
  if (Exit.isSuccess(exit)) return { _tag: "Succeeded" }
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "Some") return Attempt.failed(error.value)
  return { _tag: Cause.hasInterruptsOnly(exit.cause) ? "Interrupted" : "Died" }
}
