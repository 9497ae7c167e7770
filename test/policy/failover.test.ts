/**
 * What becomes of a call whose first provider breaks, over real HTTP: each fault, at each point of an answer, whole and
 * streamed, with each way to go on in the middle of a stream.
 */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Layer, Option, Schema, Stream, Struct } from "effect"
import { AiError, LanguageModel, type Response, Tool, Toolkit } from "effect/ai"
import { CallTrail, PolicyReason } from "holdfast/core"
import { Model } from "holdfast/model"
import { CircuitBreaker, Fallback, Retry, Timeout } from "holdfast/policy"
import { AiSdk, Fetch, type ModelProvider } from "holdfast/provider"
import { Supervisor } from "holdfast/supervisor"
import { type FaultyModel, FaultyServer, LeakDetector, StreamShape } from "holdfast/testing"

const Weather = Tool.make("Weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
const tools = Toolkit.make(Weather)

const text = "Kelp is anchored by its holdfast. In Rome there is none — 海藻."
const otherText = "Let me look it up."
const params = { city: "Rome" }
const answer = (text: string, id: string): ReadonlyArray<FaultyModel.Content> => [
  ...(text === "" ? [] : [{ text, chunks: 6 }]),
  { toolCall: { id, name: "Weather", params }, chunks: 4 }
]

interface Fault {
  readonly at: (at: FaultyModel.PointInside) => FaultyModel.Fault
  /** What the trail says of an attempt that ended by it. A time limit interrupts the attempt. */
  readonly ends: string
  /** Whether it is worth another attempt at the same provider. Default: true. */
  readonly again?: false
}

const faults: Readonly<Record<string, Fault>> = {
  "the connection is cut": { at: (at) => ({ is: "cut", at }), ends: "NetworkError" },
  "the connection is closed in order": { at: (at) => ({ is: "end", at }), ends: "InternalProviderError" },
  "nothing follows": { at: (at) => ({ is: "stall", at }), ends: "Interrupted" },
  "nothing but keep-alives follows": {
    at: (at) => ({ is: "stall", at, keepAlive: { every: "20 millis" } }),
    ends: "Interrupted"
  },
  "a malformed chunk": { at: (at) => ({ is: "malformed", at }), ends: "InvalidResponseError", again: false },
  "an in-band error": { at: (at) => ({ is: "error", at, because: "overloaded" }), ends: "InternalProviderError" }
}

const points = {
  "before the first token": "content",
  "mid-text": { after: 3, in: "text" },
  "mid-tool-call": { after: 2, in: "tool-call" },
  "behind the tool call": "finish"
} as const satisfies Readonly<Record<string, FaultyModel.PointInside>>

/** The text that was sent before each point. */
const sentBefore = {
  "before the first token": "",
  "mid-text": "Kelp is anchored by its holdfas",
  "mid-tool-call": text,
  "behind the tool call": text
} as const satisfies Readonly<Record<keyof typeof points, string>>

/** Not streamed; and streamed, with each way to go on in the middle. */
const forms = ["whole", "fail", "restart", "continue"] as const
type Form = (typeof forms)[number]

const providerAt = (name: string, origin: string) =>
  AiSdk.provider(createOpenAICompatible({ name, baseURL: `${origin}/v1`, apiKey: "none", fetch: Fetch.fetch })("m"))

/** Goes on from the assistant's last message, if there is one, and else answers anew. */
const goingOn = ({ request: { body } }: FaultyModel.Call<FaultyServer.Received>): FaultyModel.Behaviour => {
  const { messages } = decodeBody(body)
  const last = messages.at(-1)
  const rest = last?.role === "assistant" ? text.slice(last.content.length) : otherText
  return { content: answer(rest, "call-2") }
}

const decodeBody = Schema.decodeUnknownSync(
  Schema.Struct({ messages: Schema.Array(Schema.Struct({ role: Schema.String, content: Schema.String })) })
)

/** With limits that are long where nothing stalls, so that a slow moment of the machine is not taken for the provider's. */
const policies = (
  second: ModelProvider.ModelProvider,
  midStream: NonNullable<Fallback.Options["midStream"]>,
  limit: Duration.Input
) => [
  Timeout.overall("15 seconds"),
  Fallback.to(second, { midStream }),
  CircuitBreaker.perModel(),
  Retry.transient({ times: 1, base: "1 millis" }),
  Timeout.perAttempt({
    headers: limit,
    firstToken: limit,
    idle: limit,
    attempt: Duration.times(Duration.fromInputUnsafe(limit), 2)
  })
]

interface Outcome {
  readonly parts: ReadonlyArray<Part>
  readonly error: AiError.AiError | undefined
  /** The parameters the tool was run with, each time. */
  readonly ran: ReadonlyArray<unknown>
  readonly trail: CallTrail.CallTrail
  /** How often the first and the second server were asked. */
  readonly asked: ReadonlyArray<number>
}

/** Decoded parts have the shape of encoded ones, as far as it is looked at here. */
type Part = Response.StreamPartEncoded | Response.PartEncoded

/** Makes one call of a model in front of two servers, and sees to it that no request stays open at any of them. */
const play = (form: Form, fault: FaultyModel.Fault) =>
  Effect.gen(function* () {
    const first = yield* FaultyServer.make({ script: [{ content: answer(text, "call-1"), fault }] })
    const second = yield* FaultyServer.make({ script: goingOn })
    const model = Model.layer({
      provider: providerAt("first", first.origin),
      policies: policies(
        providerAt("second", second.origin),
        form === "whole" ? "fail" : form,
        fault.is === "stall" ? "300 millis" : "10 seconds"
      )
    })
    const ran: Array<unknown> = []
    const handler = tools.toLayer({ Weather: (params) => Effect.sync(() => `asked ${ran.push(params)} times`) })
    const request = { prompt: "How is the weather?", toolkit: tools }
    const parts: Array<Part> = []
    const keep = (part: Response.AnyPart) => Effect.sync(() => void parts.push(part as Part))
    const exit = yield* (
      form === "whole"
        ? Effect.flatMap(LanguageModel.generateText(request), ({ content }) => Effect.forEach(content, keep))
        : Stream.runForEach(LanguageModel.streamText(request), keep)
    ).pipe(Effect.exit, Effect.provide([Layer.provide(model, Supervisor.layer({ upkeepEvery: "Infinity" })), handler]))
    yield* Effect.timeout(Effect.all([first.awaitIdle, second.awaitIdle]), "1 second")
    const failed = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
    const error = AiError.isAiError(failed) ? failed : undefined
    assert.strictEqual(error, failed)
    const outcome: Outcome = {
      parts,
      error,
      ran,
      trail: Option.getOrThrow(error === undefined ? CallTrail.ofParts(parts) : CallTrail.ofError(error)),
      asked: [first.seen.calls, second.seen.calls]
    }
    return outcome
  }).pipe(Effect.scoped)

const textOf = (parts: ReadonlyArray<Part>) =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : part.type === "text" ? part.text : "")).join("")

const toolCalls = (parts: ReadonlyArray<Part>) =>
  parts.flatMap((part) => (part.type === "tool-call" ? [part.params] : []))

const assertWellFormed = (parts: ReadonlyArray<Part>) =>
  assert.strictEqual(StreamShape.malformation(parts as ReadonlyArray<Response.StreamPartEncoded>), undefined)

/** What the trail says, without times; that a time limit ended an attempt, with the attempt. */
const told = ({ trail }: Outcome) => {
  const limits = trail.decisions.filter(({ decision }) => decision._tag === "TimedOut").length
  const interrupted = trail.attempts.filter(({ outcome }) => outcome._tag === "Interrupted").length
  assert.strictEqual(limits, interrupted)
  return facts(trail)
}

const facts = (trail: CallTrail.CallTrail) => [
  ...trail.attempts.map(({ origin, outcome, provider }) => {
    const ended = outcome._tag === "Failed" ? outcome.reason : outcome._tag
    return `${provider}, ${origin}: ${ended}`
  }),
  ...trail.decisions.flatMap(({ decision }) => {
    const { _tag, waitMillis: _, ...facts } = { waitMillis: 0, ...decision }
    return _tag === "TimedOut" ? [] : [{ [_tag]: facts }]
  })
]

const hop = { from: "first/m", to: "second/m" }

describe("Failover over HTTP", () => {
  for (const [name, { again = true, at, ends }] of Object.entries(faults)) {
    const isEarly = (form: Form, point: keyof typeof points) => form === "whole" || point === "before the first token"
    for (const point of Struct.keys(points)) {
      for (const form of forms) {
        const fault = at(points[point])
        if (isEarly(form, point)) {
          it.live(
            `${name}, ${point}, ${form}: ${again ? "tries again, and then " : ""}gives the second provider's answer`,
            () =>
              Effect.gen(function* () {
                const outcome = yield* LeakDetector.check(play(form, fault))
                const { asked, error, parts, ran } = outcome
                assert.strictEqual(error, undefined)
                assert.strictEqual(textOf(parts), otherText)
                if (form !== "whole") assertWellFormed(parts)
                assert.deepStrictEqual([toolCalls(parts), ran], [[params], [params]])
                assert.deepStrictEqual(asked, [again ? 2 : 1, 1])
                assert.deepStrictEqual(told(outcome), [
                  `first, call: ${ends}`,
                  ...(again ? [`first, retry: ${ends}`] : []),
                  "second, fallback: Succeeded",
                  ...(again ? [{ RetryScheduled: { retry: 1 } }, { RetryRefused: { why: "times" } }] : []),
                  { FellBack: hop }
                ])
              })
          )
        } else if (form === "fail") {
          it.live(`${name}, ${point}, ${form}: fails, having passed on what came, and runs no tool`, () =>
            Effect.gen(function* () {
              const outcome = yield* LeakDetector.check(play(form, fault))
              const { asked, error, parts, ran } = outcome
              assert(error !== undefined)
              assert.isTrue(Fallback.isProvidersDoing(error))
              if (fault.is === "stall") {
                const decided = Option.getOrUndefined(PolicyReason.of(error))
                assert.deepStrictEqual(decided, { _tag: "TimedOut", clock: "idle", afterMillis: 300 })
              }
              assert.strictEqual(textOf(parts), sentBefore[point])
              assert.deepStrictEqual([toolCalls(parts), ran, asked], [[], [], [1, 0]])
              assert.deepStrictEqual(told(outcome), [`first, call: ${ends}`])
            })
          )
        } else {
          it.live(`${name}, ${point}, ${form}: goes on as one well-formed stream, and runs the tool once`, () =>
            Effect.gen(function* () {
              const outcome = yield* LeakDetector.check(play(form, fault))
              const { asked, error, parts, ran } = outcome
              assert.strictEqual(error, undefined)
              assertWellFormed(parts)
              const marker = parts.findIndex(Fallback.isRestart)
              assert.deepStrictEqual(
                marker < 0 ? [textOf(parts)] : [textOf(parts.slice(0, marker)), textOf(parts.slice(marker))],
                form === "continue" ? [text] : [sentBefore[point], otherText]
              )
              assert.deepStrictEqual([toolCalls(parts), ran, asked], [[params], [params], [1, 1]])
              const how = form === "continue" ? "continued" : "restarted"
              assert.deepNestedInclude(parts.at(-1), { [`metadata.holdfast.${how}`]: hop })
              assert.deepStrictEqual(told(outcome), [
                `first, call: ${ends}`,
                `second, ${form === "continue" ? "continuation" : "fallback"}: Succeeded`,
                { FellBack: { ...hop, midStream: how } }
              ])
            })
          )
        }
      }
    }
  }
})
