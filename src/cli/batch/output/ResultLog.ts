/**
 * Records how each request ended: the line in its file, the counts, and the event, in this order.
 */
import { Effect, Option } from "effect"
import { AiError } from "effect/ai"
import * as CallError from "../../../core/call/CallError.ts"
import type { BatchError } from "../BatchError.ts"
import type { BatchEvent } from "../report/BatchEvent.ts"
import type { BatchRequest } from "../input/BatchRequest.ts"
import type { Answer } from "../send/Sending.ts"
import * as Counts from "../report/Counts.ts"
import type { ErrorsFile } from "./ErrorsFile.ts"
import type { LineWriter } from "./OutputFile.ts"
import * as Prices from "../send/Prices.ts"
import * as ResultLine from "./ResultLine.ts"
import type { Progress } from "../send/AttemptTally.ts"

export interface ResultLog {
  /** Records an answer. Not interruptible: what is written is counted. */
  readonly answered: (request: BatchRequest, answer: Answer, progress: Progress) => Effect.Effect<void, BatchError>
  /** Counts an answer that is asked for once more. */
  readonly paidInVain: (request: BatchRequest, answer: Answer) => Effect.Effect<void>
  /** Records an answer that does not fit the schema it was asked for by: a failure which has the answer with it. */
  readonly misfit: (
    request: BatchRequest,
    answer: Answer,
    problem: string,
    progress: Progress
  ) => Effect.Effect<void, BatchError>
  /** Records a failure. Not interruptible. */
  readonly failed: (failed: ResultLine.Failed) => Effect.Effect<void, BatchError>
}

export const make = (options: {
  readonly answers: LineWriter
  readonly failures: ErrorsFile
  readonly prices: Prices.Prices | undefined
  readonly counts: Counts.Counts
  readonly emit: (event: BatchEvent) => Effect.Effect<void>
}): ResultLog => {
  const { answers, counts, emit, failures, prices } = options
  const costOf = (request: BatchRequest, answer: Answer): number | undefined => {
    if (prices === undefined) return undefined
    const price = Prices.of(prices, request.model).pipe(Option.orElse(() => Prices.of(prices, answer.model ?? "")))
    return Option.getOrUndefined(Option.map(price, (known) => Prices.costOf(known, answer)))
  }
  const count = (request: BatchRequest, answer: Answer): { readonly cost?: number } => {
    counts.inputTokens += answer.inputTokens
    counts.outputTokens += answer.outputTokens
    const cost = costOf(request, answer)
    if (cost === undefined) {
      if (prices !== undefined) counts.unpriced ??= request.model
      return {}
    }
    counts.cost = (counts.cost ?? 0) + cost
    return { cost }
  }
  const failed = ({ answer, ...failed }: ResultLine.Failed) =>
    Effect.uninterruptible(
      Effect.gen(function* () {
        const { attempts, customId, error, line } = failed
        const code = ResultLine.codeOf(error)
        yield* failures.append(ResultLine.fromFailed({ ...failed, answer }), attempts === 0)
        Counts.increment(counts.failed, code)
        yield* emit({ event: "RequestFailed", customId, line, attempts, code, message: ResultLine.messageOf(error) })
      })
    )
  return {
    answered: (request, answer, { attempts, faults }) =>
      Effect.uninterruptible(
        Effect.gen(function* () {
          const { customId, line } = request
          const { body, inputTokens, outputTokens, requestId, status } = answer
          // The answer comes first: whatever is wrong with the errors file, this was paid for.
          yield* answers.append(ResultLine.fromAnswered({ customId, line, status, requestId, body }))
          counts.answered += 1
          const cost = count(request, answer)
          for (const fault of faults) Counts.increment(counts.survived, fault)
          yield* emit({ event: "RequestAnswered", customId, attempts, inputTokens, outputTokens, ...cost })
          yield* failures.begin
        })
      ),
    paidInVain: (request, answer) => Effect.sync(() => void count(request, answer)),
    misfit: ({ customId, line, ...request }, answer, problem, { attempts }) =>
      Effect.suspend(() => {
        count({ customId, line, ...request }, answer)
        const reason = new AiError.InvalidOutputError({ description: problem })
        const error = CallError.make({ module: "holdfast", method: "batch", reason })
        return failed({ customId, line, error, attempts, answer: answer.body })
      }),
    failed
  }
}
