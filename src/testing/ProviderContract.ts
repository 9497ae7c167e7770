/**
 * The laws every {@link ModelProvider} must keep, whatever it reaches and however.
 *
 * Each law is about one exchange, the same each time, so any test runner can run it by itself. They use real HTTP and real
 * time: a server that plays the `ProviderScript`, and a `WireTap` in front of it that disturbs the answers and sees the
 * connections close.
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
 * const check = ProviderContract.check(subject) // or, law by law:
 * // for (const law of ProviderContract.laws) it.effect(law.name, () => ProviderContract.check(subject, { laws: [law] }))
 * ProviderContract.laws.map((law) => law.name).includes("sends the system message") // => true
 * ```
 */
import { Clock, Effect } from "effect"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as SafeText from "../core/SafeText.ts"
import { LawBroken, type Options } from "./laws/Search.ts"
import { clauses as answers } from "./provider-contract/Answers.ts"
import { clauses as failures } from "./provider-contract/Failures.ts"
import { type Clause, defaults, stage, type Subject } from "./provider-contract/Stage.ts"
import * as WireTap from "./WireTap.ts"

export { LawBroken } from "./laws/Search.ts"
export { type Clause as Law, defaults, type Subject, type ToolsSeen } from "./provider-contract/Stage.ts"

/** The laws, named by what a provider does that keeps them: `"sends the system message"`. */
export const laws: ReadonlyArray<Clause> = [...answers, ...failures]

/** Which laws to hold. Default: all. */
export type CheckOptions = Pick<Options<Clause>, "laws">

/**
 * Holds the laws against a provider of your own, one after the other, each on its own connection. Fails with
 * {@link LawBroken} at the first that does not hold. Runs on the real clock, also inside a test with a virtual one.
 */
export const check = (
  subject: Subject,
  options: CheckOptions = {}
): Effect.Effect<{ readonly runs: number }, LawBroken> =>
  Effect.suspend(() => {
    const optionCheck = OptionCheck.of("ProviderContract")
    optionCheck.fields(options, { laws: true })
    const { laws: held = laws } = options
    optionCheck.list("laws", held)
    const all = Effect.forEach(held, (law) => holds(subject, law), { discard: true })
    return Effect.as(Effect.provideService(all, Clock.Clock, Clock.Clock.defaultValue()), { runs: held.length })
  })

const holds = (subject: Subject, { check: exchange, name }: Clause): Effect.Effect<void, LawBroken> => {
  const broken = (what: string) =>
    new LawBroken({ kit: "ProviderContract", law: name, breaches: [what], seed: undefined, program: undefined })
  return Effect.gen(function* () {
    const tap = yield* WireTap.make(yield* subject.server)
    const provider = yield* subject.provider(tap.origin)
    yield* exchange(stage({ subject, provider, tap }))
  }).pipe(
    Effect.scoped,
    Effect.mapError(({ message }) => broken(message)),
    // A provider that dies keeps no law; what it died of says why.
    Effect.catchDefect((defect) => Effect.fail(broken(`it died: ${SafeText.of(defect)}`))),
    Effect.timeoutOrElse({
      duration: defaults.limit,
      orElse: () => Effect.fail(broken(`it had not ended after ${defaults.limit}`))
    })
  )
}
