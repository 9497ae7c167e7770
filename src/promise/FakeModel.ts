/**
 * A model for tests: it answers as it is told, at once, and takes down what it was asked.
 */
import { Duration, Effect, Stream } from "effect"
import { AiError, type LanguageModel, type Response } from "effect/ai"
import * as CallError from "../core/call/CallError.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import * as OptionCheck from "../core/OptionCheck.ts"
import type { Time } from "./Call.ts"

/** What a fake model answers to one call. */
export interface FakeAnswer {
  /** What it says; an object or a list is written as JSON. Default: nothing. */
  readonly text?: string | object | undefined
  /** The tools it calls. Default: none. */
  readonly toolCalls?: ReadonlyArray<{ readonly name: string; readonly params: unknown }> | undefined
  /** What it fails with, in place of an answer. Default: it does not. */
  readonly error?: FakeError | undefined
  /** The wait that it asks for with `rate_limited`. Default: none. */
  readonly retryAfter?: Time | undefined
  /** How long it takes to answer; of a stream, each word. Default: no time. */
  readonly delay?: Time | undefined
}

/** How a fake model can fail. */
export type FakeError =
  | "rate_limited"
  | "provider_failed"
  | "unauthorized"
  | "quota_exhausted"
  | "invalid_request"
  | "network"

/** A question that a fake model was asked. */
export interface FakeCall {
  /** What it was asked last, as text. */
  readonly prompt: string
  /** The whole conversation. */
  readonly messages: ReadonlyArray<{ readonly role: string; readonly content: unknown }>
  /** The names of the tools it might call. */
  readonly tools: ReadonlyArray<string>
  readonly streamed: boolean
}

/** An answer, or a function of the question that gives one. */
export type FakeReply = string | FakeAnswer | ((call: FakeCall) => string | FakeAnswer)

/** A model for `Client.make({ model })`. */
export interface FakeModel extends ModelProvider {
  /** The questions it was asked so far. */
  readonly calls: ReadonlyArray<FakeCall>
}

/**
 * Makes a model that answers as it is told. Of several replies each is given to one call, in order, and the last one to all
 * further calls. Throws a `RangeError` without a reply, and for one that makes no sense.
 *
 * **Example**
 *
 * ```ts run
 * import { Client, fakeModel } from "holdfast/promise"
 *
 * const model = fakeModel({ error: "rate_limited" }, "There.")
 * await using client = Client.make({ model, pipeline: { retry: { base: 1 } } })
 * const { text, trail } = await client.generate("Are you there?")
 * text // => "There."
 * trail.attempts.length // => 2
 * model.calls[0]?.prompt // => "Are you there?"
 * ```
 */
export const fakeModel = (...replies: ReadonlyArray<FakeReply>): FakeModel => {
  if (replies.length === 0) throw new RangeError("fakeModel takes at least one reply")
  for (const reply of replies) if (typeof reply === "object") checked(reply)
  const calls: Array<FakeCall> = []
  const next = (request: LanguageModel.ProviderOptions, streamed: boolean): FakeAnswer => {
    const call = asked(request, streamed)
    calls.push(call)
    const reply = replies[Math.min(calls.length, replies.length) - 1] ?? ""
    const answer = typeof reply === "function" ? reply(call) : reply
    return typeof answer === "string" ? { text: answer } : checked(answer)
  }
  return {
    name: "fake",
    model: "fake-1",
    calls,
    generateText: (request) =>
      Effect.suspend(() => {
        const answer = next(request, false)
        return Effect.andThen(
          wait(answer),
          outcome(answer, () => whole(answer, request, calls.length))
        )
      }),
    streamText: (request) =>
      Stream.unwrap(
        Effect.suspend(() => {
          const answer = next(request, true)
          const paced = (parts: ReadonlyArray<Response.StreamPartEncoded>) =>
            Stream.tap(Stream.fromIterable(parts), ({ type }) => (type === "text-delta" ? wait(answer) : Effect.void))
          return Effect.map(
            outcome(answer, () => streamed(answer, request, calls.length)),
            paced
          )
        })
      )
  }
}

const check = OptionCheck.of("fakeModel")

const checked = (answer: FakeAnswer): FakeAnswer => {
  check.fields(answer, { text: true, toolCalls: true, error: true, retryAfter: true, delay: true })
  const { text = "", toolCalls = [] } = answer
  if (typeof text !== "string" && (typeof text !== "object" || text === null)) {
    check.reject("text", "a text, or what is written as JSON", text)
  }
  check.list("toolCalls", toolCalls)
  for (const call of toolCalls) check.label("toolCalls.name", call.name)
  if (answer.error !== undefined) check.oneOf("error", answer.error, errors)
  if (answer.retryAfter !== undefined) check.millis("retryAfter", answer.retryAfter)
  if (answer.delay !== undefined) check.millis("delay", answer.delay, { atLeast: 0, endless: true })
  return answer
}

const errors = [
  "rate_limited",
  "provider_failed",
  "unauthorized",
  "quota_exhausted",
  "invalid_request",
  "network"
] as const satisfies ReadonlyArray<FakeError>

const asked = ({ prompt, tools }: LanguageModel.ProviderOptions, streamed: boolean): FakeCall => {
  const last = prompt.content.findLast(({ role }) => role === "user")
  const parts = typeof last?.content === "string" ? [] : (last?.content ?? [])
  return {
    prompt: parts.map((part) => (part.type === "text" ? part.text : "")).join(""),
    messages: prompt.content.map(({ content, role }) => ({ role, content })),
    tools: tools.map(({ name }) => name),
    streamed
  }
}

const wait = ({ delay }: FakeAnswer): Effect.Effect<void> => (delay === undefined ? Effect.void : Effect.sleep(delay))

const outcome = <A>({ error, retryAfter }: FakeAnswer, parts: () => A): Effect.Effect<A, AiError.AiError> =>
  error === undefined
    ? Effect.sync(parts)
    : Effect.fail(CallError.make({ module: "fakeModel", method: "call", reason: reasonOf(error, retryAfter) }))

const reasonOf = (error: FakeError, retryAfter: Time | undefined): AiError.AiErrorReason => {
  const description = "the fake model was told to fail"
  switch (error) {
    case "rate_limited":
      return new AiError.RateLimitError(
        retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) }
      )
    case "provider_failed":
      return new AiError.InternalProviderError({ description })
    case "unauthorized":
      return new AiError.AuthenticationError({ kind: "InvalidKey" })
    case "quota_exhausted":
      return new AiError.QuotaExhaustedError({})
    case "invalid_request":
      return new AiError.InvalidRequestError({ description })
    case "network":
      return new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "http://fake", description })
  }
}

const textOf = ({ text = "" }: FakeAnswer): string => (typeof text === "string" ? text : JSON.stringify(text))

const whole = (
  answer: FakeAnswer,
  request: LanguageModel.ProviderOptions,
  call: number
): Array<Response.PartEncoded> => [
  ...(textOf(answer) === "" ? [] : [{ type: "text", text: textOf(answer) } as const]),
  ...toolCallsOf(answer, call),
  finish(answer, request)
]

const streamed = (
  answer: FakeAnswer,
  request: LanguageModel.ProviderOptions,
  call: number
): Array<Response.StreamPartEncoded> => {
  const id = "text"
  const words = textOf(answer).match(/\s*\S+\s*$|\s*\S+/g) ?? []
  return [
    ...(words.length === 0
      ? []
      : [
          { type: "text-start", id } as const,
          ...words.map((delta) => ({ type: "text-delta", id, delta }) as const),
          { type: "text-end", id } as const
        ]),
    ...toolCallsOf(answer, call),
    finish(answer, request)
  ]
}

const toolCallsOf = ({ toolCalls = [] }: FakeAnswer, call: number) =>
  toolCalls.map(({ name, params }, n) => ({ type: "tool-call", id: `call-${call}-${n + 1}`, name, params }) as const)

/** As many tokens as there are words. */
const finish = (answer: FakeAnswer, { prompt }: LanguageModel.ProviderOptions): Response.FinishPartEncoded => ({
  type: "finish",
  reason: answer.toolCalls === undefined || answer.toolCalls.length === 0 ? "stop" : "tool-calls",
  usage: {
    inputTokens: { total: wordsIn(JSON.stringify(prompt.content)) },
    outputTokens: { total: wordsIn(textOf(answer)) }
  },
  response: undefined
})

const wordsIn = (text: string): number => text.match(/\S+/g)?.length ?? 0
