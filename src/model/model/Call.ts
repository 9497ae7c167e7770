/**
 * Makes each call of a provider a supervised job with a trail of its own.
 */
import { Cause, Context, Effect, Pull, Queue, Stream, type Tracer } from "effect"
import { AiError, type LanguageModel, type Response } from "effect/ai"
import * as CallTrail from "../../core/CallTrail.ts"
import * as FinishMark from "../../core/call/FinishMark.ts"
import * as Opening from "../../core/stream/OpenStream.ts"
import * as PolicyReason from "../../core/call/PolicyReason.ts"
import * as ReadAhead from "../../core/stream/ReadAhead.ts"
import * as Refusals from "../../core/call/Refusals.ts"
import * as RetryBudget from "../../policy/RetryBudget.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as Job from "../../supervisor/Job.ts"
import type { JobError } from "../../supervisor/JobError.ts"
import type { Supervisor } from "../../supervisor/Supervisor.ts"

/**
 * Runs every call of `next` as a job of kind `call`, and leaves its trail on its answer or error, and on its span.
 *
 * A stream is read by the job's fiber: what the reader gets is what that fiber has put into a queue.
 */
export const supervised = (next: ModelProvider, supervisor: Supervisor["Service"], name: string): ModelProvider => {
  const job = { kind: "call", name } as const
  const reading = Effect.fnUntraced(function* (options: LanguageModel.ProviderOptions, recorder: CallTrail.Recorder) {
    const queue = yield* ReadAhead.make<Response.StreamPartEncoded, Cause.Done>()
    const pump = Stream.runForEachArray(next.streamText(options), (parts) =>
      ReadAhead.offer(queue, parts.at(-1)?.type === "finish" ? finished(parts, recorder) : parts)
    )
    const call = yield* Effect.acquireRelease(
      within(supervisor.submit(Effect.ensuring(pump, Queue.end(queue)), job), recorder),
      (call) => Effect.andThen(Job.cancel(call, { reason: "its reader left" }), onSpan(options.span, recorder))
    )
    const ended = Effect.mapError(Job.join(call), (error) => failure(error, recorder))
    return Stream.fromPull(
      Effect.succeed(Pull.catchDone(Queue.takeAll(queue), () => Effect.andThen(ended, Cause.done())))
    )
  })
  return {
    ...next,
    generateText: (options) =>
      Effect.suspend(() => {
        const recorder = new CallTrail.Recorder()
        return within(supervisor.run(next.generateText(options), job), recorder).pipe(
          Effect.map((parts) => finished(parts, recorder)),
          Effect.mapError((error) => failure(error, recorder)),
          Effect.onExit(() => onSpan(options.span, recorder))
        )
      }),
    streamText: (options) =>
      Opening.unwrap(
        Effect.suspend(() => {
          const recorder = new CallTrail.Recorder()
          return Effect.mapError(reading(options, recorder), (error) => failure(error, recorder))
        })
      )
  }
}

/** What every call has in its context: a trail, an allowance of attempts, and what providers told it. */
const within = <A, E, R>(call: Effect.Effect<A, E, R>, recorder: CallTrail.Recorder): Effect.Effect<A, E, R> =>
  Effect.updateContext(call, (context: Context.Context<R>) =>
    context.pipe(
      Context.add(CallTrail.Current, recorder),
      Context.add(RetryBudget.Current, new RetryBudget.Allowance()),
      Context.add(Refusals.Current, new Refusals.Refusals())
    )
  )

/** Puts the trail on the finish part, with which an answer ends. */
const finished = <Part extends Response.PartEncoded | Response.StreamPartEncoded>(
  parts: ReadonlyArray<Part>,
  recorder: CallTrail.Recorder
): Array<Part> =>
  parts.map((part) => (part.type === "finish" ? { ...part, ...FinishMark.add(part, { trail: recorder.trail }) } : part))

const failure = (error: AiError.AiError | JobError, recorder: CallTrail.Recorder): AiError.AiError => {
  const failed = asAiError(error)
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
    const { attempts, decisions } = recorder.trail
    for (const { outcome, startedAtMillis, ...facts } of attempts) {
      const { _tag, ...ended } = outcome
      span.event("attempt", nanos(startedAtMillis), { ...facts, ...ended, outcome: _tag })
    }
    for (const { atMillis, decision } of decisions) {
      const { _tag, ...facts } = decision
      span.event(_tag, nanos(atMillis), facts)
    }
  })

const nanos = (millis: number): bigint => BigInt(Math.round(millis)) * 1_000_000n
