/**
 * Plays the models of a program, and notes each attempt that is made at them, by which call and how.
 */
import { Clock, Context, Effect, type Fiber, Stream } from "effect"
import type { Response } from "effect/ai"
import * as Attempt from "../../core/call/Attempt.ts"
import * as AttemptAllowance from "../../core/call/AttemptAllowance.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as Content from "../../core/stream/Content.ts"
import * as Deadline from "../../core/call/Deadline.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as PartCopy from "../../core/call/PartCopy.ts"
import * as RecordedAttempts from "../../core/call/RecordedAttempts.ts"
import * as Monotonic from "../../core/Monotonic.ts"
import * as FaultyModel from "../FaultyModel.ts"
import type { Answer, Call, Program } from "./Program.ts"
import * as Requests from "./Requests.ts"
import type { AttemptSeen, Part, Trace } from "./Trace.ts"

type Request = Requests.Request

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
  /** How all answer from now on; those of the program do before. */
  healed: FaultyModel.Behaviour | undefined
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
        const script: FaultyModel.Script<Request> = (call) =>
          made.answer(made.healed === undefined ? answers : [made.healed], index, call)
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

  /** All attempts, as the models saw them, and what was asked of the models and never came there. */
  get seen(): Pick<Trace, "attempts" | "unsent"> {
    const entries = new Map(this.models.flatMap(({ seen }) => seen.log.map((entry) => [entry.request, entry] as const)))
    const attempts: Array<AttemptSeen> = []
    const unsent: Array<AttemptSeen> = []
    for (const attempt of this.attempts) {
      const entry = entries.get(attempt.request)
      if (entry === undefined) {
        unsent.push({ ...attempt, ended: "interrupted", endMillis: attempt.startMillis })
        continue
      }
      const { endMillis = Infinity, ended, error } = entry
      const last = attempt.pulledAt === undefined ? 0 : Math.max(0, endMillis - attempt.pulledAt)
      const { characters, flow, flowed, longestSilence, waited } = attempt
      attempts.push({
        ...attempt,
        longestSilence: Math.max(longestSilence, waited + last),
        flow: flowed === undefined ? [] : [...flow, { millis: flowed + last, characters }],
        ended,
        endMillis,
        error
      })
    }
    return { attempts, unsent }
  }

  /**
   * A model whose attempts are noted: also those that are not sent because the model told their call not to send them, see
   * `RecordedAttempts`. A policy that asks for one is at fault all the same.
   */
  private watched({ provider: bare }: FaultyModel.FaultyModel, model: number): ModelProvider {
    const provider = RecordedAttempts.recorded(bare)
    return {
      ...provider,
      generateText: (request) =>
        Effect.withFiber((fiber) => {
          const attempt = this.attend(fiber, model, "generateText", request)
          return Effect.map(provider.generateText(attempt.request), (parts) => {
            attempt.chunks.push(parts.map(PartCopy.of))
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
                    attempt.pulledAt = this.now
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
    this.lastBegin = this.now
    const { number, recorder } = fiber.getRef(CurrentCall)
    const current = fiber.getRef(CallTrail.Current)
    const attempt: Attending = {
      number: this.attempts.length,
      call: number,
      isBehind: current !== recorder && (recorder === undefined || current?.isOf(recorder) !== true),
      model,
      method,
      origin: fiber.getRef(Attempt.CurrentOrigin),
      deadline: fiber.getRef(Deadline.Current),
      granted: fiber.getRef(AttemptAllowance.Current)?.granted ?? 0,
      startMillis: this.lastBegin,
      chunks: [],
      longestSilence: 0,
      flow: [],
      ended: undefined,
      endMillis: 0,
      error: undefined,
      asked: Requests.written(request),
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
    const { now } = this
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
    attempt.chunks.push(parts.map(PartCopy.of))
    return parts
  }

  private get now(): number {
    return Monotonic.millisUnsafe(this.clock)
  }

  /** What a model is told to do, with texts that only this attempt has. */
  private answer(
    answers: ReadonlyArray<Answer>,
    model: number,
    call: FaultyModel.Call<Request>
  ): FaultyModel.Behaviour {
    const { repeats, ...behaviour } = answers[(call.number - 1) % answers.length] ?? {}
    const content = behaviour.content ?? [{ text: "" }]
    const isStructured = call.request.responseFormat.type === "json"
    const said = repeats === true && !isStructured ? saidBefore(call.request) : ""
    let blocks = 0
    const text = () => `${blocks++ === 0 ? said : ""}<${model}.${call.number} held on>`
    return {
      ...behaviour,
      content: content.map((each) =>
        "text" in each ? { ...each, text: isStructured ? JSON.stringify({ said: text() }) : text() } : each
      )
    }
  }
}

const saidBefore = ({ prompt }: Request): string => {
  const last = prompt.content.at(-1)
  if (last?.role !== "assistant") return ""
  return last.content.map((part) => (part.type === "text" ? part.text : "")).join("")
}
