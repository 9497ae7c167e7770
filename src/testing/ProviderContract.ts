/**
 * The laws every {@link ModelProvider} must keep, whatever it reaches and however.
 *
 * Each law is a named Effect that fails with a {@link Violation} saying what was expected and what came, so any test
 * runner can run it. The laws use real HTTP and real time: a server that plays the `ProviderScript`, and a `WireTap` in
 * front of it that disturbs the answers and sees the connections close.
 *
 * **Example**
 *
 * ```ts run
 * import { Effect } from "effect"
 * import { AiSdk } from "holdfast/provider"
 * import { ProviderContract } from "holdfast/testing"
 * import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
 *
 * const subject: ProviderContract.Subject = {
 *   server: Effect.succeed("http://127.0.0.1:4010"), // plays the script
 *   provider: (origin) =>
 *     Effect.succeed(AiSdk.provider(createOpenAICompatible({ name: "mine", baseURL: `${origin}/v1` })("my-model")))
 * }
 * const laws = ProviderContract.laws(subject) // for (const law of laws) it.effect(law.name, () => law.check)
 * laws.map((law) => law.name).includes("sends the system message") // => true
 * ```
 */
import { Clock, Effect } from "effect"
import type { AiError } from "effect/ai"
import { clauses as answers } from "./provider-contract/Answers.ts"
import { clauses as failures } from "./provider-contract/Failures.ts"
import { defaults, stage, type Subject, Violation } from "./provider-contract/Stage.ts"
import * as WireTap from "./WireTap.ts"

export { defaults, type Subject, type ToolsSeen, Violation } from "./provider-contract/Stage.ts"

export interface Law {
  /** What a provider does that keeps it: `"sends the system message"`. */
  readonly name: string
  /** Checks it once, on its own connection. Runs on the real clock, also inside a test with a virtual one. */
  readonly check: Effect.Effect<void, Violation | AiError.AiError>
}

/** The laws, ready to run for one provider, without those its `except` names. */
export const laws = (subject: Subject): ReadonlyArray<Law> =>
  [...answers, ...failures]
    .filter(({ name }) => subject.except?.includes(name) !== true)
    .map(({ check, name }) => ({
      name,
      check: Effect.gen(function* () {
        const tap = yield* WireTap.make(yield* subject.server)
        const provider = yield* subject.provider(tap.origin)
        yield* check(stage(name, { subject, provider, tap }))
      }).pipe(
        Effect.scoped,
        Effect.timeoutOrElse({
          duration: defaults.limit,
          orElse: () =>
            Effect.fail(new Violation({ law: name, expected: `an end within ${defaults.limit}`, actual: "none" }))
        }),
        Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
      )
    }))
