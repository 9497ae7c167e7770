/**
 * Turns a provider and a list of policies into an `effect/ai` LanguageModel whose every call is a supervised job.
 */
import { type Cause, Effect, Layer, Queue, type Scope, Stream } from "effect"
import { AiError, LanguageModel } from "effect/ai"
import type { Response } from "effect/ai"
import * as PeriodicWork from "../core/PeriodicWork.ts"
import * as PolicyReason from "../core/PolicyReason.ts"
import type { ModelProvider, Policy } from "../provider/ModelProvider.ts"
import * as Job from "../supervisor/Job.ts"
import type { JobError } from "../supervisor/JobError.ts"
import * as Supervisor from "../supervisor/Supervisor.ts"

export interface Options<R = never, E = never> {
  /** Who answers, or how to get it. */
  readonly provider: ModelProvider | Effect.Effect<ModelProvider, E, R>
  /** What keeps calls within bounds, outermost first: read it as the path a call takes. Default: none. */
  readonly policies?: ReadonlyArray<Policy<R>> | undefined
  /** What its calls are called in the supervisor. Default: the provider's name and model, `openai/gpt-5-mini`. */
  readonly name?: string | undefined
}

/**
 * Provides a LanguageModel that sends every call through the policies to the provider.
 *
 * Each call is a job of kind `call` in the supervisor: listed by name, ended with its caller, and cancellable, which
 * fails the call with `PolicyReason` `Cancelled`. A call made from inside a job belongs to that job. Policies are built
 * once, in the layer's scope.
 */
export const layer = <R = never, E = never>(
  options: Options<R, E>
): Layer.Layer<LanguageModel.LanguageModel, E, Supervisor.Supervisor | Exclude<R, Scope.Scope>> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.gen(function* () {
      const supervisor = yield* Supervisor.Supervisor
      const provider = yield* Effect.provideService(compose(options), PeriodicWork.Runner, periodicJobs(supervisor))
      return yield* LanguageModel.make(
        supervised(provider, supervisor, options.name ?? `${provider.name}/${provider.model}`)
      )
    })
  )

/** Puts policies around a provider, outermost first, without a supervisor or a LanguageModel on top. */
export const compose = <R = never, E = never>(
  options: Pick<Options<R, E>, "provider" | "policies">
): Effect.Effect<ModelProvider, E, R | Scope.Scope> =>
  Effect.gen(function* () {
    let provider = Effect.isEffect(options.provider) ? yield* options.provider : options.provider
    for (const policy of (options.policies ?? []).toReversed()) provider = yield* policy(provider)
    return provider
  })

// What providers and policies do again and again, as the health checks of a pool, for as long as the model's layer is open.
const periodicJobs =
  (supervisor: Supervisor.Supervisor["Service"]): PeriodicWork.Run =>
  (work, { every, name }) =>
    Effect.acquireRelease(supervisor.every(work, { name, schedule: every }), (job) =>
      Job.cancel(job, { reason: "its model's layer closes" })
    ).pipe(
      // Only a supervisor that is ending accepts none.
      Effect.catchTag("JobError", () => Effect.void),
      Effect.asVoid
    )

/** Parts of a stream that may wait for a slow reader; when they do, the provider's socket is not read further. */
const readAhead = 16

const supervised = (next: ModelProvider, supervisor: Supervisor.Supervisor["Service"], name: string): ModelProvider => {
  const call = { kind: "call", name } as const
  return {
    ...next,
    generateText: (options) => Effect.mapError(supervisor.run(next.generateText(options), call), asAiError),
    // The job's fiber reads the provider's stream; what the reader gets is what that fiber has put into the queue.
    streamText: (options) =>
      Stream.unwrap(
        Effect.gen(function* () {
          const queue = yield* Queue.bounded<Response.StreamPartEncoded, Cause.Done>(readAhead)
          const pump = Stream.runForEachArray(next.streamText(options), (parts) => Queue.offerAll(queue, parts))
          const job = yield* Effect.acquireRelease(
            supervisor.submit(Effect.ensuring(pump, Queue.end(queue)), call),
            (job) => Job.cancel(job, { reason: "its reader left" })
          )
          return Stream.concat(Stream.fromQueue(queue), Stream.fromEffectDrain(Job.join(job)))
        })
      ).pipe(Stream.mapError(asAiError))
  }
}

const asAiError = (error: AiError.AiError | JobError): AiError.AiError => {
  if (AiError.isAiError(error)) return error
  return PolicyReason.toAiError(
    "Model",
    error.reason._tag === "Cancelled"
      ? { _tag: "Cancelled", jobId: error.id, reason: error.reason.reason }
      : { _tag: "NotAccepted", description: error.message }
  )
}
