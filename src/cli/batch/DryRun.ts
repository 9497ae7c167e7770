/**
 * Tells what a run would do, and about what it would cost, without sending or writing anything.
 */
import { Effect, Option, Result, Stdio, Stream } from "effect"
import { existsSync } from "node:fs"
import { type BatchError, SomeFailed } from "./BatchError.ts"
import type * as BatchRun from "./BatchRun.ts"
import * as BatchInput from "./input/BatchInput.ts"
import * as ErrorsFile from "./output/ErrorsFile.ts"
import * as IdSet from "./input/IdSet.ts"
import * as OutputFile from "./output/OutputFile.ts"
import * as Counts from "./report/Counts.ts"
import { group } from "./report/ProgressBar.ts"
import * as Shown from "./report/Shown.ts"
import { counted, fact, money } from "./report/Summary.ts"
import * as Prices from "./send/Prices.ts"

/** What is to be done at one model. */
interface Share {
  requests: number
  inputTokens: number
  /** Of requests that limit their answers. */
  outputTokens: number
  unlimited: number
}

/** Reads the input as a run does and prints what there is to do, on standard output. Fails with `SomeFailed` for bad lines. */
export const tell = Effect.fn("DryRun.tell")(function* (
  options: BatchRun.Options
): Effect.fn.Return<void, BatchError | SomeFailed, Stdio.Stdio> {
  const { prices } = options
  const counts = Counts.make()
  const ids = new IdSet.IdSet()
  const input = yield* BatchInput.open(options.input, options.template)
  if (existsSync(options.output)) yield* OutputFile.markAnswered(options.output, ids)
  if (options.failedOnly === true) yield* ErrorsFile.markFailed(options.errors, ids)
  const every = yield* BatchInput.everyOf(input, options)
  const shares = new Map<string, Share>()
  const bad: Array<string> = []
  let badLines = 0
  yield* Stream.runForEach(
    BatchInput.tasks(input.lines, {
      counts,
      ids,
      limit: options.sample ?? options.limit,
      every,
      failedOnly: options.failedOnly ?? false,
      fallbacks: { model: options.model, endpoint: options.endpoint }
    }),
    Result.match({
      onFailure: (error) =>
        Effect.sync(() => {
          badLines += 1
          if (bad.length < 10) bad.push(Shown.short(error.message, 200))
        }),
      onSuccess: ({ body, model, tokens }) =>
        Effect.sync(() => {
          const share = shares.get(model) ?? { requests: 0, inputTokens: 0, outputTokens: 0, unlimited: 0 }
          const most = mostOutput(body)
          share.requests += 1
          share.inputTokens += tokens
          share.outputTokens += most ?? 0
          if (most === undefined) share.unlimited += 1
          shares.set(model, share)
        })
    })
  )
  const lines = [...shares].flatMap(([model, share]) => linesOf(model, share, prices))
  const costs = [...shares].map(([model, share]) => costOf(model, share, prices))
  const total = costs.every((cost) => cost !== undefined)
    ? costs.reduce((sum, cost) => sum + (cost ?? 0), 0)
    : undefined
  const text = [
    fact(
      "to send",
      counted(
        [...shares.values()].reduce((sum, { requests }) => sum + requests, 0),
        "request"
      )
    ),
    ...(counts.skipped === 0 ? [] : [fact("skipped", `${group(counts.skipped)}, answered before`)]),
    ...(badLines === 0 ? [] : [fact("bad lines", group(badLines)), ...bad.map((message) => `  ${message}`)]),
    ...lines,
    ...(total === undefined || shares.size < 2 ? [] : [fact("cost", `about ${money(total)}`)])
  ]
  const stdio = yield* Stdio.Stdio
  yield* Effect.ignore(Stream.run(Stream.succeed(`${text.join("\n")}\n`), stdio.stdout()))
  if (badLines > 0) return yield* new SomeFailed({ failed: badLines })
})

const linesOf = (model: string, share: Share, prices: Prices.Prices | undefined): ReadonlyArray<string> => {
  const { inputTokens, outputTokens, unlimited } = share
  const answers =
    outputTokens === 0 ? "" : `, at most ${group(outputTokens)} out${unlimited === 0 ? "" : " for those with a limit"}`
  const cost = costOf(model, share, prices)
  return [
    fact("model", Shown.short(model, 100)),
    fact("  tokens", `about ${group(inputTokens)} in${answers}`),
    ...(prices === undefined
      ? []
      : [
          fact(
            "  cost",
            cost === undefined
              ? "not known: the prices do not have it"
              : `about ${money(cost)}${unlimited === 0 ? "" : `, and the answers of ${counted(unlimited, "request")} without a limit`}`
          )
        ])
  ]
}

const costOf = (model: string, { inputTokens, outputTokens }: Share, prices: Prices.Prices | undefined) =>
  Option.getOrUndefined(
    Option.map(Prices.of(prices ?? {}, model), (price) =>
      Prices.costOf(price, { inputTokens, cachedTokens: 0, outputTokens })
    )
  )

/** The most tokens that a request lets its answer have. */
const mostOutput = (body: Uint8Array): number | undefined => {
  const [, most] =
    /"max_(?:completion_|output_)?tokens"\s*:\s*(\d{1,9})\b/u.exec(Buffer.from(body).toString("latin1")) ?? []
  return most === undefined ? undefined : Number(most)
}
