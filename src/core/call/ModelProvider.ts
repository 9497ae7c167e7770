/**
 * The seam through which a model is reached: two functions over plain data, the ones `LanguageModel.make` takes.
 *
 * Whatever answers prompts becomes a `ModelProvider` once (`AiSdk.provider`, `EffectAi.provider`), and every policy is
 * a function from one provider to another. Tools are resolved above this seam, so no retry, hedge or cache ever runs a
 * tool twice.
 */
import type { Effect, Scope, Stream } from "effect"
import type { AiError, IdGenerator, LanguageModel, Response } from "effect/ai"
import * as Key from "./Key.ts"

export interface ModelProvider {
  /** Who answers, for logs, metrics and keys: `"openai"`. */
  readonly name: string
  /** Which model answers: `"gpt-5-mini"`. */
  readonly model: string
  /**
   * Sends one request and returns the whole answer as encoded parts.
   *
   * Response headers travel in the `finish` part (`response.headers`) and, on failure, in the error's `http` context.
   * Interrupting closes the connection.
   */
  readonly generateText: (
    options: LanguageModel.ProviderOptions
  ) => Effect.Effect<Array<Response.PartEncoded>, AiError.AiError, IdGenerator.IdGenerator>
  /**
   * Sends one request and streams the answer as encoded parts: well-formed (every `*-start` has its `*-end`), ending
   * with one `finish` part or a failure. Leaving the stream early, or never reading it, closes the connection.
   */
  readonly streamText: (
    options: LanguageModel.ProviderOptions
  ) => Stream.Stream<Response.StreamPartEncoded, AiError.AiError, IdGenerator.IdGenerator>
  /** Adapts schemas for structured output to what this model's API accepts. Default: Effect's own. */
  readonly codecTransformer?: LanguageModel.CodecTransformer | undefined
  /**
   * Reads what, besides the request, changes the answers of calls in the present fiber: settings given to the provider
   * or in context. Plain data; caches and single flights make it part of their keys. Default: nothing does.
   */
  readonly settings?: Effect.Effect<unknown> | undefined
  /**
   * Tells what a call would meet now, at once and without sending anything. Who may choose (a hedge, a pool) asks before
   * it sends here; everybody else just calls. It can have changed by the time a call is made. Default: always ready.
   */
  readonly readiness?: Effect.Effect<Readiness> | undefined
}

/** Names a provider in keys, trails and health: `openai/gpt-5-mini`. A `%`, `#` or lone surrogate is escaped, and a `/` in its name. */
export const keyOf = ({ model, name }: Pick<ModelProvider, "name" | "model">): string => Key.ofModel(name, model)

/**
 * What a call would meet. `circuitOpen`: it would be turned away; `circuitHalfOpen`: it would be the probe on which all
 * wait; `saturated`: it would be turned away or have to wait for its turn. Calls that need not be made are not, unless it
 * is `ready`.
 *
 * A policy that has nothing to say keeps the reading of what is inside of it; one that has asks inside only when itself
 * it is ready.
 */
export type Readiness = "ready" | "circuitHalfOpen" | "circuitOpen" | "saturated"

/**
 * Keeps the calls of one provider within bounds: provider in, provider out.
 *
 * The effect runs once, when the layer is built; state it makes (permits, breakers, counters) lives in that layer's
 * scope and is shared by all calls. Policies stack: `Model.layer({ provider, policies })` applies them outermost first.
 */
export type Policy<R = never> = (next: ModelProvider) => Effect.Effect<ModelProvider, never, R | Scope.Scope>
