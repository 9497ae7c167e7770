/**
 * What a batch run is told, what it does where it is not, and what of that cannot be.
 */
import * as OptionCheck from "../../core/OptionCheck.ts"
import { Effect } from "effect"
import type { Duration, Scope } from "effect"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import type { BatchEvent } from "./report/BatchEvent.ts"
import { pathOf } from "./input/BatchRequest.ts"
import type * as Csv from "./input/Csv.ts"
import type * as Counts from "./report/Counts.ts"
import * as Perseverance from "./send/Perseverance.ts"
import type * as Prices from "./send/Prices.ts"

export interface Options {
  /** A path, or `-` for standard input. */
  readonly input: string
  /** Grows by one line for each answer; requests answered there are not sent again. */
  readonly output: string
  /** Written anew by each run: what failed in it, and why. */
  readonly errors: string
  /** Who answers: see `ChatWire.raw`. */
  readonly provider: Effect.Effect<ModelProvider, never, Scope.Scope>
  /** Where that is, for messages. */
  readonly baseUrl: string
  /** Used for lines that name no model. Default: such a line fails. */
  readonly model?: string | undefined
  /** Used for lines that name no endpoint: `/v1/embeddings`. Default: chat completions. */
  readonly endpoint?: string | undefined
  /** Reads the input as a table, and asks this of each row. Default: the input has lines of JSON. */
  readonly template?: Csv.Template | undefined
  /** Requests in flight at the same time. Default 50. */
  readonly concurrency?: number | undefined
  /** Requests sent in a minute, retries included, at even distances. Default: what the server's limits allow. */
  readonly requestsPerMinute?: number | undefined
  /** Tokens sent and received in a minute. Default: what the server's limits allow. */
  readonly tokensPerMinute?: number | undefined
  /** How long one attempt may take. Default 5 minutes. */
  readonly timeout?: Duration.Input | undefined
  /** Attempts after the first, for what can succeed later. Default 6. */
  readonly retries?: number | undefined
  /** How long to wait for a server that answers nobody, or asks to wait. Default 30 minutes; none for one that never answered. */
  readonly patience?: Duration.Input | undefined
  /** Requests to send; the rest is left for another run. Default: all. */
  readonly limit?: number | undefined
  /** Takes so many requests, evenly spread over the input, which must be a file. Default: all. */
  readonly sample?: number | undefined
  /** Whether to send only what the last run failed at, by its errors file. Default false. */
  readonly failedOnly?: boolean | undefined
  /** Whether to check answers against the JSON schema their request asks for, and to ask once more if they do not fit. Default false. */
  readonly checkSchema?: boolean | undefined
  /** The most bytes of requests to hold at a time. Default 128 MiB; a single request may be larger. */
  readonly maxMemory?: number | undefined
  /** Prices by model, for what the run costs. Default: it is not told. */
  readonly prices?: Prices.Prices | undefined
  /** What the run may cost, in the currency of the prices. Default: anything. */
  readonly maxCost?: number | undefined
  /** What to do about a key that is refused, for the message. Default: nothing is said. */
  readonly keyAdvice?: string | undefined
  /** Headers for a request, by its endpoint. Default: none. */
  readonly headersOf?: ((path: string) => { readonly [name: string]: string } | undefined) | undefined
  /** Completes when the run is to stop: no request is sent any more, those in flight may finish. Default: never. */
  readonly stop?: Effect.Effect<void> | undefined
  /** How long those in flight may go on after `stop`. Default 30 seconds. */
  readonly stopDeadline?: Duration.Input | undefined
  /** Changed in place while the run goes on. Default: numbers of its own. */
  readonly counts?: Counts.Counts | undefined
  /** Hears what happens. Default: nothing. */
  readonly onEvent?: ((event: BatchEvent) => Effect.Effect<void>) | undefined
}

export const defaults = {
  concurrency: 50,
  timeout: "5 minutes",
  retries: 6,
  retryBase: Perseverance.defaults.base,
  retryCap: Perseverance.defaults.cap,
  patience: "30 minutes",
  maxMemory: 128 * 2 ** 20,
  stopDeadline: "30 seconds",
  healthEvery: "500 millis"
} as const

const caller = "BatchRun.run"
const check = OptionCheck.of(caller)

/** Says which option cannot be, in the words of a command that has it as a flag: `--max-cost must be …`. */
export const problemOf = (options: Options): string | undefined => {
  try {
    resolve(options)
    return undefined
  } catch (error) {
    const { message } = error as Error
    const [, name = "", rest = message] =
      new RegExp(`^${caller} option (?:template\\.)?(\\w+)(.*)$`, "su").exec(message) ?? []
    const flag = name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)
    return `${name === "" || name === "input" ? "INPUT" : flag === "output" ? "--out" : `--${flag}`}${rest}`
  }
}

// What a command or a configuration may have wrong; paths and the API are told by a `BatchError`.
export const resolve = (options: Options) => {
  check.fields(options, fields)
  const { limit, maxCost, model, requestsPerMinute, sample, tokensPerMinute } = options
  for (const name of ["input", "output", "errors", "baseUrl"] as const) check.label(name, options[name])
  if (model !== undefined) check.label("model", model)
  if (options.endpoint !== undefined && pathOf(options.endpoint) === undefined) {
    check.reject("endpoint", "an endpoint such as /v1/embeddings", options.endpoint)
  }
  if (options.template !== undefined) {
    check.fields(options.template, { prompt: true, system: true }, "template")
    if (options.template.system !== undefined) check.text("template.system", options.template.system)
    check.label("template.prompt", options.template.prompt)
  }
  if (requestsPerMinute !== undefined) check.number("requestsPerMinute", requestsPerMinute, { above: 0 })
  if (tokensPerMinute !== undefined) check.number("tokensPerMinute", tokensPerMinute, { above: 0 })
  check.millis("timeout", options.timeout ?? defaults.timeout, { endless: true })
  if (limit !== undefined) check.whole("limit", limit, 0)
  if (sample !== undefined) check.whole("sample", sample, 1)
  for (const name of ["failedOnly", "checkSchema"] as const) {
    if (options[name] !== undefined) check.flag(name, options[name])
  }
  if (options.prices !== undefined) check.record("prices", options.prices)
  if (maxCost !== undefined) {
    check.number("maxCost", maxCost, { atLeast: 0 })
    if (options.prices === undefined) check.reject("prices", "given together with maxCost", undefined)
  }
  if (options.keyAdvice !== undefined) check.text("keyAdvice", options.keyAdvice)
  check.millis("stopDeadline", options.stopDeadline ?? defaults.stopDeadline, { atLeast: 0, endless: true })
  for (const name of ["onEvent", "headersOf"] as const) {
    if (options[name] !== undefined) check.callback(name, options[name])
  }
  if (options.counts !== undefined) check.record("counts", options.counts)
  for (const name of ["provider", "stop"] as const) {
    const given = options[name]
    if (given !== undefined && !Effect.isEffect(given)) check.reject(name, "an Effect", given)
  }
  return {
    concurrency: check.whole("concurrency", options.concurrency ?? defaults.concurrency, 1),
    retries: check.whole("retries", options.retries ?? defaults.retries, 0),
    timeout: options.timeout ?? defaults.timeout,
    patienceMillis: check.millis("patience", options.patience ?? defaults.patience, { atLeast: 0, endless: true }),
    maxMemory: check.whole("maxMemory", options.maxMemory ?? defaults.maxMemory, 1)
  }
}

const fields: OptionCheck.Fields<Options> = {
  input: true,
  output: true,
  errors: true,
  provider: true,
  baseUrl: true,
  model: true,
  endpoint: true,
  template: true,
  concurrency: true,
  requestsPerMinute: true,
  tokensPerMinute: true,
  timeout: true,
  retries: true,
  patience: true,
  limit: true,
  sample: true,
  failedOnly: true,
  checkSchema: true,
  maxMemory: true,
  prices: true,
  maxCost: true,
  keyAdvice: true,
  headersOf: true,
  stop: true,
  stopDeadline: true,
  counts: true,
  onEvent: true
}
