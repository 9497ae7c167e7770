/**
 * The command `holdfast batch`: what its flags mean for a run.
 */
import { Cause, Config, Effect, Exit, Fiber, Option, Stdio } from "effect"
import { Command } from "effect/cli"
import { BatchError, Misused, SomeFailed } from "./BatchError.ts"
import { flags } from "./BatchFlags.ts"
import * as BatchRun from "./BatchRun.ts"
import * as Counts from "./report/Counts.ts"
import { problemOf } from "./RunOptions.ts"
import * as DryRun from "./DryRun.ts"
import * as Interrupts from "./Interrupts.ts"
import * as Reporter from "./report/Reporter.ts"
import * as Target from "./Target.ts"

export { defaults } from "./BatchFlags.ts"

/**
 * Answers every request of a file.
 *
 * The first SIGINT or SIGTERM lets requests in flight finish, the second interrupts them. Fails with `BatchError` (exit
 * code 2) or `SomeFailed` (1); interrupts itself when it was stopped (130).
 */
export const batch = Command.make("batch", flags, (given) => Effect.uninterruptible(Effect.scoped(handle(given)))).pipe(
  Command.withDescription("Answer every request of a file; run the same command again to resume"),
  Command.withExamples([
    { command: "holdfast batch requests.jsonl --out results.jsonl", description: "Answer a file of requests" },
    {
      command: "holdfast batch prompts.jsonl --out out.jsonl --model llama3.2 --base-url http://localhost:11434/v1",
      description: "Ask a model on this machine"
    },
    {
      command: "holdfast batch rows.csv --out out.jsonl --model gpt-5-mini --prompt 'Classify: {{text}}'",
      description: "Ask something of each row of a table"
    }
  ])
)

const handle = Effect.fnUntraced(function* (given: Given) {
  const target = yield* Target.resolve(given, given.dryRun)
  const options = yield* runOptions(given, target)
  const problem = problemOf(options)
  if (problem !== undefined) return yield* misused(problem)
  if (given.dryRun) return yield* DryRun.tell(options)
  const stdio = yield* Stdio.Stdio
  const counts = Counts.make()
  const reporter = yield* Reporter.make({
    style: yield* styleOf(given),
    counts,
    files: options,
    resume: ["holdfast", ...(yield* stdio.args)].map(quote).join(" ")
  })
  const interrupts = yield* Interrupts.listen

  const run = yield* Effect.forkScoped(
    BatchRun.run({ ...options, stop: interrupts.first, counts, onEvent: reporter.onEvent })
  )
  yield* Effect.forkScoped(Effect.andThen(interrupts.second, Fiber.interrupt(run)))
  const exit = yield* Fiber.await(run)
  const stopped = Exit.match(exit, { onSuccess: (isStopped) => isStopped, onFailure: Cause.hasInterruptsOnly })
  // A run that could not begin has one message, and nothing to sum up.
  if (Exit.isSuccess(exit) || stopped || counts.answered + Counts.sum(counts.failed) > 0) yield* reporter.end(stopped)
  if (stopped) return yield* Effect.interrupt
  yield* exit
  const failed = Counts.sum(counts.failed)
  if (failed > 0) return yield* new SomeFailed({ failed })
})

type Given = Command.Command.Config.Infer<typeof flags>

const misused = (problem: string) => Effect.fail(new BatchError({ reason: new Misused({ problem }) }))

const runOptions = Effect.fnUntraced(function* (given: Given, target: Target.Target) {
  const { configured, prices } = target
  const output = given.out
  if (output === "-") return yield* misused("--out must be a file: what is in it is not sent again")
  const prompt = Option.getOrUndefined(given.prompt)
  const system = Option.getOrUndefined(given.system)
  if (prompt === undefined && system !== undefined) return yield* misused("--system goes with --prompt")
  if (Option.isSome(given.limit) && Option.isSome(given.sample))
    return yield* misused("--limit and --sample cannot be given together")
  if (Option.isSome(given.maxCost) && prices === undefined) return yield* misused("--max-cost needs --prices")
  const maxMemory = Option.getOrUndefined(given.maxMemory)
  return {
    input: given.input,
    output,
    errors: Option.getOrElse(given.errors, () => `${output.replace(/\.jsonl$/u, "")}.errors.jsonl`),
    provider: target.provider,
    baseUrl: target.baseUrl,
    model: Option.getOrUndefined(given.model) ?? configured.model,
    endpoint: Option.getOrUndefined(given.endpoint) ?? configured.endpoint,
    template: prompt === undefined ? undefined : { prompt, system },
    concurrency: Option.getOrUndefined(given.concurrency) ?? configured.concurrency,
    requestsPerMinute: Option.getOrUndefined(given.requestsPerMinute) ?? configured.requestsPerMinute,
    tokensPerMinute: Option.getOrUndefined(given.tokensPerMinute) ?? configured.tokensPerMinute,
    timeout: Option.getOrUndefined(given.timeout),
    retries: given.retries,
    patience: Option.getOrUndefined(given.patience),
    limit: Option.getOrUndefined(given.limit),
    sample: Option.getOrUndefined(given.sample),
    failedOnly: given.failedOnly,
    checkSchema: given.checkSchema,
    maxMemory: maxMemory === undefined ? undefined : maxMemory * 2 ** 20,
    prices,
    maxCost: Option.getOrUndefined(given.maxCost),
    keyAdvice: target.keyAdvice
  } satisfies BatchRun.Options
})

const styleOf = Effect.fnUntraced(function* ({
  json,
  quiet
}: Given): Effect.fn.Return<Reporter.Style, never, Stdio.Stdio> {
  if (json) return "json"
  if (quiet) return "quiet"
  const { stderrIsTerminal } = yield* Stdio.Stdio
  // A terminal that calls itself dumb cannot draw in place.
  const isDumb = Option.contains(yield* Effect.option(Config.String("TERM")), "dumb")
  return (yield* stderrIsTerminal) && !isDumb ? "terminal" : "log"
})

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)
