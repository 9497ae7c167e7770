/**
 * Plays the models of a program, and notes each attempt that is made at them, by which call and how.
 */
import { Clock, Context, Effect, type Fiber, Stream } from "effect"
import type { LanguageModel, Response } from "effect/ai"
import * as Attempt from "../../core/call/Attempt.ts"
import * as CallTrail from "../../core/CallTrail.ts"
import * as Content from "../../core/stream/Content.ts"
import * as Deadline from "../../core/call/Deadline.ts"
import * as RetryBudget from "../../policy/RetryBudget.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as FaultyModel from "../FaultyModel.ts"
import type { Answer, Call, Program } from "./Program.ts"
import type { AttemptSeen, Part } from "./Trace.ts"

export type Request = LanguageModel.ProviderOptions

/** What is noted while it goes on. */
export type Open<A> = { -readonly [Name in keyof A]: A[Name] }

/** An attempt that goes on. */
interface Attending extends Open<AttemptSeen> {
  readonly request: Request
  readonly chunks: Array<ReadonlyArray<Part>>
  readonly flow: Array<AttemptSeen["flow"][number]>
  /** Since the last content, and since the first. */
  waited: number
  flowed: number | undefined
  characters: number
  pulledAt: number | undefined
}

/** The call for which an attempt is made, and its trail. */
export const CurrentCall = Context.Reference<{ readonly number: number; readonly recorder?: CallTrail.Recorder }>(
  "holdfast/testing/PolicyLaws/Call",
  { defaultValue: () => ({ number: -1 }) }
)

export class Models {
  /** From now on all answer at once and without a fault. */
  isWell = false
  private readonly clock: Clock.Clock
  private readonly models: Array<FaultyModel.FaultyModel> = []
  private readonly attempts: Array<Attending> = []
  private readonly byRequest = new WeakMap<object, Attending>()
  private lastBegin = 0

  private constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  /** Makes so many models, which answer as those of the program do, in turn. */
  static make({ models }: Program, count: number): Effect.Effect<Models> {
    return Effect.gen(function* () {
      const made = new Models(yield* Clock.Clock)
      for (let index = 0; index < count; index++) {
        const answers = models[index % models.length] ?? []
        const script: FaultyModel.Script<Request> = (call) => (made.isWell ? {} : made.answer(answers, index, call))
        made.models.push(yield* FaultyModel.make({ name: `model ${index}`, script }))
      }
      return made
    })
  }

  get providers(): ReadonlyArray<ModelProvider> {
    return this.models.map((model, index) => this.watched(model, index))
  }

  /** The attempts that go on. */
  get open(): ReadonlyArray<AttemptSeen> {
    return this.models.flatMap(({ seen }) =>
      seen.open === 0
        ? []
        : seen.log.flatMap(({ ended, request }) => {
            const attempt = ended === undefined ? this.byRequest.get(request) : undefined
            return attempt === undefined ? [] : [attempt]
          })
    )
  }

  /** When an attempt began or ended last. */
  get lastEvent(): number {
    return Math.max(
      this.lastBegin,
      ...this.models.flatMap(({ seen }) => seen.log.map(({ endMillis = 0 }) => endMillis))
    )
  }

  /** All attempts, as the models saw them. */
  get seen(): ReadonlyArray<AttemptSeen> {
    return this.attempts.map((attempt) => {
      const entry = this.models[attempt.model]?.seen.log.find(({ request }) => request === attempt.request)
      // Without an entry its caller had left before the model was reached.
      const endMillis = entry === undefined ? attempt.startMillis : (entry.endMillis ?? Infinity)
      const last = attempt.pulledAt === undefined ? 0 : Math.max(0, endMillis - attempt.pulledAt)
      const { characters, flow, flowed, longestSilence, waited } = attempt
      return {
        ...attempt,
        longestSilence: Math.max(longestSilence, waited + last),
        flow: flowed === undefined ? [] : [...flow, { millis: flowed + last, characters }],
        ended: entry === undefined ? "interrupted" : entry.ended,
        endMillis,
        error: entry?.error
      }
    })
  }

  /** A model whose attempts are noted. */
  private watched({ provider }: FaultyModel.FaultyModel, model: number): ModelProvider {
    return {
      ...provider,
      generateText: (request) =>
        Effect.withFiber((fiber) => {
          const attempt = this.attend(fiber, model, "generateText", request)
          return Effect.map(provider.generateText(attempt.request), (parts) => {
            attempt.chunks.push(parts)
            return parts
          })
        }),
      streamText: (request) =>
        Stream.unwrap(
          Effect.withFiber((fiber) => {
            const attempt = this.attend(fiber, model, "streamText", request)
            return Effect.succeed(
              Stream.transformPull(provider.streamText(attempt.request), (pull) =>
                Effect.succeed(
                  Effect.suspend(() => {
                    attempt.pulledAt = this.clock.currentTimeMillisUnsafe()
                    return Effect.map(pull, (parts) => this.brought(attempt, parts))
                  })
                )
              )
            )
          })
        )
    }
  }

  private attend(
    fiber: Fiber.Fiber<unknown, unknown>,
    model: number,
    method: Call["method"],
    request: Request
  ): Attending {
    this.lastBegin = this.clock.currentTimeMillisUnsafe()
    const { number, recorder } = fiber.getRef(CurrentCall)
    const attempt: Attending = {
      number: this.attempts.length,
      call: number,
      isBehind: fiber.getRef(CallTrail.Current) !== recorder,
      model,
      method,
      origin: fiber.getRef(Attempt.CurrentOrigin),
      deadline: fiber.getRef(Deadline.Current),
      granted: fiber.getRef(RetryBudget.Current)?.granted ?? 0,
      startMillis: this.lastBegin,
      chunks: [],
      longestSilence: 0,
      flow: [],
      ended: undefined,
      endMillis: 0,
      error: undefined,
      request: { ...request },
      waited: 0,
      flowed: undefined,
      characters: 0,
      pulledAt: undefined
    }
    this.attempts.push(attempt)
    this.byRequest.set(attempt.request, attempt)
    return attempt
  }

  private brought<Parts extends ReadonlyArray<Response.StreamPartEncoded>>(attempt: Attending, parts: Parts): Parts {
    const now = this.clock.currentTimeMillisUnsafe()
    const waited = now - (attempt.pulledAt ?? now)
    attempt.waited += waited
    attempt.pulledAt = undefined
    attempt.longestSilence = Math.max(attempt.longestSilence, attempt.waited)
    if (attempt.flowed !== undefined) {
      attempt.flowed += waited
      attempt.flow.push({ millis: attempt.flowed, characters: attempt.characters })
    }
    if (parts.some(Content.isContent)) {
      attempt.waited = 0
      attempt.flowed ??= 0
      for (const part of parts) if ("delta" in part) attempt.characters += part.delta.length
    }
    attempt.chunks.push(parts)
    return parts
  }

  /** What a model is told to do, with texts that only this attempt has. */
  private answer(
    answers: ReadonlyArray<Answer>,
    model: number,
    call: FaultyModel.Call<Request>
  ): FaultyModel.Behaviour {
    const { repeats, ...behaviour } = answers[(call.number - 1) % answers.length] ?? {}
    const content = behaviour.content ?? [{ text: "" }]
    const said = repeats === true ? saidBefore(call.request) : ""
    let blocks = 0
    return {
      ...behaviour,
      content: content.map((each) =>
        "text" in each ? { ...each, text: `${blocks++ === 0 ? said : ""}<${model}.${call.number} held on>` } : each
      )
    }
  }
}

const saidBefore = ({ prompt }: Request): string => {
  const last = prompt.content.at(-1)
  if (last?.role !== "assistant") return ""
  return last.content.map((part) => (part.type === "text" ? part.text : "")).join("")
}
