/**
 * The command `holdfast batch`: its flags, and what they mean for a run.
 */
import { Cause, Config, Duration, Effect, Exit, Fiber, Option, Path, Redacted, Stdio } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { BatchError, Misused, SomeFailed } from "./BatchError.ts"
import * as BatchRun from "./BatchRun.ts"
import * as ChatCompletions from "./ChatCompletions.ts"
import * as Counts from "./batch/report/Counts.ts"
import * as Interrupts from "./batch/Interrupts.ts"
import * as Reporter from "./batch/report/Reporter.ts"

/** What a flag means when it is not given; `docs/batch.md` has them all in one table. */
export const defaults = {
  baseUrl: "https://api.openai.com/v1",
  apiKeyEnv: "OPENAI_API_KEY",
  concurrency: BatchRun.defaults.concurrency,
  timeout: BatchRun.defaults.timeout,
  retries: BatchRun.defaults.retries
} as const

/** Reads a time such as `90s`, `5m`, `1.5h` or `2 minutes`; none for anything else, and for no time at all. */
export const toDuration = (text: string): Option.Option<Duration.Duration> => {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|seconds?|minutes?|hours?)\s*$/u.exec(text) ?? []
  const millis = Number(amount) * millisPer(unit ?? "")
  return millis > 0 ? Option.some(Duration.millis(millis)) : Option.none()
}

const millisPer = (unit: string): number =>
  unit === "ms" ? 1 : unit.startsWith("s") ? 1_000 : unit.startsWith("m") ? 60_000 : 3_600_000

const wholeNumber = (name: string, least: number) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.filter(
      (value) => value >= least,
      (value) => `must be at least ${least}, got ${value}`
    )
  )

const flags = {
  input: Argument.String("INPUT").pipe(
    Argument.withDescription('The requests: OpenAI Batch lines or {"prompt": …} lines; - reads standard input')
  ),
  out: Flag.String("out").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Where answers go, one line each; requests answered there are not sent again")
  ),
  errors: Flag.String("errors").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Where failed requests go, written anew by each run (default: next to --out)"),
    Flag.optional
  ),
  model: Flag.String("model").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("The model for lines that name none"),
    Flag.optional
  ),
  baseUrl: Flag.String("base-url").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription(`Where the API is, up to /v1 (default: ${defaults.baseUrl})`),
    Flag.optional
  ),
  apiKeyEnv: Flag.String("api-key-env").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription(`The environment variable that holds the key (default: ${defaults.apiKeyEnv})`),
    Flag.optional
  ),
  concurrency: wholeNumber("concurrency", 1).pipe(
    Flag.withDescription("Requests in flight at the same time"),
    Flag.withDefault(defaults.concurrency)
  ),
  requestsPerMinute: wholeNumber("requests-per-minute", 1).pipe(
    Flag.withDescription("Most requests to send in a minute, evenly spread (default: no limit)"),
    Flag.optional
  ),
  timeout: Flag.String("timeout").pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(`How long one attempt may take, such as 90s or "5 minutes" (default: ${defaults.timeout})`),
    Flag.filterMap(toDuration, (text) => `must be a time such as 90s, 5m or "2 minutes", got ${text}`),
    Flag.optional
  ),
  retries: wholeNumber("retries", 0).pipe(
    Flag.withDescription("Attempts after the first, for failures that can pass"),
    Flag.withDefault(defaults.retries)
  ),
  limit: wholeNumber("limit", 1).pipe(
    Flag.withDescription("Requests to send, leaving the rest for another run (default: all)"),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print events as JSON lines on standard error"),
    Flag.withDefault(false)
  ),
  quiet: Flag.Boolean("quiet").pipe(
    Flag.withDescription("Print only failures and the summary"),
    Flag.withDefault(false)
  )
}

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
    }
  ])
)

const handle = Effect.fnUntraced(function* (given: Given) {
  const apiKey = yield* keyFor(given)
  const baseUrl = yield* baseUrlOf(given.baseUrl)
  const files = yield* filesOf(given)
  const stdio = yield* Stdio.Stdio
  const counts = Counts.make()
  const reporter = yield* Reporter.make({
    style: yield* styleOf(given),
    counts,
    files,
    resume: ["holdfast", ...(yield* stdio.args)].map(quote).join(" ")
  })
  const interrupts = yield* Interrupts.listen

  const run = yield* Effect.forkScoped(
    BatchRun.run({
      input: given.input,
      output: files.output,
      errors: files.errors,
      provider: ChatCompletions.provider({ baseUrl, apiKey }),
      baseUrl,
      model: Option.getOrUndefined(given.model),
      concurrency: given.concurrency,
      requestsPerMinute: Option.getOrUndefined(given.requestsPerMinute),
      timeout: Option.getOrUndefined(given.timeout),
      retries: given.retries,
      limit: Option.getOrUndefined(given.limit),
      stop: interrupts.first,
      counts,
      onEvent: reporter.onEvent
    })
  )
  yield* Effect.forkScoped(Effect.andThen(interrupts.second, Fiber.interrupt(run)))
  const exit = yield* Fiber.await(run)
  const stopped = Exit.match(exit, { onSuccess: (isStopped) => isStopped, onFailure: Cause.hasInterruptsOnly })
  if (Exit.isSuccess(exit) || stopped) yield* reporter.end(stopped)
  if (stopped) return yield* Effect.interrupt
  yield* exit
  const failed = Counts.sum(counts.failed)
  if (failed > 0) return yield* new SomeFailed({ failed })
})

type Given = Command.Command.Config.Infer<typeof flags>

const misused = (problem: string) => Effect.fail(new BatchError({ reason: new Misused({ problem }) }))

// A server of one's own may need no key; one that was asked for by name must be there.
const keyFor = Effect.fnUntraced(function* (given: Given) {
  const name = Option.getOrElse(given.apiKeyEnv, () => defaults.apiKeyEnv)
  const key = yield* Effect.option(Config.Redacted(name))
  if (Option.isSome(key) && Redacted.value(key.value) !== "") return key.value
  if (Option.isNone(given.apiKeyEnv) && Option.isSome(given.baseUrl)) return undefined
  return yield* misused(
    `no key: set the environment variable ${name}, or name another with --api-key-env` +
      (Option.isSome(given.baseUrl) ? "" : ", or a server that needs none with --base-url")
  )
})

const baseUrlOf = (given: Option.Option<string>) => {
  const url = Option.getOrElse(given, () => defaults.baseUrl)
  return /^https?:$/u.test(URL.parse(url)?.protocol ?? "")
    ? Effect.succeed(url)
    : misused(`--base-url must be a http or https address, got ${url}`)
}

// Three files that are written, read and removed: mixing them up would destroy one.
const filesOf = Effect.fnUntraced(function* ({ errors, input, out }: Given) {
  const path = yield* Path.Path
  const output = out
  const errorsPath = Option.getOrElse(errors, () => `${output.replace(/\.jsonl$/u, "")}.errors.jsonl`)
  if (output === "-") return yield* misused("--out must be a file: what is in it is not sent again")
  const names = [input, output, errorsPath].map((name) => path.resolve(name))
  if (new Set(names).size < names.length) return yield* misused("INPUT, --out and --errors must be different files")
  return { output, errors: errorsPath }
})

const styleOf = ({ json, quiet }: Given): Effect.Effect<Reporter.Style, never, Stdio.Stdio> => {
  if (json) return Effect.succeed("json")
  if (quiet) return Effect.succeed("quiet")
  return Stdio.Stdio.use(({ stderrIsTerminal }) =>
    Effect.map(stderrIsTerminal, (isTerminal) => (isTerminal ? "terminal" : "log"))
  )
}

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/u.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)
