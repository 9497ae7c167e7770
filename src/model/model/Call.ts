/**
 * Makes each call of a provider a supervised job with a trail of its own.
 */
import { Cause, Effect, Stream, type Tracer } from "effect"
import { AiError, type LanguageModel, type Response } from "effect/ai"
import * as CallError from "../../core/call/CallError.ts"
import * as CallContext from "../../core/call/CallContext.ts"
import * as CallTrail from "../../core/call/CallTrail.ts"
import * as FinishMark from "../../core/call/FinishMark.ts"
import * as OpenStream from "../../core/stream/OpenStream.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import * as ReadAhead from "../../core/stream/ReadAhead.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as StructuredAnswer from "../../core/call/StructuredAnswer.ts"
import * as Job from "../../supervisor/Job.ts"
import type { JobError } from "../../supervisor/JobError.ts"
import type { Supervisor } from "../../supervisor/Supervisor.ts"
import * as ToolSpans from "./ToolSpans.ts"

export interface Settings {
  /** What calls are called in the supervisor. */
  readonly name: string
  readonly traceToolParameters: boolean
}

/**
 * Runs every call of `next` as a job of kind `call`, and leaves its trail on its answer or error, and on its span.
 *
 * A stream is read by the job's fiber: what the reader gets is what that fiber has put into a queue.
 */
export const supervised = (
  next: ModelProvider,
  supervisor: Supervisor["Service"],
  { name, traceToolParameters }: Settings
): ModelProvider => {
  const job = { kind: "call", name } as const
  const begin = <A, E, R>(
    { tools }: LanguageModel.ProviderOptions,
    call: (recorder: CallTrail.Recorder) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> => {
    const recorded = Effect.suspend(() => call(new CallTrail.Recorder()))
    return tools.length === 0 || traceToolParameters ? recorded : Effect.andThen(ToolSpans.withoutParameters, recorded)
  }
  const reading = Effect.fnUntraced(function* (options: LanguageModel.ProviderOptions, recorder: CallTrail.Recorder) {
    const ahead = yield* ReadAhead.make<Response.StreamPartEncoded, AiError.AiError>()
    const pump = Stream.runForEachArray(next.streamText(options), (parts) =>
      ahead.put(parts.at(-1)?.type === "finish" ? finished(parts, recorder) : parts) ? Effect.void : ahead.room
    )
    const read = Effect.onExitPrimitive(pump, () => {
      // A stream that brings all at once ends before its job is in hand.
      ahead.close(Effect.suspend(() => ended))
      return undefined
    })
    const call = yield* Effect.acquireRelease(CallContext.fresh(recorder)(supervisor.submit(read, job)), (call) =>
      Effect.andThen(Job.cancel(call, { reason: "its reader left" }), onSpan(options.span, recorder))
    )
    const ended = Effect.andThen(
      Effect.mapError(Job.join(call), (error) => failure(error, recorder)),
      Cause.done()
    )
    return Stream.fromPull(Effect.succeed(ahead.take))
  })
  return {
    ...next,
    generateText: (options) =>
      begin(options, (recorder) =>
        supervisor.run(answered(next, options), job).pipe(
          CallContext.fresh(recorder),
          Effect.map((parts) => finished(parts, recorder)),
          Effect.mapError((error) => failure(error, recorder)),
          Effect.onExit(() => onSpan(options.span, recorder))
        )
      ),
    streamText: (options) =>
      OpenStream.unwrap(
        begin(options, (recorder) => Effect.mapError(reading(options, recorder), (error) => failure(error, recorder)))
      )
  }
}

/**
 * Fails where `effect/ai` would find structured output that it cannot read: its error shows the answer to everybody, on the
 * call's span too, and the job would have ended well.
 */
const answered = (
  next: ModelProvider,
  options: LanguageModel.ProviderOptions
): ReturnType<ModelProvider["generateText"]> =>
  options.responseFormat.type === "text"
    ? next.generateText(options)
    : Effect.tap(next.generateText(options), (parts) =>
        Effect.flatMap(StructuredAnswer.wrongIn(options, parts, next), (wrong) => wrong?.error ?? Effect.void)
      )

/** Puts the trail on the finish part, with which an answer ends. */
const finished = <Part extends Response.PartEncoded | Response.StreamPartEncoded>(
  parts: ReadonlyArray<Part>,
  recorder: CallTrail.Recorder
): Array<Part> =>
  parts.map((part) => (part.type === "finish" ? { ...part, ...FinishMark.add(part, { trail: recorder.trail }) } : part))

const failure = (error: AiError.AiError | JobError, recorder: CallTrail.Recorder): AiError.AiError => {
  const failed = CallError.shown(asAiError(error))
  CallTrail.leaveWith(failed, recorder.trail)
  return failed
}

const asAiError = (error: AiError.AiError | JobError): AiError.AiError => {
  if (AiError.isAiError(error)) return error
  return PolicyReason.toAiError(
    "Model",
    error.reason._tag === "Cancelled"
      ? { _tag: "Cancelled", jobId: error.id, reason: error.reason.reason }
      : { _tag: "NotAccepted", description: error.message }
  )
}

/** Writes the trail to the call's span: an event for each attempt and decision, with its facts as attributes. */
const onSpan = (span: Tracer.Span, recorder: CallTrail.Recorder): Effect.Effect<void> =>
  Effect.sync(() => {
    recorder.forEach(
      ({ outcome, startedAtMillis, usage, ...facts }) => {
        const { _tag, ...ended } = outcome
        span.event("attempt", nanos(startedAtMillis), { ...facts, ...usage, ...ended, outcome: _tag })
      },
      ({ atMillis, decision }) => {
        const { _tag, ...facts } = decision
        const own = decision._tag === "Custom" ? { ...decision.facts, policy: decision.policy } : facts
        span.event(_tag, nanos(atMillis), own)
      }
    )
  })

const nanos = (millis: number): bigint => BigInt(Math.round(millis)) * 1_000_000n
