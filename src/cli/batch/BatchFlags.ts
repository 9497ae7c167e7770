/**
 * The flags of `holdfast batch`, and how their values are read.
 */
import { Duration, Option } from "effect"
import { Argument, Flag } from "effect/cli"
import * as BatchRun from "./BatchRun.ts"

/** What a flag means when it is not given; `docs/batch.md` has them all in one table. */
export const defaults = {
  baseUrl: "https://api.openai.com/v1",
  apiKeyEnv: "OPENAI_API_KEY",
  concurrency: BatchRun.defaults.concurrency,
  timeout: BatchRun.defaults.timeout,
  retries: BatchRun.defaults.retries,
  patience: BatchRun.defaults.patience,
  maxMemoryMb: BatchRun.defaults.maxMemory / 2 ** 20,
  config: "holdfast.config.json"
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

const text = (flag: Flag.Flag<string>, metavar: string, description: string) =>
  flag.pipe(Flag.withMetavar(metavar), Flag.withDescription(description), Flag.optional)

const time = (flag: Flag.Flag<string>, description: string) =>
  flag.pipe(
    Flag.withMetavar("TIME"),
    Flag.withDescription(description),
    Flag.filterMap(toDuration, (given) => `must be a time such as 90s, 5m or "2 minutes", got ${given}`),
    Flag.optional
  )

const whole = (flag: Flag.Flag<number>, description: string) =>
  flag.pipe(Flag.withDescription(description), Flag.optional)

const isOn = (flag: Flag.Flag<boolean>, description: string) =>
  flag.pipe(Flag.withDescription(description), Flag.withDefault(false))

export const flags = {
  input: Argument.String("INPUT").pipe(
    Argument.withDescription(
      'The requests: lines of a Batch API, {"prompt": …} lines, or a table; - reads standard input'
    )
  ),
  out: Flag.String("out").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Where answers go, one line each; requests answered there are not sent again")
  ),
  errors: text(
    Flag.String("errors"),
    "FILE",
    "Where failed requests go, written anew by each run (default: next to --out)"
  ),
  model: text(Flag.String("model"), "NAME", "The model for lines that name none"),
  endpoint: text(
    Flag.String("endpoint"),
    "PATH",
    "The endpoint for lines that name none (default: /v1/chat/completions)"
  ),
  prompt: text(
    Flag.String("prompt"),
    "TEXT",
    "Reads INPUT as CSV and asks this of each row; {{column}} stands for a cell"
  ),
  system: text(Flag.String("system"), "TEXT", "The system message that goes with --prompt"),
  baseUrl: text(
    Flag.String("base-url"),
    "URL",
    `Where the API is, up to /v1 (default: OPENAI_BASE_URL, else ${defaults.baseUrl})`
  ),
  apiKeyEnv: text(
    Flag.String("api-key-env"),
    "NAMES",
    `The environment variable that holds the key, or several with commas between (default: ${defaults.apiKeyEnv}, for OpenAI)`
  ),
  header: Flag.String("header").pipe(
    Flag.withMetavar("HEADER"),
    Flag.withDescription('Sent with every request, as "Name: value"; may be given more than once'),
    Flag.atLeast(0)
  ),
  proxy: text(
    Flag.String("proxy"),
    "URL",
    "The proxy to go through (default: that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY)"
  ),
  target: text(Flag.String("target"), "NAME", `A server by its name in ${defaults.config}`),
  concurrency: whole(
    wholeNumber("concurrency", 1),
    `Requests in flight at the same time (default: ${defaults.concurrency})`
  ),
  requestsPerMinute: whole(
    wholeNumber("requests-per-minute", 1),
    "Most requests to send in a minute, evenly spread (default: as the server allows)"
  ),
  tokensPerMinute: whole(
    wholeNumber("tokens-per-minute", 1),
    "Most tokens in a minute (default: as the server allows)"
  ),
  timeout: time(
    Flag.String("timeout"),
    `How long one attempt may take, such as 90s or "5 minutes" (default: ${defaults.timeout})`
  ),
  retries: wholeNumber("retries", 0).pipe(
    Flag.withDescription("Attempts after the first, for failures that can pass"),
    Flag.withDefault(defaults.retries)
  ),
  patience: time(
    Flag.String("patience"),
    `How long to wait for a server that is down or asks to wait (default: ${defaults.patience}, and not for one that never answered)`
  ),
  limit: whole(wholeNumber("limit", 1), "Requests to send, leaving the rest for another run (default: all)"),
  sample: whole(wholeNumber("sample", 1), "Requests to send, taken from all over the file (default: all)"),
  failedOnly: isOn(Flag.Boolean("failed-only"), "Send only what is in the errors file"),
  checkSchema: isOn(
    Flag.Boolean("check-schema"),
    "Check answers against the JSON schema that their request asks for, and ask once more if they do not fit"
  ),
  maxMemory: whole(
    wholeNumber("max-memory", 1),
    `Megabytes of requests to hold at a time (default: ${defaults.maxMemoryMb})`
  ),
  prices: text(
    Flag.String("prices"),
    "FILE",
    'Prices for a million tokens, to tell the cost: {"gpt-5-mini": {"input": 0.25, "output": 2}}'
  ),
  maxCost: Flag.Finite("max-cost").pipe(
    Flag.withMetavar("AMOUNT"),
    Flag.withDescription("What the run may cost, by --prices; then it ends, and can be resumed"),
    Flag.filter(
      (value) => value > 0,
      (value) => `must be more than 0, got ${value}`
    ),
    Flag.optional
  ),
  dryRun: isOn(Flag.Boolean("dry-run"), "Send nothing, and tell how much there is to do and about what it costs"),
  json: isOn(Flag.Boolean("json"), "Print events as JSON lines on standard error"),
  quiet: isOn(Flag.Boolean("quiet"), "Print only failures and the summary")
}
