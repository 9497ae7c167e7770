/**
 * Asks a model, runs the tools that it calls, and asks again with what they gave, until it calls none.
 */
import { Effect, Stream } from "effect"
import { type AiError, type LanguageModel, Prompt, type Response } from "effect/ai"
import * as Monotonic from "../../core/Monotonic.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import type { Answer, ObjectAnswer, Part, Schema } from "../Call.ts"
import * as Answers from "./Answers.ts"
import type { CallSettings } from "./CallSettings.ts"
import * as Hooks from "./Hooks.ts"
import { Models } from "./Models.ts"
import * as StandardSchemas from "./StandardSchemas.ts"
import * as ToolRuns from "./ToolRuns.ts"
import * as WholeTime from "./WholeTime.ts"

/** One question: gives all that was answered. */
type Ask = (
  model: LanguageModel.LanguageModel,
  prompt: Prompt.Prompt
) => Effect.Effect<ReadonlyArray<Response.AnyPart>, AiError.AiError>

/** The complete answer to a call. */
export const generate = (call: CallSettings): Effect.Effect<Answer, AiError.AiError, Models> =>
  converse(
    call,
    (model, prompt) =>
      call.tools === undefined
        ? Effect.map(model.generateText({ prompt }), contentOf)
        : Effect.map(
            model.generateText({
              prompt,
              toolkit: call.tools.toolkit,
              disableToolCallResolution: true,
              toolCallValidation: "deferred"
            }),
            contentOf
          ),
    () => {}
  )

/** The complete answer to a call; its parts are given to `pass` as they arrive, which may have it wait. */
export const stream = (
  call: CallSettings,
  pass: (parts: ReadonlyArray<Part>) => Effect.Effect<void>
): Effect.Effect<Answer, AiError.AiError, Models> =>
  converse(
    call,
    (model, prompt) => {
      const content: Array<Response.AnyPart> = []
      const parts: Stream.Stream<Response.AnyPart, AiError.AiError> =
        call.tools === undefined
          ? model.streamText({ prompt })
          : model.streamText({
              prompt,
              toolkit: call.tools.toolkit,
              disableToolCallResolution: true,
              toolCallValidation: "deferred"
            })
      return Effect.as(
        Stream.runForEachArray(parts, (arrived) => {
          content.push(...arrived)
          return pass(arrived.flatMap((each) => Answers.partOf(each) ?? []))
        }),
        content
      )
    },
    pass
  )

/** A complete answer that a schema describes. */
export const object = (
  call: CallSettings,
  schema: Schema
): Effect.Effect<ObjectAnswer<unknown>, AiError.AiError, Models> => {
  const codec = StandardSchemas.toSchema(schema)
  let value: unknown
  const answer = converse(
    call,
    (model, prompt) =>
      Effect.map(model.generateObject({ prompt, schema: codec }), (response) => {
        value = response.value
        return response.content
      }),
    () => {}
  )
  return Effect.map(answer, (complete) => ({ ...complete, object: value }))
}

const contentOf = ({ content }: { readonly content: ReadonlyArray<Response.AnyPart> }) => content

const converse = (
  call: CallSettings,
  ask: Ask,
  pass: (parts: ReadonlyArray<Part>) => Effect.Effect<void> | void
): Effect.Effect<Answer, AiError.AiError, Models> =>
  call.within(
    Effect.gen(function* () {
      const { label, model } = yield* reached(call.model)
      const startedAt = yield* Monotonic.millis
      const steps: Array<Answers.Step> = []
      let { prompt } = call
      for (;;) {
        const left = call.timeoutMillis - (steps.length === 0 ? 0 : (yield* Monotonic.millis) - startedAt)
        const content = yield* Effect.provideService(ask(model, prompt), WholeTime.Current, Math.max(1, left))
        const calls = call.tools === undefined || steps.length >= call.maxSteps ? [] : ToolRuns.callsIn(content)
        const results =
          call.tools === undefined || calls.length === 0 ? [] : yield* within(call, left, call.tools.run(calls))
        steps.push({ content, results })
        if (results.length === 0) break
        yield* pass(results) ?? Effect.void
        prompt = Prompt.fromMessages([...prompt.content, ...ToolRuns.turns(content, results)])
      }
      const answer = Answers.of(steps)
      if (call.hooks.length > 0) {
        const { cost, finishReason, trail, usage } = answer
        const durationMillis = (yield* Monotonic.millis) - startedAt
        const finished = { model: label, usage, cost, finishReason, durationMillis, tenant: call.tenant, trail }
        yield* Hooks.call(call.hooks, ({ onFinish }) => onFinish?.(finished))
      }
      return answer
    })
  )

const reached = (name: string) =>
  Effect.flatMap(Models, (models) => {
    const found = models.get(name)
    return found === undefined ? Effect.die(new Error(`there is no model ${name}`)) : Effect.succeed(found)
  })

/** The tools of a call have what is left of its time. */
const within = <A, E>(
  { timeoutMillis }: CallSettings,
  left: number,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E | AiError.AiError> =>
  left === Infinity
    ? effect
    : Effect.timeoutOrElse(effect, {
        duration: Math.max(1, left),
        orElse: () =>
          Effect.fail(
            PolicyReason.toAiError("Client", { _tag: "TimedOut", clock: "overall", afterMillis: timeoutMillis })
          )
      })
