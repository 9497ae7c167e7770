/**
 * Finds out where requests go, with which key, and how much at a time: by the flags, a named target of the configuration file and
 * the environment.
 *
 * A key goes to the server that it was meant for. `OPENAI_API_KEY` is meant for OpenAI, and for whom `OPENAI_BASE_URL` names; a
 * server that is named by `--base-url` or a target has the key that is named with it, or none. A target's key and headers go to its
 * own server only.
 */
import { Config, Effect, FileSystem, Option, Redacted, Schema } from "effect"
import type { Scope } from "effect"
import { ChatWire, ProviderPool } from "../../provider/index.ts"
import type { ModelProvider } from "../../core/call/ModelProvider.ts"
import * as WireBytes from "../../core/call/WireBytes.ts"
import { BatchError, Misused, problemOf } from "./BatchError.ts"
import { defaults } from "./BatchFlags.ts"
import * as Prices from "./send/Prices.ts"

/** What a target of the configuration file may say. A flag wins over it. */
const Configured = Schema.Struct({
  baseUrl: Schema.optionalKey(Schema.String),
  apiKeyEnv: Schema.optionalKey(Schema.String),
  headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  proxy: Schema.optionalKey(Schema.String),
  model: Schema.optionalKey(Schema.String),
  endpoint: Schema.optionalKey(Schema.String),
  concurrency: Schema.optionalKey(positive()),
  requestsPerMinute: Schema.optionalKey(positive()),
  tokensPerMinute: Schema.optionalKey(positive()),
  prices: Schema.optionalKey(Prices.Prices)
})

const ConfigFile = Schema.Struct({ targets: Schema.Record(Schema.String, Configured) })

function positive() {
  return Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))
}

/** What the flags say. */
export interface Given {
  readonly baseUrl: Option.Option<string>
  readonly apiKeyEnv: Option.Option<string>
  readonly header: ReadonlyArray<string>
  readonly proxy: Option.Option<string>
  readonly target: Option.Option<string>
  readonly prices: Option.Option<string>
}

export interface Target {
  readonly configured: typeof Configured.Type
  readonly provider: Effect.Effect<ModelProvider, never, Scope.Scope>
  /** As it may be shown. */
  readonly baseUrl: string
  readonly keyAdvice: string | undefined
  readonly prices: Prices.Prices | undefined
}

/** The longest answer that is read. */
const limits = { maxBytes: 256 * 2 ** 20, maxErrorBytes: 64 * 2 ** 10 }

export const resolve = Effect.fn("Target.resolve")(function* (
  given: Given,
  isDry: boolean
): Effect.fn.Return<Target, BatchError, FileSystem.FileSystem> {
  const configured = ownOf(yield* configuredBy(given.target), given.baseUrl)
  const named = Option.orElse(given.baseUrl, () => Option.fromUndefinedOr(configured.baseUrl))
  const openAiUrl = yield* Config.String("OPENAI_BASE_URL").pipe(
    Effect.option,
    Effect.map(Option.filter((url) => url !== ""))
  )
  const baseUrl = Option.getOrElse(
    Option.orElse(named, () => openAiUrl),
    () => defaults.baseUrl
  )
  const parsed = URL.parse(baseUrl)
  if (!/^https?:$/u.test(parsed?.protocol ?? "")) {
    return yield* misused(`${Option.isSome(named) ? "--base-url" : "OPENAI_BASE_URL"} must be a http or https address`)
  }
  const keyName = Option.orElse(given.apiKeyEnv, () => Option.fromUndefinedOr(configured.apiKeyEnv))
  const isMeant = [defaults.baseUrl, ...Option.toArray(openAiUrl)].some(
    (url) => URL.parse(url)?.origin === parsed?.origin
  )
  const keys = yield* keysFor(keyName, isMeant, Option.isNone(named) && Option.isNone(openAiUrl) && !isDry)
  const headers = { ...configured.headers, ...(yield* headersOf(given.header)) }
  const proxy = Option.getOrUndefined(given.proxy) ?? configured.proxy
  const providers = yield* Effect.try({
    try: () =>
      (keys.length === 0 ? [undefined] : keys).map((apiKey) =>
        withAnthropicHeaders(ChatWire.raw({ baseUrl, apiKey, headers, proxy, limits, traceparent: false }), apiKey)
      ),
    catch: (error) => problemOfOptions(error, keyName)
  })
  const [only, ...others] = providers
  return {
    configured,
    provider:
      only === undefined || others.length > 0
        ? ProviderPool.make({
            providers: Object.fromEntries(providers.map((provider, index) => [`key ${index + 1}`, provider]))
          })
        : Effect.succeed(only),
    baseUrl: `${parsed?.origin}${parsed?.pathname ?? ""}`.replace(/\/$/u, ""),
    keyAdvice:
      keys.length === 0 ? "no key was sent: name the environment variable that holds it with --api-key-env" : undefined,
    prices: yield* pricesOf(given.prices, configured)
  }
})

/** A target without its key and headers, where a flag names another server than the target does. */
const ownOf = (configured: typeof Configured.Type, baseUrl: Option.Option<string>): typeof Configured.Type => {
  const { apiKeyEnv: _, headers: __, ...rest } = configured
  const isOther = Option.exists(
    baseUrl,
    (url) => URL.parse(url)?.origin !== URL.parse(configured.baseUrl ?? "")?.origin
  )
  return isOther ? rest : configured
}

/** Anthropic's own endpoint wants the key in another place, and to know the version. Headers that were given win. */
const withAnthropicHeaders = (provider: ModelProvider, key: Redacted.Redacted | undefined): ModelProvider => ({
  ...provider,
  generateText: (request) =>
    Effect.updateService(provider.generateText(request), WireBytes.Current, (bytes) =>
      bytes?.path === "/messages" ? { ...bytes, headers: { ...anthropicHeaders(key), ...bytes.headers } } : bytes
    )
})

const anthropicHeaders = (key: Redacted.Redacted | undefined): { readonly [name: string]: string } => ({
  "anthropic-version": "2023-06-01",
  ...(key === undefined ? {} : { "x-api-key": Redacted.value(key) })
})

const misused = (problem: string) => Effect.fail(new BatchError({ reason: new Misused({ problem }) }))

/** The message of an option that the provider refuses, in the words of the command. */
const problemOfOptions = (error: unknown, keyName: Option.Option<string>): BatchError => {
  const said = error instanceof Error ? error.message : String(error)
  const name = Option.getOrElse(keyName, () => defaults.apiKeyEnv)
  const problem = said.includes("option apiKey")
    ? `the key in ${name} has characters that HTTP does not allow in a header, such as … or a line end: copy it again`
    : said.replace(/^ChatWire\.raw option /u, "")
  return new BatchError({ reason: new Misused({ problem }) })
}

// A server of one's own may need no key; one that was asked for by name must be there.
const keysFor = Effect.fnUntraced(function* (
  named: Option.Option<string>,
  isMeant: boolean,
  isNeeded: boolean
): Effect.fn.Return<ReadonlyArray<Redacted.Redacted>, BatchError> {
  if (Option.isNone(named) && !isMeant) return []
  const names = Option.getOrElse(named, () => defaults.apiKeyEnv)
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "")
  const keys: Array<Redacted.Redacted> = []
  for (const name of names) {
    const key = yield* Effect.option(Config.Redacted(name))
    if (Option.isSome(key) && Redacted.value(key.value) !== "") keys.push(key.value)
    else if (Option.isSome(named) || isNeeded) {
      return yield* misused(
        `no key: set the environment variable ${name}, or name another with --api-key-env` +
          (isNeeded ? ", or a server that needs none with --base-url" : "")
      )
    }
  }
  return keys
})

const headersOf = (given: ReadonlyArray<string>): Effect.Effect<{ readonly [name: string]: string }, BatchError> => {
  const headers: { [name: string]: string } = {}
  for (const header of given) {
    const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):\s*(.*)$/su.exec(header) ?? []
    if (name === undefined || value === undefined) return misused('--header must be "Name: value"')
    headers[name] = value
  }
  return Effect.succeed(headers)
}

const configuredBy = Effect.fnUntraced(function* (
  name: Option.Option<string>
): Effect.fn.Return<typeof Configured.Type, BatchError, FileSystem.FileSystem> {
  if (Option.isNone(name)) return {}
  const text = yield* readText(defaults.config)
  const read = Schema.decodeResult(Schema.fromJsonString(ConfigFile))(text, { onExcessProperty: "error" })
  if (read._tag === "Failure")
    return yield* misused(`${defaults.config} is not as it should be: ${read.failure.message}`)
  const { targets } = read.success
  const found = Object.hasOwn(targets, name.value) ? targets[name.value] : undefined
  if (found !== undefined) return found
  return yield* misused(
    `${defaults.config} has no target ${name.value}; it has ${Object.keys(targets).join(", ") || "none"}`
  )
})

const pricesOf = Effect.fnUntraced(function* (
  file: Option.Option<string>,
  { prices }: typeof Configured.Type
): Effect.fn.Return<Prices.Prices | undefined, BatchError, FileSystem.FileSystem> {
  if (Option.isNone(file)) return prices
  const read = Prices.decode(yield* readText(file.value))
  if (Option.isSome(read)) return read.value
  return yield* misused(`${file.value} must hold prices such as {"gpt-5-mini": {"input": 0.25, "output": 2}}`)
})

const readText = (path: string) =>
  FileSystem.FileSystem.use((fs) => fs.readFileString(path)).pipe(
    Effect.mapError(
      (error) => new BatchError({ reason: new Misused({ problem: `cannot read ${path}: ${problemOf(error)}` }) })
    )
  )
