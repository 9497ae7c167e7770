/**
 * Records how each request ended: the line in its file, the counts, and the event, in this order.
 */
import { Effect } from "effect"
import type { BatchError } from "./BatchError.ts"
import type { BatchEvent } from "./batch/report/BatchEvent.ts"
import type { BatchRequest } from "./BatchRequest.ts"
import type { Answer } from "./ChatCompletions.ts"
import * as Counts from "./batch/report/Counts.ts"
import type { LineWriter } from "./OutputFile.ts"
import * as ResultLine from "./ResultLine.ts"
import type { Progress } from "./batch/send/AttemptTally.ts"

export interface Ledger {
  /** Records an answer. Not interruptible: what is written is counted. */
  readonly answered: (request: BatchRequest, answer: Answer, progress: Progress) => Effect.Effect<void, BatchError>
  /** Records a failure. Not interruptible. */
  readonly failed: (failed: ResultLine.Failed) => Effect.Effect<void, BatchError>
}

export const make = (options: {
  readonly answers: LineWriter
  readonly failures: LineWriter
  readonly counts: Counts.Counts
  readonly emit: (event: BatchEvent) => Effect.Effect<void>
}): Ledger => {
  const { answers, counts, emit, failures } = options
  return {
    answered: ({ customId }, { body, inputTokens, outputTokens, requestId }, { attempts, faults }) =>
      Effect.uninterruptible(
        Effect.gen(function* () {
          yield* answers.append(ResultLine.fromAnswered({ customId, requestId, body }))
          counts.answered += 1
          counts.inputTokens += inputTokens
          counts.outputTokens += outputTokens
          for (const fault of faults) Counts.increment(counts.survived, fault)
          yield* emit({ event: "RequestAnswered", customId, attempts, inputTokens, outputTokens })
        })
      ),
    failed: (failed) =>
      Effect.uninterruptible(
        Effect.gen(function* () {
          const { attempts, customId, error, line } = failed
          const code = ResultLine.codeOf(error)
          yield* failures.append(ResultLine.fromFailed(failed))
          Counts.increment(counts.failed, code)
          yield* emit({ event: "RequestFailed", customId, line, attempts, code, message: ResultLine.messageOf(error) })
        })
      )
  }
}
