/**
 * Asks a model again whose structured output cannot be read, with what it answered and what was wrong with it.
 *
 * To send the same request once more, as `Retry` does, mostly gets the same answer. A model that is shown its mistake mends it.
 */
import { Effect } from "effect"
import { type AiError, type LanguageModel, Prompt } from "effect/ai"
import { CurrentOrigin } from "../core/call/Attempt.ts"
import * as AttemptAllowance from "../core/call/AttemptAllowance.ts"
import * as CallContext from "../core/call/CallContext.ts"
import * as CallTrail from "../core/call/CallTrail.ts"
import * as Deadline from "../core/call/Deadline.ts"
import type { Decision } from "../core/call/Decision.ts"
import { keyOf, type ModelProvider } from "../core/call/ModelProvider.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as PolicyKind from "../core/call/PolicyKind.ts"
import * as SafeText from "../core/SafeText.ts"
import * as StructuredAnswer from "../core/call/StructuredAnswer.ts"
import * as Degrade from "./Degrade.ts"

export interface Options {
  /** Further questions for one call. Default 1. */
  readonly times?: number | undefined
}

export const defaults = { times: 1 } as const

/**
 * Asks again when the answer to `LanguageModel.generateObject` is not what its schema wants: the same question, followed by
 * the last answer and what was wrong with it. What is passed on is always one that can be read, or one that `Degrade`
 * gave in place of an error, which no model can mend.
 *
 * Each further question is an attempt of the call: it passes all that stands further in, draws on the call's
 * {@link RetryBudget}, and is not sent when the whole call's time is up. When no more may be sent the call fails with
 * `StructuredOutputError`, and so it does at once where asking again is of no use: the answer was cut by its length or a
 * filter, or calls tools of the application's.
 *
 * Put it inside of caches and single flights, which then keep and share the answer that can be read.
 */
export const structured = (options: Options = {}): PolicyKind.Of<"Repair"> => {
  check.fields(options, fields)
  const times = check.whole("times", options.times ?? defaults.times, 0)
  return PolicyKind.of("Repair", (next) => {
    // Only calls for structured output may make further attempts.
    const repairing = CallContext.contributing(
      { ...next, generateText: (request) => repaired(next, request, times) },
      {},
      times
    )
    return Effect.succeed({
      ...next,
      generateText: (request) => (request.responseFormat.type === "json" ? repairing : next).generateText(request)
    })
  })
}

type Request = LanguageModel.ProviderOptions
type Answer = ReturnType<ModelProvider["generateText"]>

const repaired = (next: ModelProvider, request: Request, times: number): Answer => {
  const key = keyOf(next)
  const read = (answer: Answer, repairs: number): Answer =>
    Effect.flatMap(answer, (parts) =>
      Effect.flatMap(wrongIn(request, parts, next), (wrong) =>
        wrong === undefined
          ? Effect.succeed(parts)
          : Effect.andThen(
              mayAsk(wrong, repairs, times, key),
              read(
                Effect.provideService(next.generateText(again(request, wrong)), CurrentOrigin, "repair"),
                repairs + 1
              )
            )
      )
    )
  return Effect.andThen(AttemptAllowance.count(key), read(next.generateText(request), 0))
}

/** Says what is wrong with an answer of a model's. */
const wrongIn: typeof StructuredAnswer.wrongIn = (request, parts, provider) =>
  Degrade.isDegraded(parts) ? Effect.undefined : StructuredAnswer.wrongIn(request, parts, provider)

/** Goes on when the model may be asked again, and else fails with what is wrong. */
const mayAsk = Effect.fnUntraced(function* (
  { callsTools, error, isCut }: StructuredAnswer.Wrong,
  repairs: number,
  times: number,
  key: string
): Effect.fn.Return<void, AiError.AiError> {
  let why: Extract<Decision, { readonly _tag: "RepairRefused" }>["why"] | undefined
  if (isCut) why = "cut"
  else if (callsTools) why = "tools"
  else if (repairs >= times) why = "times"
  else if ((yield* Deadline.remainingMillis) <= 0) why = "deadline"
  else if (!(yield* AttemptAllowance.take(key))) why = "budget"
  if (why === undefined) return yield* CallTrail.record({ _tag: "RepairRequested", repair: repairs + 1 })
  yield* CallTrail.record({ _tag: "RepairRefused", why })
  return yield* error
})

/** How much of an answer a model is shown: more than one says that can be read. */
const mostQuoted = 100_000

/** The caller's question, and what came of the last one: not of those before, so that questions do not grow. */
const again = (request: Request, { problem, text }: StructuredAnswer.Wrong): Request => {
  // There is nothing to show, and messages without text are refused.
  if (text.trim() === "") return request
  const said = `That answer cannot be used: ${SafeText.cut(problem)}\nAnswer again, with nothing but JSON that fits the schema.`
  return {
    ...request,
    prompt: Prompt.concat(request.prompt, [
      { role: "assistant", content: SafeText.cut(text, mostQuoted) },
      { role: "user", content: said }
    ]),
    // They name a conversation in which the answer was a good one.
    previousResponseId: undefined,
    incrementalPrompt: undefined
  }
}

const check = OptionCheck.of("Repair")

const fields: OptionCheck.Fields<Options> = { times: true }
