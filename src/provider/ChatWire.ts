/**
 * Reaches any server that speaks OpenAI's chat completions, which nearly every server does, directly over HTTP.
 *
 * One call is one request. Nothing is retried, no redirect is followed, and there is no time limit: policies do that.
 */
import { hash } from "node:crypto"
import { Effect, type Fiber, Predicate, type Redacted, Stream } from "effect"
import { AiError, type LanguageModel, type Response } from "effect/ai"
import * as OptionCheck from "../core/OptionCheck.ts"
import * as WireBytes from "../core/call/WireBytes.ts"
import type { ModelProvider } from "../core/call/ModelProvider.ts"
import * as Call from "./chat-wire/Call.ts"
import * as Dialects from "./chat-wire/Dialects.ts"
import * as Limits from "./chat-wire/Limits.ts"
import * as RawCall from "./chat-wire/RawCall.ts"
import * as RequestBody from "./chat-wire/RequestBody.ts"
import * as RequestBytes from "./chat-wire/RequestBytes.ts"
import * as Server from "./chat-wire/Server.ts"
import { type Logger, WireLog } from "./chat-wire/WireLog.ts"
import * as WrittenAnswer from "./chat-wire/WrittenAnswer.ts"
import * as WrittenEvents from "./chat-wire/WrittenEvents.ts"
import * as Shown from "./errors/Shown.ts"
import * as CallSettings from "./settings/CallSettings.ts"
import * as OfferedTools from "./tools/OfferedTools.ts"
import * as CallError from "../core/call/CallError.ts"

export { type Dialect, known as knownServers, type Known as KnownServer } from "./chat-wire/Dialects.ts"
export type { Limits } from "./chat-wire/Limits.ts"
export type { Entry as LogEntry } from "./chat-wire/WireLog.ts"
export { CurrentSettings, type CallSettings } from "./settings/CallSettings.ts"

export interface Options {
  /**
   * Where the server is, up to the part before `/chat/completions`: `"https://api.openai.com/v1"`. That part may stand
   * there, too. A query is sent with every call; a user and password become basic authorization when there is no key.
   */
  readonly baseUrl: string | URL
  /** The model to ask for: `"gpt-5-mini"`. */
  readonly model: string
  /** The key. Default: none is sent. */
  readonly apiKey?: string | Redacted.Redacted | undefined
  /**
   * Who answers, for logs, metrics and keys: what has the same name and model shares caches, circuits and limits. Default: the
   * name of a known server, else its host, with its port and path unless they are the usual ones (443 or 80, `/v1`).
   */
  readonly name?: string | undefined
  /** Headers to send with every call. Default: none. */
  readonly headers?: { readonly [name: string]: string | Redacted.Redacted | undefined } | undefined
  /** Parameters to send in the URL of every call, such as Azure's `api-version`. Default: none. */
  readonly query?: { readonly [name: string]: string } | undefined
  /** How every call should be answered, unless the call says otherwise ({@link withSettings}). Default: none. */
  readonly settings?: CallSettings.CallSettings | undefined
  /** What the server lacks or calls otherwise. Default: what is known of its host and the model ({@link knownServers}). */
  readonly dialect?: Dialects.Dialect | undefined
  /** How much an answer may be. */
  readonly limits?: Limits.Limits | undefined
  /**
   * The proxy to go through, http or https. Default: the one that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names, unless `NO_PROXY`
   * names the server. `false`: none.
   */
  readonly proxy?: string | URL | false | undefined
  /** Response headers to pass on besides those that are known to be useful and harmless. Default: none. */
  readonly keepHeaders?: ReadonlyArray<string> | undefined
  /** Whether to send the trace that the call belongs to (`traceparent`). Default true. */
  readonly traceparent?: boolean | undefined
  /** Is told what goes over the wire, keys masked, for debugging. Default: nothing is. */
  readonly log?: Logger | undefined
}

export const defaults = {
  traceparent: true,
  limits: Limits.defaults
} as const

/**
 * Makes a provider of a model on a server that speaks chat completions.
 *
 * Interrupting a call, or leaving a stream, closes its connection at once, also while it is being made. Errors are those
 * of every provider (`docs/errors.md`): an answer that says no, that was cut off, that makes no sense or that is beyond a
 * limit is a typed failure, on both ways of asking. Keys, a password in the URL and the values of secret headers are
 * masked in whatever comes back. Throws a `RangeError` for options that make no sense.
 *
 * **Gotchas**
 *
 * - What the wire has no part for is kept in the `finish` part's `metadata.chatWire`: the server's own finish reason and
 *   usage, `logprobs`, and unknown fields of the answer, its choice and its message.
 * - Of several choices only that with index 0 is read. One alone is read whatever its index is, which in a stream is
 *   known at the end.
 * - Compressed answers are read, but not asked for; `headers: { "accept-encoding": "gzip" }` does.
 *
 * **Example**
 *
 * ```ts run
 * import { ChatWire } from "holdfast/provider"
 *
 * const provider = ChatWire.provider({ baseUrl: "https://api.openai.com/v1", apiKey: "not-a-secret", model: "gpt-5-mini" })
 * provider.name // => "openai"
 * provider.model // => "gpt-5-mini"
 * ```
 */
export const provider = (options: Options): ModelProvider => {
  const check = OptionCheck.of("ChatWire")
  check.fields(options, fields)
  if (!Predicate.isString(options.model) || options.model === "") check.reject("model", "a name", options.model)
  checkOptions(options, check)
  const server = Server.make(options, check)
  const { known, mask } = server
  const target = {
    name: options.name ?? server.name,
    model: options.model,
    dialect: Dialects.resolve(known?.dialect, options.dialect)
  }
  const limits = Limits.resolve(options.limits ?? {}, check)
  const keepHeaders = new Set(options.keepHeaders?.map((name) => name.toLowerCase()))
  const authorized = Server.authorize(server, target.dialect.auth)
  const warn = warnOnce(target)

  const ready = (
    call: LanguageModel.ProviderOptions,
    current: CallSettings.CallSettings,
    bytes: WireBytes.Request | undefined,
    method: Method
  ): Effect.Effect<Call.Ready, AiError.AiError> => {
    const settings = settingsOf(current)
    const streamed = method === "streamText"
    const secrets = Shown.withHeaders(mask, settings.headers)
    const log = options.log === undefined ? undefined : new WireLog(options.log, secrets)
    try {
      const { body, leftOut } =
        bytes === undefined
          ? written(RequestBody.of(call, settings, target, streamed))
          : RequestBytes.of(bytes, call, current, target, streamed)
      const trace = (options.traceparent ?? defaults.traceparent) ? call.span : undefined
      const made: Call.Ready = {
        request: Server.request(authorized, { body, streamed, trace, headers: settings.headers }),
        tools: OfferedTools.make(call.tools, target.dialect.codecTransformer),
        provider: target.name,
        limits,
        keepHeaders,
        failure: { method, url: server.url, mask: secrets, prompt: call.prompt },
        log,
        recordsBytes: bytes !== undefined
      }
      return leftOut.length === 0 ? Effect.succeed(made) : Effect.as(warn(leftOut), made)
    } catch (error) {
      return Effect.fail(unsendable(error, method))
    }
  }

  // Of those that share a known name, such as a company's Azure resources, each answers for itself.
  const place = options.name === undefined && server.isOneOfMany ? server.url : undefined
  const given = options.settings
  const settingsOf = (settings: CallSettings.CallSettings) =>
    given === undefined ? settings : CallSettings.merge(given, settings)
  const prepare = (call: LanguageModel.ProviderOptions, method: Method) =>
    Effect.withFiber((fiber) => {
      const current = fiber.getRef(CallSettings.CurrentSettings)
      const bytes = fiber.getRef(WireBytes.Current)
      return ready(call, current, bytes?.prompt === call.prompt ? bytes : undefined, method)
    })
  return {
    name: target.name,
    model: target.model,
    codecTransformer: target.dialect.codecTransformer,
    settings: Effect.withFiberSucceed((fiber) => {
      const settings = settingsOf(fiber.getRef(CallSettings.CurrentSettings))
      const bytes = fiber.getRef(WireBytes.Current)
      const of = place === undefined ? settings : { ...settings, place }
      return bytes === undefined ? of : { ...of, body: hash("sha256", bytes.body) }
    }),
    generateText: (call) => Effect.flatMap(prepare(call, "generateText"), Call.whole),
    streamText: (call) => Stream.unwrap(Effect.map(prepare(call, "streamText"), Call.stream))
  }
}

/** What {@link raw} needs to know: neither how a server speaks, nor a model, is among it. */
export type RawOptions = Omit<Options, "dialect" | "settings" | "model"> & Partial<Pick<Options, "model">>

/**
 * Makes a provider that sends bodies as they are, to any endpoint of a server, and gives each answer as its own bytes.
 *
 * The body and its endpoint are those of `WireBytes.Current`, without which a call fails. Whatever JSON object comes with
 * a status that says yes is an answer, unless it says that it is an error; the parts say what it cost, and `WireBytes`
 * gives its bytes for them. A stream has the same parts as a whole answer, all at its end. In all else as {@link provider}.
 */
export const raw = (options: RawOptions): ModelProvider => {
  const check = OptionCheck.of("ChatWire.raw")
  check.fields(options, rawFields)
  const { keepHeaders: kept, log: logger, model = "any", name, traceparent = defaults.traceparent } = options
  check.label("model", model)
  checkOptions(options, check)
  const server = Server.make(options, check)
  const limits = Limits.resolve(options.limits ?? {}, check)
  const keepHeaders = new Set(kept?.map((header) => header.toLowerCase()))
  const authorized = Server.authorize(server, server.known?.dialect.auth ?? "bearer")
  const generateText = (call: LanguageModel.ProviderOptions) =>
    Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => {
      const bytes = fiber.getRef(WireBytes.Current)
      if (bytes === undefined) {
        const reason = new AiError.InvalidRequestError({ parameter: "body", constraint: "must be given as bytes" })
        return Effect.fail(CallError.make({ module: "ChatWire", method: "raw", reason }))
      }
      const { body, headers, path } = bytes
      const secrets = Shown.withHeaders(server.mask, headers)
      return RawCall.whole({
        request: Server.request(authorized, {
          body,
          streamed: false,
          trace: traceparent ? call.span : undefined,
          headers,
          path: path === undefined ? undefined : server.pathOf(path)
        }),
        limits,
        keepHeaders,
        failure: RawCall.contextOf(secrets, server.url, body),
        log: logger === undefined ? undefined : new WireLog(logger, secrets)
      })
    })
  return {
    name: name ?? server.name,
    model,
    generateText,
    streamText: (call) =>
      Stream.unwrap(
        Effect.map(generateText(call), (parts) => Stream.fromIterable(parts as Array<Response.StreamPartEncoded>))
      ),
    settings: Effect.withFiberSucceed((fiber) => {
      const bytes = fiber.getRef(WireBytes.Current)
      return bytes && { path: bytes.path, body: hash("sha256", bytes.body) }
    })
  }
}

/**
 * Gives the bytes of a whole answer: the server's own where they are known and no policy changed the answer, else a chat completion
 * that says the same.
 *
 * They are known of the calls that `WireBytes` gave the bytes of. Written anew are answers of other providers, and those that a
 * policy gave from its cache, put together or made up. What the wire has no field for is left out: documents as sources,
 * and what providers did with tools of their own. Reading the bytes gives the same parts, but for blocks of one kind, which
 * are one block, and ids of calls, which are told apart already.
 *
 * **Example**
 *
 * ```ts run
 * import { ChatWire } from "holdfast/provider"
 *
 * const usage = { inputTokens: {}, outputTokens: {} }
 * const parts = [{ type: "text", text: "Kelp." } as const, { type: "finish", reason: "stop", usage, response: undefined } as const]
 * const { choices } = JSON.parse(Buffer.from(ChatWire.answerBytes(parts)).toString("utf8"))
 * choices[0].message // => { role: "assistant", content: "Kelp." }
 * ```
 */
export const answerBytes: (parts: ReadonlyArray<Response.PartEncoded>) => Uint8Array = WrittenAnswer.bytesOf

/**
 * Gives the bytes of a streamed answer, as {@link answerBytes} does of a whole one: the server's own for as long as no policy changed
 * anything, and from there the events of a chat completion, with `[DONE]` at the end. Fails as the stream does.
 */
export const answerEvents: <E, R>(
  parts: Stream.Stream<Response.StreamPartEncoded, E, R>,
  options?: WrittenEvents.Options
) => Stream.Stream<Uint8Array, E, R> = WrittenEvents.bytesOf

export type { Options as AnswerEventsOptions } from "./chat-wire/WrittenEvents.ts"

const rawFields: OptionCheck.Fields<RawOptions> = {
  baseUrl: true,
  model: true,
  apiKey: true,
  name: true,
  headers: true,
  query: true,
  limits: true,
  proxy: true,
  keepHeaders: true,
  traceparent: true,
  log: true
}
const fields: OptionCheck.Fields<Options> = { ...rawFields, settings: true, dialect: true }

const checkOptions = (options: Omit<Options, "model">, check: OptionCheck.OptionCheck): void => {
  const { dialect, keepHeaders, log, name, settings, traceparent } = options
  if (name !== undefined) check.text("name", name)
  if (settings !== undefined) CallSettings.checked(settings, check, "settings.")
  if (dialect !== undefined) Dialects.checkAll(dialect, check)
  if (keepHeaders !== undefined) check.texts("keepHeaders", keepHeaders)
  if (traceparent !== undefined) check.flag("traceparent", traceparent)
  if (log !== undefined) check.callback("log", log)
}

/**
 * Sets how the model calls inside an effect are answered. Wins over the provider's settings, and an inner
 * `withSettings` wins over an outer one, field by field. The same settings as `AiSdk.withSettings`.
 */
export const withSettings = CallSettings.withSettings

/** Sets how the model calls behind a stream are answered, as {@link withSettings} does for effects. */
export const withStreamSettings = CallSettings.withStreamSettings

type Method = "generateText" | "streamText"

const written = ({ fields, leftOut }: RequestBody.Body) => ({ body: JSON.stringify(fields), leftOut })

/** A call that cannot be said on this wire, or whose schema cannot. */
const unsendable = (error: unknown, method: Method): AiError.AiError => {
  const description = error instanceof Error ? error.message : String(error)
  const reason = AiError.isAiErrorReason(error) ? error : new AiError.UnsupportedSchemaError({ description })
  return CallError.make({ module: "ChatWire", method, reason })
}

/** Says once of each setting that the server does not know it. */
const warnOnce = ({ model, name }: RequestBody.Target) => {
  const seen = new Set<string>()
  return (settings: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.forEach(
      settings,
      (setting) => {
        if (seen.has(setting)) return Effect.void
        seen.add(setting)
        return Effect.logWarning(`${name} ${model}: ${setting} is not supported, and is left out`)
      },
      { discard: true }
    )
}
