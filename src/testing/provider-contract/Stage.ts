/** What the laws of the {@link ProviderContract} stand on: the provider under test, its server, and how to complain. */
import { type Duration, Effect, Equal, Schema, type Scope } from "effect"
import { type AiError, IdGenerator, type LanguageModel, Prompt, type Response, Tool } from "effect/ai"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import { tool } from "../ProviderScript.ts"
import type { WireTap } from "../WireTap.ts"
import * as ShownError from "../../core/ShownError.ts"

/** The provider under test. */
export interface Subject {
  /** Makes the provider, sending its requests to this origin: `http://127.0.0.1:41234`. */
  readonly provider: (origin: string) => Effect.Effect<ModelProvider, never, Scope.Scope>
  /** Starts a server that plays the `ProviderScript` in the provider's wire format, and gives its origin. */
  readonly server: Effect.Effect<string, never, Scope.Scope>
  /**
   * Reads a request's body: the choice among the tools (`auto`, `none`, `required` or the tool's name), and the names of
   * the tools. Default: none, which leaves the law about tool choice out.
   */
  readonly readTools?: ((body: unknown) => ToolsSeen) | undefined
  /** How soon after an interruption the connection must be closed. Default 50 ms. */
  readonly closeWithin?: Duration.Input | undefined
}

export const defaults = {
  /** How soon after an interruption the connection must be closed. */
  closeWithin: "50 millis",
  /** How long one law may take before it counts as broken. */
  limit: "10 seconds"
} as const

/** The tools of a request as it was sent. */
export interface ToolsSeen {
  readonly choice: string
  readonly tools: ReadonlyArray<string>
}

/** What was expected of an exchange, and what came. */
export class Violation extends ShownError.DataError("Violation")<{
  readonly expected: unknown
  readonly actual: unknown
}> {
  override get message(): string {
    return `expected ${JSON.stringify(this.expected)}, got ${JSON.stringify(this.actual)}`
  }
}

/** A law. */
export interface Clause {
  /** What a provider does that keeps it: `"sends the system message"`. */
  readonly name: string
  /** Checks it once. */
  readonly check: (stage: Stage) => Effect.Effect<void, Violation | AiError.AiError, Scope.Scope>
}

/** Everything a law may use. */
export interface Stage {
  readonly subject: Subject
  readonly provider: ModelProvider
  readonly tap: WireTap
  readonly violation: (actual: unknown, expected: unknown) => Violation
  /** Fails with a {@link Violation} unless the two are equal. */
  readonly same: (actual: unknown, expected: unknown) => Effect.Effect<void, Violation>
}

/** Puts a law on its stage. */
export const stage = (props: Pick<Stage, "subject" | "provider" | "tap">): Stage => {
  const violation = (actual: unknown, expected: unknown) => new Violation({ expected, actual })
  return {
    ...props,
    violation,
    same: (actual, expected) =>
      Equal.equals(actual, expected) ? Effect.void : Effect.fail(violation(actual, expected))
  }
}

/** The tools the laws offer. */
export const tools = [
  Tool.make(tool.name, {
    description: "The weather of a city, now",
    parameters: Schema.Struct({ city: Schema.String }),
    success: Schema.String
  }),
  Tool.make("Tides", { parameters: Schema.Struct({ harbour: Schema.String }), success: Schema.String })
]

/** Makes what a provider is called with. */
export const request = (
  prompt: Prompt.RawInput,
  options: Partial<LanguageModel.ProviderOptions> = {}
): Effect.Effect<LanguageModel.ProviderOptions> =>
  Effect.map(Effect.makeSpan("ProviderContract"), (span) => ({
    prompt: Prompt.make(prompt),
    tools: [],
    toolChoice: "none",
    responseFormat: { type: "text" },
    span,
    previousResponseId: undefined,
    incrementalPrompt: undefined,
    ...options
  }))

/** Gives a provider's effects the ids they may need. */
export const withIds = Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator)

/** The text of an answer, whole or streamed. */
export const textOf = (parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>): string =>
  parts.map((part) => (part.type === "text" ? part.text : part.type === "text-delta" ? part.delta : "")).join("")

/** The last part, if it is the one that says how the answer ended. */
export const finishOf = (
  parts: ReadonlyArray<Response.PartEncoded | Response.StreamPartEncoded>
): Response.FinishPartEncoded | undefined => {
  const last = parts.at(-1)
  return last?.type === "finish" ? last : undefined
}
